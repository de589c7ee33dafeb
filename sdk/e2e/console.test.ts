// The fleet console in Chromium against made-up answers of the HTTP API: how it
// looks with no node, a few and two hundred, and what it says when things fail.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import type { FleetNode, NodeState, Overview } from "../console/model.js";
import { complaints, screenshot, serveDemo, startBrowser, untilState } from "./harness.js";

let browser: Browser;
let demo: Awaited<ReturnType<typeof serveDemo>>;

before(async () => {
  [browser, demo] = await Promise.all([startBrowser(), serveDemo()]);
});
after(async () => {
  await browser?.close();
  demo?.close();
});

const ago = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString();

function node(i: number, more: Partial<FleetNode> = {}): FleetNode {
  const capacity = { kbps: 937_000, pps: 150_000 };
  const share = ((i * 37) % 100) / 100;
  const claimed = { kbps: Math.round(capacity.kbps * share), pps: Math.round(capacity.pps * share * 0.8) };
  return {
    id: `n-${(i * 7919 + 4096).toString(32)}xq2`, state: "ready", generation: 1, instance: `i-0${(i * 104729).toString(16)}`, type: "c7g.large",
    zone: `eu-north-1${"abc"[i % 3] ?? "a"}`, capacity, claimed, free: { kbps: capacity.kbps - claimed.kbps, pps: capacity.pps - claimed.pps },
    measured: { kbps: Math.round(claimed.kbps * 0.4), pps: Math.round(claimed.pps * 0.4) }, cpuPercent: Math.round(share * 60), people: (i * 13) % 90,
    seats: ((i * 13) % 90) + 4, roomCount: 2, rooms: ["standup", "all-hands"], alive: true, leaseUntil: ago(-8), since: ago(300 + i * 400),
    addresses: [{ IP: "203.0.113.7", Port: 7881, Scope: "public" }], ...more,
  };
}

function fleet(count: number): Overview {
  const state = (i: number): NodeState => (i % 41 === 7 ? "draining" : i % 67 === 5 ? "filling" : "ready");
  const ids = Array.from({ length: count }, (_, i) => node(i).id);
  const nodes = ids.map((_, i) => node(i, {
    state: state(i), alive: i !== 11,
    pipes: [1, 2].map((k) => ({ node: ids[(i + k) % count] ?? "", up: i !== 3, sendKbps: 1200 * k, receiveKbps: 400 * (i + 1) })).filter((p) => p.node !== ids[i]),
  }));
  return {
    at: ago(0), region: "eu-north-1", maxNodes: 250, nodes, roomsTotal: count * 3,
    rooms: Array.from({ length: Math.min(count * 3, 40) }, (_, i) => ({
      name: ["all-hands", "standup", "physics 101", "support"][i] ?? `room-${i}`, createdAt: ago(200 + i * 100), maxParticipants: 500, seats: 400 - i * 9,
      on: ids.slice(0, 1 + ((40 - i) % 5)).map((id) => ({ node: id, seats: 24 })),
    })),
    launches: [{ id: "n-k4d2m1qe", type: "c7g.large", state: "started", attempt: 2, at: ago(14), why: "6 wait, 0 nodes are coming, 1 more is needed" }],
    waiting: [{ room: "late-comers", count: 6, since: ago(15) }],
    decisions: [
      { id: "2", at: ago(14), step: "capacity", choice: "launch 1", why: "who waits does not fit into what is coming", inputs: { waiting: 6, coming: 0, nodes: count, missing: 1 } },
      { id: "1", at: ago(700), step: "sweep node", choice: "drain", why: "empty for 5 min", inputs: { node: "n-gone" } },
    ],
  };
}

/** Opens the console with an API that answers with what `answer` returns, and types the key. */
async function withConsole(answer: () => { status: number; body: unknown }, work: (page: Page) => Promise<void>, options: BrowserContextOptions = {}) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, ...options });
  try {
    const page = await context.newPage();
    const heard = complaints(page);
    await page.route("**/v1/**", async (route) => {
      if (route.request().headers()["authorization"] !== "Bearer right") {
        return route.fulfill({ status: 401, json: { code: "unauthorized", text: "an API key is needed" } });
      }
      if (route.request().url().includes("/rooms/")) {
        const people = [{ identity: "ann", name: "Ann", role: "publisher", joinedAt: ago(60), node: node(0).id }, { identity: "bob", role: "viewer", joinedAt: ago(9), node: node(1).id }];
        return route.fulfill({ json: { people } });
      }
      const { status, body } = answer();
      return route.fulfill({ status, json: body });
    });
    await page.goto(`${demo.url}console/`);
    await work(page);
    assert.deepEqual(heard.filter((line) => !line.includes("Failed to load resource")), []);
  } finally {
    await context.close();
  }
}

async function unlock(page: Page, key = "right") {
  await page.fill("input[name=key]", key);
  await page.keyboard.press("Enter");
}

const ok = (body: Overview) => () => ({ status: 200, body });
const settle = (page: Page) => page.waitForTimeout(process.env["SCREENSHOTS"] ? 700 : 0);
const overflows = (page: Page) => page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);

describe("the console", () => {
  test("asks for the key, refuses a wrong one, and keeps the right one for the tab", async () => {
    await withConsole(ok(fleet(2)), async (page) => {
      await untilState(page, "locked");
      await screenshot(page, "console-locked");
      await unlock(page, "wrong");
      await page.waitForSelector("[role=alert]");
      assert.match(await page.innerText("[role=alert]"), /not valid/);
      await unlock(page);
      await untilState(page, "live");
      await page.reload();
      await untilState(page, "live");
      await page.click("text=Forget the key");
      await untilState(page, "locked");
      await page.reload();
      await untilState(page, "locked");
    });
  });

  test("shows that nothing runs", async () => {
    await withConsole(ok({ ...fleet(0), launches: [], waiting: [], decisions: [] }), async (page) => {
      await unlock(page);
      await page.waitForSelector("text=nothing is billed");
      await settle(page);
      await screenshot(page, "console-0");
    });
  });

  test("shows two nodes, their loads, pipes, rooms and decisions with their why", async () => {
    await withConsole(ok(fleet(2)), async (page) => {
      await unlock(page);
      await page.waitForSelector(".node");
      assert.equal(await page.locator(".node").count(), 2);
      assert.match(await page.innerText(".figures"), /Waiting\s*6/);
      // 37 % of the second node is claimed, and its bar says so.
      const shares = await page.locator(".node .load").evaluateAll((bars) => bars.map((bar) => {
        const part = bar.querySelector(".claimed");
        return part ? part.getBoundingClientRect().width / bar.getBoundingClientRect().width : -1;
      }));
      assert.ok(shares.some((share) => Math.abs(share - 0.37) < 0.01), `bars of ${shares.join(", ")}`);
      await page.locator(".decision button").first().click();
      assert.match(await page.innerText(".decision .facts"), /missing\s*1/);
      await page.locator(".node").first().click();
      assert.match(await page.innerText(".panel"), /Capacity\s*937 Mbps/);
      await settle(page);
      await screenshot(page, "console-2");
      await page.locator("table .link").first().click();
      await page.waitForSelector(".panel >> text=Ann");
      assert.equal(await page.locator(".panel h3 .mono").count(), 2);
      await settle(page);
      await screenshot(page, "console-room");
    });
  });

  for (const look of ["light", "dark"] as const) {
    test(`shows two hundred nodes at once, ${look}`, async () => {
      await withConsole(ok(fleet(200)), async (page) => {
        await unlock(page);
        await page.waitForSelector(".tile");
        assert.equal(await page.locator(".tile").count(), 200);
        assert.ok((await page.locator(".tile").first().getAttribute("class"))?.includes("silent"), "the node that is silent is not first");
        await page.locator(".tile").nth(30).click();
        await settle(page);
        assert.equal(await overflows(page), false);
        await screenshot(page, `console-200-${look}`);
      }, { colorScheme: look });
    });
  }

  test("fits a narrow window", async () => {
    await withConsole(ok(fleet(5)), async (page) => {
      await unlock(page);
      await page.waitForSelector(".node");
      assert.equal(await overflows(page), false);
      await settle(page);
      await screenshot(page, "console-narrow");
    }, { viewport: { width: 390, height: 844 } });
  });

  test("keeps what it last saw and says so when the API fails", async () => {
    let failing = false;
    await withConsole(() => (failing ? { status: 503, body: { code: "busy", text: "the store asks for less" } } : { status: 200, body: fleet(2) }), async (page) => {
      await unlock(page);
      await page.waitForSelector(".node");
      failing = true;
      await page.waitForSelector(".live.stale", { timeout: 15_000 });
      assert.match(await page.innerText(".live"), /the store asks for less/);
      assert.equal(await page.locator(".node").count(), 2);
      await settle(page);
      await screenshot(page, "console-stale");
      failing = false;
      await page.waitForFunction(() => document.querySelector(".live:not(.stale)"), undefined, { timeout: 20_000 });
    });
  });
});
