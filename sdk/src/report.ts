import { StatsEveryMs, Version, type Stats } from "./events.js";
import type { RoomStats, Sample } from "./stats.js";

/** A look at how the connection is doing, with the sample that the next one begins from. */
export interface Look {
  readonly sample: Sample;
  readonly stats: RoomStats;
}

/** What the node is told of how this browser fares; rates and counts are those since the look before. */
export function reportOf(now: RoomStats, before: RoomStats | undefined): Stats {
  const freezes = (s: RoomStats) => s.streams.reduce((total, stream) => total + stream.freezes, 0);
  return {
    action: "stats", v: Version,
    sendKbps: whole(now.sendKbps, 10_000_000), receiveKbps: whole(now.receiveKbps, 10_000_000),
    sendLossPermille: whole(now.sendLossPercent * 10, 1_000), receiveLossPermille: whole(now.receiveLossPercent * 10, 1_000),
    rttMs: whole(now.rttMs ?? 0, 600_000), jitterMs: whole(now.receiveJitterMs, 600_000),
    freezes: before ? whole(freezes(now) - freezes(before), 1_000_000) : 0, limitedBy: now.limitedBy,
  };
}

function whole(value: number, most: number): number {
  return Math.min(most, Math.max(0, Math.round(value)));
}

/** Tells the node every so often how this browser fares, for the deployment's metrics. */
export class Reports {
  readonly #look: (before: Sample | undefined) => Promise<Look | undefined>;
  readonly #enabled: boolean;
  readonly #send: (report: Stats) => void;
  #before: Look | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(enabled: boolean, look: (before: Sample | undefined) => Promise<Look | undefined>, send: (report: Stats) => void) {
    this.#enabled = enabled;
    this.#look = look;
    this.#send = send;
  }

  /** Tells of another connection from now on, or of none. */
  follow(peer: object | undefined): void {
    this.stop();
    if (peer && this.#enabled) this.#next();
  }

  #next(): void {
    const timer = setTimeout(() => void this.#report(timer), StatsEveryMs * (0.75 + Math.random() / 2));
    this.#timer = timer;
  }

  /** Ends. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#before = undefined;
  }

  async #report(timer: unknown): Promise<void> {
    const before = this.#before;
    const look = await this.#look(before?.sample).catch(() => undefined); // the connection may end meanwhile
    if (this.#timer !== timer) return;
    this.#next();
    this.#before = look;
    // The first look has nothing to compare with: rates would be 0.
    if (look && before) this.#send(reportOf(look.stats, before.stats));
  }
}
