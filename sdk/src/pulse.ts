/** The pings over the control channel that have had no answer yet; a value. */
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
export const pingEveryMs = 1_000;
/** Silence after which the node counts as lost, when the browser still calls the way to it open. */
export const silenceMs = 3_500;
/** The same when the browser, too, has heard nothing. */
export const brokenSilenceMs = 2_000;

/** Counts a ping as sent; its number is `pulse.next` of the pulse given. */
export function beat(pulse: Pulse, now: number): Pulse {
  return { ...pulse, next: pulse.next + 1, waiting: new Map(pulse.waiting).set(pulse.next, now) };
}

/** Takes the answer to ping `n`. Pings before it count as answered, for the channel is ordered. */
export function answered(pulse: Pulse, n: number, now: number): Pulse {
  const sent = pulse.waiting.get(n);
  if (sent === undefined) return pulse;
  const rtt = now - sent;
  const rttMs = pulse.rttMs === undefined ? rtt : pulse.rttMs * 0.7 + rtt * 0.3;
  return { ...pulse, waiting: new Map([...pulse.waiting].filter(([k]) => k > n)), rttMs };
}

/** Takes any message as a sign of life. */
export function heard(pulse: Pulse, now: number): Pulse {
  return { ...pulse, heardAt: now };
}

/**
 * Whether the node has been silent for too long. At least three pings must be
 * unanswered: a laptop that wakes up finds one old ping, and must ask again first.
 */
export function isSilent(pulse: Pulse, now: number, broken: boolean): boolean {
  const oldest = pulse.waiting.values().next().value;
  if (oldest === undefined) return false;
  return pulse.waiting.size >= 3 && now - Math.max(oldest, pulse.heardAt) >= (broken ? brokenSilenceMs : silenceMs);
}
