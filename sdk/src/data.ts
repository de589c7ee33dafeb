import { SpillwayError } from "./errors.js";
import { DataBurst, DataBytes, DataPerSecond, MaxData, MaxReceivers, MaxTopic, Version, type Data } from "./events.js";

/** How data is sent. */
export interface DataOptions {
  /** Whether it is sent again until it has arrived, and arrives in order; true. */
  reliable?: boolean;
  /** The identities it is for; everybody else by default. */
  destinationIdentities?: readonly string[];
  /** For the application to tell its messages apart; at most 64 bytes. */
  topic?: string;
}

/** What one may still send, so that a page learns at once that it sends too much. @internal */
export class DataBudget {
  #messages = DataPerSecond * DataBurst;
  #bytes = DataBytes * DataBurst;
  #counted: number | undefined;

  /** Takes a message of so many bytes; false when one has to wait. */
  spend(bytes: number, nowMs: number): boolean {
    const passed = Math.max(0, nowMs - (this.#counted ?? nowMs)) / 1000;
    this.#counted = nowMs;
    this.#messages = Math.min(DataPerSecond * DataBurst, this.#messages + passed * DataPerSecond);
    this.#bytes = Math.min(DataBytes * DataBurst, this.#bytes + passed * DataBytes);
    if (this.#messages < 1 || this.#bytes < bytes) return false;
    this.#messages -= 1;
    this.#bytes -= bytes;
    return true;
  }
}

/** The message for what a page wants to say. Throws a {@link SpillwayError} with what is wrong with it. */
export function dataMessage(payload: Uint8Array, options: DataOptions): Data {
  const { destinationIdentities: to = [], topic = "" } = options;
  if (payload.length > MaxData) throw new SpillwayError("too_large", `the payload has ${payload.length} bytes, at most ${MaxData} are taken`);
  if (new TextEncoder().encode(topic).length > MaxTopic) throw new SpillwayError("bad_field", `the topic has more than ${MaxTopic} bytes`);
  if (to.length > MaxReceivers) throw new SpillwayError("bad_field", `${to.length} receivers, at most ${MaxReceivers} are taken`);
  return { action: "data", v: Version, payload: encode(payload), ...(to.length > 0 ? { to: [...to] } : {}), ...(topic ? { topic } : {}) };
}

function encode(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));
}

/** The bytes of a received payload. */
export function decode(payload: string): Uint8Array {
  return Uint8Array.from(atob(payload), (c) => c.charCodeAt(0));
}
