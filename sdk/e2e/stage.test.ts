// Roles, moderation and chat, end to end: Chromium, the demo and the whole stack.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import type * as SDK from "../src/index.js";
import { complaints, ownCameras, screenshot, startBrowser, untilState } from "./harness.js";
import { startStack, until, type Stack } from "./stack.js";

interface OneRoom { name: string; people: { identity: string; role: string }[] }

describe("the stage, moderation and chat", () => {
  let browser: Browser;
  let stack: Stack;
  let context: BrowserContext;
  let heard: string[];
  let ada: Page;
  let eve: Page;
  before(async () => {
    [browser, stack] = await Promise.all([startBrowser(), startStack({})]);
    context = await browser.newContext({ viewport: { width: 1100, height: 680 } });
    await ownCameras(context);
    heard = complaints(context);
  });
  after(async () => {
    await context?.close();
    await browser?.close();
    await stack?.stop();
  });
  const join = async (query: Record<string, string>) => {
    const page = await context.newPage();
    await page.goto(`${stack.demo}?${new URLSearchParams({ room: "hall", capture: "320x180@10", autojoin: "1", ...query }).toString()}`);
    await untilState(page, "joined", 30_000);
    return page;
  };
  const roles = async () => Object.fromEntries((await stack.api<OneRoom>("rooms/hall")).people.map((p) => [p.identity, p.role]));
  const shows = (page: Page, who: string) => page.waitForFunction((identity) => {
    const video = document.querySelector<HTMLVideoElement>(`[data-participant="${identity}"][data-source="camera"] video`);
    return video && video.videoWidth > 0 && getComputedStyle(video).visibility === "visible" && getComputedStyle(video).opacity === "1";
  }, who, { timeout: 20_000 });
  const pause = (page: Page) => page.waitForTimeout(process.env["SCREENSHOTS"] ? 900 : 0);

  test("a viewer is brought to the stage over the connection that is there", async () => {
    [ada, eve] = [await join({ name: "ada", admin: "1" }), await join({ name: "eve", role: "viewer" })];
    await eve.evaluate(() => { (window as unknown as { states: string[] }).states = []; window.room.on("connectionStateChanged", (s) => (window as unknown as { states: string[] }).states.push(s)); });
    await shows(eve, "ada");
    await eve.evaluate(() => window.room.localParticipant.setCameraEnabled(true)).then(
      () => assert.fail("a viewer may publish"), (error: unknown) => assert.match(String(error), /viewers do not publish/));
    await ada.getByRole("button", { name: "People" }).click();
    await pause(ada);
    await screenshot(ada, "stage-people");
    await ada.locator('[data-person="eve"]').getByRole("button", { name: "Bring to stage" }).click();
    await eve.getByRole("button", { name: "Switch the camera on" }).click();
    await shows(ada, "eve");
    assert.deepEqual(await roles(), { ada: "publisher", eve: "publisher" });
    assert.deepEqual(await eve.evaluate(() => (window as unknown as { states: string[] }).states), [], "the connection changed");
    await pause(ada);
    await screenshot(ada, "stage-promoted");
  });

  test("what is said of the room, and of somebody, is told to everybody", async () => {
    await ada.evaluate(() => window.room.admin.setRoomMetadata("Plans for spring"));
    await Promise.all([ada, eve].map((page) => page.getByText("Plans for spring").waitFor()));
    await stack.send("PATCH", "rooms/hall", { metadata: "Plans for summer" });
    await Promise.all([ada, eve].map((page) => page.getByText("Plans for summer").waitFor()));
    await stack.send("PATCH", "rooms/hall/participants/eve", { metadata: "chair" });
    await ada.waitForFunction(() => window.room.remoteParticipants.get("eve")?.metadata === "chair");
    const refused = await eve.evaluate(() => window.room.admin.setRoomMetadata("mine").catch((e: { code: string }) => e.code));
    assert.equal(refused, "token_no_permission");
    await stack.send("PATCH", "rooms/hall", { metadata: "" });
    await ada.getByText("Plans for summer").waitFor({ state: "detached" });
  });

  test("people write to each other, and who has the chat closed sees that something is new", async () => {
    await ada.getByRole("button", { name: "Chat" }).click();
    await ada.getByLabel("Message").fill("Welcome on stage, eve! ☕");
    await ada.keyboard.press("Enter");
    await eve.getByRole("button", { name: "Chat, something new" }).click();
    await eve.locator(".chat li", { hasText: "Welcome on stage, eve! ☕" }).waitFor();
    await eve.getByLabel("Message").fill("Thank you <b>ada</b>");
    await eve.keyboard.press("Enter");
    await ada.locator(".chat li", { hasText: "Thank you <b>ada</b>" }).waitFor();
    await pause(ada);
    await screenshot(ada, "stage-chat");
    const limited = await ada.evaluate(async () => {
      for (let i = 0; i < 100; i++) {
        try {
          await window.room.localParticipant.publishData(new Uint8Array(10), { topic: "flood", reliable: false });
        } catch (error) {
          return (error as SDK.SpillwayError).code;
        }
      }
      return "";
    });
    assert.equal(limited, "rate_limited");
  });

  test("an administrator mutes, and one who is none does not", async () => {
    await eve.evaluate(() => window.room.localParticipant.setMicrophoneEnabled(true));
    await ada.waitForFunction(() => window.room.remoteParticipants.get("eve")?.isMicrophoneEnabled);
    const refused = await eve.evaluate(() => window.room.admin.mute("ada").then(() => "", (e: SDK.SpillwayError) => e.code));
    assert.equal(refused, "token_no_permission");
    await ada.evaluate(() => window.room.admin.mute("eve"));
    await eve.waitForFunction(() => !window.room.localParticipant.isMicrophoneEnabled);
    await ada.waitForFunction(() => window.room.remoteParticipants.get("eve")?.isMicrophoneEnabled === false);
  });

  test("off the stage the camera is closed, and the seat is a viewer's again", async () => {
    await stack.send("PATCH", "rooms/hall/participants/eve", { role: "viewer" });
    await eve.waitForFunction(() => window.room.localParticipant.role === "viewer" && window.room.localParticipant.trackPublications.size === 0);
    await ada.waitForFunction(() => !document.querySelector('[data-participant="eve"]'));
    assert.deepEqual(await roles(), { ada: "publisher", eve: "viewer" });
    await eve.evaluate(() => window.room.admin.promote("eve").then(() => "", (e: SDK.SpillwayError) => e.code)).then((code) => assert.equal(code, "token_no_permission"));
  });

  test("who is removed is told, and the room ends for those who are left", async () => {
    await ada.evaluate(() => window.room.admin.remove("eve"));
    await untilState(eve, "closed");
    await eve.getByRole("heading", { name: "You were removed" }).waitFor();
    await until("the seat to be free", async () => !("eve" in await roles()));
    await stack.send("DELETE", "rooms/hall");
    await untilState(ada, "closed");
    await ada.getByRole("heading", { name: "The room has ended" }).waitFor();
    await pause(ada);
    await screenshot(ada, "stage-ended");
    assert.deepEqual(heard, []);
  });
});
