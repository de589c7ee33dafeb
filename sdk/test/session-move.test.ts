import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { connectAgainMs, lingerMs, settleMs, settleSilentMs } from "../src/session.js";
import { answer, error, joined, type Run } from "./session-run.js";

describe("make before break", () => {
  const old = { generation: 1 } as const;
  const suspected = () => joined().feed({ type: "suspect", ...old });
  const answeredAgain = (r: Run) => r.feed({ type: "alarm" }).feed({ type: "opened", dial: 2 }).told(answer("n-2"));
  const admittedAgain = (r: Run) => answeredAgain(r).feed({ type: "reached", generation: 2 }).feed({ type: "admitted", generation: 2 });
  const kept = (r: Run) => ("kept" in r.state ? r.state.kept?.generation : undefined);
  const moved = () => joined().feed({ type: "move", ...old });

  test("joined→suspect→reconnecting, the old connection kept and its node avoided", () => {
    const r = suspected();
    assert.deepEqual([r.state.name, kept(r), r.deeds], ["reconnecting", 1, ["prepare", "alarm"]]);
    r.feed({ type: "alarm" }).feed({ type: "opened", dial: 2 });
    assert.deepEqual(r.effects[0], { do: "ask", dial: 2, generation: 2, avoid: ["n-1"] });
  });
  test("an old connection that recovers before anything was asked wins", () => {
    const r = suspected().feed({ type: "recovered", ...old });
    assert.equal(r.state.name === "joined" && r.state.seat.generation, 1);
    assert.deepEqual(r.deeds, ["hangUp", "discard", "silence"]);
  });
  test("one that recovers after the answer wins, too, and the new seat is given back", () => {
    const r = answeredAgain(suspected()).feed({ type: "recovered", ...old });
    assert.equal(r.state.name === "joined" && r.state.seat.node, "n-1");
    assert.deepEqual(r.deeds, ["goodbye", "leave", "hangUp", "discard", "silence"]);
  });
  test("a seat on the same node is both sessions' own: it is not given back", () => {
    const r = suspected().feed({ type: "alarm" }).feed({ type: "opened", dial: 2 }).told(answer("n-1")).feed({ type: "recovered", ...old });
    assert.equal(r.state.name === "joined" && r.state.seat.generation, 1);
    assert.deepEqual(r.deeds, ["goodbye", "hangUp", "discard", "silence"]);
  });
  const inVainOnTheSameNode = () => suspected().feed({ type: "alarm" }).feed({ type: "opened", dial: 2 }).told(answer("n-1"))
    .after(connectAgainMs).feed({ type: "alarm" });
  test("a session that came to nothing on the same node had the seat of both: it is not given back", () => {
    const r = inVainOnTheSameNode().feed({ type: "recovered", ...old });
    assert.equal(r.state.name === "joined" && r.state.seat.generation, 1);
    assert.deepEqual(r.deeds, ["hangUp", "discard", "silence"]);
  });
  test("once another seat was asked for after that, the old connection is only kept until it stands", () => {
    const r = inVainOnTheSameNode().feed({ type: "alarm" });
    if ("attempt" in r.state && r.state.attempt.phase === "dialling") r.feed({ type: "opened", dial: r.state.attempt.dial });
    r.feed({ type: "recovered", ...old });
    assert.deepEqual([r.state.name, kept(r), "attempt" in r.state && r.state.attempt.avoid], ["reconnecting", 1, []]);
    r.told(answer("n-2"));
    const generation = "attempt" in r.state ? r.state.attempt.generation : 0;
    r.feed({ type: "reached", generation }).feed({ type: "admitted", generation }).after(settleSilentMs).feed({ type: "alarm" });
    assert.equal(r.state.name === "joined" && r.state.seat.node, "n-2");
  });
  test("numbers are not used again after an attempt was given up", () => {
    const r = suspected().feed({ type: "recovered", ...old }).feed({ type: "suspect", ...old });
    assert.equal(r.generation, 3);
  });
  test("once the new connection stands, the old one has lost", () => {
    const r = admittedAgain(suspected());
    assert.deepEqual([r.state.name, r.alarm()], ["reconnecting", settleSilentMs]);
    assert.equal(r.feed({ type: "recovered", ...old }).state.name, "reconnecting");
    r.feed({ type: "settled", generation: 2 });
    assert.equal(r.state.name === "joined" && r.state.seat.node, "n-2");
    assert.deepEqual(r.effects, [{ do: "goodbye", generation: 1 }, { do: "discard", generation: 1 }, { do: "silence" }]);
  });
  test("what does not come over in time is not waited for", () => {
    const r = admittedAgain(suspected()).after(settleSilentMs).feed({ type: "alarm" });
    assert.equal(r.state.name === "joined" && r.state.seat.generation, 2);
  });
  test("a new home that answers and cannot be reached is given up soon", () => {
    const r = answeredAgain(moved());
    assert.equal(r.alarm(), connectAgainMs);
    r.after(connectAgainMs).feed({ type: "alarm" });
    assert.deepEqual([r.state.name, kept(r), "attempt" in r.state && r.state.attempt.avoid], ["moving", 1, ["n-2"]]);
  });
  test("beside a home that is well, others have longer to come after", () => {
    const r = admittedAgain(moved());
    assert.equal(r.alarm(), settleMs);
    r.feed({ type: "suspect", ...old });
    assert.deepEqual([r.state.name, r.alarm()], ["reconnecting", settleSilentMs]);
  });
  test("a new home that falls silent before it has everything is avoided, and the old one kept", () => {
    const r = admittedAgain(moved()).feed({ type: "suspect", generation: 2 });
    assert.deepEqual([r.state.name, kept(r), "attempt" in r.state && r.state.attempt.avoid], ["moving", 1, ["n-2"]]);
    r.feed({ type: "alarm" });
    assert.deepEqual([r.generation, r.deeds], [3, ["discard", "prepare", "dial", "alarm"]]);
  });
  test("an old connection that fails leaves the attempt as it is", () => {
    const r = suspected().feed({ type: "lost", ...old, code: "node_unreachable", text: "" });
    assert.deepEqual([r.state.name, kept(r), r.deeds], ["reconnecting", undefined, ["discard"]]);
    assert.equal(r.generation, 2);
  });
  test("that the new session replaces the old one is no end, removal is", () => {
    const r = answeredAgain(suspected()).feed({ type: "closing", ...old, code: "replaced", text: "" });
    assert.equal(r.state.name, "reconnecting");
    const out = answeredAgain(suspected()).feed({ type: "closing", ...old, code: "removed", text: "" });
    assert.equal(out.end, "removed");
    assert.ok(out.deeds.includes("discard"));
  });
  test("joined→move→moving→settled→joined", () => {
    const r = moved();
    assert.deepEqual([r.state.name, kept(r), r.deeds], ["moving", 1, ["prepare", "alarm"]]);
    assert.equal(kept(admittedAgain(r)), 1);
    r.feed({ type: "settled", generation: 2 });
    assert.deepEqual([r.state.name, kept(r), r.deeds, r.alarm()], ["moving", 1, ["alarm"], lingerMs], "others may still need what goes to the old home");
    assert.deepEqual(r.feed({ type: "settled", generation: 2 }).deeds, [], "said again, it does not take longer");
    r.after(lingerMs).feed({ type: "alarm" });
    assert.equal(r.state.name === "joined" && r.state.seat.node, "n-2");
    assert.deepEqual(r.effects, [{ do: "goodbye", generation: 1 }, { do: "discard", generation: 1 }, { do: "silence" }]);
  });
  test("an old home that ends or falls silent while it is of use to others only is left at once", () => {
    for (const input of [{ type: "suspect", ...old }, { type: "closing", ...old, code: "replaced", text: "" }, { type: "lost", ...old, code: "node_unreachable", text: "" }] as const) {
      const r = admittedAgain(moved()).feed({ type: "settled", generation: 2 }).feed(input);
      assert.deepEqual([r.state.name === "joined" && r.state.seat.node, r.deeds], ["n-2", ["goodbye", "discard", "silence"]], input.type);
    }
  });
  test("a new home that fails while the old one is kept for others gives way to it", () => {
    const r = admittedAgain(moved()).feed({ type: "settled", generation: 2 }).feed({ type: "suspect", generation: 2 });
    assert.deepEqual([r.state.name, kept(r)], ["moving", 1]);
    r.after(lingerMs).feed({ type: "alarm" });
    assert.equal(kept(r), 1, "it asks for another home rather than take the one that failed");
  });
  test("a move that comes to nothing leaves everything as it was", () => {
    const r = moved().feed({ type: "alarm" }).feed({ type: "opened", dial: 2 }).told(error("room_full"));
    assert.equal(r.state.name === "joined" && r.state.seat.node, "n-1");
    assert.deepEqual(r.deeds, ["leave", "hangUp", "discard", "silence"]);
  });
  test("a move while another session has taken over ends this one", () => {
    const r = moved().feed({ type: "alarm" }).feed({ type: "opened", dial: 2 }).told(error("replaced"));
    assert.equal(r.end, "replaced");
    assert.ok(r.effects.some((e) => e.do === "discard" && e.generation === 1));
  });
  test("a node that dies during a move is seen to be dead", () => {
    const r = moved().feed({ type: "suspect", ...old });
    assert.deepEqual([r.state.name, kept(r), r.generation], ["reconnecting", 1, 2]);
    assert.equal(r.feed({ type: "recovered", ...old }).state.name, "joined");
  });
  test("a new home that fails before it stands is avoided, and the old one kept", () => {
    const r = answeredAgain(moved()).feed({ type: "lost", generation: 2, code: "node_unreachable", text: "" });
    assert.deepEqual([r.state.name, kept(r)], ["moving", 1]);
    r.after(1_000).feed({ type: "alarm" });
    assert.deepEqual(r.effects[2], { do: "ask", dial: 2, generation: 3, avoid: ["n-2"] });
  });
  test("leaving in the middle says goodbye on both", () => {
    const r = answeredAgain(moved()).feed({ type: "disconnect" });
    assert.equal(r.end, "left");
    assert.deepEqual(r.effects.filter((e) => e.do === "goodbye").map((e) => e.generation), [1, 2]);
    assert.deepEqual(r.effects.filter((e) => e.do === "discard").map((e) => e.generation), [1, 2]);
  });
});
