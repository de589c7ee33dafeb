import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { PulseID, PulseLabel } from "../src/events.js";
import { Life } from "../src/life.js";
import { Peer } from "../src/peer.js";

interface Made { label: string; options: RTCDataChannelInit; sent: string[]; readyState: string; told: Map<string, () => void> }

let made: Made[];
let stats: Record<string, unknown>[];

/** As much of a browser's connection as an offer needs. */
class FakeConnection {
  localDescription: { sdp: string } | null = null;
  #sections = 0;
  addTransceiver() {
    this.#sections += 1;
    return { mid: String(this.#sections - 1), sender: { replaceTrack: () => Promise.resolve() }, receiver: {}, setCodecPreferences() {} };
  }
  createDataChannel(label: string, options: RTCDataChannelInit) {
    const channel = {
      label, options, sent: [] as string[], readyState: "connecting", bufferedAmount: 0, told: new Map<string, () => void>(),
      send(text: string) { this.sent.push(text); },
      close() {},
      addEventListener(name: string, told: () => void) { this.told.set(name, told); },
    };
    made.push(channel);
    return channel;
  }
  createOffer() { return Promise.resolve({ type: "offer", sdp: "v=0\r\n" }); }
  setLocalDescription(description: { sdp: string }) { this.localDescription = description; return Promise.resolve(); }
  getStats() { return Promise.resolve(new Map(stats.map((entry, i) => [String(i), entry]))); }
  addEventListener() {}
  close() {}
}

const globals = globalThis as Record<string, unknown>;
const listener = { onOpen() {}, onMessage() {}, onLost() {}, onOddity() {} };

beforeEach(() => {
  [made, stats] = [[], []];
  globals["RTCPeerConnection"] = FakeConnection;
  globals["RTCRtpReceiver"] = { getCapabilities: () => ({ codecs: [] }) };
});
afterEach(() => {
  delete globals["RTCPeerConnection"];
  delete globals["RTCRtpReceiver"];
});

describe("a connection's channels", () => {
  const create = () => Peer.create({ audio: 2, video: 3 }, ["vp8"], listener);
  const pings = () => made.find((c) => c.label === PulseLabel) ?? assert.fail("there is no channel for pings");
  const others = () => made.filter((c) => c.label !== PulseLabel);

  test("pings are unordered and not sent again, on a channel of their own", async () => {
    await create();
    assert.deepEqual(pings().options, { negotiated: true, id: PulseID, ordered: false, maxRetransmits: 0 });
    assert.equal(new Set(made.map((c) => c.options.id)).size, made.length, "two channels share a number");
  });
  test("a ping goes that way, whatever waits on the others", async () => {
    const peer = await create();
    for (const channel of made) channel.readyState = "open";
    assert.ok(peer.ping({ action: "ping", v: 1, n: 7 }));
    assert.deepEqual(pings().sent.map((text) => JSON.parse(text) as unknown), [{ action: "ping", v: 1, n: 7 }]);
    assert.deepEqual(others().map((c) => c.sent), others().map(() => []));
  });
  test("until that channel is open, the reliable one carries them", async () => {
    const peer = await create();
    assert.ok(!peer.ping({ action: "ping", v: 1, n: 1 }), "sent on nothing");
    for (const channel of others()) channel.readyState = "open";
    assert.ok(peer.ping({ action: "ping", v: 1, n: 2 }));
    assert.deepEqual([pings().sent.length, others().filter((c) => c.sent.length > 0).map((c) => c.options)], [0, [{ negotiated: true, id: 0, ordered: true }]]);
  });
});

describe("media is a sign of life", () => {
  let now: number;
  let told: string[];
  beforeEach(() => {
    [now, told] = [1_000, []];
    mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
    mock.method(performance, "now", () => now);
  });
  afterEach(() => {
    mock.timers.reset();
    mock.restoreAll();
  });
  /** A session that stands, and whose pings nobody answers. */
  const stands = async () => {
    const life = new Life(1, { audio: 1, video: 1 }, ["vp8"], {
      onOpen() {}, onMessage() {}, onLost: () => told.push("lost"), onSuspect: () => told.push("suspect"), onRecovered: () => told.push("recovered"),
      onCutOff: () => told.push("cut off"), onOddity() {},
    });
    await life.ready;
    for (const channel of made) {
      channel.readyState = "open";
      channel.told.get("open")?.();
    }
    for (let i = 0; i < 10; i++) await Promise.resolve();
    return life;
  };
  const passes = async (ms: number, each: () => void = () => undefined) => {
    for (let passed = 0; passed < ms; passed += 50) {
      now += 50;
      each();
      mock.timers.tick(50);
      for (let i = 0; i < 10; i++) await Promise.resolve();
    }
  };

  for (const [name, media] of [
    ["sound", (came) => [{ type: "inbound-rtp", kind: "audio", bytesReceived: came }]],
    ["pictures, with when they came", (came) => [{ type: "inbound-rtp", kind: "video", bytesReceived: came, timestamp: now, lastPacketReceivedTimestamp: came }]],
  ] as [string, (came: number) => Record<string, unknown>[]][]) {
    test(`${name}: no suspicion while they come, though no ping is answered, and soon when they end`, async () => {
      const life = await stands();
      const comes = () => { stats = media(now); };
      await passes(10_000, comes);
      const ended = now;
      const stays = () => { stats = media(ended); };
      await passes(700, stays);
      assert.deepEqual(told, []);
      await passes(1_000, stays);
      assert.deepEqual(told, ["suspect"]);
      await passes(500, comes);
      assert.deepEqual(told, ["suspect", "recovered"]);
      life.end();
    });
  }
  test("what is sent, or what others say they received, is none", async () => {
    const life = await stands();
    await passes(2_500, () => {
      stats = [{ type: "outbound-rtp", bytesSent: now, bytesReceived: now }, { type: "remote-inbound-rtp", bytesReceived: now }, { type: "candidate-pair", bytesReceived: now }];
    });
    assert.deepEqual(told, ["suspect"]);
    life.end();
  });
});
