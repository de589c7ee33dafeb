import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Code, ToClient } from "../src/events.js";
import {
  askMs, askWhileWaitingMs, connectMs, dialMs, maxUnanswered, settleMs, step, type Effect, type Input, type State, type World,
} from "../src/session.js";

const v = 1 as const;
const answer = (node = "n-1"): ToClient => ({
  action: "answer", v, id: "1", session: "s-1234567", revision: 1, room: "lounge", identity: "ada", role: "publisher", node, answer: "x",
});
const waiting = (estimateMs = 20_000): ToClient => ({ action: "waiting", v, id: "1", sinceMs: 1, estimateMs, stage: "booting" });
const ready: ToClient = { action: "ready", v, id: "1" };
const error = (code: Code, retryAfterMs = 0): ToClient => ({ action: "error", v, id: "1", code, text: "because", retryAfterMs });

/** Runs inputs one after the other, at given times. */
class Run {
  state: State = { name: "idle" };
  effects: readonly Effect[] = [];
  now = 0;

  feed(input: Input, world: Partial<World> = {}): this {
    const next = step(this.state, input, { now: this.now, random: 0.5, crowd: 1, ahead: 0, ...world });
    this.state = next.state;
    this.effects = next.effects;
    return this;
  }

  after(ms: number): this {
    this.now += ms;
    return this;
  }

  told(message: ToClient): this {
    return this.feed({ type: "told", dial: this.dial, message });
  }

  get dial(): number {
    return "attempt" in this.state ? this.state.attempt.dial : 0;
  }

  get generation(): number {
    if ("attempt" in this.state) return this.state.attempt.generation;
    return this.state.name === "joined" ? this.state.seat.generation : 0;
  }

  get deeds(): string[] {
    return this.effects.map((e) => e.do);
  }

  /** How it ended, if it did. */
  get end(): string | undefined {
    if (this.state.name === "error") return this.state.code;
    return this.state.name === "closed" ? this.state.reason : undefined;
  }

  alarm(): number | undefined {
    return this.effects.find((e) => e.do === "alarm")?.afterMs;
  }
}

const dialling = () => new Run().feed({ type: "connect" });
const asking = () => { const r = dialling(); return r.feed({ type: "opened", dial: r.dial }); };
const connecting = () => asking().told(answer());
const joined = () => {
  const r = connecting();
  r.feed({ type: "reached", generation: r.generation });
  return r.feed({ type: "admitted", generation: r.generation });
};

describe("a first join", () => {
  test("idle→connect→joining", () => {
    const r = dialling();
    assert.equal(r.state.name, "joining");
    assert.deepEqual(r.effects, [{ do: "prepare", generation: 1 }, { do: "dial", dial: 1 }, { do: "alarm", afterMs: dialMs }]);
  });
  test("joining→opened→asks", () => {
    const r = asking();
    assert.deepEqual(r.effects, [{ do: "ask", dial: 1, generation: 1, avoid: [] }, { do: "alarm", afterMs: askMs }]);
  });
  test("joining→answer→accepts, and stays joining until the roster is there", () => {
    const r = connecting();
    assert.equal(r.state.name, "joining");
    assert.deepEqual(r.deeds, ["accept", "alarm"]);
    assert.equal(r.alarm(), connectMs);
  });
  test("joining→reached→the socket is closed", () => {
    const r = connecting();
    r.feed({ type: "reached", generation: r.generation });
    assert.deepEqual(r.deeds, ["hangUp"]);
    assert.equal(r.state.name, "joining");
  });
  test("joining→admitted→joined", () => {
    const r = joined();
    assert.deepEqual(r.state, {
      name: "joined", last: { generation: 1, dial: 1 }, seat: { generation: 1, node: "n-1", room: "lounge", identity: "ada", role: "publisher" },
    });
    assert.deepEqual(r.deeds, ["silence"]);
  });
  test("a join without an answer is repeated with the same session", () => {
    const r = asking().after(askMs).feed({ type: "alarm" });
    assert.deepEqual(r.effects[0], { do: "ask", dial: 1, generation: 1, avoid: [] });
    assert.equal(r.generation, 1);
  });
  test("a socket on which nothing is answered is given up, the session is not", () => {
    const r = asking();
    for (let i = 0; i < maxUnanswered; i++) r.after(askMs).feed({ type: "alarm" });
    assert.deepEqual(r.deeds, ["hangUp", "alarm"]);
    r.after(1_000).feed({ type: "alarm" });
    assert.deepEqual(r.effects[0], { do: "dial", dial: 2 });
    assert.equal(r.generation, 1);
  });
  test("a second answer to a repeated join changes nothing", () => {
    const r = connecting();
    assert.deepEqual(r.told(answer("n-2")).effects, []);
  });
  test("a node that does not connect is avoided with a new session", () => {
    const r = connecting().after(connectMs).feed({ type: "alarm" });
    assert.equal(r.state.name, "joining");
    r.feed({ type: "alarm" });
    assert.deepEqual(r.effects, [
      { do: "discard", generation: 1 }, { do: "prepare", generation: 2 }, { do: "ask", dial: 1, generation: 2, avoid: ["n-1"] },
      { do: "alarm", afterMs: askMs },
    ]);
  });
  test("the socket going after the answer does no harm", () => {
    const r = connecting();
    assert.deepEqual(r.feed({ type: "hungUp", dial: 1, code: "network" }).effects, []);
    r.feed({ type: "reached", generation: 1 }).feed({ type: "admitted", generation: 1 });
    assert.equal(r.state.name, "joined");
  });
  test("a peer connection that cannot be made is an error", () => {
    const r = dialling().feed({ type: "lost", generation: 1, code: "unsupported", text: "no WebRTC" });
    assert.deepEqual(r.state, { name: "error", code: "unsupported", text: "no WebRTC", last: { generation: 1, dial: 1 } });
  });
  test("an unreachable gateway is tried for a while, then is an error", () => {
    const r = dialling();
    for (let i = 0; i < 30 && !r.end; i++) {
      r.after(500).feed({ type: "hungUp", dial: r.dial, code: "network" });
      r.after(r.alarm() ?? 0).feed({ type: "alarm" });
    }
    assert.equal(r.end, "network");
    assert.ok(r.now > 15_000 && r.now < 40_000, `gave up after ${r.now} ms`);
  });
  test("one refused handshake may be the gateway's throttle, two are the token's fault", () => {
    const r = dialling().feed({ type: "hungUp", dial: 1, code: "token_bad_signature" });
    assert.equal(r.state.name, "joining");
    r.after(1_000).feed({ type: "alarm" }).feed({ type: "hungUp", dial: 2, code: "token_bad_signature" });
    assert.equal(r.end, "token_bad_signature");
  });
});

describe("errors while joining", () => {
  for (const code of ["token_expired", "room_full", "bad_offer", "token_wrong_room"] as const) {
    test(`joining→${code}→error`, () => {
      const r = asking().told(error(code));
      assert.deepEqual(r.state, { name: "error", code, text: "because", last: { generation: 1, dial: 1 } });
      assert.deepEqual(r.deeds, ["hangUp", "discard", "silence"]);
    });
  }
  for (const code of ["replaced", "removed", "room_ended"] as const) {
    test(`joining→${code}→closed`, () => {
      const r = asking().told(error(code));
      assert.equal(r.end, code);
    });
  }
  test("joining→busy→asks again over the same socket, when it was told to", () => {
    const r = asking().told(error("busy", 2_000));
    assert.equal(r.state.name, "joining");
    assert.ok((r.alarm() ?? 0) >= 2_000);
    r.after(2_500).feed({ type: "alarm" });
    assert.deepEqual(r.effects[0], { do: "ask", dial: 1, generation: 1, avoid: [] });
  });
  test("no capacity for long is an error", () => {
    const r = asking();
    for (let i = 0; i < 100 && !r.end; i++) {
      r.told(error("no_capacity"));
      r.after(r.alarm() ?? 0).feed({ type: "alarm" });
    }
    assert.equal(r.end, "no_capacity");
  });
});

describe("waiting", () => {
  test("joining→waiting→waiting, with what was told", () => {
    const r = asking().after(70).told(waiting(25_000));
    assert.deepEqual(r.state.name === "waiting" && r.state.wait, { sinceMs: 1, estimateMs: 25_000, stage: "booting", toldAt: 70 });
    assert.equal(r.alarm(), askWhileWaitingMs);
  });
  test("a changed estimate is a changed state", () => {
    const r = asking().told(waiting(25_000)).told(waiting(4_000));
    assert.equal(r.state.name === "waiting" && r.state.wait.estimateMs, 4_000);
  });
  test("waiting→ready→asks with the same session, and is joining once answered", () => {
    const r = asking().told(waiting()).told(ready);
    assert.equal(r.state.name, "waiting");
    assert.deepEqual(r.effects[0], { do: "ask", dial: 1, generation: 1, avoid: [] });
    assert.equal(r.told(answer()).state.name, "joining");
  });
  test("waiting→alarm→asks again, in case the ready was lost", () => {
    const r = asking().told(waiting()).after(askWhileWaitingMs).feed({ type: "alarm" });
    assert.equal(r.state.name, "waiting");
    assert.deepEqual(r.deeds, ["ask", "alarm"]);
  });
  test("somebody who is told nothing but estimates waits for as long as it takes", () => {
    const r = asking();
    for (let i = 0; i < 100; i++) r.told(waiting()).after(askWhileWaitingMs).feed({ type: "alarm" });
    assert.equal(r.state.name, "waiting");
  });
  test("a socket lost while waiting is dialled again with the same session", () => {
    const r = asking().told(waiting()).feed({ type: "hungUp", dial: 1, code: "network" });
    assert.equal(r.state.name, "waiting");
    r.after(1_000).feed({ type: "alarm" });
    assert.deepEqual(r.effects[0], { do: "dial", dial: 2 });
    assert.equal(r.generation, 1);
  });
});

describe("reconnecting", () => {
  const lost = (generation: number): Input => ({ type: "lost", generation, code: "node_unreachable", text: "silent" });
  test("joined→lost→reconnecting, the old connection discarded first", () => {
    const r = joined().feed(lost(1));
    assert.equal(r.state.name, "reconnecting");
    assert.deepEqual(r.deeds, ["prepare", "discard", "alarm"]);
    assert.ok((r.alarm() ?? 1e9) < 50, "somebody alone comes back at once");
  });
  test("reconnecting→alarm→over a new socket", () => {
    const r = joined().feed(lost(1)).feed({ type: "alarm" });
    assert.deepEqual(r.effects, [{ do: "dial", dial: 2 }, { do: "alarm", afterMs: dialMs }]);
    assert.equal(r.generation, 2);
  });
  test("reconnecting→admitted→joined", () => {
    const r = joined().feed(lost(1)).feed({ type: "alarm" }).feed({ type: "opened", dial: 2 }).told(answer("n-2"));
    assert.deepEqual([r.state.name, r.deeds], ["reconnecting", ["accept", "alarm"]]);
    r.feed({ type: "reached", generation: 2 }).feed({ type: "admitted", generation: 2 });
    assert.equal(r.state.name === "joined" && r.state.seat.node, "n-2");
  });
  test("reconnecting stays reconnecting while a node is started", () => {
    const r = joined().feed(lost(1)).feed({ type: "alarm" }).feed({ type: "opened", dial: 2 }).told(waiting());
    assert.equal(r.state.name === "reconnecting" && r.state.attempt.wait?.estimateMs, 20_000);
  });
  test("a node that says it goes is avoided at once", () => {
    const r = joined().feed({ type: "closing", generation: 1, code: "node_gone", text: "" }).feed({ type: "alarm" });
    r.feed({ type: "opened", dial: 2 });
    assert.deepEqual(r.effects[0], { do: "ask", dial: 2, generation: 2, avoid: ["n-1"] });
  });
  test("a node that was lost is avoided after two unanswered joins", () => {
    const r = joined().feed(lost(1)).feed({ type: "alarm" }).feed({ type: "opened", dial: 2 });
    assert.deepEqual(r.effects[0], { do: "ask", dial: 2, generation: 2, avoid: [] });
    r.after(askMs).feed({ type: "alarm" });
    assert.deepEqual(r.effects[0], { do: "ask", dial: 2, generation: 2, avoid: [] });
    r.after(askMs).feed({ type: "alarm" });
    assert.deepEqual(r.effects[0], { do: "ask", dial: 2, generation: 2, avoid: ["n-1"] });
  });
  for (const code of ["replaced", "removed", "room_ended"] as const) {
    test(`joined→closing ${code}→closed, for good`, () => {
      const r = joined().feed({ type: "closing", generation: 1, code, text: "" });
      assert.equal(r.end, code);
      assert.ok(!r.deeds.includes("alarm"));
    });
  }
  test("reconnecting→token_expired→error", () => {
    const r = joined().feed(lost(1)).feed({ type: "alarm" }).feed({ type: "opened", dial: 2 }).told(error("token_expired"));
    assert.equal(r.end, "token_expired");
  });
  test("a crowd is spread over people ÷ 400 seconds, the stage first", () => {
    const alone = joined().feed(lost(1), { crowd: 1, ahead: 0 }).alarm() ?? 0;
    const crowd = joined().feed(lost(1), { crowd: 800, ahead: 0, random: 0.999 }).alarm() ?? 0;
    const behind = joined().feed(lost(1), { crowd: 800, ahead: 400, random: 0 }).alarm() ?? 0;
    assert.ok(alone < 10, `alone: ${alone}`);
    assert.ok(crowd > 1_990 && crowd <= 2_000, `crowd: ${crowd}`);
    assert.equal(behind, 1_000);
  });
});

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
  test("numbers are not used again after an attempt was given up", () => {
    const r = suspected().feed({ type: "recovered", ...old }).feed({ type: "suspect", ...old });
    assert.equal(r.generation, 3);
  });
  test("once the new connection stands, the old one has lost", () => {
    const r = admittedAgain(suspected());
    assert.deepEqual([r.state.name, r.alarm()], ["reconnecting", settleMs]);
    assert.equal(r.feed({ type: "recovered", ...old }).state.name, "reconnecting");
    r.feed({ type: "settled", generation: 2 });
    assert.equal(r.state.name === "joined" && r.state.seat.node, "n-2");
    assert.deepEqual(r.effects, [{ do: "goodbye", generation: 1 }, { do: "discard", generation: 1 }, { do: "silence" }]);
  });
  test("what does not come over in time is not waited for", () => {
    const r = admittedAgain(suspected()).after(settleMs).feed({ type: "alarm" });
    assert.equal(r.state.name === "joined" && r.state.seat.generation, 2);
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
    assert.equal(r.state.name === "joined" && r.state.seat.node, "n-2");
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

describe("what is out of date changes nothing", () => {
  const states: [string, () => Run][] = [
    ["dialling", dialling], ["asking", asking], ["waiting", () => asking().told(waiting())], ["connecting", connecting], ["joined", joined],
    ["reconnecting", () => joined().feed({ type: "lost", generation: 1, code: "network", text: "" }).feed({ type: "alarm" })],
  ];
  const stale: Input[] = [
    { type: "opened", dial: 99 }, { type: "hungUp", dial: 99, code: "network" }, { type: "told", dial: 99, message: answer() },
    { type: "reached", generation: 99 }, { type: "admitted", generation: 99 }, { type: "connect" },
    { type: "lost", generation: 99, code: "network", text: "" }, { type: "closing", generation: 99, code: "replaced", text: "" },
  ];
  for (const [name, make] of states) {
    for (const input of stale) {
      test(`${name}→${input.type} of another life`, () => {
        const r = make();
        const before = r.state;
        r.feed(input);
        assert.equal(r.state, before);
        assert.deepEqual(r.effects, []);
      });
    }
  }
  test("an answer that was asked for before the connection failed is not taken", () => {
    const r = asking().feed({ type: "lost", generation: 1, code: "node_unreachable", text: "" });
    const before = r.state;
    assert.equal(r.told(answer()).state, before);
  });
  test("idle and closed rooms ignore everything but connect", () => {
    for (const state of [new Run(), joined().feed({ type: "disconnect" })]) {
      for (const input of [...stale.filter((i) => i.type !== "connect"), { type: "disconnect" } as const, { type: "alarm" } as const]) {
        const before = state.state;
        assert.equal(state.feed(input).state, before);
      }
    }
  });
});

describe("leaving", () => {
  test("joined→disconnect→closed, with a goodbye to the node", () => {
    const r = joined().feed({ type: "disconnect" });
    assert.equal(r.end, "left");
    assert.deepEqual(r.deeds, ["goodbye", "discard", "silence"]);
  });
  test("waiting→disconnect→closed, with a leave to the gateway", () => {
    const r = asking().told(waiting()).feed({ type: "disconnect" });
    assert.equal(r.state.name, "closed");
    assert.deepEqual(r.deeds, ["leave", "hangUp", "discard", "silence"]);
  });
  test("closed→connect→joining, with numbers that were never used", () => {
    const r = joined().feed({ type: "disconnect" }).feed({ type: "connect" });
    assert.deepEqual([r.generation, r.dial], [2, 2]);
  });
  test("error→connect→joining", () => {
    const r = asking().told(error("room_full")).feed({ type: "connect" });
    assert.equal(r.state.name, "joining");
    assert.equal(r.generation, 2);
  });
});
