import type { ErrorCode } from "./errors.js";
import type { Answer, Role, ToClient, WaitStage } from "./events.js";

/** A taken seat. */
export interface Seat {
  readonly generation: number;
  readonly node: string;
  readonly room: string;
  readonly identity: string;
  readonly role: Role;
}

/** Where somebody who waits for a node stands. */
export interface Wait {
  /** When the waiting began, in Unix milliseconds. */
  readonly sinceMs: number;
  /** How much longer it will take, in milliseconds from {@link toldAt}. */
  readonly estimateMs: number;
  readonly stage: WaitStage;
  /** When this was told, by the clock that the reducer is given. */
  readonly toldAt: number;
}

/** Why a session ended in good order. */
export type CloseReason = "left" | "replaced" | "removed" | "room_ended";

/** One effort to get a seat. */
export interface Attempt {
  /** Which peer connection, and so which session: callbacks of earlier ones are ignored. */
  readonly generation: number;
  /** Which socket: likewise. */
  readonly dial: number;
  readonly phase: "pausing" | "dialling" | "asking" | "waiting" | "connecting";
  /** Whether the socket is open. */
  readonly open: boolean;
  /** Whether the next try needs a new session, because this one's connection came to nothing. */
  readonly spent: boolean;
  /** When there was last any progress, for the retry policy's patience. */
  readonly progressAt: number;
  readonly tries: number;
  /** Handshakes in a row that a host which can be reached refused. */
  readonly refused: number;
  /** Joins in a row that nobody answered. */
  readonly unanswered: number;
  /** Nodes that did not answer. */
  readonly avoid: readonly string[];
  /** Nodes on which sessions of this attempt had seats, in vain. */
  readonly vain: readonly string[];
  /** The last known home. */
  readonly home: string | undefined;
  /** Whether the new connection is good, and what is shown is being taken over from the old one. */
  readonly settling: boolean;
  /** Whether it has all been taken over, and the old one only goes on for others who are on their way. */
  readonly lingering: boolean;
  readonly seat: Seat | undefined;
  readonly wait: Wait | undefined;
}

/** The whole state of a room's connection. */
export type State =
  | { readonly name: "idle" }
  | { readonly name: "joining"; readonly attempt: Attempt }
  | { readonly name: "waiting"; readonly attempt: Attempt; readonly wait: Wait }
  | { readonly name: "joined"; readonly seat: Seat; readonly last: Last }
  /** Another home is being taken while nothing is wrong with the present one. */
  | { readonly name: "moving"; readonly attempt: Attempt; readonly kept: Seat }
  /** Another home is being taken; the old connection is kept as long as it may recover. */
  | { readonly name: "reconnecting"; readonly attempt: Attempt; readonly kept: Seat | undefined; readonly cause: ErrorCode }
  | { readonly name: "closed"; readonly reason: CloseReason; readonly last: Last }
  | { readonly name: "error"; readonly code: ErrorCode; readonly text: string; readonly last: Last };

/** The numbers that were used, so that later connections get others. */
export interface Last {
  readonly generation: number;
  readonly dial: number;
}

/** What happens to a connection. */
export type Input =
  | { readonly type: "connect" }
  | { readonly type: "disconnect" }
  /** The socket is open. */
  | { readonly type: "opened"; readonly dial: number }
  /** The socket is gone; the code says whether the way was blocked or the token refused. */
  | { readonly type: "hungUp"; readonly dial: number; readonly code: ErrorCode }
  /** The gateway said something about the present session. */
  | { readonly type: "told"; readonly dial: number; readonly message: ToClient }
  /** The control channel is open: the socket is of no more use. */
  | { readonly type: "reached"; readonly generation: number }
  /** The roster is there. */
  | { readonly type: "admitted"; readonly generation: number }
  /** All that the old connection showed comes over this one. */
  | { readonly type: "settled"; readonly generation: number }
  /** Nothing has come over this connection for a while. */
  | { readonly type: "suspect"; readonly generation: number }
  /** Something has come again. */
  | { readonly type: "recovered"; readonly generation: number }
  /** The node asks to go elsewhere, or this side's own network is another now: the same home may do. */
  | { readonly type: "move"; readonly generation: number }
  /** The peer connection failed, or could not be made. */
  | { readonly type: "lost"; readonly generation: number; readonly code: ErrorCode; readonly text: string }
  /** The node said that it ends the connection. */
  | { readonly type: "closing"; readonly generation: number; readonly code: ErrorCode; readonly text: string }
  /** There is a network again, or another: what waits for better times need not. */
  | { readonly type: "online" }
  /** The alarm rang, so much later than it was set for: the machine slept. */
  | { readonly type: "alarm"; readonly lateMs?: number };

/** What is to be done about it, in this order. */
export type Effect =
  /** Make a peer connection with a new session and its one offer. */
  | { readonly do: "prepare"; readonly generation: number }
  | { readonly do: "dial"; readonly dial: number }
  | { readonly do: "ask"; readonly dial: number; readonly generation: number; readonly avoid: readonly string[] }
  | { readonly do: "accept"; readonly generation: number; readonly answer: Answer }
  /** Give the seat back over the socket. */
  | { readonly do: "leave"; readonly dial: number; readonly generation: number }
  /** Give the seat back over the control channel. */
  | { readonly do: "goodbye"; readonly generation: number }
  | { readonly do: "hangUp"; readonly dial: number }
  | { readonly do: "discard"; readonly generation: number }
  /** Ring once after this time; replaces an alarm set earlier. */
  | { readonly do: "alarm"; readonly afterMs: number }
  | { readonly do: "silence" };

/** What the reducer may know of the world: nothing else. */
export interface World {
  /** Milliseconds; only differences count. */
  readonly now: number;
  /** In [0, 1). */
  readonly random: number;
  /** How many people would come back with us, and how many of them before us. */
  readonly crowd: number;
  readonly ahead: number;
}

/** A new state and what is to be done. */
export interface Step {
  readonly state: State;
  readonly effects: readonly Effect[];
}

/** How long a socket may take to open. */
export const dialMs = 8_000;
/** How long a join may go unanswered before it is repeated. */
export const askMs = 3_000;
/** How often somebody who waits asks again, in case a message was lost. */
export const askWhileWaitingMs = 10_000;
/** How long a connection to the node may take after its answer. */
export const connectMs = 10_000;
/** The same for somebody who was connected before, at first: the network is known to be good, so the node may have died meanwhile. */
export const connectAgainMs = 4_000;
/**
 * How long what is shown may take to come over a new connection before the old one
 * is closed all the same: while the old one is well, as long as others may take to
 * come after, who may have to wait for a node; else not longer than a picture takes.
 */
export const settleMs = 15_000;
export const settleSilentMs = 3_000;
/**
 * How long an old home that is well is still sent to when nothing of it is needed
 * here any more: those who left it with us may not have us from elsewhere yet.
 */
export const lingerMs = 1_500;
/** After how many unanswered joins the socket is given up for dead. */
export const maxUnanswered = 4;
/** After how many refusals in a row the token is believed to be at fault. */
export const maxRefused = 2;
