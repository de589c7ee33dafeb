import { Version, type ToClient } from "./events.js";
import { Gateway } from "./gateway.js";

/** When half of a ticket's day is over it is renewed. */
export const renewAfterMs = 12 * 3_600_000;
/** When it is tried again if that fails: often enough within the other half. */
export const renewAgainMs = 10 * 60_000;
/** How long a renewal may take. */
const patienceMs = 15_000;

interface Held {
  ticket: string;
  timer: ReturnType<typeof setTimeout>;
}

/**
 * The resume tickets of a connection: one for each session that has one, and that
 * of the session that ended last. They are renewed while their session lives.
 */
export class Tickets {
  readonly #held = new Map<number, Held>();
  readonly #renew: (generation: number, ticket: string) => Promise<string>;
  #last: string | undefined;

  constructor(renew: (generation: number, ticket: string) => Promise<string>) {
    this.#renew = renew;
  }

  /** What to show when a session is to follow: the newest living session's, else that of the one that ended last. */
  get latest(): string | undefined {
    const newest = Math.max(...this.#held.keys());
    return this.#held.get(newest)?.ticket ?? this.#last;
  }

  /** Keeps the ticket of a session. */
  hold(generation: number, ticket: string): void {
    this.#put(generation, ticket, renewAfterMs);
  }

  /** The session is over; its ticket may still lead back to where it was. */
  drop(generation: number): void {
    const held = this.#held.get(generation);
    if (!held) return;
    clearTimeout(held.timer);
    this.#held.delete(generation);
    this.#last = held.ticket;
  }

  /** Forgets everything: what comes next begins anew. */
  clear(): void {
    for (const generation of [...this.#held.keys()]) this.drop(generation);
    this.#last = undefined;
  }

  #put(generation: number, ticket: string, afterMs: number): void {
    clearTimeout(this.#held.get(generation)?.timer);
    this.#held.set(generation, { ticket, timer: setTimeout(() => void this.#again(generation, ticket), afterMs) });
  }

  async #again(generation: number, ticket: string): Promise<void> {
    const [next, afterMs] = await this.#renew(generation, ticket).then((t) => [t, renewAfterMs] as const, () => [ticket, renewAgainMs] as const);
    // Meanwhile it may have ended, or have got another.
    if (this.#held.get(generation)?.ticket === ticket) this.#put(generation, next, afterMs);
  }
}

/** Asks the gateway for another ticket for a session, over a socket of its own. */
export function renewal(url: string, token: string, ticket: string, session: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const done = (what: () => void) => {
      clearTimeout(timer);
      gateway.close();
      what();
    };
    const timer = setTimeout(() => done(() => reject(new Error("the gateway does not answer"))), patienceMs);
    const gateway = new Gateway(url, token, ticket, {
      onOpen: () => gateway.send({ action: "renew", v: Version, id: "renew", session }),
      onMessage: (message: ToClient) => {
        if (message.action === "resume") done(() => resolve(message.resume));
        else if (message.action === "error") done(() => reject(new Error(message.text)));
      },
      onHungUp: (code) => done(() => reject(new Error(code))),
      onOddity: () => undefined,
    });
  });
}
