import { isEnding, type ErrorCode } from "./errors.js";
import type { ToClient } from "./events.js";
import { retryDelay } from "./retry.js";
import {
  askMs, askWhileWaitingMs, connectAgainMs, connectMs, dialMs, lingerMs, maxRefused, maxUnanswered, settleMs, settleSilentMs,
  type Attempt, type CloseReason, type Effect, type Input, type Last, type Seat, type State, type Step, type Wait, type World,
} from "./state.js";

export * from "./state.js";

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
    progressAt: world.now, tries: 0, refused: 0, unanswered: 0, avoid: [], vain: [], home: undefined, settling: false,
    lingering: false, seat: undefined, wait: undefined,
  };
  return {
    state: { name: "joining", attempt },
    effects: [{ do: "prepare", generation: attempt.generation }, { do: "dial", dial: attempt.dial }, { do: "alarm", afterMs: dialMs }],
  };
}

/** The attempt that follows a seat: another session beside it. */
function follow({ seat, last }: Joined, world: World, avoid: readonly string[]): Attempt {
  return {
    generation: last.generation + 1, dial: last.dial, phase: "pausing", open: false, spent: false, progressAt: world.now,
    tries: 0, refused: 0, unanswered: 0, avoid, vain: [], home: seat.node, settling: false, lingering: false, seat: undefined, wait: undefined,
  };
}

type Joined = Extract<State, { name: "joined" }>;

function whileJoined(state: Joined, input: Input, world: World): Step {
  const { seat, last } = state;
  const discard: Effect = { do: "discard", generation: seat.generation };
  if (input.type === "disconnect") {
    return {
      state: { name: "closed", reason: "left", last },
      effects: [{ do: "goodbye", generation: seat.generation }, discard, { do: "silence" }],
    };
  }
  if (!("generation" in input) || input.generation !== seat.generation) return stay(state);
  const prepared = (next: Step): Step =>
    "attempt" in next.state ? { ...next, effects: [{ do: "prepare", generation: next.state.attempt.generation }, ...next.effects] } : next;
  switch (input.type) {
    case "move": {
      const attempt = follow(state, world, []);
      return prepared(fail({ name: "moving", attempt, kept: seat }, attempt, { code: "node_gone" }, world));
    }
    case "suspect": {
      const attempt = follow(state, world, [seat.node]);
      const code = "node_unreachable";
      return prepared(fail({ name: "reconnecting", attempt, kept: seat, cause: code }, attempt, { code }, world));
    }
    case "lost":
    case "closing": {
      const attempt = follow(state, world, input.code === "node_gone" ? [seat.node] : []);
      const next = fail({ name: "reconnecting", attempt, kept: undefined, cause: input.code }, attempt, input, world);
      return "attempt" in next.state ? prepared({ ...next, effects: [discard, ...next.effects] }) : { ...next, effects: [discard, ...next.effects] };
    }
    default:
      return stay(state);
  }
}

function whileTrying(state: Trying, input: Input, world: World): Step {
  const { attempt } = state;
  const kept = "kept" in state ? state.kept : undefined;
  if (kept && "generation" in input && input.generation === kept.generation) return ofKept(state, kept, input);
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
      if (kept) {
        const afterMs = state.name === "moving" ? settleMs : settleSilentMs;
        return { state: withAttempt(state, { ...attempt, settling: true }), effects: [{ do: "alarm", afterMs }] };
      }
      return { state: { name: "joined", seat: attempt.seat, last: lastOf(attempt) }, effects: [{ do: "silence" }] };
    case "settled":
      if (input.generation !== attempt.generation || !attempt.settling || attempt.lingering) return stay(state);
      if (state.name !== "moving") return settle(state, attempt);
      return { state: withAttempt(state, { ...attempt, lingering: true }), effects: [{ do: "alarm", afterMs: lingerMs }] };
    case "lost":
    case "closing":
      if (input.generation !== attempt.generation) return stay(state);
      return fail(state, spend(attempt), input, world);
    case "suspect":
      // The new home died before it had everything: the old one goes on.
      if (input.generation !== attempt.generation || !attempt.seat) return stay(state);
      return fail(state, spend(attempt), { code: "node_unreachable" }, world);
    case "alarm":
      // Time asleep was not spent trying.
      return alarm(withAttempt(state, { ...attempt, progressAt: attempt.progressAt + (input.lateMs ?? 0) }), world);
    case "online":
      return attempt.phase === "pausing" && attempt.tries > 1 ? retry(state) : stay(state);
    default:
      return stay(state);
  }
}

/** What happens to the old connection while another home is being taken. */
function ofKept(state: Trying, kept: Seat, input: Input): Step {
  const { attempt } = state;
  const discard: Effect = { do: "discard", generation: kept.generation };
  switch (input.type) {
    case "suspect":
      if (state.name !== "moving") return stay(state);
      if (attempt.lingering) return settle(state, attempt);
      return {
        state: { name: "reconnecting", attempt, kept, cause: "node_unreachable" },
        effects: attempt.settling ? [{ do: "alarm", afterMs: settleSilentMs }] : [],
      };
    case "recovered":
      // Whichever stands first wins.
      if (state.name !== "reconnecting" || attempt.settling) return stay(state);
      if (replaces(attempt, kept)) return { state: withAttempt(state, { ...attempt, avoid: attempt.avoid.filter((n) => n !== kept.node) }), effects: [] };
      return { state: { name: "joined", seat: kept, last: lastOf(attempt) }, effects: abandon(attempt, besides(attempt, kept)) };
    case "lost":
    case "closing":
      // The new session may be what replaced it.
      if (input.type === "closing" && isEnding(input.code) && input.code !== "replaced") {
        const over = end(state, input.code, input.text);
        return { ...over, effects: [discard, ...over.effects] };
      }
      if (attempt.settling) return settle(state, attempt);
      return { state: { name: "reconnecting", attempt, kept: undefined, cause: input.code }, effects: [discard] };
    default:
      return stay(state);
  }
}

/**
 * Whether an attempt has, or asks for, a seat besides the kept one. On the same node
 * there is but one for both sessions, and whoever leaves it leaves for both: there,
 * the node goes on with the old connection when the new one ends.
 */
function besides(attempt: Attempt, kept: Seat): boolean {
  if (attempt.vain.includes(kept.node)) return false;
  return attempt.seat ? attempt.seat.node !== kept.node : attempt.avoid.includes(kept.node);
}

/**
 * Whether an attempt may have taken the kept seat elsewhere: after a session on the
 * same node, in vain, it has asked again. Nobody knows then what the old connection
 * still stands for, and the attempt has to come to an end.
 */
function replaces(attempt: Attempt, kept: Seat): boolean {
  return attempt.vain.includes(kept.node) && ["asking", "waiting", "connecting"].includes(attempt.phase) && attempt.seat?.node !== kept.node;
}

/** Gives up an attempt, and the seat that it may have of its own. */
function abandon(attempt: Attempt, own = true): Effect[] {
  const effects: Effect[] = [];
  if (attempt.seat) effects.push({ do: "goodbye", generation: attempt.generation });
  if (attempt.open && own) effects.push({ do: "leave", dial: attempt.dial, generation: attempt.generation });
  effects.push({ do: "hangUp", dial: attempt.dial }, { do: "discard", generation: attempt.generation }, { do: "silence" });
  return effects;
}

/** The new connection takes the place of the old one. */
function settle(state: Trying, attempt: Attempt): Step {
  const kept = "kept" in state ? state.kept : undefined;
  if (!attempt.seat) return stay(state);
  const effects: Effect[] = kept
    ? [{ do: "goodbye", generation: kept.generation }, { do: "discard", generation: kept.generation }, { do: "silence" }]
    : [{ do: "silence" }];
  return { state: { name: "joined", seat: attempt.seat, last: lastOf(attempt) }, effects };
}

function lastOf(attempt: Attempt): Last {
  return { generation: attempt.generation, dial: attempt.dial };
}

function alarm(state: Trying, world: World): Step {
  const { attempt } = state;
  if (attempt.settling) return settle(state, attempt);
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
      return ask(state, { ...attempt, unanswered, avoid: gone ? including(attempt.avoid, attempt.home) : attempt.avoid });
    }
    case "connecting":
      return fail(state, spend(attempt), { code: "node_unreachable", text: "the media server cannot be reached from this network" }, world);
  }
}

/** The session's connection came to nothing: another one is needed, and another node. */
function spend(attempt: Attempt): Attempt {
  const node = attempt.seat?.node;
  return { ...attempt, spent: true, settling: false, lingering: false, seat: undefined, avoid: including(attempt.avoid, node), vain: including(attempt.vain, node) };
}

function including(nodes: readonly string[], node: string | undefined): readonly string[] {
  return node === undefined || nodes.includes(node) ? nodes : [...nodes, node].slice(-8);
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
        effects: [{ do: "accept", generation: attempt.generation, answer: message }, { do: "alarm", afterMs: attempt.home !== undefined && attempt.tries <= 2 ? connectAgainMs : connectMs }],
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
    case "error": {
      // Who cannot reach a home that others are on asks for it again, too: it may be their own network that changed.
      const again = message.code === "node_unreachable" && attempt.home !== undefined && attempt.avoid.includes(attempt.home) && attempt.tries >= 3;
      const avoid = again ? attempt.avoid.filter((n) => n !== attempt.home) : attempt.avoid;
      return fail(state, { ...attempt, unanswered: 0, avoid }, message, world);
    }
    case "left":
    case "resume":
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
    retryAfterMs: trouble.retryAfterMs ?? 0, rejoining: state.name === "reconnecting" || state.name === "moving",
    crowd: world.crowd, ahead: world.ahead,
  }, world.random);
  if (delay === undefined) {
    // Nothing is wrong with the old home: it is simply kept.
    if (state.name === "moving" && !isEnding(trouble.code)) {
      return { state: { name: "joined", seat: state.kept, last: lastOf(attempt) }, effects: abandon(attempt) };
    }
    return end(state, trouble.code, trouble.text ?? "");
  }
  return {
    state: withAttempt(state, { ...attempt, phase: "pausing", tries: attempt.tries + 1 }),
    effects: [{ do: "alarm", afterMs: delay }],
  };
}

/** Ends the session for good, giving back whatever seat it may have. */
function end(state: Trying, code: ErrorCode | "left", text: string): Step {
  const { attempt } = state;
  const last = lastOf(attempt);
  const kept = "kept" in state ? state.kept : undefined;
  const effects: Effect[] = kept ? [{ do: "goodbye", generation: kept.generation }, { do: "discard", generation: kept.generation }] : [];
  if (attempt.seat) effects.push({ do: "goodbye", generation: attempt.generation });
  if (attempt.open && code === "left") effects.push({ do: "leave", dial: attempt.dial, generation: attempt.generation });
  effects.push({ do: "hangUp", dial: attempt.dial }, { do: "discard", generation: attempt.generation }, { do: "silence" });
  if (code === "left" || isEnding(code)) return { state: { name: "closed", reason: code as CloseReason, last }, effects };
  return { state: { name: "error", code, text, last }, effects };
}

/** The same state about another attempt; a first join shows whether it waits. */
function withAttempt(state: Trying, attempt: Attempt): Trying {
  if (state.name === "reconnecting" || state.name === "moving") return { ...state, attempt };
  return attempt.wait ? { name: "waiting", attempt, wait: attempt.wait } : { name: "joining", attempt };
}
