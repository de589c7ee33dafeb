// Every codec that a room may use, from Chromium's encoder through a real node to
// Chromium's decoder: simulcast, switches between its layers, no decoder error.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { startBrowser, untilState } from "./harness.js";
import { startStack, until, type Stack } from "./stack.js";

let browser: Browser;
let stack: Stack;
before(async () => {
  browser = await startBrowser();
  stack = await startStack({});
});
after(async () => {
  await browser?.close();
  await stack?.stop();
});

/** Opens the demo in a room, with a way to see what its connections' statistics say. */
async function join(room: string, codec: string, name: string, role: string, scalable: boolean): Promise<Page> {
  const page = await (await browser.newContext({ viewport: { width: 1100, height: 700 } })).newPage();
  await page.addInitScript(() => {
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
  const query = new URLSearchParams({ room, name, role, codecs: codec, autojoin: "1", capture: "1280x720@10", scalable: scalable ? "1" : "0" });
  await page.goto(`${stack.demo}?${query.toString()}`);
  await untilState(page, "joined", 30_000);
  return page;
}

type Entry = Record<string, unknown>;

/** The statistics of one kind, with the codec that each belongs to. */
function statistics(page: Page, type: string): Promise<Entry[]> {
  return page.evaluate(async (kind) => {
    const made = (globalThis as unknown as { made: RTCPeerConnection[] }).made;
    const report = await made.at(-1)?.getStats();
    const all = new Map<string, Record<string, unknown>>([...(report as unknown as Map<string, Record<string, unknown>>)]);
    return [...all.values()].filter((e) => e["type"] === kind && e["kind"] === "video")
      .map((e) => ({ ...e, mimeType: all.get(String(e["codecId"]))?.["mimeType"] }));
  }, type);
}

/** What arrives of a picture: how large, how much, and whether it ever stood still. */
async function arriving(page: Page): Promise<{ height: number; frames: number; freezes: number; mimeType: string } | undefined> {
  const [entry] = (await statistics(page, "inbound-rtp")).filter((e) => Number(e["framesDecoded"]) > 0);
  return entry && {
    height: Number(entry["frameHeight"]), frames: Number(entry["framesDecoded"]), freezes: Number(entry["freezeCount"]), mimeType: String(entry["mimeType"]),
  };
}

/** Makes the watched tile so high, in CSS pixels. */
async function resize(page: Page, height: number): Promise<void> {
  await page.setViewportSize({ width: Math.round((height * 16) / 9) + 80, height: height + 120 });
}

describe("a room of each codec", () => {
  for (const [codec, scalable] of [["vp8", false], ["vp9", false], ["vp9", true], ["h264", false], ["av1", false], ["av1", true]] as const) {
    test(`${codec}${scalable ? " in one stream of three layers" : ""}`, { timeout: 90_000 }, async (t) => {
      const room = `codec-${codec}-${String(scalable)}`;
      await stack.api("rooms", { name: room, videoCodecs: [codec] });
      const ada = await join(room, codec, "ada", "publisher", scalable);
      const can = await ada.evaluate((name) => RTCRtpSender.getCapabilities("video")?.codecs.some((c) => c.mimeType.toLowerCase() === `video/${name}`), codec);
      if (!can) {
        t.skip(`this Chromium has no ${codec}`);
        return;
      }
      const ben = await join(room, codec, "ben", "viewer", scalable);
      try {
        await resize(ben, 700);
        const layers = () => statistics(ada, "outbound-rtp").then((all) => all.filter((e) => Number(e["framesEncoded"]) > 0));
        const sent = await until("layers to be sent", async () => {
          const all = await layers();
          return (scalable ? all.some((e) => e["scalabilityMode"] === "L3T3_KEY") : all.length >= 2) && all;
        }, 30_000);
        if (scalable) assert.equal(sent.length, 1, "the layers are one stream");
        assert.deepEqual([...new Set(sent.map((e) => String(e["mimeType"]).toLowerCase()))], [`video/${codec}`]);
        const large = await until("the large picture", async () => {
          const now = await arriving(ben);
          return now && now.height >= 700 && now;
        }, 40_000);
        assert.equal(large.mimeType.toLowerCase(), `video/${codec}`);
        for (const [height, fits] of [[150, (h: number) => h <= 360], [700, (h: number) => h >= 700]] as const) {
          await resize(ben, height);
          const now = await until(`the picture for ${height} pixels`, async () => {
            const a = await arriving(ben);
            return a && fits(a.height) && a;
          }, 40_000);
          await until("it to move", async () => ((await arriving(ben))?.frames ?? 0) >= now.frames + 5);
        }
        const frozen = (await statistics(ben, "inbound-rtp")).map((e) => Number(e["freezeCount"] ?? 0));
        // A machine that cannot encode ten a second sends fewer pictures, and those stand.
        const late = (await statistics(ada, "outbound-rtp")).some((e) => e["qualityLimitationReason"] === "cpu" || Number(e["framesPerSecond"] ?? 0) < 8);
        t.diagnostic(`pictures stood still ${frozen.join()} times${late ? "; too few were encoded" : ""}`);
        assert.ok(late || Math.max(...frozen) <= 1, `pictures stood still ${frozen.join()} times`);
      } finally {
        await Promise.all([ada.context().close(), ben.context().close()]);
      }
    });
  }

  test("who cannot decode it is told so, on the tile too", { timeout: 90_000 }, async () => {
    await stack.api("rooms", { name: "foreign", videoCodecs: ["vp9"] });
    const ada = await join("foreign", "vp9", "ada", "publisher", false);
    const eve = await join("foreign", "vp8", "eve", "viewer", false);
    try {
      await eve.locator('[data-participant="ada"][data-source="camera"] .note').waitFor({ timeout: 40_000 });
      const told = await eve.evaluate(() => {
        const publication = window.room.remoteParticipants.get("ada")?.getTrackPublication("camera");
        return [publication?.isUndecodable, publication?.isPaused, publication?.track.isShown];
      });
      assert.deepEqual(told, [true, false, false]);
      assert.equal(await arriving(eve), undefined, "something was decoded");
    } finally {
      await Promise.all([ada.context().close(), eve.context().close()]);
    }
  });
});
