import type { Stream, Streams } from "./events.js";

/** What every receive stream carries, by its mid; a value. */
export interface StreamMap {
  readonly revision: number;
  readonly byMid: ReadonlyMap<string, Stream>;
}

/** The map of a connection that has just begun: all streams are empty. */
export const emptyStreamMap: StreamMap = { revision: 0, byMid: new Map() };

/** Takes the node's whole map, unless it is older than what is known. */
export function takeStreams(map: StreamMap, message: Streams): StreamMap {
  if (message.revision <= map.revision) return map;
  return { revision: message.revision, byMid: new Map(message.streams.map((s) => [s.mid, s])) };
}

/** Whether two entries are the same run of frames, so that nothing needs to be blanked in between. */
export function isSameRun(a: Stream, b: Stream): boolean {
  return a.csrc === b.csrc && a.timestamp === b.timestamp;
}

/**
 * Whether an RTP timestamp is at or after the first one of a publication, modulo
 * 2^32 (RFC 3550, section 5.1: timestamps wrap).
 */
export function isReached(timestamp: number, first: number): boolean {
  return ((timestamp - first) | 0) >= 0;
}
