/** The pings that have had no answer yet; a value. */
export interface Pulse {
  readonly next: number;
  /** Unanswered pings: number → when it was sent, in milliseconds. */
  readonly waiting: ReadonlyMap<number, number>;
  /** Round-trip time in milliseconds, smoothed; undefined before the first answer. */
  readonly rttMs: number | undefined;
  /** When anything at all was last heard, in milliseconds. */
  readonly heardAt: number;
}

/** A pulse that has not begun. */
export const restingPulse: Pulse = { next: 1, waiting: new Map(), rttMs: undefined, heardAt: -Infinity };

/** Time between pings. */
export const pingEveryMs = 500;
/** Silence after which media that still arrives is looked for. */
export const doubtMs = 800;
/** Silence after which the node is suspect: another home is looked for, and this one is kept while it may recover. */
export const silenceMs = 1_500;
/** How many pings must be unanswered: a laptop that wakes up finds an old one, and must ask again first. */
export const leastUnanswered = 3;

/** Counts a ping as sent; its number is `pulse.next` of the pulse given. */
export function beat(pulse: Pulse, now: number): Pulse {
  return { ...pulse, next: pulse.next + 1, waiting: new Map(pulse.waiting).set(pulse.next, now) };
}

/** Takes the answer to ping `n`. Pings before it need no answer any more; one that was overtaken counts as heard only. */
export function answered(pulse: Pulse, n: number, now: number): Pulse {
  const sent = pulse.waiting.get(n);
  if (sent === undefined) return pulse;
  const rtt = now - sent;
  const rttMs = pulse.rttMs === undefined ? rtt : pulse.rttMs * 0.7 + rtt * 0.3;
  return { ...pulse, waiting: new Map([...pulse.waiting].filter(([k]) => k > n)), rttMs };
}

/** Takes any message or media as a sign of life. */
export function heard(pulse: Pulse, now: number): Pulse {
  return { ...pulse, heardAt: now };
}

/** How long nothing has been heard though something was asked, in milliseconds. */
export function silence(pulse: Pulse, now: number): number {
  const oldest = pulse.waiting.values().next().value;
  return oldest === undefined ? 0 : now - Math.max(oldest, pulse.heardAt);
}

/** Whether the node has been silent for too long. */
export function isSilent(pulse: Pulse, now: number): boolean {
  return pulse.waiting.size >= leastUnanswered && silence(pulse, now) >= silenceMs;
}
