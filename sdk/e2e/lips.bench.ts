// Measures whether lips and voice stay together in Chromium, by how long the packets of
// each wait to be played, while one receive stream carries three people in turn and
// packets get lost both ways.
//
//   npm run bench --prefix sdk -- lips [SWITCHES] [LOSS]
import { createSocket, type Socket } from "node:dgram";
import { readFile } from "node:fs/promises";
import path from "node:path";
import type { BrowserContext, Page } from "playwright-core";
import { startBrowser } from "./harness.js";
import { startStack, until } from "./stack.js";
import { crowd, keepConnections, middle, open, switchTo, watch } from "./turns.js";

declare global { interface Window { throughProxy(sdp: string): Promise<string> } }

const switches = Number(process.argv[2] ?? 20);
const loss = Number(process.argv[3] ?? 0.05);
const count = 3;

/** How long somebody's sound and picture have waited to be played lately. */
function playing(page: Page, identity: string): Promise<{ heardMs: number; seenMs: number } | undefined> {
  return page.evaluate(async (who) => {
    const streams = (await window.held.room.getStats())?.streams.filter((s) => s.participant === who) ?? [];
    const mid = (kind: string) => streams.find((s) => s.kind === kind)?.mid;
    const entries = new Map<unknown, Record<string, number | string>>();
    for (const pc of (window as unknown as { made: RTCPeerConnection[] }).made) {
      (await pc.getStats()).forEach((e: Record<string, number | string>) => { if (e["type"] === "inbound-rtp") entries.set(e["mid"], e); });
    }
    const [sound, picture] = [entries.get(mid("audio")), entries.get(mid("video"))];
    if (!sound || !picture) return undefined;
    const before = (window as unknown as { waited?: Record<string, [number, number]> }).waited ??= {};
    const lately = (e: Record<string, number | string>) => {
      const key = String(e["mid"]);
      const [waited, played] = [Number(e["jitterBufferDelay"]), Number(e["jitterBufferEmittedCount"])];
      const [w, p] = before[key] ?? [0, 0];
      before[key] = [waited, played];
      return played > p ? (1000 * (waited - w)) / (played - p) : undefined;
    };
    const [heard, seen] = [lately(sound), lately(picture)];
    return heard === undefined || seen === undefined ? undefined : { heardMs: heard, seenMs: seen };
  }, identity);
}

/** A network between a browser and a node that loses packets both ways. */
class Proxy {
  /** The share of packets that get lost. */
  loss = 0;
  passed = 0;
  dropped = 0;
  readonly #near: Socket;
  readonly #far: Socket;
  #browser: { address: string; port: number } | undefined;
  #node: { address: string; port: number } | undefined;
  #seed = 7;

  private constructor(near: Socket, far: Socket) {
    [this.#near, this.#far] = [near, far];
    near.on("message", (data, from) => {
      this.#browser = from;
      if (this.#node && this.#lets()) far.send(data, this.#node.port, this.#node.address);
    });
    far.on("message", (data) => {
      if (this.#browser && this.#lets()) near.send(data, this.#browser.port, this.#browser.address);
    });
  }

  static async open(): Promise<Proxy> {
    const bound = () => new Promise<Socket>((done, fail) => {
      const socket = createSocket("udp4");
      socket.once("error", fail);
      socket.bind(0, "127.0.0.1", () => done(socket));
    });
    return new Proxy(await bound(), await bound());
  }

  /** An answer that leads here, in place of to the node. */
  through(sdp: string): string {
    const candidate = /^a=candidate:\S+ 1 udp \d+ (127\.0\.0\.1) (\d+) .*\r\n/im.exec(sdp);
    if (!candidate) throw new Error("the answer has no candidate on this machine");
    this.#node = { address: "127.0.0.1", port: Number(candidate[2]) };
    const own = candidate[0].replace(` 127.0.0.1 ${candidate[2]} `, ` 127.0.0.1 ${this.#near.address().port} `);
    return sdp.replace(/^a=candidate:.*\r\n/gim, (line) => (line === candidate[0] ? own : ""));
  }

  close(): void {
    this.#near.close();
    this.#far.close();
  }

  #lets(): boolean {
    this.#seed = (this.#seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    const lets = this.#seed / 2_147_483_648 >= this.loss;
    if (lets) this.passed += 1;
    else this.dropped += 1;
    return lets;
  }
}

const browser = await startBrowser();
const stack = await startStack({});
const proxy = await Proxy.open();
try {
  await measure(await browser.newContext());
} finally {
  await browser.close();
  await stack.stop();
  proxy.close();
}

async function measure(context: BrowserContext): Promise<void> {
  await context.addInitScript(keepConnections);
  const [others, me] = [await open(context, stack), await context.newPage()];
  await me.exposeFunction("throughProxy", (sdp: string) => proxy.through(sdp));
  await me.addInitScript(() => {
    const take = RTCPeerConnection.prototype.setRemoteDescription;
    RTCPeerConnection.prototype.setRemoteDescription = async function (description: RTCSessionDescriptionInit) {
      return Reflect.apply(take, this, [{ type: description.type, sdp: await window.throughProxy(description.sdp ?? "") }]) as Promise<void>;
    };
  });
  await me.goto(new URL("/index.html", stack.demo).href);
  await me.bringToFront();
  await crowd(others, "lips", count, true);
  await watch(me, "lips", count, count);
  await until("everybody to be known", () => me.evaluate((n) => window.held.videos.size === n, count));
  await switchTo(me, "p0");
  proxy.loss = loss;
  const apart: number[] = [], waits: number[] = [];
  for (let i = 1; i <= switches; i++) {
    const who = `p${i % count}`;
    await switchTo(me, who);
    for (const end = Date.now() + 3_000; Date.now() < end;) {
      await me.waitForTimeout(250);
      const at = await playing(me, who);
      if (!at) continue;
      apart.push(Math.abs(at.heardMs - at.seenMs));
      waits.push(at.heardMs);
    }
  }
  const told = await until("the node's metrics", async () => {
    const log = await readFile(path.join(stack.logs, "node.log"), "utf8");
    return log.split("\n").findLast((line) => line.includes('"ClientRttMs"') && line.includes('"Room":"lips"'));
  }, 70_000).catch(() => "none within a minute");
  console.log(`the node's metrics say of the room: ${told}`);
  const half = Math.floor(waits.length / 2);
  console.log(`${switches} switches, ${proxy.dropped} of ${proxy.passed + proxy.dropped} packets lost, ${apart.length} looks`);
  console.log(`sound and picture apart: p50 ${middle(apart, 0.5).toFixed(0)}, p95 ${middle(apart, 0.95).toFixed(0)} ms`);
  console.log(`sound waits: p50 ${middle(waits.slice(0, half), 0.5).toFixed(0)} ms in the first half, ${middle(waits.slice(half), 0.5).toFixed(0)} ms in the second`);
}
