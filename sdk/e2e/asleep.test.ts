// What becomes of people whose tab is frozen, whose machine sleeps, or whose
// deployment does not answer for a while: Chromium on a whole stack.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { chromium, type Browser, type BrowserServer, type Page } from "playwright-core";
import type * as SDK from "../src/index.js";
import { startBrowser, untilState, unattended } from "./harness.js";
import { descendants, startStack, until, type Stack } from "./stack.js";

interface OneRoom { people: { identity: string }[] }

declare global {
  interface Window {
    /** What the page was told since it was told to note it. */
    noted: string[];
  }
}

describe("whoever was away comes back as the same participant", () => {
  let browser: Browser;
  let laptop: BrowserServer;
  let stack: Stack;
  let ada: Page;
  let bob: Page;
  before(async () => {
    [browser, laptop, stack] = await Promise.all([startBrowser(), chromium.launchServer(unattended()), startStack({ IDLE_AFTER: "120s" })]);
    [ada, bob] = [await join(await chromium.connect(laptop.wsEndpoint()), "ada"), await join(browser, "bob")];
    await Promise.all([sees(ada, "bob"), sees(bob, "ada")]);
    await Promise.all([ada, bob].map(note));
  });
  after(async () => {
    signal(laptop, "SIGCONT");
    if (stack) process.kill(stack.pid, "SIGCONT");
    await laptop?.close();
    await browser?.close();
    await stack?.stop();
  });

  async function join(on: Browser, name: string): Promise<Page> {
    const page = await (await on.newContext({ viewport: { width: 800, height: 480 } })).newPage();
    await page.goto(`${stack.demo}?${new URLSearchParams({ room: "call", name, capture: "320x180@10", autojoin: "1" }).toString()}`);
    await untilState(page, "joined", 30_000);
    return page;
  }
  const people = async () => (await stack.api<OneRoom>("rooms/call")).people.map((p) => p.identity).sort();
  const noted = (page: Page) => page.evaluate(() => window.noted);

  test("a tab that is frozen for a while", async () => {
    const devtools = await ada.context().newCDPSession(ada);
    await devtools.send("Page.setWebLifecycleState", { state: "frozen" });
    await new Promise((done) => { setTimeout(done, 6_000); });
    await devtools.send("Page.setWebLifecycleState", { state: "active" });
    await Promise.all([sees(ada, "bob"), sees(bob, "ada")]);
    assert.deepEqual(await noted(bob), [], "others noticed");
    assert.deepEqual(await people(), ["ada", "bob"]);
  });

  test("the gateway hangs: the call goes on, and who joins meanwhile is in when it is back", async () => {
    const carl = await (await browser.newContext()).newPage();
    await carl.goto(stack.demo);
    await carl.evaluate(() => { window.noted = []; });
    const ticket = await carl.evaluate(async () => {
      await import(new URL("/spillway-client.js", location.href).href);
      const body = JSON.stringify({ room: "call", name: "carl", role: "viewer" });
      return (await (await fetch("/local/token", { method: "POST", body })).json()) as { token: string; url: string };
    });
    process.kill(stack.pid, "SIGSTOP");
    const joining = carl.evaluate(async ({ token, url }) => {
      const { Room } = (await import(new URL("/spillway-client.js", location.href).href)) as typeof SDK;
      const room = new Room({ playAudio: false });
      room.on("connectionStateChanged", (state) => window.noted.push(state));
      await room.connect(url, token);
      return [...room.remoteParticipants.keys()].sort();
    }, ticket).then((others) => ({ others }), (error: unknown) => ({ error }));
    try {
      await Promise.all([sees(ada, "bob"), sees(bob, "ada")]);
      await new Promise((done) => { setTimeout(done, 4_000); });
      await Promise.all([sees(ada, "bob"), sees(bob, "ada")]);
      assert.deepEqual(await noted(carl), ["joining"]);
    } finally {
      process.kill(stack.pid, "SIGCONT");
    }
    assert.deepEqual(await joining, { others: ["ada", "bob"] });
    assert.deepEqual([await noted(ada), (await noted(bob)).filter((n) => !n.endsWith("carl"))], [["+carl"], []]);
    await carl.close();
  });

  // A seat is kept for half a minute: no shorter test shows what comes after.
  test("a machine that sleeps until its seat was given up", async () => {
    signal(laptop, "SIGSTOP");
    try {
      await until("ada's seat to be given up", async () => !(await people()).includes("ada"), 90_000);
    } finally {
      signal(laptop, "SIGCONT");
    }
    await untilState(ada, "joined", 60_000);
    await Promise.all([sees(ada, "bob"), sees(bob, "ada")]);
    assert.deepEqual(await people(), ["ada", "bob"]);
    const self = await ada.evaluate(() => {
      const { identity, isCameraEnabled, isMicrophoneEnabled } = window.room.localParticipant;
      return { identity, isCameraEnabled, isMicrophoneEnabled };
    });
    assert.deepEqual(self, { identity: "ada", isCameraEnabled: true, isMicrophoneEnabled: true });
    assert.equal(await ada.locator('[data-participant="bob"]').count(), 1);
    assert.equal(await bob.locator('[data-participant="ada"]').count(), 1);
  });
});

/** Stops or continues a browser and everything that it started. */
function signal(server: BrowserServer | undefined, name: "SIGSTOP" | "SIGCONT"): void {
  const pid = server?.process().pid;
  if (pid === undefined) return;
  for (const one of [pid, ...descendants(pid)]) {
    try {
      process.kill(one, name);
    } catch {
      // It has ended meanwhile.
    }
  }
}

/** Notes who comes and goes from now on, and each change of the connection. */
async function note(page: Page): Promise<void> {
  await page.evaluate(() => {
    window.noted = [];
    window.room.on("connectionStateChanged", (state) => window.noted.push(state));
    window.room.on("participantConnected", (p) => window.noted.push(`+${p.identity}`));
    window.room.on("participantDisconnected", (p) => window.noted.push(`-${p.identity}`));
  });
}

/** Waits until pictures of somebody are decoded anew. */
async function sees(page: Page, who: string): Promise<void> {
  const frames = () => page.evaluate(async (identity) => Math.max(-1, ...((await window.room.getStats())?.streams ?? [])
    .filter((s) => s.kind === "video" && s.participant === identity).map((s) => s.framesDecoded)), who);
  let first = -1;
  await until(`pictures of ${who}`, async () => {
    const now = await frames();
    if (first < 0 || now < first) first = now;
    return first >= 0 && now >= first + 5;
  }, 60_000);
}
