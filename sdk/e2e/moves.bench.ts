// Measures what people see and hear when their home is drained: Chromium on a
// local stack, one drain after the other.
//
//   npm run bench --prefix sdk -- moves [ROUNDS]
import type { Browser, Page } from "playwright-core";
import { startBrowser, untilState } from "./harness.js";
import { begin, probe, read, type Seen } from "./probe.js";
import { startStack, until, type Stack } from "./stack.js";

interface Nodes { nodes: { id: string; state: string; participants: number }[] }

const rounds = Number(process.argv[2] ?? 15);
const capture = process.env["CAPTURE"] ?? "320x180@20";

const browser = await startBrowser();
const stack = await startStack({ IDLE_AFTER: "600s", SWEEP_EVERY: "1s", NODE_SEATS: "4" });
try {
  await measure(browser, stack);
} finally {
  await browser.close();
  await stack.stop();
}

async function measure(on: Browser, at: Stack): Promise<void> {
  const people = [await join(on, at, "ada"), await join(on, at, "bob")];
  const usual: Seen[] = [];
  const moving: Seen[] = [];
  const took: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const from = await until("both on one node", async () => (await nodes(at)).find((n) => n.participants === 2));
    await spare(on, at, from.id);
    await Promise.all(people.map(moves));
    usual.push(...await during(people, () => pause(2_000)));
    moving.push(...await during(people, async () => {
      const began = performance.now();
      await at.api(`nodes/${from.id}/drain`, {});
      await Promise.all(people.map((p) => isAway(p, from.id)));
      took.push(performance.now() - began);
      await pause(1_000);
    }));
    const last = moving.slice(-2);
    console.log(`${i + 1}: ${last.map((s) => `${s.gapMs.toFixed(0)} ms still, ${s.concealedMs.toFixed(0)} ms made up, ${s.elements} new elements`).join("; ")}`);
    await until("the drained node to end", async () => !(await nodes(at)).some((n) => n.id === from.id), 30_000);
  }
  console.log(`\n${rounds} drains of a node with two people, ${capture}\n`);
  for (const [what, seen] of [["usual, 2 s", usual], ["in a move", moving]] as const) {
    console.log(`  ${what}: longest time between pictures ${spread(seen.map((s) => s.gapMs))}; sound made up ${spread(seen.map((s) => s.concealedMs))}`);
  }
  console.log(`  from the request until both are away: ${spread(took)}`);
}

async function join(on: Browser, at: Stack, name: string): Promise<Page> {
  const context = await on.newContext({ viewport: { width: 800, height: 480 } });
  const page = await context.newPage();
  await probe(page);
  await page.goto(`${at.demo}?${new URLSearchParams({ room: "call", name, capture, autojoin: "1" }).toString()}`);
  await untilState(page, "joined", 30_000);
  return page;
}

/** Sees to it that another node is ready and empty: a room's first block takes all four seats. */
async function spare(on: Browser, at: Stack, beside: string): Promise<void> {
  const ready = async () => (await nodes(at)).some((n) => n.id !== beside && n.state === "ready" && n.participants === 0);
  if (await ready()) return;
  const context = await on.newContext();
  const page = await context.newPage();
  await page.goto(`${at.demo}?${new URLSearchParams({ room: "elsewhere", name: "visitor", autojoin: "1" }).toString()}`);
  await untilState(page, "joined", 30_000);
  await context.close();
  await until("a spare node", ready, 60_000);
}

/** Waits until somebody's pictures move on a page. */
async function moves(page: Page): Promise<void> {
  const frames = () => page.evaluate(async () => Math.max(0, ...((await window.room.getStats())?.streams ?? [])
    .filter((s) => s.kind === "video").map((s) => s.framesDecoded)));
  const before = await frames();
  await until("pictures", async () => (await frames()) >= before + 40);
}

async function during(people: Page[], what: () => Promise<void>): Promise<Seen[]> {
  await Promise.all(people.map(begin));
  await what();
  return Promise.all(people.map(read));
}

async function isAway(page: Page, node: string): Promise<void> {
  await page.waitForFunction((id) => document.body.dataset["state"] === "joined" && window.room.node !== id && window.room.node !== "", node,
    { timeout: 30_000, polling: 50 });
}

async function nodes(at: Stack): Promise<Nodes["nodes"]> {
  return (await at.api<Nodes>("nodes")).nodes;
}

function pause(ms: number): Promise<void> {
  return new Promise((done) => { setTimeout(done, ms); });
}

function spread(values: number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (q: number) => sorted[Math.round(q * (sorted.length - 1))]?.toFixed(0) ?? "?";
  return `p50 ${at(0.5)}, p95 ${at(0.95)}, max ${at(1)} ms`;
}
