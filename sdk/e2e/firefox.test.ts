// Firefox and Chromium in one room: each joins, publishes, and sees and hears the
// other, and what Firefox receives and sends changes its layer with its size.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";
import type { Browser as Chromium, Page as ChromiumPage } from "playwright-core";
import { launch, type Browser as Firefox, type Page as FirefoxPage } from "puppeteer-core";
import { startBrowser, untilState } from "./harness.js";
import { startStack, until, type Stack } from "./stack.js";

const executablePath = process.env["FIREFOX"] ?? "/usr/bin/firefox-esr";
const skip = !existsSync(executablePath) && `${executablePath} is missing`;

let stack: Stack;
let chromium: Chromium;
let firefox: Firefox;
before(async () => {
  if (skip) return;
  stack = await startStack({});
  chromium = await startBrowser();
  firefox = await launch({
    browser: "firefox", executablePath, headless: true,
    extraPrefsFirefox: {
      "media.navigator.streams.fake": true, "media.navigator.permission.disabled": true, "media.autoplay.default": 0,
      "media.peerconnection.ice.obfuscate_host_addresses": false,
    },
  });
});
after(async () => {
  await Promise.all([firefox?.close(), chromium?.close()]);
  await stack?.stop();
});

/** What arrives of somebody's camera and voice. */
interface Seen {
  frames: number;
  height: number;
  sound: number;
}

/** Runs in the page. */
async function seen(of: string): Promise<Seen> {
  const room = (globalThis as unknown as { room: { getStats(): Promise<{ streams: Record<string, unknown>[] } | undefined> } }).room;
  const streams = (await room.getStats())?.streams.filter((s) => s["participant"] === of) ?? [];
  const sum = (source: string, field: string) =>
    streams.filter((s) => s["source"] === source).reduce((all, s) => all + Number(s[field] ?? 0), 0);
  return { frames: sum("camera", "framesDecoded"), height: sum("camera", "height"), sound: sum("microphone", "bytesReceived") };
}

function address(name: string): string {
  const query = new URLSearchParams({ room: "browsers", name, identity: name, autojoin: "1", capture: "640x360@10" });
  return `${stack.demo}?${query.toString()}`;
}

test("Firefox and Chromium see and hear each other", { timeout: 180_000, skip }, async () => {
  const fox: FirefoxPage = await firefox.newPage();
  await fox.setViewport({ width: 1200, height: 800 });
  await fox.goto(address("fox"));
  await fox.waitForFunction(() => document.body.dataset["state"] === "joined", { timeout: 60_000 });
  const chrome: ChromiumPage = await (await chromium.newContext({ viewport: { width: 1200, height: 800 } })).newPage();
  await chrome.goto(address("chrome"));
  await untilState(chrome, "joined", 60_000);

  const inFox = () => fox.evaluate(seen, "chrome");
  const inChrome = () => chrome.evaluate(seen, "fox");
  for (const [who, look] of [["Firefox", inFox], ["Chromium", inChrome]] as const) {
    await until(`${who} to see and hear the other`, async () => {
      const now = await look();
      return now.frames > 20 && now.sound > 2000;
    }, 60_000);
  }

  // Firefox is sent another layer when its tiles change.
  await until("the large picture in Firefox", async () => (await inFox()).height === 360, 60_000);
  await fox.setViewport({ width: 346, height: 270 });
  await until("the small picture in Firefox", async () => (await inFox()).height === 180, 60_000);
  await fox.setViewport({ width: 1200, height: 800 });
  await until("the large picture in Firefox again", async () => (await inFox()).height === 360, 60_000);
  // And Chromium gets both layers that Firefox sends.
  await until("Firefox's large picture", async () => (await inChrome()).height === 360, 60_000);
  await chrome.setViewportSize({ width: 346, height: 270 });
  await until("Firefox's small picture", async () => (await inChrome()).height === 180, 60_000);

  const before = await inFox();
  await until("Firefox to go on", async () => (await inFox()).frames > before.frames + 10, 60_000);
  assert.deepEqual(await stack.instances().then((all) => all.length), 1);
});
