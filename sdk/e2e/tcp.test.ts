// A browser whose network passes no UDP meets one that has it.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { startBrowser, untilState } from "./harness.js";
import { startStack, until, type Stack } from "./stack.js";

/** Keeps UDP out of what is answered, as if the network let nothing of it pass. */
const withoutUDP = () => {
  const take = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function (description: RTCSessionDescriptionInit) {
    const sdp = (description.sdp ?? "").replace(/^a=candidate:\S+ \d udp .*\r\n/gim, "");
    return Reflect.apply(take, this, [{ type: description.type, sdp }]) as Promise<void>;
  };
};

/** Keeps every connection that a page makes, to ask what it runs over. */
const keepConnections = () => {
  const made: RTCPeerConnection[] = [];
  const Original = RTCPeerConnection;
  window.RTCPeerConnection = class extends Original {
    constructor(configuration?: RTCConfiguration) {
      super(configuration);
      made.push(this);
    }
  };
  Object.assign(window, { made });
};

/** The transports that are in use: "udp" or "tcp" for each connection. */
async function transports(page: Page): Promise<string[]> {
  return page.evaluate(async () => {
    const used: string[] = [];
    for (const pc of (window as unknown as { made: RTCPeerConnection[] }).made) {
      const all = await pc.getStats();
      const pairs: string[] = [];
      all.forEach((entry: Record<string, string>) => { if (entry["type"] === "transport") pairs.push(entry["selectedCandidatePairId"] ?? ""); });
      for (const id of pairs) {
        const pair = all.get(id) as { remoteCandidateId: string } | undefined;
        const remote = all.get(pair?.remoteCandidateId ?? "") as { protocol: string } | undefined;
        if (remote) used.push(remote.protocol);
      }
    }
    return used;
  });
}

describe("a browser without UDP", () => {
  let stack: Stack;
  const browsers: Browser[] = [];
  before(async () => { stack = await startStack({}); });
  after(async () => {
    for (const browser of browsers) await browser.close();
    await stack?.stop();
  });

  async function join(identity: string, blocked = false): Promise<Page> {
    const browser = await startBrowser();
    browsers.push(browser);
    const page = await (await browser.newContext()).newPage();
    await page.addInitScript(keepConnections);
    if (blocked) await page.addInitScript(withoutUDP);
    const query = new URLSearchParams({ room: "lounge", capture: "320x180@10", autojoin: "1", name: identity });
    await page.goto(`${stack.demo}?${query.toString()}`);
    return page;
  }

  test("sees and is seen", { timeout: 60_000 }, async () => {
    const ada = await join("ada", true);
    const bob = await join("bob");
    await untilState(ada, "joined", 30_000);
    await untilState(bob, "joined", 30_000);
    for (const [page, other] of [[ada, "bob"], [bob, "ada"]] as const) {
      await until(`pictures and sound of ${other}`, async () => page.evaluate(async (who) => {
        const streams = (await window.room.getStats())?.streams.filter((s) => s.participant === who) ?? [];
        return streams.some((s) => s.kind === "video" && s.framesDecoded > 10) && streams.some((s) => s.kind === "audio" && s.bytesReceived > 0);
      }, other));
    }
    // What one says of oneself, the other reads.
    await bob.evaluate(() => { window.room.localParticipant.setMetadata("hand raised"); });
    await ada.waitForFunction(() => window.room.remoteParticipants.get("bob")?.metadata === "hand raised");
    await bob.waitForFunction(() => window.room.localParticipant.metadata === "hand raised");
    assert.deepEqual(await transports(ada), ["tcp"]);
    assert.deepEqual(await transports(bob), ["udp"]);
  });
});
