/** The pings that have had no answer yet, and for how long there was no sign of life; a value. */
export interface Pulse {
  readonly next: number;
  /** Unanswered pings: number → when it was sent, in milliseconds. */
  readonly waiting: ReadonlyMap<number, number>;
  /** Round-trip time in milliseconds, smoothed; undefined before the first answer. */
  readonly rttMs: number | undefined;
  /** When anything at all last came, in milliseconds. */
  readonly heardAt: number;
  /** When it was last looked at, and how long nothing had come then, the time not counted in which nobody looked. */
  readonly lookedAt: number;
  readonly quietMs: number;
}

/** A pulse that has not begun. */
export const restingPulse: Pulse = {
  next: 1, waiting: new Map(), rttMs: undefined, heardAt: -Infinity, lookedAt: -Infinity, quietMs: 0,
};

/** Time between pings, and between looks. Each look counts for no more: a machine that slept, or a tab that was held, heard nothing because of itself. */
export const pingEveryMs = 500;
/** The same once an answer is late, which is when media that still arrives is looked for, too. */
export const uneasyEveryMs = 100;
/** The same while the node is suspect. */
export const suspectEveryMs = 250;
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

/** Takes any message or media, which came at a time that may be past, as a sign of life. */
export function heard(pulse: Pulse, at: number): Pulse {
  if (at <= pulse.heardAt) return pulse;
  return { ...pulse, heardAt: at, quietMs: Math.min(pulse.quietMs, Math.max(0, pulse.lookedAt - at)) };
}

/** Counts the time since the last look, if nothing came. */
export function look(pulse: Pulse, now: number): Pulse {
  const since = Math.min(now - pulse.lookedAt, pingEveryMs);
  return { ...pulse, lookedAt: now, quietMs: Math.max(0, Math.min(pulse.quietMs + since, now - pulse.heardAt)) };
}

/** Whether an answer is late. */
export function isUneasy(pulse: Pulse): boolean {
  return pulse.quietMs > pingEveryMs;
}

/** Whether the node has been silent for too long. */
export function isSilent(pulse: Pulse): boolean {
  return pulse.waiting.size >= leastUnanswered && pulse.quietMs >= silenceMs;
}

/** When to ping and look again, in milliseconds: soon where an answer is late, and right when the silence becomes too long. */
export function nextLookMs(pulse: Pulse): number {
  if (!isUneasy(pulse)) return pingEveryMs;
  const left = silenceMs - pulse.quietMs;
  return left > 0 ? Math.min(left, uneasyEveryMs) : suspectEveryMs;
}
