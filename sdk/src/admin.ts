import { Version, type Deed, type Done, type FromSDK, type Source } from "./events.js";
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

  /** Ends the room for everybody. */
  async endRoom(): Promise<void> {
    await this.#ask("end");
  }

  #ask(deed: Deed, participant?: string, sources?: Source[]): Promise<Done> {
    return this.#requests.ask((id) => this.#send({
      action: "moderate", v: Version, id, deed, ...(participant ? { participant } : {}), ...(sources ? { sources } : {}),
    }));
  }
}
