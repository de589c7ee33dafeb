import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { PulseID, PulseLabel } from "../src/events.js";
import { Peer } from "../src/peer.js";

interface Made { label: string; options: RTCDataChannelInit; sent: string[]; readyState: string }

let made: Made[];

/** As much of a browser's connection as an offer needs. */
class FakeConnection {
  localDescription: { sdp: string } | null = null;
  #sections = 0;
  addTransceiver() {
    this.#sections += 1;
    return { mid: String(this.#sections - 1), sender: {}, receiver: {}, setCodecPreferences() {} };
  }
  createDataChannel(label: string, options: RTCDataChannelInit) {
    const channel = { label, options, sent: [] as string[], readyState: "connecting", bufferedAmount: 0, send(text: string) { this.sent.push(text); }, close() {}, addEventListener() {} };
    made.push(channel);
    return channel;
  }
  createOffer() { return Promise.resolve({ type: "offer", sdp: "v=0\r\n" }); }
  setLocalDescription(description: { sdp: string }) { this.localDescription = description; return Promise.resolve(); }
  addEventListener() {}
  close() {}
}

const globals = globalThis as Record<string, unknown>;
const listener = { onOpen() {}, onMessage() {}, onLost() {}, onOddity() {} };

describe("a connection's channels", () => {
  beforeEach(() => {
    made = [];
    globals["RTCPeerConnection"] = FakeConnection;
    globals["RTCRtpReceiver"] = { getCapabilities: () => ({ codecs: [] }) };
  });
  afterEach(() => {
    delete globals["RTCPeerConnection"];
    delete globals["RTCRtpReceiver"];
  });
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
