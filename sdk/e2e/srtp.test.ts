// Chromium and a node, with each of the two ways to seal media.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { startBrowser, untilState } from "./harness.js";
import { startStack, until, type Stack } from "./stack.js";

/** Keeps every connection that a page makes, to ask how it is sealed. */
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

/** How a page's last connection seals media, and how many packets and pictures it has decoded. */
function received(page: Page): Promise<{ cipher: string; sound: number; pictures: number }> {
  return page.evaluate(async () => {
    const got = { cipher: "", sound: 0, pictures: 0 };
    const all = await (window as unknown as { made: RTCPeerConnection[] }).made.at(-1)?.getStats();
    all?.forEach((entry: Record<string, unknown>) => {
      if (entry["type"] === "transport") got.cipher = String(entry["srtpCipher"]);
      if (entry["type"] === "inbound-rtp" && entry["kind"] === "audio") got.sound += Number(entry["packetsReceived"]);
      if (entry["type"] === "inbound-rtp" && entry["kind"] === "video") got.pictures += Number(entry["framesDecoded"] ?? 0);
    });
    return got;
  });
}

for (const [setting, cipher] of [["gcm", /AES_128_GCM/], ["cm", /SHA1_80$/]] as const) {
  describe(`media sealed by the setting ${setting}`, () => {
    let stack: Stack;
    let browser: Browser;
    before(async () => {
      browser = await startBrowser();
      stack = await startStack({ NODE_SRTP: setting });
    });
    after(async () => {
      await browser?.close();
      await stack?.stop();
    });

    test("is seen and heard", { timeout: 90_000 }, async () => {
      const pages: Page[] = [];
      for (const name of ["ada", "ben"]) {
        const page = await (await browser.newContext()).newPage();
        await page.addInitScript(keepConnections);
        await page.goto(`${stack.demo}?${new URLSearchParams({ room: "sealed", name, autojoin: "1" }).toString()}`);
        await untilState(page, "joined", 30_000);
        pages.push(page);
      }
      for (const page of pages) {
        const got = await until("sound and picture", async () => {
          const now = await received(page);
          return now.sound > 50 && now.pictures > 20 && now;
        }, 40_000);
        assert.match(got.cipher, cipher);
      }
    });
  });
}
