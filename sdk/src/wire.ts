import { arrayOf, flag, integer, Mismatch, object, oneOf, optional, string, type Check } from "./check.js";
import type * as events from "./events.js";
import { Version } from "./events.js";

// The messages that the SDK receives, field by field. The compiler compares each
// with the type generated from the Go package: a field that is forgotten, or of
// another type, does not compile.

const v: Check<typeof Version> = (value, path) => {
  if (value !== Version) throw new Mismatch(`${path} is ${String(value)}, this side speaks ${Version}`);
  return Version;
};
const role = oneOf<events.Role>("publisher", "viewer");
const source = oneOf<events.Source>("microphone", "camera", "screen", "screen_audio");
/** Codes are an open set: a newer node may know more of them. */
const code = string as Check<events.Code>;

const track = object<events.Track>({
  source, muted: optional(flag), width: optional(integer), height: optional(integer),
});

const member = object<events.Member>({
  identity: string, name: optional(string), metadata: optional(string), role, node: string, joinedMs: integer,
  unreachable: optional(flag),
  tracks: arrayOf(track),
});

const stream = object<events.Stream>({
  mid: string, participant: string, source, csrc: integer, timestamp: integer, paused: optional(flag), undecodable: optional(flag),
});

const speaker = object<events.Speaker>({ participant: string, level: integer });

const sourceLayers = object<events.SourceLayers>({ source, rids: arrayOf(string) });

const iceServer = object<events.ICEServer>({
  urls: arrayOf(string), username: optional(string), credential: optional(string),
});

const error = object<events.Error>({
  action: oneOf("error"), v, id: optional(string), code, text: string, retryAfterMs: optional(integer),
});

type Checks<M extends { action: string }> = { readonly [A in M["action"]]: Check<Extract<M, { action: A }>> };

const toClient: Checks<events.ToClient> = {
  answer: object<events.Answer>({
    action: oneOf("answer"), v, id: string, session: string, revision: integer, room: string, identity: string, role,
    node: string, answer: string, iceServers: optional(arrayOf(iceServer)), resume: optional(string),
  }),
  waiting: object<events.Waiting>({
    action: oneOf("waiting"), v, id: string, sinceMs: integer, estimateMs: integer,
    stage: oneOf<events.WaitStage>("asked", "starting", "booting"),
  }),
  ready: object<events.Ready>({ action: oneOf("ready"), v, id: string }),
  resume: object<events.Resume>({ action: oneOf("resume"), v, id: string, session: string, resume: string }),
  left: object<events.LeaveDone>({ action: oneOf("left"), v, id: string }),
  error,
};

const toSDK: Checks<events.ToSDK> = {
  snapshot: object<events.Snapshot>({
    action: oneOf("snapshot"), v, seq: integer, part: integer, parts: integer, room: string, self: string,
    viewers: optional(integer), viewersHere: optional(integer), roomMetadata: optional(string), members: arrayOf(member),
  }),
  delta: object<events.Delta>({
    action: oneOf("delta"), v, seq: integer, viewers: optional(integer), viewersHere: optional(integer),
    changed: optional(arrayOf(member)), gone: optional(arrayOf(string)), roomMetadata: optional(string),
  }),
  streams: object<events.Streams>({ action: oneOf("streams"), v, revision: integer, streams: arrayOf(stream) }),
  layers: object<events.Layers>({ action: oneOf("layers"), v, sources: arrayOf(sourceLayers) }),
  speakers: object<events.Speakers>({ action: oneOf("speakers"), v, speakers: arrayOf(speaker) }),
  pong: object<events.Pong>({ action: oneOf("pong"), v, n: integer }),
  move: object<events.Move>({ action: oneOf("move"), v, receiveKbps: optional(integer) }),
  closing: object<events.Closing>({ action: oneOf("closing"), v, code, text: optional(string) }),
  moderated: object<events.Done>({ action: oneOf("moderated"), v, id: string, moving: optional(flag) }),
  data: object<events.DataFrom>({ action: oneOf("data"), v, from: string, topic: optional(string), payload: string }),
  mute: object<events.Muted>({ action: oneOf("mute"), v, sources: arrayOf(source) }),
  error,
};

/** Reads a message from the gateway. Throws {@link Mismatch} with the reason when it is not one. */
export function readFromGateway(raw: unknown): events.ToClient {
  return read<events.ToClient>(toClient, raw);
}

/** Reads a message from the node. Throws {@link Mismatch} with the reason when it is not one. */
export function readFromNode(raw: unknown): events.ToSDK {
  return read<events.ToSDK>(toSDK, raw);
}

function read<M extends { action: string }>(checks: Checks<M>, raw: unknown): M {
  if (typeof raw !== "string") throw new Mismatch("message is not text");
  let value: unknown;
  try {
    value = JSON.parse(raw);
  } catch {
    throw new Mismatch("message is not JSON");
  }
  const action = typeof value === "object" && value !== null ? (value as { action?: unknown }).action : undefined;
  if (typeof action !== "string" || !Object.hasOwn(checks, action)) {
    throw new Mismatch(`action is ${String(action)}, which is none that this side knows`);
  }
  return checks[action as M["action"]](value, "") as M;
}
