import type { LimitedBy, Source, Stream } from "./events.js";
import type { Kind } from "./publication.js";

/** What one receive stream has received. */
export interface StreamStats {
  readonly mid: string;
  readonly kind: Kind;
  /** Whose publication it carries now; undefined when it is empty. */
  readonly participant: string | undefined;
  readonly source: Source | undefined;
  readonly bytesReceived: number;
  readonly packetsReceived: number;
  readonly packetsLost: number;
  /** How unevenly packets arrive, in milliseconds (RFC 3550, section 6.4.1). */
  readonly jitterMs: number;
  /** Rate, and share of packets lost, since the call before. */
  readonly kbps: number;
  readonly lossPercent: number;
  /** Whether the node sends no picture because the network here carries none. */
  readonly isPaused: boolean;
  /** How often the picture has stood still. */
  readonly freezes: number;
  readonly framesDecoded: number;
  readonly framesPerSecond: number;
  /** Size of the last picture, in pixels. */
  readonly width: number;
  readonly height: number;
}

/** What is received of one participant. Rates and losses are those since the call before. */
export interface ParticipantStats {
  readonly participant: string;
  readonly kbps: number;
  readonly lossPercent: number;
  /** The worst of its streams, in milliseconds. */
  readonly jitterMs: number;
  readonly freezes: number;
  /** What keeps its pictures from being shown here: the network, or nothing. */
  readonly limitedBy: "none" | "bandwidth";
}

/** How the connection is doing. Rates are means since the call before. */
export interface RoomStats {
  /** The node that carries this participant. */
  readonly node: string;
  /** To the node and back, in milliseconds. */
  readonly rttMs: number | undefined;
  readonly sendKbps: number;
  readonly receiveKbps: number;
  /** Shares of packets that were lost on the way here and on the way there, in percent. */
  readonly receiveLossPercent: number;
  readonly sendLossPercent: number;
  readonly framesEncoded: number;
  /** The worst jitter of what is received, in milliseconds. */
  readonly receiveJitterMs: number;
  /** What keeps the pictures that are sent from being better. */
  readonly limitedBy: LimitedBy;
  /** Sizes of the pictures that are sent, largest last. */
  readonly sent: readonly { source: Source | undefined; rid: string; width: number; height: number; kbps: number }[];
  readonly streams: readonly StreamStats[];
  /** The same by participant: those of whom anything is received now. */
  readonly participants: readonly ParticipantStats[];
}

/** One look at a connection's statistics. */
export interface Sample {
  readonly at: number;
  /** The connection; those of another are not compared. */
  readonly of?: object;
  readonly entries: readonly Readonly<Record<string, unknown>>[];
}

/** What is known beside the statistics. */
export interface StatsContext {
  readonly node: string;
  readonly rttMs: number | undefined;
  readonly carried: ReadonlyMap<string, Stream>;
  readonly sources: ReadonlyMap<string, Source>;
}

/** Makes the summary of two samples; without an earlier one, rates are 0. */
export function summarise(now: Sample, last: Sample | undefined, context: StatsContext): RoomStats {
  const before = last?.of === now.of ? last : undefined;
  const seconds = before ? (now.at - before.at) / 1000 : 0;
  const older = new Map(before?.entries.map((e) => [text(e["id"]), e]));
  const kbps = (entry: Sample["entries"][number], field: string) => {
    const old = older.get(text(entry["id"]));
    return old && seconds > 0 ? Math.max(0, ((count(entry[field]) - count(old[field])) * 8) / 1000 / seconds) : 0;
  };
  const grown = (type: string, field: string) => sum(ofType(now, type), field) - (before ? sum(ofType(before, type), field) : 0);

  const since = (entry: Sample["entries"][number], field: string) => {
    const old = older.get(text(entry["id"]));
    return old ? Math.max(0, count(entry[field]) - count(old[field])) : 0;
  };
  const streams = ofType(now, "inbound-rtp").map((e) => streamStats(e, context, { kbps, since }));
  const outbound = ofType(now, "outbound-rtp");
  const lost = Math.max(0, grown("inbound-rtp", "packetsLost"));
  const arrived = Math.max(0, grown("inbound-rtp", "packetsReceived"));
  const reports = ofType(now, "remote-inbound-rtp").map((e) => count(e["fractionLost"]));
  const pairRtt = ofType(now, "candidate-pair").map((e) => count(e["currentRoundTripTime"]) * 1000).find((rtt) => rtt > 0);
  return {
    node: context.node,
    rttMs: pairRtt ?? context.rttMs,
    sendKbps: outbound.reduce((total, e) => total + kbps(e, "bytesSent"), 0),
    receiveKbps: ofType(now, "inbound-rtp").reduce((total, e) => total + kbps(e, "bytesReceived"), 0),
    receiveLossPercent: share(lost, arrived),
    sendLossPercent: reports.length > 0 ? (100 * reports.reduce((a, b) => a + b, 0)) / reports.length : 0,
    framesEncoded: sum(outbound, "framesEncoded"),
    receiveJitterMs: ofType(now, "inbound-rtp").reduce((worst, e) => Math.max(worst, count(e["jitter"]) * 1000), 0),
    limitedBy: limitOf(outbound.filter((e) => e["active"] !== false).map((e) => text(e["qualityLimitationReason"]))),
    sent: outbound.filter((e) => e["kind"] === "video" && count(e["frameWidth"]) > 0).map((e) => ({
      source: context.sources.get(text(e["mid"])), rid: text(e["rid"]), width: count(e["frameWidth"]), height: count(e["frameHeight"]),
      kbps: kbps(e, "bytesSent"),
    })).sort((a, b) => a.height - b.height),
    streams, participants: byParticipant(streams, now, since),
  };
}

type Entry = Sample["entries"][number];
/** What a field has grown by, and its rate as bytes, since the sample before. */
type Growth = (entry: Entry, field: string) => number;

function byParticipant(streams: readonly StreamStats[], now: Sample, since: Growth): ParticipantStats[] {
  const entries = new Map(ofType(now, "inbound-rtp").map((e) => [text(e["mid"]), e]));
  const people = new Set(streams.flatMap((s) => s.participant ?? []));
  return [...people].map((participant) => {
    const own = streams.filter((s) => s.participant === participant);
    const total = (field: string) => own.reduce((sum, s) => sum + since(entries.get(s.mid) ?? {}, field), 0);
    return {
      participant, kbps: own.reduce((sum, s) => sum + s.kbps, 0), lossPercent: share(total("packetsLost"), total("packetsReceived")),
      jitterMs: Math.max(...own.map((s) => s.jitterMs)), freezes: own.reduce((sum, s) => sum + s.freezes, 0),
      limitedBy: own.some((s) => s.isPaused) ? "bandwidth" : "none",
    };
  });
}

function share(lost: number, arrived: number): number {
  return lost + arrived > 0 ? (100 * lost) / (lost + arrived) : 0;
}

function streamStats(e: Entry, context: StatsContext, { kbps, since }: { kbps: Growth; since: Growth }): StreamStats {
  const mid = text(e["mid"]);
  const stream = context.carried.get(mid);
  return {
    mid, kind: e["kind"] === "audio" ? "audio" : "video", participant: stream?.participant, source: stream?.source,
    bytesReceived: count(e["bytesReceived"]), packetsReceived: count(e["packetsReceived"]), packetsLost: count(e["packetsLost"]),
    kbps: kbps(e, "bytesReceived"), lossPercent: share(since(e, "packetsLost"), since(e, "packetsReceived")), isPaused: stream?.paused ?? false,
    jitterMs: count(e["jitter"]) * 1000, freezes: count(e["freezeCount"]),
    framesDecoded: count(e["framesDecoded"]), framesPerSecond: count(e["framesPerSecond"]),
    width: count(e["frameWidth"]), height: count(e["frameHeight"]),
  };
}

/** The reason of all layers: the network before the machine, because it can be helped less. */
function limitOf(reasons: readonly string[]): LimitedBy {
  return (["bandwidth", "cpu", "other"] as const).find((reason) => reasons.includes(reason)) ?? "none";
}

function ofType(sample: Sample, type: string): Sample["entries"][number][] {
  return sample.entries.filter((e) => e["type"] === type);
}

function sum(entries: Sample["entries"], field: string): number {
  return entries.reduce((total, e) => total + count(e[field]), 0);
}

function count(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
