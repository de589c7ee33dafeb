import { isEnding, type ErrorCode } from "./errors.js";
import type { Answer, Role, ToClient, WaitStage } from "./events.js";
import { retryDelay } from "./retry.js";

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
  /** The last known home. */
  readonly home: string | undefined;
  readonly seat: Seat | undefined;
  readonly wait: Wait | undefined;
}

/** The whole state of a room's connection. */
export type State =
  | { readonly name: "idle" }
  | { readonly name: "joining"; readonly attempt: Attempt }
  | { readonly name: "waiting"; readonly attempt: Attempt; readonly wait: Wait }
  | { readonly name: "joined"; readonly seat: Seat; readonly dial: number }
  | { readonly name: "reconnecting"; readonly attempt: Attempt; readonly cause: ErrorCode }
  | { readonly name: "closed"; readonly reason: CloseReason; readonly last: Last }
  | { readonly name: "error"; readonly code: ErrorCode; readonly text: string; readonly last: Last };

/** The numbers that were used, so that later connections get others. */
interface Last {
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
  /** The peer connection failed, or could not be made. */
  | { readonly type: "lost"; readonly generation: number; readonly code: ErrorCode; readonly text: string }
  /** The node said that it ends the connection. */
  | { readonly type: "closing"; readonly generation: number; readonly code: ErrorCode; readonly text: string }
  /** The alarm rang. */
  | { readonly type: "alarm" };

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
/** After how many unanswered joins the socket is given up for dead. */
export const maxUnanswered = 4;
/** After how many refusals in a row the token is believed to be at fault. */
export const maxRefused = 2;

/** The state machine: no input is an error; what is out of date changes nothing. */
export function step(state: State, input: Input, world: World): Step {
  switch (state.name) {
    case "idle":
      return input.type === "connect" ? begin({ generation: 0, dial: 0 }, world) : stay(state);
    case "closed":
    case "error":
      return input.type === "connect" ? begin(state.last, world) : stay(state);
    case "joined":
      return whileJoined(state, input, world);
    default:
      return whileTrying(state, input, world);
  }
}

type Trying = Extract<State, { attempt: Attempt }>;

function stay(state: State): Step {
  return { state, effects: [] };
}

function begin(last: Last, world: World): Step {
  const attempt: Attempt = {
    generation: last.generation + 1, dial: last.dial + 1, phase: "dialling", open: false, spent: false,
    progressAt: world.now, tries: 0, refused: 0, unanswered: 0, avoid: [], home: undefined, seat: undefined, wait: undefined,
  };
  return {
    state: { name: "joining", attempt },
    effects: [{ do: "prepare", generation: attempt.generation }, { do: "dial", dial: attempt.dial }, { do: "alarm", afterMs: dialMs }],
  };
}

function whileJoined(state: Extract<State, { name: "joined" }>, input: Input, world: World): Step {
  const { seat, dial } = state;
  const discard: Effect = { do: "discard", generation: seat.generation };
  if (input.type === "disconnect") {
    const last = { generation: seat.generation, dial };
    return {
      state: { name: "closed", reason: "left", last },
      effects: [{ do: "goodbye", generation: seat.generation }, discard, { do: "silence" }],
    };
  }
  if ((input.type !== "lost" && input.type !== "closing") || input.generation !== seat.generation) return stay(state);
  const attempt: Attempt = {
    generation: seat.generation, dial, phase: "pausing", open: false, spent: true, progressAt: world.now, tries: 0,
    refused: 0, unanswered: 0, avoid: input.code === "node_gone" ? [seat.node] : [], home: seat.node, seat: undefined,
    wait: undefined,
  };
  const next = fail({ name: "reconnecting", attempt, cause: input.code }, attempt, input, world);
  return { state: next.state, effects: next.state.name === "reconnecting" ? [discard, ...next.effects] : next.effects };
}

function whileTrying(state: Trying, input: Input, world: World): Step {
  const { attempt } = state;
  switch (input.type) {
    case "disconnect":
      return end(state, "left", "");
    case "opened":
      if (input.dial !== attempt.dial || attempt.phase !== "dialling") return stay(state);
      return ask(state, { ...attempt, open: true, refused: 0, unanswered: 0 });
    case "hungUp":
      return input.dial === attempt.dial ? hungUp(state, input.code, world) : stay(state);
    case "told":
      return input.dial === attempt.dial ? told(state, input.message, world) : stay(state);
    case "reached":
      if (input.generation !== attempt.generation || attempt.phase !== "connecting") return stay(state);
      return { state: withAttempt(state, { ...attempt, open: false }), effects: [{ do: "hangUp", dial: attempt.dial }] };
    case "admitted":
      if (input.generation !== attempt.generation || !attempt.seat) return stay(state);
      return { state: { name: "joined", seat: attempt.seat, dial: attempt.dial }, effects: [{ do: "silence" }] };
    case "lost":
    case "closing":
      if (input.generation !== attempt.generation) return stay(state);
      return fail(state, spend(attempt), input, world);
    case "alarm":
      return alarm(state, world);
    default:
      return stay(state);
  }
}

function alarm(state: Trying, world: World): Step {
  const { attempt } = state;
  switch (attempt.phase) {
    case "pausing":
      return retry(state);
    case "dialling":
      return fail(state, { ...attempt, open: false }, { code: "network", text: "the gateway does not answer" }, world);
    case "asking":
    case "waiting": {
      const unanswered = attempt.unanswered + 1;
      if (unanswered >= maxUnanswered) {
        const next = fail(state, { ...attempt, open: false }, { code: "network", text: "the gateway does not answer" }, world);
        return { ...next, effects: [{ do: "hangUp", dial: attempt.dial }, ...next.effects] };
      }
      // A home that leaves two joins of a comeback unanswered is not there any more.
      const gone = unanswered >= 2 && attempt.home !== undefined && !attempt.wait;
      return ask(state, { ...attempt, unanswered, avoid: gone ? avoiding(attempt.avoid, attempt.home) : attempt.avoid });
    }
    case "connecting":
      return fail(state, spend(attempt), { code: "node_unreachable", text: "the media server cannot be reached from this network" }, world);
  }
}

/** The session's connection came to nothing: another one is needed, and another node. */
function spend(attempt: Attempt): Attempt {
  return { ...attempt, spent: true, seat: undefined, avoid: avoiding(attempt.avoid, attempt.seat?.node) };
}

function avoiding(avoid: readonly string[], node: string | undefined): readonly string[] {
  return node === undefined || avoid.includes(node) ? avoid : [...avoid, node].slice(-8);
}

function hungUp(state: Trying, code: ErrorCode, world: World): Step {
  const { attempt } = state;
  if (attempt.phase === "connecting" || attempt.phase === "pausing") {
    return { state: withAttempt(state, { ...attempt, open: false }), effects: [] };
  }
  const refused = code === "network" ? 0 : attempt.refused + 1;
  // One refusal may be the gateway's throttle; a browser cannot tell.
  const believed = refused >= maxRefused ? code : "network";
  const text = believed === "network" ? "the connection to the gateway was lost" : "the deployment does not take this token";
  return fail(state, { ...attempt, open: false, refused }, { code: believed, text }, world);
}

function told(state: Trying, message: ToClient, world: World): Step {
  const { attempt } = state;
  if (attempt.phase === "connecting" || attempt.phase === "dialling" || attempt.spent) return stay(state);
  const heard: Attempt = { ...attempt, progressAt: world.now, tries: 0, unanswered: 0 };
  switch (message.action) {
    case "answer": {
      const seat: Seat = {
        generation: attempt.generation, node: message.node, room: message.room, identity: message.identity, role: message.role,
      };
      const next: Attempt = { ...heard, phase: "connecting", seat, wait: undefined };
      return {
        state: withAttempt(state, next),
        effects: [{ do: "accept", generation: attempt.generation, answer: message }, { do: "alarm", afterMs: connectMs }],
      };
    }
    case "waiting": {
      const wait: Wait = {
        sinceMs: message.sinceMs, estimateMs: message.estimateMs, stage: message.stage, toldAt: world.now,
      };
      return {
        state: withAttempt(state, { ...heard, phase: "waiting", wait }),
        effects: [{ do: "alarm", afterMs: askWhileWaitingMs }],
      };
    }
    case "ready":
      return ask(state, heard);
    case "error":
      return fail(state, { ...attempt, unanswered: 0 }, message, world);
    case "left":
      return stay(state);
  }
}

function ask(state: Trying, attempt: Attempt): Step {
  const phase = attempt.wait ? "waiting" : "asking";
  return {
    state: withAttempt(state, { ...attempt, phase }),
    effects: [
      { do: "ask", dial: attempt.dial, generation: attempt.generation, avoid: attempt.avoid },
      { do: "alarm", afterMs: phase === "waiting" ? askWhileWaitingMs : askMs },
    ],
  };
}

function retry(state: Trying): Step {
  const { attempt } = state;
  if (attempt.open && !attempt.spent) return ask(state, attempt);
  const generation = attempt.spent ? attempt.generation + 1 : attempt.generation;
  const dial = attempt.open ? attempt.dial : attempt.dial + 1;
  const next: Attempt = { ...attempt, generation, dial, spent: false };
  const prepare: Effect[] = attempt.spent
    ? [{ do: "discard", generation: attempt.generation }, { do: "prepare", generation }]
    : [];
  if (attempt.open) {
    const asked = ask(state, next);
    return { ...asked, effects: [...prepare, ...asked.effects] };
  }
  return {
    state: withAttempt(state, { ...next, phase: "dialling" }),
    effects: [...prepare, { do: "dial", dial }, { do: "alarm", afterMs: dialMs }],
  };
}

interface Trouble {
  readonly code: ErrorCode;
  readonly text?: string;
  readonly retryAfterMs?: number;
}

function fail(state: Trying, attempt: Attempt, trouble: Trouble, world: World): Step {
  const delay = retryDelay({
    code: trouble.code, tries: attempt.tries, elapsedMs: world.now - attempt.progressAt,
    retryAfterMs: trouble.retryAfterMs ?? 0, rejoining: state.name === "reconnecting",
    crowd: world.crowd, ahead: world.ahead,
  }, world.random);
  if (delay === undefined) return end(state, trouble.code, trouble.text ?? "");
  return {
    state: withAttempt(state, { ...attempt, phase: "pausing", tries: attempt.tries + 1 }),
    effects: [{ do: "alarm", afterMs: delay }],
  };
}

/** Ends the session for good, giving back whatever seat it may have. */
function end(state: Trying, code: ErrorCode | "left", text: string): Step {
  const { attempt } = state;
  const last = { generation: attempt.generation, dial: attempt.dial };
  const effects: Effect[] = [];
  if (attempt.seat) effects.push({ do: "goodbye", generation: attempt.generation });
  if (attempt.open && code === "left") effects.push({ do: "leave", dial: attempt.dial, generation: attempt.generation });
  effects.push({ do: "hangUp", dial: attempt.dial }, { do: "discard", generation: attempt.generation }, { do: "silence" });
  if (code === "left" || isEnding(code)) return { state: { name: "closed", reason: code as CloseReason, last }, effects };
  return { state: { name: "error", code, text, last }, effects };
}

/** The same state about another attempt; a first join shows whether it waits. */
function withAttempt(state: Trying, attempt: Attempt): Trying {
  if (state.name === "reconnecting") return { ...state, attempt };
  return attempt.wait ? { name: "waiting", attempt, wait: attempt.wait } : { name: "joining", attempt };
}
