// A browser says that its network changed: Chromium with a gateway and a node
// within the page.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { fakeScript, serveDemo, startBrowser, untilState } from "./harness.js";

describe("another network", () => {
  let browser: Browser;
  let demo: Awaited<ReturnType<typeof serveDemo>>;
  let page: Page;
  before(async () => {
    [browser, demo] = await Promise.all([startBrowser(), serveDemo()]);
    const context = await browser.newContext();
    await context.addInitScript(await fakeScript());
    page = await context.newPage();
    await page.goto(`${demo.url}?room=lounge&name=ada&autojoin=1&capture=320x180@10`);
    await untilState(page, "joined");
  });
  after(async () => {
    await browser?.close();
    demo?.close();
  });
  const joins = () => page.evaluate(() => window.fake.joins.map(({ session, avoid }) => ({ session, avoid })));
  const pings = () => page.evaluate(() => window.fake.said.filter((m) => m.action === "ping").length);

  test("over which the node answers: nothing changes", async () => {
    const before = await pings();
    await page.evaluate(() => dispatchEvent(new Event("online")));
    await page.waitForFunction((n) => window.fake.said.filter((m) => m.action === "ping").length >= n + 6, before, { timeout: 20_000 });
    assert.equal((await joins()).length, 1);
    assert.equal(await page.evaluate(() => window.room.state), "joined");
  });

  test("over which it does not: another connection to any node, the same one too, before the old one counts as lost", async () => {
    await page.evaluate(() => {
      window.fake.kill();
      dispatchEvent(new Event("online"));
    });
    await page.waitForFunction(() => window.fake.joins.length === 2, null, { timeout: 20_000 });
    const [first, second] = await joins();
    assert.ok(first && second);
    assert.notEqual(second.session, first.session);
    assert.equal(second.avoid, undefined, "a node that is well is avoided");
    await page.waitForFunction(() => window.room.state === "joined" && window.room.node === "n-fake-2", null, { timeout: 30_000 });
    assert.equal(await page.evaluate(() => window.room.localParticipant.isCameraEnabled), true);
  });
});
