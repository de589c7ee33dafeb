import { isRetryable, type ErrorCode } from "./errors.js";

/** What is known when an attempt to connect has failed. */
export interface Failure {
  code: ErrorCode;
  /** Failures before this one since there was last any progress. */
  tries: number;
  /** Milliseconds since there was last any progress. */
  elapsedMs: number;
  /** What the other side asked for; 0 when it did not say. */
  retryAfterMs: number;
  /** Whether this is a return to a room that was joined before. */
  rejoining: boolean;
  /** How many people probably come back at the same moment, this one included. */
  crowd: number;
  /** How many of them go before this one (the stage goes first). */
  ahead: number;
}

/** How long a first join is tried before it is called an error. */
export const joinPatienceMs = 20_000;
/** How long a room that was lost is tried for. */
export const rejoinPatienceMs = 180_000;
/** How many people a second may come back: the gateway takes 500 new sockets a second in all. */
export const comebacksPerSecond = 400;

/** How many further tries of somebody whom a node does not answer are made as soon as they are welcome. */
const promptTries = 2;
const firstBackoffMs = 250;
const maxBackoffMs = 8_000;

/**
 * The reconnect policy: how long to wait before trying again, in milliseconds, or
 * undefined to give up. The first return of a crowd is spread over people ÷ 400 s;
 * later ones back off exponentially with full jitter. `random` is in [0, 1).
 */
export function retryDelay(f: Failure, random: number): number | undefined {
  if (!isRetryable(f.code)) return undefined;
  const patience = f.rejoining ? rejoinPatienceMs : joinPatienceMs;
  if (f.elapsedMs + f.retryAfterMs > patience) return undefined;
  const crowdMs = (f.ahead + random * f.crowd) * (1000 / comebacksPerSecond);
  if (f.tries === 0 && f.rejoining) return f.retryAfterMs + crowdMs;
  // Who cannot reach the room's node asks again just when it may: all that is missing may be that others say the same.
  if (f.rejoining && f.code === "node_unreachable" && f.retryAfterMs > 0 && f.tries <= promptTries) return f.retryAfterMs + crowdMs;
  const backoff = Math.min(maxBackoffMs, firstBackoffMs * 2 ** f.tries);
  return f.retryAfterMs + Math.max(crowdMs, (0.5 + random / 2) * backoff);
}
