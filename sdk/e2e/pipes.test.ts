// What crosses a pipe, counted in packets: four people in Chromium on two nodes.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { ownCameras, startBrowser, untilState } from "./harness.js";
import { startStack, until, type Stack } from "./stack.js";

/** One layer of a publication on a pipe, as a node counts it. */
interface Flow { node: string; peer: string; out: boolean; identity: string; source: string; layer: number; flow: number; packets: number }

/** What a browser has sent of one layer. */
interface Sent { source: string; layer: number; height: number; packets: number }

const rids = ["q", "h", "f"];

describe("two nodes and one pipe", () => {
  let browser: Browser;
  let stack: Stack;
  let context: BrowserContext;
  const pages = new Map<string, Page>();
  before(async () => {
    browser = await startBrowser();
    stack = await startStack({ NODE_SEATS: "2" });
    context = await browser.newContext();
    await ownCameras(context);
    await context.addInitScript(() => {
      const Real = RTCPeerConnection;
      const made: RTCPeerConnection[] = [];
      Object.assign(globalThis, { made });
      globalThis.RTCPeerConnection = class extends Real {
        constructor(configuration?: RTCConfiguration) {
          super(configuration);
          made.push(this);
        }
      };
    });
  });
  after(async () => {
    await context?.close();
    await browser?.close();
    await stack?.stop();
  });

  const page = (name: string): Page => {
    const found = pages.get(name);
    if (!found) throw new Error(`${name} is not there`);
    return found;
  };

  async function join(name: string, capture: string, width: number, height: number): Promise<string> {
    const opened = await context.newPage();
    pages.set(name, opened);
    await opened.setViewportSize({ width, height });
    const query = { room: "pair", name, identity: name, capture, autojoin: "1" };
    await opened.goto(`${stack.demo}?${new URLSearchParams(query).toString()}`);
    await untilState(opened, "joined", 60_000);
    return opened.evaluate(() => window.room.node ?? "");
  }

  /** What goes over pipes, as the nodes at both ends say. */
  async function flows(): Promise<Flow[]> {
    const all = await Promise.all((await readdir(stack.logs)).map(async (file): Promise<Flow[]> => {
      const lines = (await readFile(path.join(stack.logs, file), "utf8")).split("\n").filter((l) => l.includes(`"msg":"metrics are served"`));
      if (lines.length === 0) return [];
      const { address, node } = JSON.parse(lines.at(-1) ?? "") as { address: string; node: string };
      const response = await fetch(`http://${address}/flows`).catch(() => undefined); // it may have ended
      return ((await response?.json() ?? []) as Flow[]).map((f) => ({ ...f, node }));
    }));
    return all.flat();
  }

  /** What a page has sent, by layer; of sound there is one, which is called the highest. */
  function sent(name: string): Promise<Sent[]> {
    return page(name).evaluate(async (names) => {
      const made = (globalThis as unknown as { made: RTCPeerConnection[] }).made;
      const report = (await made.at(-1)?.getStats()) as unknown as Map<string, Record<string, unknown>> | undefined;
      return [...(report?.values() ?? [])].filter((e) => e["type"] === "outbound-rtp" && Number(e[e["kind"] === "audio" ? "packetsSent" : "framesEncoded"]) > 0).map((e) => ({
        source: e["kind"] === "video" ? "camera" : "microphone",
        layer: e["kind"] === "video" ? names.indexOf(String(e["rid"])) : names.length - 1,
        height: Number(e["frameHeight"] ?? 0),
        packets: Number(e["packetsSent"]) - Number(e["retransmittedPacketsSent"] ?? 0),
      }));
    }, rids);
  }

  /** How high somebody's camera is at somebody's, and how many frames have come. */
  function shown(at: string, of: string): Promise<{ height: number; frames: number }> {
    return page(at).evaluate(async (who) => {
      const streams = (await window.room.getStats())?.streams.filter((s) => s.participant === who && s.source === "camera") ?? [];
      return { height: streams[0]?.height ?? 0, frames: streams[0]?.framesDecoded ?? 0 };
    }, of);
  }

  /** Waits until exactly those layers of ada's camera come to the other node that the people there are shown, at least so many. */
  async function asShown(to: string, watchers: string[], least: number, patience: number): Promise<number> {
    let why = "";
    return until(`each layer of ada that ${watchers.join(" and ")} are shown to cross once`, async () => {
      const layers = (await sent("ada")).filter((s) => s.source === "camera");
      const heights = await Promise.all(watchers.map((w) => shown(w, "ada")));
      const wanted = new Set(heights.map((h) => layers.find((l) => l.height === h.height)?.layer ?? -1));
      const come = (await flows()).filter((f) => f.node === to && !f.out && f.identity === "ada" && f.source === "camera");
      why = JSON.stringify({ layers, heights, come });
      return wanted.size >= least && come.length === wanted.size && come.every((f) => wanted.has(f.layer)) && come.length;
    }, patience).catch((error: unknown) => { throw new Error(`${String(error)}: ${why}`); });
  }

  test("each wanted layer crosses once, by counted packets, and nothing that nobody wants", { timeout: 300_000 }, async (t) => {
    const homes = new Map<string, string>();
    homes.set("ada", await join("ada", "640x360@8", 500, 400));
    homes.set("bob", await join("bob", "160x90@5", 500, 400));
    homes.set("cleo", await join("cleo", "160x90@5", 1500, 1000));
    homes.set("dan", await join("dan", "160x90@5", 340, 300));
    const from = homes.get("ada") ?? "", to = homes.get("cleo") ?? "";
    assert.deepEqual([homes.get("bob"), homes.get("dan")], [from, to], JSON.stringify([...homes]));
    assert.notEqual(from, to);

    // The two are of different sizes, and so are shown different layers, unless this
    // machine is too busy to encode or to send both.
    const different = await asShown(to, ["cleo", "dan"], 2, 30_000).catch(() => asShown(to, ["cleo", "dan"], 1, 90_000));
    t.diagnostic(`${String(different)} layers of ada's camera cross`);

    // Until a while without a change of layers has passed, in which enough was sent.
    const counted = await until("a while without a change, in which enough is sent", async () => {
      const before = await Promise.all(["ada", "bob"].map(sent));
      const first = await flows();
      await until("packets", async () => {
        const all = await Promise.all(["ada", "bob"].map(sent));
        return all.every((layers, i) => layers.filter((l) => l.source === "camera")
          .some((l) => l.packets > (before[i]?.find((b) => b.source === l.source && b.layer === l.layer)?.packets ?? 0) + 35));
      }, 60_000);
      const last = await flows();
      const now = await Promise.all(["ada", "bob"].map(sent));
      const numbers = (all: Flow[]) => all.map((f) => `${f.node} ${f.peer} ${String(f.out)} ${String(f.flow)}`).sort().join();
      return numbers(first) === numbers(last) && { before, first, last, now };
    }, 120_000);

    const came = counted.last.filter((f) => f.node === to && !f.out);
    assert.equal(new Set(came.map((f) => `${f.identity} ${f.source} ${String(f.layer)}`)).size, came.length, `something comes twice: ${JSON.stringify(came)}`);
    for (const [i, who] of ["ada", "bob"].entries()) {
      assert.ok(came.some((f) => f.identity === who && f.source === "camera"), `${who}'s camera does not cross`);
      for (const flow of came.filter((f) => f.identity === who)) {
        const name = `${who}'s ${flow.source}, layer ${String(flow.layer)}`;
        const packets = (all: Sent[][]) => (all[i] ?? []).filter((s) => s.source === flow.source && s.layer === flow.layer).reduce((n, s) => n + s.packets, 0);
        const published = packets(counted.now) - packets(counted.before);
        const crossed = flow.packets - (counted.first.find((f) => f.node === to && !f.out && f.flow === flow.flow)?.packets ?? 0);
        assert.ok(crossed <= published * 1.05 + 15, `${name}: ${String(published)} packets were sent, ${String(crossed)} crossed`);
        // A watcher whose estimate falls for a while leaves its layer, and comes back to it over the same flow.
        assert.ok(crossed > 0 || published < 30, `${name}: of ${String(published)} packets none crossed`);
        const left = counted.last.filter((f) => f.node === from && f.out && f.flow === flow.flow && f.peer === to);
        assert.deepEqual(left.map((f) => [f.identity, f.source, f.layer]), [[flow.identity, flow.source, flow.layer]], `${name}: both ends say the same`);
      }
    }
    // Both watched all that while: two receivers, one flow for each layer.
    for (const watcher of ["cleo", "dan"]) assert.ok((await shown(watcher, "ada")).frames > 0);

    // When cleo has gone, only dan's layer crosses; when nobody is left there, nothing.
    await page("cleo").close();
    pages.delete("cleo");
    assert.equal(await asShown(to, ["dan"], 1, 60_000), 1);
    await page("dan").close();
    await until("nothing of ada to cross", async () => !(await flows()).some((f) => f.node === from && f.out), 60_000);
  });
});
