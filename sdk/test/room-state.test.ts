import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Delta, Member, Snapshot, Stream } from "../src/events.js";
import { compareRosters, emptyRoster, mergeRosters, neighbours, takeDelta, takeSnapshot, viewersOf, type Roster } from "../src/roster.js";
import { Description } from "../src/description.js";
import { emptyStreamMap, isReached, takeStreams } from "../src/streams.js";

const v = 1 as const;
const member = (identity: string, joinedMs = 1, more: Partial<Member> = {}): Member => ({
  identity, role: "publisher", node: "n", joinedMs, tracks: [], ...more,
});
const snapshot = (seq: number, members: Member[], part = 0, parts = 1): Snapshot => ({
  action: "snapshot", v, seq, part, parts, room: "lounge", self: "me", members,
});
const delta = (seq: number, changed: Member[], gone: string[] = []): Delta => ({ action: "delta", v, seq, changed, gone });
const names = (r: Roster) => [...r.members.keys()];

describe("roster", () => {
  const whole = takeSnapshot(emptyRoster, snapshot(4, [member("me", 3), member("bob", 2), member("ada", 1)])).roster;
  test("a snapshot of one part is the roster, the oldest first", () => {
    assert.deepEqual(names(whole), ["ada", "bob", "me"]);
    assert.deepEqual([whole.seq, whole.room, whole.self], [4, "lounge", "me"]);
  });
  test("a snapshot in parts counts when the last part is there, in whatever order", () => {
    for (const order of [[0, 1, 2], [2, 0, 1], [1, 2, 0]]) {
      let roster = whole;
      order.forEach((part, i) => {
        roster = takeSnapshot(roster, snapshot(9, [member(`p${part}`, part + 1)], part, 3)).roster;
        if (i < 2) assert.equal(roster.members, whole.members, "changed too early");
      });
      assert.deepEqual(names(roster), ["p0", "p1", "p2"]);
      assert.equal(roster.seq, 9);
    }
  });
  test("of two connections' rosters the newest decides about those it knows, the older adds the others", () => {
    const newer = takeSnapshot(emptyRoster, snapshot(1, [member("me", 3), member("bob", 2, { node: "n-2" })])).roster;
    const merged = mergeRosters([whole, newer]);
    assert.deepEqual(names(merged), ["ada", "bob", "me"]);
    assert.equal(merged.members.get("bob")?.node, "n-2");
    assert.equal(mergeRosters([whole]), whole);
    assert.equal(mergeRosters([]), emptyRoster);
  });
  test("viewers who are too many to be listed are counted", () => {
    const many = takeSnapshot(emptyRoster, { ...snapshot(4, [member("me", 3, { role: "viewer" }), member("ada")]), viewers: 1204, viewersHere: 93 }).roster;
    assert.deepEqual([viewersOf(many), neighbours(many)], [1204, { stage: 1, viewers: 93 }]);
    const more = takeDelta(many, { action: "delta", v, seq: 5, viewers: 1210, viewersHere: 94 }).roster;
    assert.deepEqual([viewersOf(more), neighbours(more).viewers, names(more)], [1210, 94, ["ada", "me"]]);
    // A node that does not count lists everybody.
    const listed = takeSnapshot(emptyRoster, snapshot(1, [member("me"), member("bob", 2, { role: "viewer" }), member("eve", 3, { role: "viewer", node: "n-2" })])).roster;
    assert.deepEqual([viewersOf(listed), neighbours(listed)], [2, { stage: 1, viewers: 1 }]);
  });
  test("what is said of the room comes with the snapshot's first part, and changes with a delta that says so", () => {
    let roster = emptyRoster;
    for (const part of [1, 0]) {
      roster = takeSnapshot(roster, { ...snapshot(4, part ? [member("me")] : [], part, 2), ...(part ? {} : { roomMetadata: "plans" }) }).roster;
    }
    assert.deepEqual([roster.metadata, names(roster)], ["plans", ["me"]]);
    roster = takeDelta(roster, delta(5, [member("bob")])).roster;
    assert.equal(roster.metadata, "plans");
    roster = takeDelta(roster, { action: "delta", v, seq: 6, roomMetadata: "" }).roster;
    assert.deepEqual([roster.metadata, names(roster)], ["", ["bob", "me"]]);
    assert.equal(takeSnapshot(roster, snapshot(7, [member("me")])).roster.metadata, "");
  });
  test("a repeated part changes nothing", () => {
    const once = takeSnapshot(whole, snapshot(9, [member("p0")], 0, 2)).roster;
    const twice = takeSnapshot(once, snapshot(9, [member("p0")], 0, 2)).roster;
    assert.equal(twice.arriving?.parts.size, 1);
  });
  test("a newer snapshot supersedes one that is still arriving", () => {
    const begun = takeSnapshot(whole, snapshot(9, [member("old")], 0, 2)).roster;
    const done = takeSnapshot(begun, snapshot(10, [member("new")])).roster;
    assert.deepEqual(names(done), ["new"]);
    assert.equal(done.arriving, undefined);
  });
  test("the next delta changes, adds and removes", () => {
    const { roster, resync } = takeDelta(whole, delta(5, [member("bob", 2, { name: "Bob" }), member("eve", 9)], ["ada"]));
    assert.deepEqual(names(roster), ["bob", "me", "eve"]);
    assert.equal(roster.members.get("bob")?.name, "Bob");
    assert.equal(resync, false);
  });
  test("an older delta is ignored", () => assert.equal(takeDelta(whole, delta(4, [member("eve")])).roster, whole));
  test("a delta before any snapshot is ignored", () => assert.equal(takeDelta(emptyRoster, delta(1, [])).roster, emptyRoster));
  test("a gap asks for the snapshot once, and changes nothing", () => {
    const first = takeDelta(whole, delta(7, [member("eve")]));
    assert.ok(first.resync);
    assert.equal(first.roster.members, whole.members);
    assert.ok(!takeDelta(first.roster, delta(8, [])).resync);
    const healed = takeSnapshot(first.roster, snapshot(8, [member("eve")])).roster;
    assert.ok(!healed.gap);
    assert.ok(takeDelta(healed, delta(10, [])).resync, "a second gap is asked about again");
  });
  test("deltas among the parts of a snapshot are taken afterwards", () => {
    let roster = takeSnapshot(whole, snapshot(9, [member("ada")], 0, 2)).roster;
    roster = takeDelta(roster, delta(9, [], ["ada"])).roster; // contained in the snapshot
    roster = takeDelta(roster, delta(10, [member("eve", 7)])).roster;
    roster = takeSnapshot(roster, snapshot(9, [member("bob", 2)], 1, 2)).roster;
    assert.deepEqual(names(roster), ["ada", "bob", "eve"]);
    assert.equal(roster.seq, 10);
  });
  test("random histories end as the node has them", () => {
    let seed = 7;
    const random = (n: number) => (seed = (seed * 48_271) % 2_147_483_647) % n;
    for (let run = 0; run < 200; run++) {
      const truth = new Map([["me", member("me", 1)]]);
      let roster = takeSnapshot(emptyRoster, snapshot(0, [...truth.values()])).roster;
      let resync = false;
      for (let seq = 1; seq < 40; seq++) {
        const who = `p${random(6)}`;
        const next = random(3) > 0 ? member(who, random(9) + 2) : undefined;
        if (next) truth.set(who, next);
        else truth.delete(who);
        if (random(8) === 0) continue; // lost
        const taken = takeDelta(roster, next ? delta(seq, [next]) : delta(seq, [], [who]));
        roster = taken.roster;
        resync ||= taken.resync;
        if (resync && random(3) === 0) {
          const members = [...truth.values()];
          roster = takeSnapshot(roster, snapshot(seq, members.slice(0, 2), 0, 2)).roster;
          roster = takeSnapshot(roster, snapshot(seq, members.slice(2), 1, 2)).roster;
          resync = false;
        }
      }
      const last = takeSnapshot(roster, snapshot(40, [...truth.values()])).roster;
      assert.deepEqual(new Set(names(last)), new Set(truth.keys()));
    }
  });
  test("comparing tells who came, who went and who changed, oneself left out", () => {
    const after = takeSnapshot(whole, snapshot(6, [member("me", 3, { role: "viewer" }), member("bob", 2, { name: "B" }), member("eve", 5)])).roster;
    const changes = compareRosters(whole, after);
    assert.deepEqual(changes.joined.map((m) => m.identity), ["eve"]);
    assert.deepEqual(changes.left.map((m) => m.identity), ["ada"]);
    assert.deepEqual(changes.changed.map((c) => [c.before.name, c.after.name]), [[undefined, "B"]]);
  });
  test("a snapshot that says the same again changes nothing", () => {
    const again = takeSnapshot(whole, snapshot(4, [member("me", 3), member("bob", 2), member("ada", 1)])).roster;
    assert.deepEqual(compareRosters(whole, again), { joined: [], left: [], changed: [] });
  });
});

describe("stream map", () => {
  const stream = (mid: string, participant: string, timestamp = 10, more: Partial<Stream> = {}): Stream => ({
    mid, participant, source: "camera", csrc: 1, timestamp, ...more,
  });
  test("an older or equal revision is ignored", () => {
    const first = takeStreams(emptyStreamMap, { action: "streams", v, revision: 3, streams: [stream("5", "ada")] });
    assert.equal(takeStreams(first, { action: "streams", v, revision: 3, streams: [] }), first);
    assert.equal(takeStreams(first, { action: "streams", v, revision: 2, streams: [] }), first);
    assert.equal(takeStreams(first, { action: "streams", v, revision: 4, streams: [] }).byMid.size, 0);
  });
  test("RTP timestamps are compared over the wrap", () => {
    assert.ok(isReached(100, 100));
    assert.ok(isReached(101, 100));
    assert.ok(!isReached(99, 100));
    assert.ok(isReached(5, 0xffff_fff0));
    assert.ok(!isReached(0xffff_fff0, 5));
    assert.ok(isReached(0xffff_ffff, 0xffff_fff0));
  });
});

describe("what oneself said of oneself", () => {
  const said = (d: Description) => {
    let told: [number, string] | undefined;
    d.tell({ send: (m) => { told = [m.revision, m.metadata]; } });
    return told;
  };
  test("is said again on a new connection, unless somebody else has said otherwise since everybody knew", () => {
    const d = new Description();
    d.see("from the token");
    assert.equal(said(d), undefined);
    d.say("mine");
    d.see("from the token"); // the roster is not yet that far
    assert.deepEqual(said(d), [1, "mine"]);
    d.see("mine");
    assert.deepEqual(said(d), [1, "mine"]);
    d.see("theirs");
    assert.equal(said(d), undefined);
    d.say("mine again");
    assert.deepEqual(said(d), [2, "mine again"]);
  });
});
