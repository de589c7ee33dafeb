// What the tests of the state machine have in common.
import type { Code, ToClient } from "../src/events.js";
import { step, type Effect, type Input, type State, type World } from "../src/session.js";

const v = 1 as const;
export const answer = (node = "n-1"): ToClient => ({
  action: "answer", v, id: "1", session: "s-1234567", revision: 1, room: "lounge", identity: "ada", role: "publisher", node, answer: "x",
});
export const waiting = (estimateMs = 20_000): ToClient => ({ action: "waiting", v, id: "1", sinceMs: 1, estimateMs, stage: "booting" });
export const ready: ToClient = { action: "ready", v, id: "1" };
export const error = (code: Code, retryAfterMs = 0): ToClient => ({ action: "error", v, id: "1", code, text: "because", retryAfterMs });

/** Runs inputs one after the other, at given times. */
export class Run {
  state: State = { name: "idle" };
  effects: readonly Effect[] = [];
  now = 0;

  feed(input: Input, world: Partial<World> = {}): this {
    const next = step(this.state, input, { now: this.now, random: 0.5, crowd: 1, ahead: 0, ...world });
    this.state = next.state;
    this.effects = next.effects;
    return this;
  }

  after(ms: number): this {
    this.now += ms;
    return this;
  }

  told(message: ToClient): this {
    return this.feed({ type: "told", dial: this.dial, message });
  }

  get dial(): number {
    return "attempt" in this.state ? this.state.attempt.dial : 0;
  }

  get generation(): number {
    if ("attempt" in this.state) return this.state.attempt.generation;
    return this.state.name === "joined" ? this.state.seat.generation : 0;
  }

  get deeds(): string[] {
    return this.effects.map((e) => e.do);
  }

  /** How it ended, if it did. */
  get end(): string | undefined {
    if (this.state.name === "error") return this.state.code;
    return this.state.name === "closed" ? this.state.reason : undefined;
  }

  alarm(): number | undefined {
    return this.effects.find((e) => e.do === "alarm")?.afterMs;
  }
}

export const dialling = () => new Run().feed({ type: "connect" });
export const asking = () => { const r = dialling(); return r.feed({ type: "opened", dial: r.dial }); };
export const connecting = () => asking().told(answer());
export const joined = () => {
  const r = connecting();
  r.feed({ type: "reached", generation: r.generation });
  return r.feed({ type: "admitted", generation: r.generation });
};
