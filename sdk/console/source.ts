import type { Overview, Person } from "./model.js";

/** What the page shows: no key yet, nothing yet, or the last overview and what is wrong since. */
export type View =
  | { readonly state: "locked"; readonly refused?: string }
  | { readonly state: "loading" }
  | { readonly state: "live"; readonly overview: Overview; readonly receivedAt: number; readonly trouble?: string };

const everyMs = 2000;
const longestMs = 30_000;

/** Asks the HTTP API every two seconds while the page is visible, less often while it fails. */
export class Source {
  view: View;
  private key: string;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private failures = 0;
  private asking: AbortController | undefined;
  private readonly listeners = new Set<() => void>();

  /** base is the address of the HTTP API; the key is kept for the life of the tab. */
  constructor(private readonly base: string, private readonly kept: Storage) {
    this.key = kept.getItem("spillway-api-key") ?? "";
    this.view = this.key ? { state: "loading" } : { state: "locked" };
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  start(): void {
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.ask();
    });
    this.ask();
  }

  unlock(key: string): void {
    this.key = key;
    this.show({ state: "loading" });
    this.ask();
  }

  lock(refused?: string): void {
    this.key = "";
    this.kept.removeItem("spillway-api-key");
    this.asking?.abort();
    clearTimeout(this.timer);
    this.show(refused ? { state: "locked", refused } : { state: "locked" });
  }

  /** Who is in a room. */
  async people(room: string, signal: AbortSignal): Promise<readonly Person[]> {
    const answer = await this.get<{ people: readonly Person[] }>(`rooms/${encodeURIComponent(room)}`, signal);
    return answer.people;
  }

  private ask(): void {
    clearTimeout(this.timer);
    if (!this.key) return;
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    this.get<Overview>("overview", AbortSignal.any([asking.signal, AbortSignal.timeout(15_000)])).then(
      (overview) => {
        if (asking.signal.aborted) return;
        this.failures = 0;
        this.kept.setItem("spillway-api-key", this.key);
        this.show({ state: "live", overview, receivedAt: Date.now() });
        this.again(everyMs);
      },
      (error: unknown) => {
        if (asking.signal.aborted) return;
        this.failed(error);
      });
  }

  private failed(error: unknown): void {
    if (error instanceof Refused && error.status === 401) return this.lock("This key is not valid.");
    this.failures++;
    const trouble = error instanceof Refused ? `The API answers: ${error.message}` : "The API cannot be reached.";
    if (this.view.state === "live") this.show({ ...this.view, trouble });
    else if (this.failures > 1) return this.lock(trouble);
    this.again(Math.min(everyMs * 2 ** this.failures, longestMs));
  }

  private again(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (!document.hidden) this.ask();
    }, ms);
  }

  private show(view: View): void {
    this.view = view;
    for (const listener of this.listeners) listener();
  }

  private async get<T>(path: string, signal: AbortSignal): Promise<T> {
    const response = await fetch(`${this.base}/v1/${path}`, { headers: { authorization: `Bearer ${this.key}` }, signal });
    const body: unknown = await response.json().catch(() => null);
    if (!response.ok) {
      const said = typeof body === "object" && body !== null && "text" in body ? String(body.text) : response.statusText;
      throw new Refused(response.status, said);
    }
    return body as T;
  }
}

class Refused extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}
