import { SpillwayError } from "./errors.js";
import type { Done, Error as Refusal } from "./events.js";

/** How long an answer may take: the control plane may have to be asked. */
const answerMs = 10_000;

interface Pending {
  resolve(done: Done): void;
  reject(error: SpillwayError): void;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** What was asked of the node and is not answered yet, by request id. @internal */
export class Requests {
  readonly #pending = new Map<string, Pending>();
  #last = 0;

  /** Sends what `send` makes of a new id. Resolves with the answer; rejects with the node's code, or `node_unreachable` where none comes. */
  ask(send: (id: string) => boolean): Promise<Done> {
    this.#last += 1;
    const id = `r${this.#last}`;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#take(id)?.reject(new SpillwayError("node_unreachable", "the media server does not answer")), answerMs);
      this.#pending.set(id, { resolve, reject, timer });
      if (!send(id)) this.#take(id)?.reject(new SpillwayError("bad_state", "the room is not joined"));
    });
  }

  /** Takes an answer; false when nobody waits for it. */
  answer(message: Done | Refusal): boolean {
    const waiting = this.#take(message.id ?? "");
    if (!waiting) return false;
    if (message.action === "moderated") waiting.resolve(message);
    else waiting.reject(new SpillwayError(message.code, message.text, { retryAfterMs: message.retryAfterMs ?? 0 }));
    return true;
  }

  /** Rejects everything: the room is left. */
  clear(): void {
    for (const id of [...this.#pending.keys()]) this.#take(id)?.reject(new SpillwayError("aborted", "the room was left"));
  }

  #take(id: string): Pending | undefined {
    const waiting = this.#pending.get(id);
    if (waiting) clearTimeout(waiting.timer);
    this.#pending.delete(id);
    return waiting;
  }
}
