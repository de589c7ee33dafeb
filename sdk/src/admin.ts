import { SpillwayError } from "./errors.js";
import { MaxMetadata, MaxRoomMetadata, Version, type Deed, type Done, type FromSDK, type Source } from "./events.js";
import type { Requests } from "./requests.js";

/**
 * What whoever has a token with `roomAdmin` may do to others. Every call resolves
 * when it is done, and rejects with a code: `token_no_permission`, `stage_full`,
 * `not_found`, or one that says that trying again may help.
 */
export class Admin {
  readonly #requests: Requests;
  readonly #send: (message: FromSDK) => boolean;

  /** @internal */
  constructor(requests: Requests, send: (message: FromSDK) => boolean) {
    this.#requests = requests;
    this.#send = send;
  }

  /** Brings a viewer to the stage. Resolves to `moving` when it has to change nodes first, which takes some seconds. */
  async promote(identity: string): Promise<"done" | "moving"> {
    return (await this.#ask("promote", identity)).moving ? "moving" : "done";
  }

  /** Takes a publisher off the stage: from now on it only watches. Everybody may do so to themselves. */
  async demote(identity: string): Promise<void> {
    await this.#ask("demote", identity);
  }

  /** Switches sources of somebody off; their owner may switch them on again. */
  async mute(identity: string, ...sources: Source[]): Promise<void> {
    await this.#ask("mute", identity, sources.length > 0 ? sources : ["microphone"]);
  }

  /** Puts somebody out of the room. */
  async remove(identity: string): Promise<void> {
    await this.#ask("remove", identity);
  }

  /** Gives somebody other metadata, which stays until they leave or change it themselves. At most 2,048 bytes; `rate_limited` beyond one change a second. */
  async setMetadata(identity: string, metadata: string): Promise<void> {
    await this.#ask("metadata", identity, undefined, bounded(metadata, MaxMetadata));
  }

  /** Gives the room other metadata: everybody, also who comes later, gets it. At most 1,024 bytes; `rate_limited` beyond one change a second. */
  async setRoomMetadata(metadata: string): Promise<void> {
    await this.#ask("metadata", undefined, undefined, bounded(metadata, MaxRoomMetadata));
  }

  /** Ends the room for everybody. */
  async endRoom(): Promise<void> {
    await this.#ask("end");
  }

  #ask(deed: Deed, participant?: string, sources?: Source[], metadata?: string): Promise<Done> {
    return this.#requests.ask((id) => this.#send({
      action: "moderate", v: Version, id, deed, ...(participant ? { participant } : {}), ...(sources ? { sources } : {}), ...(metadata ? { metadata } : {}),
    }));
  }
}

/** The text, if it is short enough. Throws `bad_field` else. @internal */
export function bounded(metadata: string, most: number): string {
  if (new TextEncoder().encode(metadata).length > most) throw new SpillwayError("bad_field", `metadata is longer than ${most} bytes`);
  return metadata;
}
