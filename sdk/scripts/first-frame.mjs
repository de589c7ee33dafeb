// Measures, in Chromium, how long it takes from connect() to the answer's state
// and to the first decoded picture of somebody who is in the room already.
//
//   node scripts/first-frame.mjs http://localhost:8080/ 20
//
// Prints one JSON line: {"joinedMs": [...], "frameMs": [...]}.
import { chromium } from "playwright-core";

const [demo = "http://localhost:8080/", rounds = "20"] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
});
try {
  const publisher = await browser.newPage();
  await publisher.goto(`${demo}?room=frames&name=publisher&autojoin=1&capture=320x180@30`);
  await publisher.waitForFunction(() => document.body.dataset.state === "joined", null, { timeout: 60_000 });
  const page = await browser.newPage();
  await page.goto(demo);
  const result = { joinedMs: [], frameMs: [] };
  for (let i = 0; i < Number(rounds); i++) {
    const one = await page.evaluate(joinOnce, `viewer-${i}`);
    result.joinedMs.push(one.joined);
    result.frameMs.push(one.frame);
  }
  console.log(JSON.stringify(result));
} finally {
  await browser.close();
}

/** Runs in the page: joins as a viewer, waits for a picture, leaves. */
async function joinOnce(name) {
  const { Room, RoomEvent } = await import("/spillway-client.js");
  const response = await fetch("/local/token", { method: "POST", body: JSON.stringify({ room: "frames", name, role: "viewer" }) });
  const { token, url } = await response.json();
  const video = document.createElement("video");
  video.muted = true;
  video.style.cssText = "width: 320px; height: 180px";
  document.body.append(video);
  const room = new Room({ playAudio: false });
  const began = performance.now();
  const picture = new Promise((done, fail) => {
    room.on(RoomEvent.TrackSubscribed, (track) => {
      if (track.kind !== "video") return;
      track.attach(video);
      video.requestVideoFrameCallback(() => done(performance.now() - began));
    });
    setTimeout(() => fail(new Error("no picture within 20 s")), 20_000);
  });
  await room.connect(url, token);
  const joined = performance.now() - began;
  const frame = await picture;
  await room.disconnect();
  video.remove();
  return { joined, frame };
}
