import type { Code } from "./events.js";

/** Codes that only the SDK gives, beside those of the contract. */
export type LocalCode =
  /** no way to the deployment: offline, wrong address, or blocked */
  | "network"
  /** the caller's AbortSignal, or a disconnect() before the room was joined */
  | "aborted"
  /** this browser lacks something that the SDK needs */
  | "unsupported"
  /** a call that makes no sense in the present state */
  | "bad_state"
  /** the person or the system refused camera, microphone or screen */
  | "media_denied"
  /** there is no such device */
  | "media_missing"
  /** the device is there, but could not be opened */
  | "media_failed";

/** Everything that can be wrong, one word per thing that the caller can do about it. */
export type ErrorCode = Code | LocalCode;

const retryableCodes: ReadonlySet<string> = new Set<ErrorCode>([
  "no_capacity", "node_gone", "node_unreachable", "rate_limited", "busy", "internal", "network",
]);

/** Codes with which a session ends in good order, as opposed to failing. */
const endingCodes: ReadonlySet<string> = new Set<ErrorCode>(["replaced", "removed", "room_ended"]);

/** Whether the same call may succeed later without a change by the caller. Unknown codes may not. */
export function isRetryable(code: ErrorCode): boolean {
  return retryableCodes.has(code);
}

/** Whether the code means that the session is over rather than that something failed. */
export function isEnding(code: ErrorCode): boolean {
  return endingCodes.has(code);
}

/** The only error that the SDK throws or rejects with. */
export class SpillwayError extends Error {
  override readonly name = "SpillwayError";
  /** What went wrong, for programs. */
  readonly code: ErrorCode;
  /** Whether trying again later may help. */
  readonly retryable: boolean;
  /** When trying again may help, in milliseconds; 0 when unknown. */
  readonly retryAfterMs: number;

  constructor(code: ErrorCode, message: string, details: { retryAfterMs?: number; cause?: unknown } = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.retryable = isRetryable(code);
    this.retryAfterMs = details.retryAfterMs ?? 0;
  }
}

/** What the browser says when a device cannot be opened, as one of our errors. */
export function mediaError(cause: unknown, what: string): SpillwayError {
  const name = cause instanceof Error || cause instanceof DOMException ? cause.name : "";
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return new SpillwayError("media_denied", `${what} was refused by the browser or the person`, { cause });
    case "NotFoundError":
    case "OverconstrainedError":
      return new SpillwayError("media_missing", `no ${what} was found`, { cause });
    default:
      return new SpillwayError("media_failed", `${what} could not be opened`, { cause });
  }
}
