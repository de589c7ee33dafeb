import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { StatsEveryMs, StatsLeastMs, type Stats } from "../src/events.js";
import { Reports, reportOf, type Look } from "../src/report.js";
import { summarise, type Sample, type StatsContext } from "../src/stats.js";

const context: StatsContext = {
  node: "n", rttMs: 41.6, sources: new Map(),
  carried: new Map([
    ["1", { mid: "1", participant: "ada", source: "camera", csrc: 1, timestamp: 0 }],
    ["2", { mid: "2", participant: "ada", source: "microphone", csrc: 2, timestamp: 0 }],
    ["3", { mid: "3", participant: "bo", source: "camera", csrc: 3, timestamp: 0, paused: true }],
  ]),
};

const inbound = (mid: string, bytes: number, arrived: number, lost: number, freezes = 0) => ({
  id: `in${mid}`, type: "inbound-rtp", mid, kind: mid === "2" ? "audio" : "video",
  bytesReceived: bytes, packetsReceived: arrived, packetsLost: lost, freezeCount: freezes, jitter: Number(mid) / 1000,
});
const sample = (seconds: number): Sample => ({
  at: seconds * 1000,
  entries: [
    inbound("1", 125_000 * seconds, 90 * seconds, 10 * seconds, seconds), inbound("2", 4_000 * seconds, 50 * seconds, 0), inbound("3", 0, 0, 0),
    inbound("4", 1_000 * seconds, 10 * seconds, 0),
    { id: "out", type: "outbound-rtp", kind: "video", bytesSent: 12_500 * seconds, qualityLimitationReason: "cpu" },
    { id: "rem", type: "remote-inbound-rtp", fractionLost: 0.0123 },
  ],
});
const look = (seconds: number, before?: number): Look => ({
  sample: sample(seconds), stats: summarise(sample(seconds), before === undefined ? undefined : sample(before), context),
});

describe("statistics", () => {
  test("each participant has those of its streams, and each stream its own", () => {
    const { stats } = look(3, 1);
    assert.deepEqual(stats.participants, [
      { participant: "ada", kbps: 1_032, lossPercent: 100 * 20 / 300, jitterMs: 2, freezes: 3, limitedBy: "none" },
      { participant: "bo", kbps: 0, lossPercent: 0, jitterMs: 3, freezes: 0, limitedBy: "bandwidth" },
    ]);
    assert.deepEqual(stats.streams.map((s) => [s.kbps, s.lossPercent, s.isPaused]), [[1_000, 10, false], [32, 0, false], [0, 0, true], [8, 0, false]]);
  });
  test("what the node is told is whole, bounded, and of the time since", () => {
    assert.deepEqual(reportOf(look(3, 1).stats, look(1).stats), {
      action: "stats", v: 1, sendKbps: 100, receiveKbps: 1_040, sendLossPermille: 12, receiveLossPermille: 63,
      rttMs: 42, jitterMs: 4, freezes: 2, limitedBy: "cpu",
    } satisfies Stats);
    const odd = { ...look(1).stats, sendKbps: Infinity, receiveLossPercent: 250, rttMs: undefined };
    const told = reportOf(odd, undefined);
    assert.deepEqual([told.sendKbps, told.receiveLossPermille, told.rttMs, told.freezes], [10_000_000, 1_000, 0, 0]);
  });
});

describe("reports to the node", () => {
  let sent: Stats[], asked: (number | undefined)[], second: number, reports: Reports;
  const peer = {};
  const settle = async () => { for (let i = 0; i < 10; i++) await Promise.resolve(); };
  const pass = async () => { mock.timers.tick(StatsEveryMs * 1.25); await settle(); };
  beforeEach(() => {
    mock.timers.enable({ apis: ["setTimeout"] });
    [sent, asked, second] = [[], [], 0];
    reports = new Reports(true, async (before) => {
      asked.push(before?.at);
      second += 10;
      return look(second, before && before.at / 1000);
    }, (report) => sent.push(report));
  });
  afterEach(() => mock.timers.reset());

  test("one for each time between two looks, none for the first", async () => {
    reports.follow(peer);
    await pass();
    assert.deepEqual([asked, sent.length], [[undefined], 0]);
    await pass();
    assert.deepEqual([asked, sent.map((s) => [s.receiveKbps, s.freezes])], [[undefined, 10_000], [[1_040, 10]]]);
    await pass();
    assert.equal(sent.length, 2);
    reports.stop();
    await pass();
    assert.equal(sent.length, 2);
  });
  test("another connection begins anew, and none comes sooner than the node takes it", async () => {
    reports.follow(peer);
    await pass();
    reports.follow(peer);
    mock.timers.tick(StatsLeastMs);
    await settle();
    assert.equal(asked.length, 1);
    await pass();
    assert.deepEqual([asked, sent.length], [[undefined, undefined], 0]);
    reports.stop();
  });
  test("none without a connection, or where the page does not want any", async () => {
    reports.follow(peer);
    reports.follow(undefined);
    const silent = new Reports(false, async () => look(second += 10), (report) => sent.push(report));
    silent.follow(peer);
    for (let i = 0; i < 3; i++) await pass();
    assert.deepEqual([asked, sent], [[], []]);
  });
  test("a look that fails is made again", async () => {
    let fails = true;
    const shaky = new Reports(true, async () => {
      if (fails) throw new Error("closed");
      return look(second += 10);
    }, (report) => sent.push(report));
    shaky.follow(peer);
    await pass();
    fails = false;
    await pass();
    await pass();
    assert.equal(sent.length, 1);
    shaky.stop();
  });
});
