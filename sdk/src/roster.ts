import type { Delta, Member, Snapshot } from "./events.js";

/** Who is in the room, as the node tells it. A value: functions return new ones. */
export interface Roster {
  /** The number of the last delta taken; -1 before the first snapshot. */
  readonly seq: number;
  readonly room: string;
  /** What the room's application says of the room. */
  readonly metadata: string;
  readonly self: string;
  /** How many viewers there are, and how many of them are on one's own node. */
  readonly viewers: number;
  readonly viewersHere: number;
  /** Everybody who is listed, oneself included, by identity, in the order in which they joined. */
  readonly members: ReadonlyMap<string, Member>;
  /** The snapshot that is arriving, if one is. */
  readonly arriving: Arriving | undefined;
  /** Whether a gap was seen and the snapshot that heals it has not come yet. */
  readonly gap: boolean;
}

interface Arriving {
  readonly seq: number;
  readonly parts: ReadonlyMap<number, Snapshot>;
  /** Deltas that came in between, to be taken afterwards. */
  readonly later: readonly Delta[];
}

/** The roster before anything is known. */
export const emptyRoster: Roster = {
  seq: -1, room: "", metadata: "", self: "", viewers: 0, viewersHere: 0, members: new Map(), arriving: undefined, gap: false,
};

/** A new roster, and whether the node must now be asked for the whole snapshot. */
export interface Taken {
  readonly roster: Roster;
  readonly resync: boolean;
}

/** Takes one part of a snapshot; the roster changes when the last one is there. */
export function takeSnapshot(roster: Roster, part: Snapshot): Taken {
  const same = roster.arriving?.seq === part.seq ? roster.arriving : undefined;
  const parts = new Map(same?.parts).set(part.part, part);
  const later = roster.arriving?.later ?? [];
  if (parts.size < part.parts) {
    return { roster: { ...roster, arriving: { seq: part.seq, parts, later } }, resync: false };
  }
  const inOrder = [...parts.values()].sort((a, b) => a.part - b.part);
  const members = inOrder.flatMap((p) => p.members);
  let whole: Taken = {
    roster: {
      seq: part.seq, room: part.room, metadata: inOrder[0]?.roomMetadata ?? "", self: part.self, viewers: part.viewers ?? 0, viewersHere: part.viewersHere ?? 0,
      members: ordered(members), arriving: undefined, gap: false,
    },
    resync: false,
  };
  for (const delta of later) whole = takeDelta(whole.roster, delta);
  return whole;
}

/**
 * Takes a delta if it is the next; ignores what is older; keeps it for later while
 * a snapshot arrives. A gap asks for the snapshot, once.
 */
export function takeDelta(roster: Roster, delta: Delta): Taken {
  if (roster.arriving) {
    const arriving = { ...roster.arriving, later: [...roster.arriving.later, delta] };
    return { roster: { ...roster, arriving }, resync: false };
  }
  if (roster.seq < 0 || delta.seq <= roster.seq) return { roster, resync: false };
  if (delta.seq > roster.seq + 1) return { roster: { ...roster, gap: true }, resync: !roster.gap };
  const members = new Map(roster.members);
  for (const identity of delta.gone ?? []) members.delete(identity);
  for (const member of delta.changed ?? []) members.set(member.identity, member);
  const { seq, viewers = 0, viewersHere = 0, roomMetadata: metadata = roster.metadata } = delta;
  return { roster: { ...roster, seq, viewers, viewersHere, metadata, members: ordered([...members.values()]) }, resync: false };
}

function ordered(members: Member[]): Map<string, Member> {
  const byAge = members.sort((a, b) => a.joinedMs - b.joinedMs || (a.identity < b.identity ? -1 : 1));
  return new Map(byAge.map((m) => [m.identity, m]));
}

/** How many viewers a room has. */
export function viewersOf(roster: Roster): number {
  return Math.max(roster.viewers, watching(roster).length);
}

/** How many people share one's own node: who is lost together comes back together. */
export function neighbours(roster: Roster): { stage: number; viewers: number } {
  const node = roster.members.get(roster.self)?.node;
  const stage = [...roster.members.values()].filter((m) => m.role === "publisher" && m.node === node).length;
  return { stage, viewers: Math.max(roster.viewersHere, watching(roster).filter((m) => m.node === node).length) };
}

const watching = (roster: Roster) => [...roster.members.values()].filter((m) => m.role === "viewer");

/** What changed between two rosters, as people see it: oneself left out. */
export interface RosterChanges {
  readonly joined: readonly Member[];
  readonly left: readonly Member[];
  readonly changed: readonly { before: Member; after: Member }[];
}

/** Compares two rosters; what did not change is the same object or has the same content. */
export function compareRosters(before: Roster, after: Roster): RosterChanges {
  const others = (r: Roster) => [...r.members.values()].filter((m) => m.identity !== after.self);
  const joined: Member[] = [];
  const changed: { before: Member; after: Member }[] = [];
  for (const member of others(after)) {
    const old = before.members.get(member.identity);
    if (!old) joined.push(member);
    else if (old !== member && JSON.stringify(old) !== JSON.stringify(member)) changed.push({ before: old, after: member });
  }
  return { joined, changed, left: others(before).filter((m) => !after.members.has(m.identity)) };
}

/**
 * One roster of what several connections say, the newest last: while a home is
 * changed, people of a room may not yet be seen from the new one, or no more from
 * the old. The newest decides about those it knows. One roster is returned as it is.
 */
export function mergeRosters(rosters: readonly Roster[]): Roster {
  const newest = rosters.at(-1);
  if (!newest || rosters.length === 1) return newest ?? emptyRoster;
  const members = new Map(rosters.flatMap((r) => [...r.members]));
  return { ...newest, members: ordered([...members.values()]) };
}
