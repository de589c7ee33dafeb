// The main job, end to end: Chromium, the demo and the whole stack on this machine,
// from no node at all to none again.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import type * as SDK from "../src/index.js";
import { complaints, ownCameras, screenshot, startBrowser, untilState } from "./harness.js";
import { nodeProcesses, startStack, until, type Stack } from "./stack.js";

interface Rooms { rooms: { name: string; participants: number; nodes: string[] }[] }
interface Nodes { nodes: { id: string; state: string; instance: string; participants: number; rooms: string[] }[] }

let browser: Browser;
before(async () => { browser = await startBrowser(); });
after(async () => { await browser?.close(); });

/** Opens the demo and joins, as whom the query says. */
async function join(context: BrowserContext, stack: Stack, query: Record<string, string>): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${stack.demo}?${new URLSearchParams({ room: "lounge", capture: "320x180@10", autojoin: "1", ...query }).toString()}`);
  return page;
}

/** What a page has received from somebody so far. */
function received(page: Page, participant: string): Promise<{ frames: number; audioBytes: number }> {
  return page.evaluate(async (who) => {
    const streams = (await window.room.getStats())?.streams.filter((s) => s.participant === who) ?? [];
    const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
    return {
      frames: sum(streams.filter((s) => s.kind === "video").map((s) => s.framesDecoded)),
      audioBytes: sum(streams.filter((s) => s.kind === "audio").map((s) => s.bytesReceived)),
    };
  }, participant);
}

/** Waits until pictures of somebody move and sound of them arrives on a page, and can be seen there. */
async function meets(page: Page, participant: string): Promise<void> {
  const first = await until(`anything of ${participant}`, async () => {
    const r = await received(page, participant);
    return r.frames > 0 && r.audioBytes > 0 && r;
  });
  await until(`${participant} to go on moving and sounding`, async () => {
    const now = await received(page, participant);
    return now.frames >= first.frames + 5 && now.audioBytes > first.audioBytes;
  });
  await page.waitForFunction((who) => {
    const video = document.querySelector<HTMLVideoElement>(`[data-participant="${who}"] video`);
    return video && !video.paused && video.videoWidth > 0 && getComputedStyle(video).visibility === "visible";
  }, participant);
}

describe("two people meet on a node that did not exist a moment ago", () => {
  let stack: Stack;
  let context: BrowserContext;
  let heard: string[];
  let ada: Page;
  let bob: Page;
  let eve: Page;
  let node: string;
  before(async () => {
    stack = await startStack({ IDLE_AFTER: "3s", SWEEP_EVERY: "500ms" });
    context = await browser.newContext({ viewport: { width: 1000, height: 640 } });
    await ownCameras(context);
    heard = complaints(context);
  });
  after(async () => {
    await context?.close();
    await stack?.stop();
  });

  test("nothing runs while nobody is there", async () => {
    assert.deepEqual(await stack.instances(), []);
    assert.deepEqual(await stack.api<Rooms>("rooms"), { rooms: [] });
    assert.deepEqual(await stack.api<Nodes>("nodes"), { nodes: [] });
  });

  test("the first join launches exactly one instance", async () => {
    ada = await join(context, stack, { name: "ada" });
    await untilState(ada, "joined", 30_000);
    assert.equal((await stack.instances()).length, 1);
    const { nodes } = await stack.api<Nodes>("nodes");
    assert.equal(nodes.length, 1);
    assert.deepEqual([nodes[0]?.state, nodes[0]?.rooms, nodes[0]?.instance], ["ready", ["lounge"], (await stack.instances())[0]]);
    node = nodes[0]?.id ?? "";
    assert.equal(await ada.evaluate(() => window.room.node), node);
    assert.equal((await nodeProcesses(stack.pid)).length, 1);
  });

  test("two people see and hear each other", async () => {
    bob = await join(context, stack, { name: "bob" });
    await untilState(bob, "joined");
    await Promise.all([meets(ada, "bob"), meets(bob, "ada")]);
    await screenshot(ada, "stack-2");
  });

  test("no socket to the gateway stays open", async () => {
    const open = () => stack.local<{ gateway: { open: number } }>("stats").then((s) => s.gateway.open);
    const ofNodes = 2;
    await until("the browsers' sockets to close", async () => (await open()) <= ofNodes);
  });

  test("a third watches, sees both and is seen by nobody", async () => {
    eve = await join(context, stack, { name: "eve", role: "viewer" });
    await untilState(eve, "joined");
    await Promise.all([meets(eve, "ada"), meets(eve, "bob")]);
    await ada.waitForFunction(() => window.room.remoteParticipants.get("eve")?.role === "viewer");
    assert.equal(await ada.locator('[data-participant="eve"]').count(), 0);
    const [room] = (await stack.api<Rooms>("rooms")).rooms;
    assert.deepEqual([room?.name, room?.participants, room?.nodes], ["lounge", 3, [node]]);
    assert.equal((await stack.instances()).length, 1);
  });

  test("mute and camera off are seen by the others, and back", async () => {
    await ada.evaluate(() => Promise.all([window.room.localParticipant.setMicrophoneEnabled(false), window.room.localParticipant.setCameraEnabled(false)]));
    await bob.locator('[data-participant="ada"].off').waitFor();
    await bob.locator('[data-participant="ada"] .badge.muted').waitFor();
    await ada.evaluate(() => Promise.all([window.room.localParticipant.setMicrophoneEnabled(true), window.room.localParticipant.setCameraEnabled(true)]));
    await bob.locator('[data-participant="ada"].on').waitFor();
    await meets(bob, "ada");
  });

  test("a shared screen arrives, and goes", async () => {
    await ada.evaluate(() => window.room.localParticipant.setScreenShareEnabled(true));
    const video = bob.locator('[data-participant="ada"][data-source="screen"] video');
    await until("the screen to be shown", () => video.evaluate((v: HTMLVideoElement) => v.videoWidth > 0 && v.style.visibility === "visible").catch(() => false));
    if (process.env["SCREENSHOTS"]) await bob.waitForTimeout(800);
    await screenshot(bob, "stack-screen");
    await ada.evaluate(() => window.room.localParticipant.setScreenShareEnabled(false));
    await video.waitFor({ state: "detached" });
  });

  test("the same person in a second tab takes over", async () => {
    const second = await join(context, stack, { name: "bob" });
    await untilState(second, "joined");
    await untilState(bob, "closed");
    await bob.getByRole("heading", { name: "You joined from somewhere else" }).waitFor();
    await bob.close();
    bob = second;
    await Promise.all([meets(ada, "bob"), meets(bob, "ada")]);
    assert.equal(await ada.locator('[data-participant="bob"]').count(), 1);
  });

  test("an expired invitation is refused in words", async () => {
    const { token } = await stack.local<{ token: string }>("token", { room: "lounge", name: "zed", role: "publisher", lifeSeconds: -60 });
    const page = await context.newPage();
    await page.route("**/local/token", (route) => route.fulfill({ json: { token, url: stack.socket } }));
    await page.goto(`${stack.demo}?room=lounge&name=zed&autojoin=1`);
    await untilState(page, "error");
    await page.getByRole("heading", { name: "This invitation has expired" }).waitFor();
    assert.equal(await page.evaluate(() => window.room.error?.code), "token_expired");
    await page.close();
  });

  test("a forged invitation is told apart from a broken network", async () => {
    const { token } = await stack.local<{ token: string }>("token", { room: "lounge", name: "zed", role: "publisher" });
    const forged = `${token.slice(0, token.lastIndexOf("."))}.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA`;
    // Apart from the others: the browser itself complains of refused handshakes.
    const page = await browser.newPage();
    await page.route("**/local/token", (route) => route.fulfill({ json: { token: forged, url: stack.socket } }));
    await page.goto(`${stack.demo}?room=lounge&name=zed&autojoin=1`);
    await untilState(page, "error");
    assert.equal(await page.evaluate(() => window.room.error?.code), "token_bad_signature");
    await page.close();
  });

  test("twelve people: all tiles play", async () => {
    const page = await join(context, stack, { name: "me", room: "many" });
    await untilState(page, "joined");
    const others = await context.newPage();
    await others.goto(new URL("/index.html", stack.demo).href);
    await crowd(others, 11, "many");
    const moving = () => page.evaluate(async () => {
      const streams = (await window.room.getStats())?.streams.filter((s) => s.kind === "video" && s.participant) ?? [];
      return streams.map((s) => [s.participant ?? "", s.framesDecoded] as const);
    }).then((entries) => new Map(entries));
    const first = await until("a picture of everybody", async () => {
      const frames = await moving();
      return frames.size === 11 && [...frames.values()].every((f) => f > 0) && frames;
    }, 30_000);
    await until("all of them to move", async () => [...(await moving())].every(([who, f]) => f >= (first.get(who) ?? 0) + 3));
    await page.waitForFunction(() => [...document.querySelectorAll<HTMLVideoElement>("[data-participant] video")]
      .filter((v) => !v.paused && v.videoWidth > 0 && v.style.visibility === "visible").length === 11);
    await screenshot(page, "stack-12");
    await Promise.all([page.close(), others.close()]);
  });

  test("everybody leaves; the instance is terminated when it was idle, and nothing is left", async () => {
    for (const page of [ada, bob]) {
      await page.getByRole("button", { name: "Leave the room" }).click();
      await untilState(page, "closed");
    }
    await eve.close(); // a tab that is simply closed leaves, too
    await until("the room to be gone", async () => (await stack.api<Rooms>("rooms")).rooms.length === 0, 45_000);
    await until("the instance to be terminated", async () => (await stack.instances()).length === 0, 20_000);
    await until("the node to be gone", async () => (await stack.api<Nodes>("nodes")).nodes.length === 0, 20_000);
    assert.deepEqual(await nodeProcesses(stack.pid), []);
    assert.deepEqual(heard, []);
  });
});

/**
 * Puts people into a room who send a small picture and receive nothing, all from
 * one page, over the SDK as it is published.
 */
function crowd(page: Page, people: number, room: string): Promise<void> {
  return page.evaluate(async ([count, name]) => {
    const sdk = (await import(new URL("/spillway-client.js", location.href).href)) as typeof SDK;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [160, 90];
    const context = canvas.getContext("2d");
    let n = 0;
    setInterval(() => {
      if (!context) return;
      n += 1;
      context.fillStyle = "hsl(200 25% 70%)";
      context.fillRect(0, 0, 160, 90);
      context.fillStyle = "hsl(176 45% 36%)";
      context.fillRect((n * 4) % 160, 30, 30, 30);
    }, 125);
    const [picture] = canvas.captureStream(8).getVideoTracks();
    if (!picture) throw new Error("canvas gives no track");
    for (let i = 1; i <= count; i++) {
      const body = JSON.stringify({ room: name, name: `p${i}`, role: "publisher" });
      const { token, url } = (await (await fetch("/local/token", { method: "POST", body })).json()) as { token: string; url: string };
      const joined = await sdk.connect(url, token, { audioStreams: 0, videoStreams: 0 });
      await joined.localParticipant.publishTrack(picture.clone(), { source: "camera" });
    }
  }, [people, room] as const);
}

describe("a node that takes its time", () => {
  let stack: Stack;
  let context: BrowserContext;
  before(async () => {
    stack = await startStack({ IDLE_AFTER: "60s", SWEEP_EVERY: "500ms", BOOT_DELAY: "3s" });
    context = await browser.newContext({ viewport: { width: 1000, height: 640 } });
    await ownCameras(context);
  });
  after(async () => {
    await context?.close();
    await stack?.stop();
  });

  test("waiting is shown with an estimate, and goes on by itself", async () => {
    const page = await join(context, stack, { name: "ada" });
    await untilState(page, "waiting");
    await page.getByText("Starting a server for this room").waitFor();
    assert.ok(await page.evaluate(() => (window.room.waiting?.remainingMs ?? -1) >= 0));
    await screenshot(page, "stack-waiting");
    await untilState(page, "joined", 30_000);
    assert.equal((await stack.instances()).length, 1);
    await page.close();
  });

  test("a node that dies is replaced: people come back by themselves, with pictures", async () => {
    const ada = await join(context, stack, { name: "ada", room: "second" });
    const bob = await join(context, stack, { name: "bob", room: "second" });
    await Promise.all([untilState(ada, "joined"), untilState(bob, "joined")]);
    await meets(ada, "bob");
    const [process] = await nodeProcesses(stack.pid);
    assert.ok(process, "no node runs");
    globalThis.process.kill(process, "SIGKILL");
    await Promise.all([untilState(ada, "reconnecting"), untilState(bob, "reconnecting")]);
    await Promise.all([untilState(ada, "joined", 60_000), untilState(bob, "joined", 60_000)]);
    await Promise.all([meets(ada, "bob"), meets(bob, "ada")]);
  });
});
