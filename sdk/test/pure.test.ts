import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { audioCodecs, videoCodecs } from "../src/codecs.js";
import { wantedVideo } from "../src/demand.js";
import { Emitter } from "../src/emitter.js";
import { isEnding, isRetryable, mediaError, SpillwayError, type ErrorCode } from "../src/errors.js";
import { layersOf, onlyUseful, scalableOf, simulcastOf } from "../src/layers.js";
import { answered, beat, heard, isSilent, isUneasy, look, nextLookMs, pingEveryMs, restingPulse, silenceMs, suspectEveryMs, uneasyEveryMs, type Pulse } from "../src/pulse.js";
import { comebacksPerSecond, joinPatienceMs, rejoinPatienceMs, retryDelay, type Failure } from "../src/retry.js";
import { summarise, type StatsContext } from "../src/stats.js";
import { refusalOf } from "../src/token.js";

describe("reconnect policy", () => {
  const failure: Failure = { code: "network", tries: 0, elapsedMs: 0, retryAfterMs: 0, rejoining: false, crowd: 1, ahead: 0 };
  const randoms = [0, 0.25, 0.5, 0.999];
  test("what cannot be helped by waiting is given up at once", () => {
    for (const code of ["token_expired", "replaced", "room_full", "unsupported", "bad_offer"] as const) {
      assert.equal(retryDelay({ ...failure, code }, 0.5), undefined, code);
    }
  });
  test("later tries wait longer, up to a bound, never at the same moment for all", () => {
    for (const random of randoms) {
      let before = 0;
      for (let tries = 1; tries < 12; tries++) {
        const delay = retryDelay({ ...failure, tries, rejoining: true }, random) ?? -1;
        assert.ok(delay >= before && delay <= 8_000, `try ${tries}: ${delay}`);
        before = delay;
      }
    }
    assert.notEqual(retryDelay({ ...failure, tries: 3 }, 0), retryDelay({ ...failure, tries: 3 }, 0.9));
  });
  test("nobody comes back before they were told to", () => {
    for (const random of randoms) {
      for (const rejoining of [true, false]) {
        const delay = retryDelay({ ...failure, code: "busy", retryAfterMs: 3_000, rejoining }, random);
        assert.ok(delay !== undefined && delay >= 3_000);
      }
    }
  });
  test("who cannot reach the room's node asks again just when it may, twice, and then backs off", () => {
    const unreachable: Failure = { ...failure, code: "node_unreachable", retryAfterMs: 300, rejoining: true };
    const delays = [1, 2, 3].map((tries) => retryDelay({ ...unreachable, tries }, 0.999) ?? -1);
    assert.ok(delays[0] !== undefined && delays[0] < 310 && delays[1] === delays[0] && (delays[2] ?? 0) > 1_000, String(delays));
  });
  test("a thousand people who lose a node come back at no more than the planned rate", () => {
    const people = 1_000;
    const arrivals = Array.from({ length: people }, (_, i) =>
      retryDelay({ ...failure, rejoining: true, crowd: people }, (i + 0.5) / people) ?? -1);
    for (let from = 0; from < 2_500; from += 250) {
      const inWindow = arrivals.filter((a) => a >= from && a < from + 1_000).length;
      assert.ok(inWindow <= comebacksPerSecond + 1, `${inWindow} within a second from ${from} ms`);
    }
  });
  test("patience: short for a first join, long for a room that was lost", () => {
    const late = joinPatienceMs + 1;
    assert.equal(retryDelay({ ...failure, elapsedMs: late }, 0), undefined);
    assert.notEqual(retryDelay({ ...failure, elapsedMs: late, rejoining: true }, 0), undefined);
    assert.equal(retryDelay({ ...failure, elapsedMs: rejoinPatienceMs + 1, rejoining: true }, 0), undefined);
  });
});

describe("errors", () => {
  test("the retryable codes are those that the contract marks", () => {
    const generated = readFileSync(path.join(process.cwd(), "src/events.ts"), "utf8");
    const codes = /export type Code =(.+?");\n/s.exec(generated)?.[1] ?? "";
    const all = [...codes.matchAll(/(?:\/\*\* ([^\n]*?) \*\/\s*)?\| "(\w+)"/g)].map((m) => [m[2], m[1] ?? ""] as const);
    assert.ok(all.length > 30, "the generated codes were not found");
    for (const [code, comment] of all) assert.equal(isRetryable(code as ErrorCode), comment.startsWith("retry"), code);
  });
  test("ending codes are never retried", () => {
    for (const code of ["replaced", "removed", "room_ended"] as const) {
      assert.ok(isEnding(code));
      assert.ok(!isRetryable(code));
    }
  });
  test("SpillwayError tells what a program needs", () => {
    const cause = new Error("below");
    const error = new SpillwayError("busy", "later", { retryAfterMs: 700, cause });
    assert.ok(error instanceof Error);
    assert.deepEqual(
      [error.name, error.code, error.message, error.retryable, error.retryAfterMs, error.cause],
      ["SpillwayError", "busy", "later", true, 700, cause]);
  });
  test("a browser's refusal becomes one of our codes", () => {
    for (const [name, code] of [["NotAllowedError", "media_denied"], ["NotFoundError", "media_missing"], ["NotReadableError", "media_failed"]] as const) {
      assert.equal(mediaError(new DOMException("", name), "the camera").code, code);
    }
  });
});

describe("a refused token", () => {
  const part = (value: unknown) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
  const cases: [string, string, ErrorCode][] = [
    ["none", "", "token_missing"],
    ["no JWT", "hello", "token_malformed"],
    ["no JSON in it", `${part("x")}.${part({})}.sig`, "token_malformed"],
    ["no claims", `${part({ alg: "HS256" })}.${part("[")}.sig`, "token_malformed"],
    ["alg none", `${part({ alg: "none" })}.${part({})}.`, "token_algorithm"],
    ["another algorithm", `${part({ alg: "RS256" })}.${part({})}.sig`, "token_algorithm"],
    ["another key", `${part({ alg: "HS256" })}.${part({ sub: "ada" })}.sig`, "token_bad_signature"],
  ];
  for (const [name, token, code] of cases) test(`${name} is ${code}`, () => assert.equal(refusalOf(token), code));
});

describe("pulse", () => {
  const beats = (times: number[]) => times.reduce((p, t) => beat(p, t), restingPulse);
  test("an answer gives the round-trip time, and covers the pings before it", () => {
    const p = answered(beats([0, 1_000, 2_000]), 2, 1_040);
    assert.equal(p.rttMs, 40);
    assert.deepEqual([...p.waiting.keys()], [3]);
  });
  test("the round-trip time is smoothed", () => {
    let p = answered(beat(restingPulse, 0), 1, 100);
    p = answered(beat(p, 1_000), 2, 1_200);
    assert.ok(Math.abs((p.rttMs ?? 0) - 130) < 1e-6);
  });
  test("an answer that nobody waits for changes nothing", () => assert.equal(answered(restingPulse, 7, 1), restingPulse));
  /** Looks and asks as often as it should from the time given, and tells when it suspects. */
  const suspects = (from: Pulse, now: number, asks = true): number => {
    let p = from;
    for (let looks = 0; looks < 100; looks++) {
      p = look(p, now);
      if (asks) p = beat(p, now);
      if (isSilent(p)) return now;
      now += nextLookMs(p);
    }
    return Infinity;
  };
  const begun = heard(look(restingPulse, 0), 0);
  test("silence is noticed just when it is too long, whenever the last ping was", () => {
    for (const since of [0, 1, 120, 250, 499, 500]) assert.equal(suspects(heard(look(begun, 10_000), 10_000), 10_000 + since), 10_000 + silenceMs, `${since} ms`);
  });
  test("media that came after the last answer counts from when it came", () => {
    let p = begun;
    for (const at of [500, 1_000, 1_100, 1_200]) p = beat(look(p, at), at);
    assert.ok(isUneasy(p));
    assert.equal(suspects(heard(p, 700), 1_300), 700 + silenceMs);
    assert.equal(heard(heard(p, 700), 600).heardAt, 700, "news of the past");
  });
  test("nothing is silent that was not asked", () => assert.equal(suspects(begun, 0, false), Infinity));
  test("it is looked for sooner where an answer is late", () => {
    assert.equal(nextLookMs(look(begun, 500)), pingEveryMs);
    assert.equal(nextLookMs(look(look(begun, 500), 900)), uneasyEveryMs);
    assert.equal(nextLookMs({ ...begun, quietMs: silenceMs - 40 }), 40);
    assert.equal(nextLookMs({ ...begun, quietMs: silenceMs }), suspectEveryMs);
  });
  test("a machine that slept heard nothing because of itself", () => {
    const before = heard(beat(look(begun, 500), 500), 520);
    assert.equal(look(before, 3_600_000).quietMs, pingEveryMs);
    assert.ok(suspects(before, 3_600_000) >= 3_600_000 + silenceMs - pingEveryMs);
  });
  test("a tab that may look once a second, or once a minute, asks three times", () => {
    for (const every of [1_000, 60_000]) {
      let p = begun;
      const silent = [1, 2, 3].map((n) => isSilent(p = beat(look(p, n * every), n * every)));
      assert.deepEqual(silent, [false, false, true], `${every} ms`);
    }
  });
});

describe("codecs", () => {
  const video = ["VP8", "rtx", "VP9", "VP9", "H264", "AV1", "red", "ulpfec", "flexfec-03"].map((name, i) => ({
    mimeType: `video/${name}`, clockRate: 90_000, sdpFmtpLine: `profile=${i}`,
  }));
  const names = (codecs: { mimeType: string }[]) => codecs.map((c) => c.mimeType);
  test("VP8 with its retransmissions is offered by default", () => assert.deepEqual(names(videoCodecs(video)), ["video/VP8", "video/rtx"]));
  test("others come first, one profile each, and VP8 always comes", () => {
    const chosen = videoCodecs(video, ["vp9", "av1", "vp17"]);
    assert.deepEqual(names(chosen), ["video/VP9", "video/AV1", "video/VP8", "video/rtx"]);
    assert.equal(chosen[0]?.sdpFmtpLine, "profile=2");
  });
  test("of each codec the profile that every browser decodes", () => {
    const lines = (name: string, sdpFmtpLines: string[]) => videoCodecs(
      sdpFmtpLines.map((sdpFmtpLine) => ({ mimeType: `video/${name}`, clockRate: 90_000, sdpFmtpLine })), [name]).map((c) => c.sdpFmtpLine);
    const h264 = (mode: number, level: string) => `level-asymmetry-allowed=1;packetization-mode=${mode};profile-level-id=${level}`;
    assert.deepEqual(lines("H264", [h264(1, "42001f"), h264(0, "42e01f"), h264(1, "42e01f"), h264(1, "640034")]), [h264(1, "42e01f")]);
    assert.deepEqual(lines("H264", [h264(1, "640034")]), []);
    assert.deepEqual(lines("VP9", ["profile-id=2", "profile-id=0"]), ["profile-id=0"]);
    assert.deepEqual(lines("AV1", ["level-idx=5;profile=1;tier=0", "level-idx=5;profile=0;tier=0"]), ["level-idx=5;profile=0;tier=0"]);
  });
  test("sound is Opus with RED, at 48 kHz", () => {
    const audio = ["audio/opus", "audio/G722", "audio/PCMU", "audio/red", "audio/telephone-event"].map((mimeType) => ({
      mimeType, clockRate: mimeType === "audio/PCMU" ? 8_000 : 48_000,
    }));
    assert.deepEqual(names(audioCodecs(audio)), ["audio/red", "audio/opus"]);
  });
  test("a browser without RED offers Opus", () => {
    assert.deepEqual(names(audioCodecs([{ mimeType: "audio/opus", clockRate: 48_000 }])), ["audio/opus"]);
  });
});

describe("layers", () => {
  const scales = (source: "camera" | "screen", width: number, height: number) =>
    layersOf(source, { width, height, frameRate: 30 }).map((l) => (l.active ? `${l.rid}/${l.scaleResolutionDownBy}` : "-")).join(" ");
  const cases: ["camera" | "screen", number, number, string][] = [
    ["camera", 1920, 1080, "q/4 h/2 f/1"], ["camera", 1280, 720, "q/4 h/2 f/1"], ["camera", 960, 540, "q/4 h/2 f/1"],
    ["camera", 640, 360, "q/2 h/1 -"], ["camera", 360, 640, "q/2 h/1 -"], ["camera", 320, 180, "q/1 - -"],
    ["screen", 2560, 1440, "q/2 f/1"], ["screen", 640, 400, "q/2 f/1"], ["screen", 300, 200, "q/1 -"],
  ];
  for (const [source, width, height, expected] of cases) {
    test(`a ${source} of ${width}×${height} is ${expected}`, () => assert.equal(scales(source, width, height), expected));
  }
  test("the offer has all of them, each with more bits than the one before", () => {
    const layers = layersOf("camera");
    assert.ok(layers.every((l, i) => l.active && (i === 0 || l.maxBitrate > (layers[i - 1]?.maxBitrate ?? 0))));
  });
  test("those that nobody receives are not sent, the others as before", () => {
    const camera = layersOf("camera");
    assert.deepEqual(onlyUseful(camera, ["q", "f"]).map((l) => l.active), [true, false, true]);
    assert.deepEqual(onlyUseful(camera, undefined), camera);
    const small = onlyUseful(layersOf("camera", { width: 320, height: 180, frameRate: 30 }), ["q", "h", "f"]);
    assert.deepEqual(small.map((l) => l.active), [true, false, false]);
  });
  test("layers in one stream: up to the largest of use, at key frames only", () => {
    const modes = (width: number, height: number, rids?: string[]) =>
      scalableOf(onlyUseful(layersOf("camera", { width, height, frameRate: 30 }), rids), "video/AV1")
        ?.map((l) => (l.active ? `${l.rid}/${l.scaleResolutionDownBy} ${l.scalabilityMode}` : "-")).join(" ");
    assert.equal(modes(1280, 720), "q/1 L3T3_KEY - -");
    assert.equal(modes(1280, 720, ["q", "f"]), "q/1 L3T3_KEY - -");
    assert.equal(modes(1280, 720, ["q", "h"]), "q/2 L2T3_KEY - -");
    assert.equal(modes(1280, 720, ["q"]), "q/4 L1T3 - -");
    assert.equal(modes(640, 360), "q/1 L2T3_KEY - -");
    assert.equal(modes(320, 180), undefined);
  });
  test("layers in one stream have the bits of all of them", () => {
    const layers = layersOf("camera");
    assert.equal(scalableOf(layers, "video/VP9")?.[0]?.maxBitrate, layers.reduce((sum, l) => sum + l.maxBitrate, 0));
  });
  test("only VP9 and AV1 are layered", () => {
    const layers = layersOf("camera");
    assert.equal(scalableOf(layers, "video/VP8"), undefined);
    assert.equal(scalableOf(layers, undefined), undefined);
    assert.deepEqual(simulcastOf(layers, "video/H264"), layers);
    assert.deepEqual(simulcastOf(layers, "video/VP9").map((l) => l.scalabilityMode), ["L1T1", "L1T1", "L1T1"]);
  });
  test("a screen's smaller one is slow", () => assert.deepEqual(layersOf("screen").map((l) => l.maxFramerate), [5, undefined]));
  test("a small picture costs little, but never nothing", () => {
    const [layer] = layersOf("camera", { width: 320, height: 180, frameRate: 10 });
    assert.ok(layer && layer.maxBitrate >= 50_000 && layer.maxBitrate <= 200_000, `${layer?.maxBitrate}`);
  });
});

describe("what is asked for", () => {
  const showing = { participant: "ada", source: "camera" as const, height: 180, visible: true, pinned: false };
  test("the largest of several elements counts, rounded up", () => {
    assert.deepEqual(wantedVideo([showing, { ...showing, height: 355 }, { ...showing, height: 20 }]), [
      { participant: "ada", source: "camera", height: 360 },
    ]);
  });
  test("what nobody can see is off", () => {
    assert.deepEqual(wantedVideo([{ ...showing, visible: false }]), [{ participant: "ada", source: "camera", height: 0, off: true }]);
  });
  test("one element in sight is enough", () => {
    assert.deepEqual(wantedVideo([{ ...showing, visible: false, height: 900 }, showing]), [{ participant: "ada", source: "camera", height: 184 }]);
  });
  test("pinned ones come first, then the larger ones", () => {
    const wanted = wantedVideo([
      { ...showing, participant: "small" }, { ...showing, participant: "large", height: 700 },
      { ...showing, participant: "pinned", source: "screen", pinned: true },
    ]);
    assert.deepEqual(wanted.map((w) => w.participant), ["pinned", "large", "small"]);
  });
});

describe("emitter", () => {
  class Bell extends Emitter<{ ring: [n: number] }> {
    ring(n: number) { this.emit("ring", n); }
  }
  test("listeners hear in order, until they are taken away", () => {
    const bell = new Bell();
    const heard: string[] = [];
    const a = (n: number) => void heard.push(`a${n}`);
    bell.on("ring", a).on("ring", (n) => void heard.push(`b${n}`)).once("ring", (n) => void heard.push(`c${n}`));
    bell.ring(1);
    bell.off("ring", a);
    bell.ring(2);
    assert.deepEqual(heard, ["a1", "b1", "c1", "b2"]);
  });
  test("one that is added while others are told waits for the next time", () => {
    const bell = new Bell();
    const heard: number[] = [];
    bell.once("ring", () => void bell.on("ring", (n) => void heard.push(n)));
    bell.ring(1);
    bell.ring(2);
    assert.deepEqual(heard, [2]);
  });
});

describe("statistics", () => {
  const context: StatsContext = {
    node: "n-1", rttMs: 30, sources: new Map([["1", "camera"]]),
    carried: new Map([["7", { mid: "7", participant: "ada", source: "camera", csrc: 1, timestamp: 0 }]]),
  };
  const inbound = (bytes: number, packets: number, lost: number) => ({
    id: "in", type: "inbound-rtp", kind: "video", mid: "7", bytesReceived: bytes, packetsReceived: packets, packetsLost: lost,
    framesDecoded: 12, framesPerSecond: 10, frameWidth: 320, frameHeight: 180,
  });
  const outbound = (bytes: number) => ({
    id: "out", type: "outbound-rtp", kind: "video", mid: "1", rid: "f", bytesSent: bytes, framesEncoded: 5, frameWidth: 640, frameHeight: 360,
  });
  test("rates are means since the sample before", () => {
    const before = { at: 0, entries: [inbound(1_000, 100, 0), outbound(0)] };
    const now = { at: 2_000, entries: [inbound(251_000, 190, 10), outbound(25_000), { id: "r", type: "remote-inbound-rtp", fractionLost: 0.02 }] };
    const stats = summarise(now, before, context);
    assert.equal(stats.receiveKbps, 1_000);
    assert.equal(stats.sendKbps, 100);
    assert.equal(stats.receiveLossPercent, 10);
    assert.equal(stats.sendLossPercent, 2);
    assert.equal(stats.rttMs, 30);
    assert.deepEqual(stats.sent, [{ source: "camera", rid: "f", width: 640, height: 360, kbps: 100 }]);
  });
  test("each receive stream says whom it carries", () => {
    const [stream] = summarise({ at: 0, entries: [inbound(1_000, 100, 0)] }, undefined, context).streams;
    assert.deepEqual([stream?.participant, stream?.source, stream?.framesDecoded, stream?.height], ["ada", "camera", 12, 180]);
  });
  test("jitter is the worst of all streams, the limit that of the layers that are sent", () => {
    const layer = (id: string, reason: string, active = true) => ({ ...outbound(0), id, active, qualityLimitationReason: reason });
    const entries = [{ ...inbound(0, 0, 0), jitter: 0.004, freezeCount: 3 }, { ...inbound(0, 0, 0), id: "b", jitter: 0.031 }];
    const stats = summarise({ at: 0, entries: [...entries, layer("q", "none"), layer("h", "cpu"), layer("f", "bandwidth", false)] }, undefined, context);
    assert.equal(stats.receiveJitterMs, 31);
    assert.deepEqual(stats.streams.map((s) => [s.jitterMs, s.freezes]), [[4, 3], [31, 0]]);
    assert.equal(stats.limitedBy, "cpu");
    assert.equal(summarise({ at: 0, entries: [layer("q", "cpu"), layer("h", "bandwidth")] }, undefined, context).limitedBy, "bandwidth");
    assert.equal(summarise({ at: 0, entries }, undefined, context).limitedBy, "none");
  });
  test("the first sample has no rates", () => {
    const stats = summarise({ at: 5, entries: [inbound(1_000, 0, 0)] }, undefined, context);
    assert.deepEqual([stats.receiveKbps, stats.receiveLossPercent], [0, 0]);
  });
  test("ICE's own round-trip time is preferred", () => {
    const entries = [{ id: "p", type: "candidate-pair", currentRoundTripTime: 0.012 }];
    assert.equal(summarise({ at: 0, entries }, undefined, context).rttMs, 12);
  });
});
