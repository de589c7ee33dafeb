import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { askMs, askWhileWaitingMs, connectMs, dialMs, maxUnanswered, type Input } from "../src/session.js";
import { answer, asking, connecting, dialling, error, joined, ready, Run, waiting } from "./session-run.js";

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

describe("a machine that slept, and a network that comes back", () => {
  const lost = () => {
    const r = joined();
    return r.feed({ type: "lost", generation: r.generation, code: "node_unreachable", text: "" });
  };
  /** Without a network, so many times. */
  const tried = (times: number) => {
    const r = lost();
    for (let i = 0; i < times; i++) {
      r.feed({ type: "alarm" });
      r.feed({ type: "hungUp", dial: r.dial, code: "network" });
    }
    return r;
  };

  test("time asleep is no time in which it was tried", () => {
    const asleep = tried(2).after(600_000);
    asleep.feed({ type: "alarm", lateMs: 599_000 });
    asleep.feed({ type: "hungUp", dial: asleep.dial, code: "network" });
    assert.equal(asleep.state.name, "reconnecting", "the network of a machine that wakes comes a moment later");
    const awake = tried(2).after(600_000);
    awake.feed({ type: "alarm" });
    awake.feed({ type: "hungUp", dial: awake.dial, code: "network" });
    assert.equal(awake.end, "network");
  });
  test("what waits after failures tries at once when there is a network", () => {
    const r = tried(4);
    assert.deepEqual(r.deeds, ["alarm"]);
    const { dial } = r;
    assert.deepEqual([r.feed({ type: "online" }).deeds, r.dial], [["dial", "alarm"], dial + 1]);
    assert.deepEqual(r.feed({ type: "online" }).deeds, [], "but not twice");
  });
  test("the first return of a crowd stays spread, and who is in the room or waits for a node is left alone", () => {
    assert.deepEqual(lost().feed({ type: "online" }).deeds, []);
    assert.deepEqual(joined().feed({ type: "online" }).deeds, []);
    assert.deepEqual(asking().told(waiting()).feed({ type: "online" }).deeds, []);
  });
});
