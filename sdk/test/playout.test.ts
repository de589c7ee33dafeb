import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import type { Stream } from "../src/events.js";
import type { Peer } from "../src/peer.js";
import { align, delayOf, Playout } from "../src/playout.js";

const playing = (capturedMs: number, delayMs = 60, targetMs?: number) => ({ capturedMs, delayMs, targetMs });

describe("sound and picture together", () => {
  test("what is ahead waits longer, by half of the difference at a time", () => {
    assert.deepEqual(align(playing(1_000), playing(1_100, 30), undefined), { sound: undefined, picture: 80 });
    assert.deepEqual(align(playing(1_100, 50), playing(1_000), undefined), { sound: 100, picture: undefined });
    assert.deepEqual(align(playing(1_100, 50, 90), playing(1_000), undefined), { sound: 140, picture: undefined });
  });
  test("what is behind and was held back waits less first", () => {
    assert.deepEqual(align(playing(1_000, 200, 180), playing(1_100), undefined), { sound: 130, picture: undefined });
    assert.deepEqual(align(playing(1_000, 200, 50), playing(1_100), undefined), { sound: undefined, picture: undefined });
    assert.deepEqual(align(playing(1_000, 200, 230), playing(1_400), 200), { sound: 200, picture: undefined });
  });
  test("small differences are left alone, and so are those that cannot be", () => {
    for (const picture of [985, 1_015, 1_000, 5_000, -4_000]) {
      assert.deepEqual(align(playing(1_000, 60, 70), playing(picture), undefined), { sound: 70, picture: undefined });
    }
  });
  test("nothing waits without bound", () => {
    let target: number | undefined;
    for (let i = 0; i < 50; i++) target = align(playing(1_000), playing(1_500, 40, target), undefined).picture;
    assert.equal(target, 600);
  });
  test("a browser that follows slowly ends where both are together", () => {
    // The picture's buffer needs 40 ms and the sound's 190; each goes a third of the way to its target a second.
    let [sound, picture] = [190, 40];
    let targets: { sound: number | undefined; picture: number | undefined } = { sound: undefined, picture: undefined };
    for (let second = 0; second < 40; second++) {
      targets = align({ capturedMs: -sound, delayMs: sound, targetMs: targets.sound }, { capturedMs: -picture, delayMs: picture, targetMs: targets.picture }, undefined);
      sound += (Math.max(190, targets.sound ?? 0) - sound) / 3;
      picture += (Math.max(40, targets.picture ?? 0) - picture) / 3;
    }
    assert.ok(Math.abs(sound - picture) <= 25, `${sound} and ${picture}`);
    assert.ok(sound < 260, `the sound waits ${sound} ms`);
  });
  test("a delay that is none is refused", () => {
    for (const bad of [-1, 4_001, NaN]) assert.throws(() => delayOf(bad), /0 to 4000/);
    assert.deepEqual([delayOf(undefined), delayOf(0), delayOf(4_000)], [undefined, 0, 4_000]);
  });
});

describe("how long what is received waits", () => {
  interface FakeReceiver { jitterBufferTarget: number | null }
  const camera = (mid: string, participant: string, csrc: number): Stream => ({ mid, participant, source: "camera", csrc, timestamp: 0 });
  let receivers: Map<string, FakeReceiver>, entries: Record<string, unknown>[], carried: Map<string, Stream>, peer: Peer;
  const pass = async () => { mock.timers.tick(1_000); for (let i = 0; i < 10; i++) await Promise.resolve(); };
  const targets = () => [...receivers.values()].map((r) => r.jitterBufferTarget);
  beforeEach(() => {
    mock.timers.enable({ apis: ["setInterval"] });
    receivers = new Map(["a", "b", "v", "w"].map((mid) => [mid, { jitterBufferTarget: null }]));
    entries = [];
    carried = new Map();
    peer = {
      media: { audio: ["a", "b"], video: ["v", "w"] }, receiver: (mid: string) => receivers.get(mid),
      connection: { getStats: async () => new Map(entries.map((e, i) => [i, e])) },
    } as unknown as Peer;
  });
  afterEach(() => mock.timers.reset());
  const plays = (mid: string, captured: number, played: number) => ({
    type: "inbound-rtp", mid, estimatedPlayoutTimestamp: captured, jitterBufferDelay: played * 0.05, jitterBufferEmittedCount: played,
  });

  test("is what the page asks for, on every stream of every connection, and can be changed", () => {
    const playout = new Playout(() => carried, 200);
    playout.follow(peer);
    assert.deepEqual(targets(), [200, 200, 200, 200]);
    playout.setDelay(0);
    assert.deepEqual(targets(), [0, 0, 0, 0]);
    playout.setDelay(undefined);
    assert.deepEqual(targets(), [null, null, null, null]);
    playout.follow(undefined);
  });
  test("a speaker's picture waits for the sound, until somebody else is on its stream", async () => {
    const playout = new Playout(() => carried, undefined);
    playout.follow(peer);
    carried = new Map([["a", { ...camera("a", "ada", 1), source: "microphone" }], ["v", camera("v", "ada", 2)], ["w", camera("w", "bo", 3)]]);
    entries = [plays("a", 5_000, 100), plays("v", 5_100, 30), plays("w", 9_999, 30)];
    await pass();
    assert.deepEqual(targets(), [null, null, 100, null]);
    await pass(); // nothing has been played since: nothing is known
    assert.deepEqual(targets(), [null, null, 100, null]);
    carried.set("v", camera("v", "cy", 4));
    await pass();
    assert.deepEqual(targets(), [null, null, null, null]);
    playout.follow(undefined);
    await pass();
  });
  test("where a browser does not say when things were captured, what waits longer is behind", async () => {
    const playout = new Playout(() => carried, undefined);
    playout.follow(peer);
    carried = new Map([["a", { ...camera("a", "ada", 1), source: "microphone" }], ["v", camera("v", "ada", 2)]]);
    const waits = (mid: string, ms: number, played: number) => ({ type: "inbound-rtp", mid, jitterBufferDelay: (played * ms) / 1000, jitterBufferEmittedCount: played });
    entries = [waits("a", 180, 1_000), { ...waits("v", 60, 30), estimatedPlayoutTimestamp: 5_000 }];
    await pass();
    assert.deepEqual(targets(), [null, null, 120, null]);
    playout.follow(undefined);
  });
  test("browsers that cannot be told, or do not say what they play, are left alone", async () => {
    receivers.set("v", {} as FakeReceiver);
    const playout = new Playout(() => carried, 100);
    playout.follow(peer);
    assert.deepEqual(targets(), [100, 100, undefined, 100]);
    carried = new Map([["a", { ...camera("a", "ada", 1), source: "microphone" }], ["w", camera("w", "ada", 2)]]);
    entries = [{ type: "inbound-rtp", mid: "a" }, plays("w", 1, 2)];
    await pass();
    assert.deepEqual(targets(), [100, 100, undefined, 100]);
    playout.follow(undefined);
  });
});
