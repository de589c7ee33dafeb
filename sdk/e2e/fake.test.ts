// The SDK and the demo in Chromium against a gateway and a node within the page:
// what is hard to bring about with a whole deployment, and how every state looks.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { complaints, fakeScript, screenshot, serveDemo, startBrowser, untilState } from "./harness.js";

let browser: Browser;
let demo: Awaited<ReturnType<typeof serveDemo>>;
let script: string;

before(async () => {
  [browser, demo, script] = await Promise.all([startBrowser(), serveDemo(), fakeScript()]);
});
after(async () => {
  await browser?.close();
  demo?.close();
});

const join = "?room=lounge&name=Robin%20Ek&autojoin=1&capture=320x180@10";

/** Opens the demo in a page of its own for the length of a test, which fails on any complaint of the page. */
async function withPage(search: string, work: (page: Page) => Promise<void>, options: BrowserContextOptions & { setup?: string } = {}) {
  const { setup = "", ...rest } = options;
  const context = await browser.newContext({ viewport: { width: 1280, height: 720 }, ...rest });
  try {
    await context.addInitScript(script + setup);
    const page = await context.newPage();
    const heard = complaints(page);
    await page.goto(demo.url + search);
    await work(page);
    assert.deepEqual(heard, []);
  } finally {
    await context.close();
  }
}

const playing = (page: Page, count: number) => page.waitForFunction((n) => {
  const videos = [...document.querySelectorAll<HTMLVideoElement>("[data-participant] video")];
  return videos.filter((v) => v.videoWidth > 0 && !v.paused && getComputedStyle(v).visibility === "visible").length === n;
}, count, { timeout: 15_000 });
const settle = (page: Page) => page.waitForTimeout(process.env["SCREENSHOTS"] ? 900 : 0);

describe("joining", () => {
  test("the form leads into the room with one offer; then the socket is closed", async () => {
    await withPage("?room=lounge&capture=320x180@10", async (page) => {
      await untilState(page, "idle");
      await page.waitForFunction(() => (document.querySelector<HTMLVideoElement>(".picture video")?.videoWidth ?? 0) > 0);
      await settle(page);
      await screenshot(page, "idle");
      assert.ok(await page.isDisabled("button[type=submit]"), "one can join without a name");
      await page.keyboard.type("Robin Ek");
      await page.keyboard.press("Enter");
      await untilState(page, "joined");
      await page.waitForFunction(() => window.fake.sockets.length === 0);
      const [sent, sections] = await page.evaluate(() => [window.fake.joins, window.fake.joins.length] as const);
      assert.equal(sections, 1);
      const media = sent[0]?.media;
      assert.deepEqual([media?.audio.length, media?.video.length], [3, 12]);
      assert.deepEqual([media?.microphone, media?.camera, media?.screen, media?.screenAudio], ["0", "1", "2", "3"]);
      assert.ok((sent[0]?.offer.length ?? 1e9) < 8_000, `offer of ${sent[0]?.offer.length} bytes`);
      // What was opened for the preview is what is published.
      await page.waitForFunction(() => window.fake.said.some((m) => m.action === "tracks" && m.tracks.length === 2));
      assert.ok(await page.evaluate(() => window.room.localParticipant.isCameraEnabled && window.room.localParticipant.isMicrophoneEnabled));
      await settle(page);
      await screenshot(page, "people-1");
    });
  });

  test("a join that is not answered is repeated with the same session", async () => {
    await withPage(join, async (page) => {
      await page.waitForFunction(() => window.fake.joins.length >= 2, undefined, { timeout: 8_000 });
      const joins = await page.evaluate(() => window.fake.joins);
      assert.equal(joins[0]?.session, joins[1]?.session);
      assert.equal(joins[0]?.offer, joins[1]?.offer);
      assert.notEqual(joins[0]?.id, joins[1]?.id);
      await page.evaluate(() => { window.fake.plan = "answer"; });
      await untilState(page, "joined");
    }, { setup: "window.fake.plan = 'silent'" });
  });

  test("waiting shows a sentence and progress, goes on by itself when it is ready", async () => {
    await withPage(join, async (page) => {
      await untilState(page, "waiting");
      await page.getByText("Starting a server for this room, about 20 s").waitFor();
      const progress = page.getByRole("progressbar");
      assert.ok(Number(await progress.getAttribute("aria-valuenow")) >= 20);
      await settle(page);
      await screenshot(page, "waiting");
      await page.evaluate(() => window.fake.waiting(4_200));
      await page.getByText("about 4 s").waitFor();
      await page.evaluate(() => window.fake.ready());
      await untilState(page, "joined");
      const sessions = await page.evaluate(() => window.fake.joins.map((j) => j.session));
      assert.equal(sessions.length, 2);
      assert.equal(sessions[0], sessions[1]);
    }, { setup: "window.fake.plan = 'waiting'" });
  });

  test("somebody who waits can cancel, which gives the seat back", async () => {
    await withPage(join, async (page) => {
      await untilState(page, "waiting");
      await page.getByRole("button", { name: "Cancel" }).click();
      await untilState(page, "closed");
      assert.equal(await page.evaluate(() => window.fake.leaves[0]?.session === window.fake.joins[0]?.session), true);
      await page.getByRole("button", { name: "Join again" }).waitFor();
      await settle(page);
      await screenshot(page, "closed");
      await page.evaluate(() => { window.fake.plan = "answer"; });
      await page.keyboard.press("Enter");
      await untilState(page, "joined");
    }, { setup: "window.fake.plan = 'waiting'" });
  });

  for (const [code, words] of [["room_full", "The room is full"], ["token_expired", "This invitation has expired"], ["budget_exhausted", "The limit of this site is reached"]] as const) {
    test(`${code} is said in words`, async () => {
      await withPage(join, async (page) => {
        await untilState(page, "error");
        await page.getByRole("heading", { name: words }).waitFor();
        assert.deepEqual(await page.evaluate(() => [window.room.state, window.room.error?.code]), ["error", code]);
        if (code === "token_expired") await screenshot(page, "error");
      }, { setup: `window.fake.plan = { code: '${code}' }` });
    });
  }

  test("a token that the handshake refuses is told apart from a network that is down", async () => {
    await withPage(join, async (page) => {
      await untilState(page, "error");
      assert.equal(await page.evaluate(() => window.room.error?.code), "token_bad_signature");
    }, { setup: "window.fake.plan = 'refuse'" });
  });

  test("without camera and microphone one joins all the same, and is told", async () => {
    const refuse = "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'));";
    await withPage(join, async (page) => {
      await untilState(page, "joined");
      await page.getByText("The browser did not allow the camera and microphone. You are in the room").waitFor();
      await settle(page);
      await screenshot(page, "no-devices");
    }, { setup: refuse });
  });
});

describe("in the room", () => {
  for (const others of [1, 4, 11]) {
    test(`${others + 1} people: all tiles play, within the window`, async () => {
      await withPage(join, async (page) => {
        await untilState(page, "joined");
        await page.evaluate((n) => window.fake.populate(n, n > 1 ? { videoless: [2], muted: [1, 2, 5] } : {}), others);
        await playing(page, others > 1 ? others - 1 : 1);
        await page.evaluate(() => window.fake.speak("p1"));
        await page.locator('[data-participant="p1"].speaking').waitFor();
        const outside = await page.evaluate(() => [...document.querySelectorAll(".tile")].filter((t) => {
          const r = t.getBoundingClientRect();
          return r.left < 0 || r.top < 0 || r.right > innerWidth || r.bottom > innerHeight || r.width < 80;
        }).length);
        assert.equal(outside, 0);
        assert.equal(await page.locator("[data-participant]").count(), others);
        await settle(page);
        await screenshot(page, `people-${others + 1}`);
        if (others !== 4) return;
        await page.getByRole("button", { name: "Details" }).click();
        await page.getByText("n-fake-1").waitFor();
        await page.waitForTimeout(1_500);
        await screenshot(page, "details");
        await page.keyboard.press("Escape");
        await page.locator(".drawer").waitFor({ state: "detached" });
        await page.emulateMedia({ colorScheme: "dark" });
        await settle(page);
        await screenshot(page, "dark");
        const cut = () => page.evaluate(() => [...document.querySelectorAll(".controls button")].map((b) => b.getBoundingClientRect()).filter((r) => r.left < 0 || r.right > innerWidth || r.width < 30).length);
        for (const width of [320, 390]) {
          await page.setViewportSize({ width, height: 780 });
          assert.equal(await cut(), 0, `buttons are outside of a window ${width} wide`);
        }
        await settle(page);
        await screenshot(page, "narrow");
      });
    });
  }

  test("a shared screen is large, and pinned", async () => {
    await withPage(join, async (page) => {
      await untilState(page, "joined");
      await page.evaluate(async () => {
        await window.fake.populate(4);
        await window.fake.share("p2");
      });
      await playing(page, 5);
      await page.waitForFunction(() => window.fake.said.some((m) => m.action === "want" && m.video.some((v) => v.source === "screen" && v.pinned)));
      await settle(page);
      await screenshot(page, "screen");
      const [large = 0, small = 1] = await page.evaluate(() => ["screen", "camera"].map((s) =>
        document.querySelector(`[data-participant="p2"][data-source="${s}"]`)?.getBoundingClientRect().width ?? 0));
      assert.ok(large > 3 * small, `${large} and ${small}`);
    });
  });

  test("one's own screen is published and taken back", async () => {
    await withPage(join, async (page) => {
      await untilState(page, "joined");
      await page.getByRole("button", { name: "Share a screen" }).click();
      await page.getByText("Your screen").waitFor();
      const tracks = () => page.evaluate(() => window.fake.said.filter((m) => m.action === "tracks").at(-1)?.tracks.map((t) => t.source));
      assert.ok((await tracks())?.includes("screen"));
      await page.getByRole("button", { name: "Stop sharing the screen" }).click();
      await page.getByText("Your screen").waitFor({ state: "detached" });
      assert.ok(!(await tracks())?.includes("screen"));
    });
  });

  test("no picture is ever shown under a wrong name", async () => {
    await withPage(join, async (page) => {
      await untilState(page, "joined");
      await page.evaluate(() => window.fake.twoColours());
      await playing(page, 1);
      const wrong = await page.evaluate(async () => {
        const seen = { wrong: [] as string[], red: 0, blue: 0 };
        const canvas = document.createElement("canvas");
        const context = canvas.getContext("2d", { willReadFrequently: true });
        let on = true;
        const look = () => {
          for (const name of ["red", "blue"] as const) {
            const video = document.querySelector<HTMLVideoElement>(`[data-participant="${name}"] video`);
            if (!video || !context || getComputedStyle(video).visibility !== "visible" || video.videoWidth === 0) continue;
            context.drawImage(video, 0, 0, 8, 8);
            const [r = 0, , b = 0] = context.getImageData(6, 6, 1, 1).data;
            const colour = r > 150 && b < 100 ? "red" : b > 150 && r < 100 ? "blue" : "none";
            seen[name] += 1;
            if (colour !== name) seen.wrong.push(`${name} shows ${colour} (${r}, ${b})`);
          }
          if (on) requestAnimationFrame(look);
        };
        look();
        await new Promise((done) => setTimeout(done, 500));
        await window.fake.switchColour(600);
        await new Promise((done) => setTimeout(done, 2_000));
        on = false;
        return seen;
      });
      assert.deepEqual(wrong.wrong, []);
      assert.ok(wrong.red > 5 && wrong.blue > 5, `red was seen ${wrong.red} times, blue ${wrong.blue} times`);
    });
  });

  test("what is asked for follows size and sight", async () => {
    await withPage(join, async (page) => {
      await untilState(page, "joined");
      await page.evaluate(() => window.fake.populate(1));
      await playing(page, 1);
      const want = () => page.evaluate(() => window.fake.said.filter((m) => m.action === "want").at(-1)?.video[0]);
      const tall = (await want())?.height ?? 0;
      assert.ok(tall > 300, `asked for ${tall}`);
      await page.setViewportSize({ width: 500, height: 400 });
      await page.waitForFunction((before) => (window.fake.said.filter((m) => m.action === "want").at(-1)?.video[0]?.height ?? 0) < before / 2, tall);
      await page.evaluate(() => { document.querySelector<HTMLElement>(".tiles")?.style.setProperty("display", "none"); });
      await page.waitForFunction(() => window.fake.said.filter((m) => m.action === "want").at(-1)?.video[0]?.off === true);
    });
  });

  test("mute and camera are told to the node, and the device is closed", async () => {
    await withPage(join, async (page) => {
      await untilState(page, "joined");
      await page.waitForFunction(() => window.room.localParticipant.isCameraEnabled && window.room.localParticipant.isMicrophoneEnabled);
      await page.keyboard.press("Control+d");
      await page.getByRole("button", { name: "Unmute the microphone" }).waitFor();
      await page.getByRole("button", { name: "Switch the camera off" }).click();
      await page.getByRole("button", { name: "Switch the camera on" }).waitFor();
      const muted = await page.evaluate(() => window.fake.said.filter((m) => m.action === "tracks").at(-1)?.tracks.map((t) => [t.source, t.muted]).sort());
      assert.deepEqual(muted, [["camera", true], ["microphone", true]]);
      assert.equal(await page.evaluate(() => window.room.localParticipant.getTrackPublication("camera")?.track.mediaStreamTrack), undefined);
      await settle(page);
      await screenshot(page, "muted");
    });
  });

  test("a viewer sees, and has nothing to publish", async () => {
    await withPage(`${join}&role=viewer`, async (page) => {
      await untilState(page, "joined");
      await page.getByText("Nobody is on stage yet.").waitFor();
      await page.evaluate(() => window.fake.populate(2));
      await playing(page, 2);
      assert.equal(await page.locator("[data-self]").count(), 0);
      assert.equal(await page.getByRole("button", { name: /microphone|camera|screen/ }).count(), 0);
      const refused = await page.evaluate(() => window.room.localParticipant.setCameraEnabled(true).catch((e: { code?: string }) => e.code));
      assert.equal(refused, "token_no_permission");
    });
  });

  test("where the browser wants a click before sound, the page says so, and any click will do", async () => {
    const strict = `
      const play = HTMLMediaElement.prototype.play;
      let clicked = false;
      addEventListener("pointerdown", () => { clicked = true; }, true);
      HTMLMediaElement.prototype.play = function () {
        return clicked || this.muted ? play.call(this) : Promise.reject(new DOMException("no", "NotAllowedError"));
      };`;
    await withPage(`${join}&role=viewer`, async (page) => {
      await untilState(page, "joined");
      await page.evaluate(() => window.fake.populate(1));
      await playing(page, 1);
      await page.getByRole("button", { name: "Click to hear the others" }).waitFor();
      await settle(page);
      await screenshot(page, "viewer");
      assert.equal(await page.evaluate(() => window.room.canPlaybackAudio), false);
      await page.locator(".tiles").click();
      await page.getByRole("button", { name: "Click to hear the others" }).waitFor({ state: "detached" });
      assert.equal(await page.evaluate(() => window.room.canPlaybackAudio), true);
    }, { setup: strict });
  });

  test("who leaves is gone, and the others stay", async () => {
    await withPage(join, async (page) => {
      await untilState(page, "joined");
      await page.evaluate(() => window.fake.populate(3));
      await playing(page, 3);
      await page.evaluate(() => window.fake.remove("p2"));
      await page.locator('[data-participant="p2"]').waitFor({ state: "detached" });
      await playing(page, 2);
    });
  });
});

describe("when something goes wrong", () => {
  test("a node that dies silently is left for another: same tracks, new session, pictures again", async () => {
    await withPage(join, async (page) => {
      await untilState(page, "joined");
      await page.evaluate(() => window.fake.populate(2));
      await playing(page, 2);
      await page.waitForFunction(() => window.room.localParticipant.isCameraEnabled && window.room.localParticipant.isMicrophoneEnabled);
      await page.evaluate(() => {
        window.fake.plan = "silent";
        window.fake.said.length = 0;
        window.fake.kill();
      });
      await untilState(page, "reconnecting");
      await page.getByText("The connection was lost. Reconnecting…").waitFor();
      await settle(page);
      await screenshot(page, "reconnecting");
      assert.equal(await page.locator("[data-participant]").count(), 2, "people vanish while reconnecting");
      await page.evaluate(() => { window.fake.plan = "answer"; });
      await untilState(page, "joined");
      await playing(page, 2);
      const { sessions, tracks } = await page.evaluate(() => ({
        sessions: new Set(window.fake.joins.map((j) => j.session)).size,
        tracks: window.fake.said.filter((m) => m.action === "tracks").at(-1)?.tracks.map((t) => t.source).sort(),
      }));
      assert.equal(sessions, 2);
      assert.deepEqual(tracks, ["camera", "microphone"]);
      const tickets = await page.evaluate(() => window.fake.tickets);
      assert.equal(tickets[0], null);
      assert.equal(tickets.at(-1), "ticket-1", "the way back is asked for with the ticket of the session before");
    });
  });

  test("taken over elsewhere: closed, and it stays so", async () => {
    await withPage(join, async (page) => {
      await untilState(page, "joined");
      await page.evaluate(() => window.fake.closing("replaced"));
      await untilState(page, "closed");
      await page.getByRole("heading", { name: "You joined from somewhere else" }).waitFor();
      await page.waitForTimeout(1_500);
      assert.equal(await page.evaluate(() => window.fake.joins.length), 1);
      await screenshot(page, "replaced");
    });
  });

  test("a gap in the roster asks for it anew", async () => {
    await withPage(join, async (page) => {
      await untilState(page, "joined");
      await page.evaluate(() => window.fake.say({ action: "delta", v: 1, seq: 1_000, gone: ["x"] }));
      await page.waitForFunction(() => window.fake.said.some((m) => m.action === "resync"));
    });
  });

  test("a large audience is a number", async () => {
    await withPage(join, async (page) => {
      await untilState(page, "joined");
      await page.evaluate(() => window.fake.watch(1204));
      const others = await page.evaluate(() => window.room.remoteParticipants.size);
      await page.locator(`[data-people="${1204 + others + 1}"]`).waitFor();
      await page.getByRole("button", { name: "People" }).click();
      await page.getByText("Watching, 1,204").waitFor();
      await page.getByText("1,204 others").waitFor();
      await screenshot(page, "audience");
    });
  });

  test("leaving says goodbye and closes the devices", async () => {
    await withPage(join, async (page) => {
      await untilState(page, "joined");
      await page.waitForFunction(() => window.room.localParticipant.isCameraEnabled);
      const track = await page.evaluateHandle(() => window.room.localParticipant.getTrackPublication("camera")?.track.mediaStreamTrack);
      await page.getByRole("button", { name: "Leave the room" }).click();
      await untilState(page, "closed");
      await page.waitForFunction(() => window.fake.said.some((m) => m.action === "goodbye"));
      assert.equal(await track.evaluate((t) => t?.readyState), "ended");
    });
  });
});
