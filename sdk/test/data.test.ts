import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DataBudget, dataMessage, decode } from "../src/data.js";
import { SpillwayError } from "../src/errors.js";
import { DataBurst, DataBytes, DataPerSecond, MaxData } from "../src/events.js";
import { Requests } from "../src/requests.js";

const code = (want: string) => (error: unknown) => error instanceof SpillwayError && error.code === want;

describe("data", () => {
  test("any bytes come back as they were", () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    assert.deepEqual(decode(dataMessage(bytes, {}).payload), bytes);
    assert.deepEqual(decode(dataMessage(new Uint8Array(), {}).payload), new Uint8Array());
  });
  test("nothing is said of what is left out", () => {
    assert.deepEqual(Object.keys(dataMessage(Uint8Array.of(1), { topic: "", destinationIdentities: [] })), ["action", "v", "payload"]);
    const message = dataMessage(Uint8Array.of(1), { topic: "chat", destinationIdentities: ["bob"] });
    assert.deepEqual([message.topic, message.to], ["chat", ["bob"]]);
  });
  test("what the node would not take is refused at once", () => {
    assert.throws(() => dataMessage(new Uint8Array(MaxData + 1), {}), code("too_large"));
    assert.throws(() => dataMessage(Uint8Array.of(1), { topic: "ä".repeat(33) }), code("bad_field"));
    assert.throws(() => dataMessage(Uint8Array.of(1), { destinationIdentities: Array.from({ length: 101 }, String) }), code("bad_field"));
  });
  test("the budget is that of the node", () => {
    const budget = new DataBudget();
    for (let i = 0; i < DataPerSecond * DataBurst; i++) assert.ok(budget.spend(1, 5_000), String(i));
    assert.ok(!budget.spend(1, 5_000));
    assert.ok(budget.spend(1, 5_000 + 1001 / DataPerSecond));
    assert.ok(!budget.spend(DataBytes * DataBurst + 1, 60_000));
    assert.ok(budget.spend(DataBytes * DataBurst, 60_000));
    assert.ok(!budget.spend(1, 60_000));
  });
});

describe("requests", () => {
  test("an answer settles what it names, and nothing else", async () => {
    const requests = new Requests();
    const ids: string[] = [];
    const ask = () => requests.ask((id) => ids.push(id) > 0);
    const [first, second] = [ask(), ask()];
    assert.ok(!requests.answer({ action: "moderated", v: 1, id: "another" }));
    assert.ok(requests.answer({ action: "error", v: 1, id: ids[0] ?? "", code: "stage_full", text: "full" }));
    assert.ok(requests.answer({ action: "moderated", v: 1, id: ids[1] ?? "", moving: true }));
    await assert.rejects(first, code("stage_full"));
    assert.equal((await second).moving, true);
    assert.ok(!requests.answer({ action: "moderated", v: 1, id: ids[1] ?? "" }), "answered twice");
  });
  test("without a connection, or when the room is left, there is no waiting", async () => {
    const requests = new Requests();
    await assert.rejects(requests.ask(() => false), code("bad_state"));
    const open = requests.ask(() => true);
    requests.clear();
    await assert.rejects(open, code("aborted"));
  });
});
