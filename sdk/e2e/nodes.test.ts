// One room on four nodes, end to end: ten people, four of them in Chromium, on nodes
// of three seats.
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { complaints, ownCameras, root, screenshot, startBrowser, untilState } from "./harness.js";
import { startStack, until, type Stack } from "./stack.js";

interface Rooms { rooms: { name: string; participants: number; nodes: string[] }[] }

/** What somebody without a browser has received. */
interface Report { name: string; node: string; packets: Record<string, number> }

interface Counters { packetsIn: number; pipedIn: number }

const tabs = ["ada", "bob", "cleo", "dan"];
const light = ["light-0", "light-1", "light-2", "light-3", "light-4", "light-5"];
const everybody = [...tabs, ...light];

/** Frames that a page has decoded, by the person whom they show. */
function frames(page: Page): Promise<Record<string, number>> {
  return page.evaluate(async () => {
    const streams = (await window.room.getStats())?.streams.filter((s) => s.kind === "video") ?? [];
    return Object.fromEntries(streams.map((s) => [s.participant, s.framesDecoded]));
  });
}

/** What the nodes wrote of themselves when they stopped. */
async function counters(folder: string): Promise<Counters[]> {
  const texts = await Promise.all((await readdir(folder)).map((name) => readFile(path.join(folder, name), "utf8")));
  return texts.flatMap((text) => text.split("\n")).filter((line) => line.includes(`"msg":"node stops"`))
    .flatMap((line) => (JSON.parse(line) as { counters?: Counters }).counters ?? []);
}

describe("ten people on nodes of three seats", () => {
  let browser: Browser;
  let stack: Stack;
  let context: BrowserContext;
  let heard: string[];
  let crowd: ChildProcess | undefined;
  const pages: Page[] = [];
  const reports = new Map<string, Report>();
  before(async () => {
    browser = await startBrowser();
    stack = await startStack({ NODE_SEATS: "3", IDLE_AFTER: "2s", SWEEP_EVERY: "500ms" });
    context = await browser.newContext({ viewport: { width: 1000, height: 640 } });
    heard = complaints(context);
    await ownCameras(context);
  });
  after(async () => {
    crowd?.kill("SIGKILL");
    await context?.close();
    await browser?.close();
    await stack?.stop();
  });

  test("everybody sees everybody, on whichever node", async () => {
    for (const name of tabs) {
      const page = await context.newPage();
      pages.push(page);
      const query = { room: "large", name, identity: name, capture: "160x90@5", autojoin: "1" };
      await page.goto(`${stack.demo}?${new URLSearchParams(query).toString()}`);
      await untilState(page, "joined", 60_000);
    }
    crowd = spawn(path.join(path.dirname(root), "build/local/lightpeer"),
      ["-stack", stack.demo, "-room", "large", "-people", String(light.length), "-layers", "q"], { stdio: ["ignore", "pipe", "inherit"] });
    if (crowd.stdout) {
      createInterface({ input: crowd.stdout }).on("line", (line) => {
        const report = JSON.parse(line) as Report;
        reports.set(report.name, report);
      });
    }
    await Promise.all(pages.map(async (page, i) => {
      const others = everybody.filter((name) => name !== tabs[i]);
      let seen: Record<string, number> = {};
      const first = await until(`pictures of everybody for ${tabs[i]}`, async () => {
        seen = await frames(page);
        return others.every((name) => (seen[name] ?? 0) > 0) && seen;
      }, 120_000).catch((error: unknown) => { throw new Error(`${String(error)}: ${JSON.stringify(seen)}`); });
      let now: Record<string, number> = {};
      await until(`everybody to move for ${tabs[i]}`, async () => {
        now = await frames(page);
        return others.every((name) => (now[name] ?? 0) >= (first[name] ?? 0) + 5);
      }, 60_000).catch((error: unknown) => { throw new Error(`${String(error)}: from ${JSON.stringify(first)} to ${JSON.stringify(now)}`); });
    }));
    // Who has no browser gets as many pictures, and three sounds.
    await until("those without a browser to receive everybody", async () => light.every((name) => {
      const busy = Object.values(reports.get(name)?.packets ?? {}).filter((n) => n > 20);
      return busy.length >= everybody.length - 1;
    }), 60_000);
    const { rooms } = await stack.api<Rooms>("rooms");
    assert.deepEqual([rooms.length, rooms[0]?.participants], [1, everybody.length]);
    assert.ok((rooms[0]?.nodes.length ?? 0) >= 4, `on ${String(rooms[0]?.nodes.length)} nodes`);
    const homes = await pages[0]?.evaluate(() => [...window.room.remoteParticipants.values()].map((p) => p.node).concat(window.room.node));
    assert.deepEqual(new Set(homes), new Set(rooms[0]?.nodes), "the homes that people are shown are the room's nodes");
    if (pages[0]) await screenshot(pages[0], "nodes-4");
  });

  test("no packet crosses a pipe twice", async () => {
    const nodes = (await stack.api<Rooms>("rooms")).rooms[0]?.nodes.length ?? 0;
    crowd?.kill("SIGINT");
    for (const page of pages) await page.getByRole("button", { name: "Leave the room" }).click();
    await until("the instances to end", async () => (await stack.instances()).length === 0, 60_000);
    const all = await until("each node's counters", async () => {
      const written = await counters(stack.logs);
      return written.length >= nodes && written;
    });
    const sum = (of: (c: Counters) => number) => all.reduce((n, c) => n + of(c), 0);
    const sent = sum((c) => c.packetsIn), piped = sum((c) => c.pipedIn), pipes = all.length - 1;
    assert.ok(piped <= sent * pipes * 1.02, `${piped} packets over ${pipes} pipes, of ${sent} that were sent`);
    assert.ok(piped >= sent / 2, `only ${piped} of ${sent} packets crossed`);
    assert.deepEqual(heard, []);
  });
});
