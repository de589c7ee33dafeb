import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { arrayOf, flag, integer, object, oneOf, optional, string, type Check } from "../src/check.js";
import type * as events from "../src/events.js";
import { fromClientActions, fromSDKActions, toClientActions, toSDKActions, Version } from "../src/events.js";
import { pack, unpack } from "../src/pack.js";
import { readFromGateway, readFromNode } from "../src/wire.js";

const folder = path.join(process.cwd(), "../events/testdata");
const read = (name: string) => readFileSync(path.join(folder, name), "utf8");
const goldens = new Map(readdirSync(folder).filter((f) => f.endsWith(".json")).map((f) => [f.replace(".json", ""), read(f)]));

// What the SDK sends, field by field; the compiler compares with the Go types.
const v: Check<typeof Version> = (value) => (value === Version ? Version : assert.fail("not this version"));
const source = oneOf<events.Source>("microphone", "camera", "screen", "screen_audio");
const sent: { [Name in "Join" | "Leave" | "Renew" | "Tracks" | "Want" | "Ping" | "Resync" | "Goodbye" | "Moderate" | "Data" | "Describe" | "Stats"]: Check<events.FromClient | events.FromSDK> } = {
  Join: object<events.Join>({
    action: oneOf("join"), v, id: string, session: string, room: optional(string), offer: string,
    role: optional(oneOf<events.Role>("publisher", "viewer")), avoid: optional(arrayOf(string)), from: optional(string),
    receiveKbps: optional(integer),
    media: object<events.Media>({
      microphone: optional(string), camera: optional(string), screen: optional(string), screenAudio: optional(string),
      audio: arrayOf(string), video: arrayOf(string),
    }),
  }),
  Leave: object<events.Leave>({ action: oneOf("leave"), v, id: string, session: string }),
  Renew: object<events.Renew>({ action: oneOf("renew"), v, id: string, session: string }),
  Tracks: object<events.Tracks>({
    action: oneOf("tracks"), v, revision: integer,
    tracks: arrayOf(object<events.Track>({ source, muted: optional(flag), width: optional(integer), height: optional(integer) })),
  }),
  Want: object<events.Want>({
    action: oneOf("want"), v, revision: integer, only: optional(flag),
    video: arrayOf(object<events.WantedVideo>({
      participant: string, source, height: integer, pinned: optional(flag), off: optional(flag),
    })),
  }),
  Ping: object<events.Ping>({ action: oneOf("ping"), v, n: integer }),
  Resync: object<events.Resync>({ action: oneOf("resync"), v }),
  Goodbye: object<events.Goodbye>({ action: oneOf("goodbye"), v }),
  Describe: object<events.Describe>({ action: oneOf("describe"), v, revision: integer, metadata: string }),
  Stats: object<events.Stats>({
    action: oneOf("stats"), v, sendKbps: integer, receiveKbps: integer, sendLossPermille: integer, receiveLossPermille: integer,
    rttMs: integer, jitterMs: integer, freezes: integer, limitedBy: oneOf<events.LimitedBy>("none", "cpu", "bandwidth", "other"),
  }),
  Data: object<events.Data>({ action: oneOf("data"), v, to: optional(arrayOf(string)), topic: optional(string), payload: string }),
  Moderate: object<events.Moderate>({
    action: oneOf("moderate"), v, id: string, deed: oneOf<events.Deed>("promote", "demote", "mute", "remove", "metadata", "end"),
    participant: optional(string), sources: optional(arrayOf(source)), metadata: optional(string),
  }),
};
const fromGateway = ["Answer", "Waiting", "Ready", "LeaveDone", "Resume", "Error"];
const fromNode = ["Snapshot", "Delta", "Streams", "Speakers", "Layers", "Pong", "Move", "Closing", "Done", "Muted", "DataFrom", "Error"];
/** Messages that never cross a browser's border; Go's tests hold them. */
const elsewhere = [
  "Answered", "Assignment", "CapacityRequested", "DescribeFor", "RoomDescribed", "End", "ModerateFor", "Moderated", "MuteTracks", "Recast", "Heartbeat", "Hello", "Journal", "Left", "Metrics", "MoveAway", "Offer", "Remove", "Renewed", "Shutdown", "Sweep", "Welcome",
];

describe("golden messages", () => {
  test("every file is of a message that somebody checks", () => {
    const known = [...Object.keys(sent), ...fromGateway, ...fromNode, ...elsewhere];
    assert.deepEqual([...goldens.keys()].filter((name) => !known.includes(name)), []);
    for (const name of known) assert.ok(goldens.has(name), `${name}.json is missing`);
  });

  test("every action of the browser's borders has a golden", () => {
    const actions = [...goldens.values()].map((text) => (JSON.parse(text) as { action: string }).action);
    for (const action of [...fromClientActions, ...toClientActions, ...fromSDKActions, ...toSDKActions]) {
      assert.ok(actions.includes(action), `no golden of ${action}`);
    }
  });

  for (const [name, check] of Object.entries(sent)) {
    test(`${name} is of the type that the SDK sends`, () => {
      const value: unknown = JSON.parse(goldens.get(name) ?? "null");
      assert.deepEqual(check(value, name), value);
    });
  }
  for (const name of fromGateway) {
    test(`${name} is read whole from the gateway`, () => {
      const text = goldens.get(name) ?? "";
      assert.deepEqual(readFromGateway(text), JSON.parse(text));
    });
  }
  for (const name of fromNode) {
    test(`${name} is read whole from the node`, () => {
      const text = goldens.get(name) ?? "";
      assert.deepEqual(readFromNode(text), JSON.parse(text));
    });
  }
});

describe("what is refused", () => {
  const cases: [string, unknown, RegExp][] = [
    ["binary", new ArrayBuffer(2), /not text/],
    ["no JSON", "{", /not JSON/],
    ["an array", "[]", /action/],
    ["an action of nowhere", JSON.stringify({ action: "toString", v: 1 }), /none that this side knows/],
    ["an action of another border", goldens.get("Hello"), /none that this side knows/],
    ["another version", JSON.stringify({ action: "ready", v: 2, id: "1" }), /v is 2/],
    ["a missing field", JSON.stringify({ action: "ready", v: 1 }), /id is not a string/],
    ["a wrong type deep down", (goldens.get("Waiting") ?? "").replace(/"estimateMs": \d+/, '"estimateMs": "soon"'), /estimateMs is not a whole number/],
    ["a word that is none", (goldens.get("Waiting") ?? "").replace(/"stage": "\w+"/, '"stage": "dreaming"'), /stage is not one of/],
  ];
  for (const [name, raw, reason] of cases) {
    test(name, () => assert.throws(() => readFromGateway(raw), reason));
  }
  test("a field that is wrong within an array is named", () => {
    const raw = (goldens.get("Streams") ?? "").replace('"mid": "6"', '"mid": 6');
    assert.throws(() => readFromNode(raw), /streams\[1\]\.mid is not a string/);
  });
  test("unknown fields are dropped, unknown codes kept", () => {
    const raw = JSON.stringify({ action: "closing", v: 1, code: "tired", extra: true });
    assert.deepEqual(readFromNode(raw), { action: "closing", v: 1, code: "tired" });
  });
});

describe("packing", () => {
  const sdp = read("offer.sdp");
  test("Go's packed offer unpacks to the same text", async () => {
    const join = JSON.parse(goldens.get("Join") ?? "") as events.Join;
    assert.equal(await unpack(join.offer), sdp);
  });
  test("what is packed here unpacks again, and is base64url", async () => {
    const packed = await pack(sdp);
    assert.match(packed, /^[\w-]+$/);
    assert.ok(packed.length < sdp.length / 3, `${packed.length} of ${sdp.length} bytes`);
    assert.equal(await unpack(packed), sdp);
  });
  test("text of several bytes a character survives", async () => assert.equal(await unpack(await pack("č 🦊\r\n")), "č 🦊\r\n"));
  test("a bomb is not inflated", async () => {
    await assert.rejects(unpack(await pack("a".repeat(200_000))), { code: "bad_offer", message: /larger than/ });
  });
  test("garbage is refused", async () => {
    await assert.rejects(unpack("***"), { code: "bad_offer", message: /base64url/ });
    await assert.rejects(unpack("AAAA"), { code: "bad_offer", message: /DEFLATE/ });
  });
});
