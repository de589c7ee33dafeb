import type { Stream, Streams } from "./events.js";

/** What every receive stream carries, by its mid; a value. */
export interface StreamMap {
  readonly revision: number;
  readonly byMid: ReadonlyMap<string, Stream>;
}

/** The map of a connection that has just begun: all streams are empty. */
export const emptyStreamMap: StreamMap = { revision: 0, byMid: new Map() };

/** One receive stream that carries something else, or the same in another way, than before. */
export interface StreamChange {
  readonly mid: string;
  readonly before: Stream | undefined;
  readonly after: Stream | undefined;
}

/** Takes the node's whole map, unless it is older than what is known. */
export function takeStreams(map: StreamMap, message: Streams): StreamMap {
  if (message.revision <= map.revision) return map;
  return { revision: message.revision, byMid: new Map(message.streams.map((s) => [s.mid, s])) };
}

/**
 * What must be done to get from one map to another. Streams that are emptied or
 * switched come first, with `after` undefined, so that a publication that moves
 * between streams is off the old one before it is on the new one.
 */
export function compareStreams(before: StreamMap["byMid"], after: StreamMap["byMid"]): StreamChange[] {
  const changes: StreamChange[] = [];
  for (const [mid, old] of before) {
    if (!isSamePublication(old, after.get(mid))) changes.push({ mid, before: old, after: undefined });
  }
  for (const [mid, stream] of after) {
    const old = before.get(mid);
    if (!old || !isSamePublication(old, stream)) changes.push({ mid, before: undefined, after: stream });
    else if (!isSameRun(old, stream) || !old.paused !== !stream.paused) changes.push({ mid, before: old, after: stream });
  }
  return changes;
}

/** Whether two entries are the same run of frames, so that nothing needs to be blanked in between. */
export function isSameRun(a: Stream, b: Stream): boolean {
  return a.csrc === b.csrc && a.timestamp === b.timestamp;
}

function isSamePublication(a: Stream, b: Stream | undefined): boolean {
  return b !== undefined && a.participant === b.participant && a.source === b.source;
}

/**
 * Whether an RTP timestamp is at or after the first one of a publication, modulo
 * 2^32 (RFC 3550, section 5.1: timestamps wrap).
 */
export function isReached(timestamp: number, first: number): boolean {
  return ((timestamp - first) | 0) >= 0;
}
