import { Version, type Describe } from "./events.js";

/** What oneself said of oneself, and whether it holds. @internal */
export class Description {
  #revision = 0;
  #metadata = "";
  /** Nothing was said, or somebody else said otherwise since; it was said; everybody knows. */
  #stands: "no" | "said" | "known" = "no";

  /** Notes what is said now. */
  say(metadata: string): void {
    this.#revision += 1;
    this.#metadata = metadata;
    this.#stands = "said";
  }

  /** Takes what the roster says of oneself: what somebody else changed after everybody knew is not said again. */
  see(metadata: string): void {
    if (metadata === this.#metadata && this.#stands === "said") this.#stands = "known";
    else if (metadata !== this.#metadata && this.#stands === "known") this.#stands = "no";
  }

  /** Tells a connection, if there is anything to tell. */
  tell(peer: { send(message: Describe): unknown }): void {
    if (this.#stands !== "no") peer.send({ action: "describe", v: Version, revision: this.#revision, metadata: this.#metadata });
  }
}
