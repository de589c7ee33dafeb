import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { renewAfterMs, renewAgainMs, renewal, Tickets } from "../src/resume.js";

/** Lets everything run that waits for nothing but its turn. */
const settle = async () => { for (let i = 0; i < 10; i++) await Promise.resolve(); };

describe("resume tickets", () => {
  beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
  afterEach(() => mock.timers.reset());
  const none = () => Promise.reject(new Error("not asked for"));

  test("the newest living session's ticket is shown", () => {
    const t = new Tickets(none);
    assert.equal(t.latest, undefined);
    t.hold(1, "first");
    t.hold(2, "second");
    assert.equal(t.latest, "second");
  });
  test("a session that came to nothing leaves the earlier one's", () => {
    const t = new Tickets(none);
    t.hold(1, "first");
    t.hold(2, "second");
    t.drop(2);
    assert.equal(t.latest, "first");
  });
  test("when all are over, that of the last is shown until something else begins", () => {
    const t = new Tickets(none);
    t.hold(1, "first");
    t.drop(1);
    assert.equal(t.latest, "first");
    t.hold(3, "third");
    t.drop(2); // never had one
    t.drop(3);
    assert.equal(t.latest, "third");
    t.clear();
    assert.equal(t.latest, undefined);
  });
  test("tickets are renewed after half their time, again and again, and not once their session is over", async () => {
    const asked: [number, string][] = [];
    const t = new Tickets((generation, ticket) => {
      asked.push([generation, ticket]);
      return Promise.resolve(`after ${ticket}`);
    });
    t.hold(1, "first");
    mock.timers.tick(renewAfterMs - 1);
    assert.deepEqual(asked, []);
    mock.timers.tick(1);
    await settle();
    assert.equal(t.latest, "after first");
    mock.timers.tick(renewAfterMs);
    await settle();
    assert.deepEqual(asked, [[1, "first"], [1, "after first"]]);
    t.drop(1);
    mock.timers.tick(2 * renewAfterMs);
    assert.equal(asked.length, 2);
  });
  test("a renewal that fails is tried again soon, with what there is", async () => {
    let answers = 0;
    const t = new Tickets(() => (answers++ < 2 ? Promise.reject(new Error("offline")) : Promise.resolve("next")));
    t.hold(1, "first");
    mock.timers.tick(renewAfterMs);
    for (let i = 0; i < 2; i++) {
      await settle();
      assert.equal(t.latest, "first");
      mock.timers.tick(renewAgainMs);
    }
    await settle();
    assert.equal(t.latest, "next");
    assert.equal(answers, 3);
  });
  test("a session that got another ticket in the meantime keeps it", async () => {
    let answer: (ticket: string) => void = () => undefined;
    const t = new Tickets(() => new Promise((resolve) => { answer = resolve; }));
    t.hold(1, "first");
    mock.timers.tick(renewAfterMs);
    t.hold(1, "answered again");
    answer("renewed");
    await settle();
    assert.equal(t.latest, "answered again");
  });
});

/** A socket that does what the test says. */
class Socket extends EventTarget {
  static readonly OPEN = 1;
  static readonly all: Socket[] = [];
  readonly sent: { action: string; id: string; session: string }[] = [];
  readyState = 1;
  constructor(readonly url: URL) {
    super();
    Socket.all.push(this);
  }
  send(text: string) { this.sent.push(JSON.parse(text) as Socket["sent"][number]); }
  close() { this.readyState = 3; }
  says(message: object) { this.dispatchEvent(Object.assign(new Event("message"), { data: JSON.stringify({ v: 1, ...message }) })); }
}

describe("the socket", () => {
  const native = globalThis.WebSocket;
  beforeEach(() => {
    Socket.all.length = 0;
    globalThis.WebSocket = Socket as unknown as typeof WebSocket;
  });
  afterEach(() => { globalThis.WebSocket = native; });
  const only = (): Socket => Socket.all[0] ?? assert.fail("no socket was opened");

  test("a renewal shows token and ticket, asks, and closes", async () => {
    const got = renewal("wss://gateway/live", "the-token", "the-ticket", "session-1");
    const s = only();
    assert.equal(s.url.searchParams.get("access_token"), "the-token");
    assert.equal(s.url.searchParams.get("resume"), "the-ticket");
    s.dispatchEvent(new Event("open"));
    assert.deepEqual(s.sent, [{ action: "renew", v: 1, id: "renew", session: "session-1" }]);
    s.says({ action: "resume", id: "renew", session: "session-1", resume: "next" });
    assert.equal(await got, "next");
    assert.equal(s.readyState, 3);
  });
  test("a renewal that is refused says why", async () => {
    const got = renewal("wss://gateway/live", "the-token", "the-ticket", "session-1");
    only().dispatchEvent(new Event("open"));
    only().says({ action: "error", id: "renew", code: "not_joined", text: "no seat" });
    await assert.rejects(got, /no seat/);
    assert.equal(only().readyState, 3);
  });
});
