// A room whose people can be told apart by colour, and somebody who watches them in
// turn on one receive stream. Used by tests and by measurements alike.
import type { BrowserContext, Page } from "playwright-core";
import type * as SDK from "../src/index.js";
import type { Stack } from "./stack.js";

/** What a watching page keeps. */
interface Held {
  room: SDK.Room;
  /** Elements by identity. */
  videos: Map<string, HTMLVideoElement>;
  /** Pictures that were to be seen, and those of them in another's colour, by whose name. */
  seen: number;
  wrong: string[];
}
declare global { interface Window { held: Held } }

/** Opens a page that can use the SDK and shows nothing of its own. */
export async function open(context: BrowserContext, stack: Stack): Promise<Page> {
  const page = await context.newPage();
  await page.goto(new URL("/index.html", stack.demo).href);
  return page;
}

/** Puts people into a room, each of whom sends a picture in a colour of its own, and with sound a tone. */
export function crowd(page: Page, room: string, count: number, sound: boolean): Promise<void> {
  return page.evaluate(async ([name, n, sounds]) => {
    const sdk = (await import(new URL("/spillway-client.js", location.href).href)) as typeof SDK;
    const joined: unknown[] = [];
    Object.assign(window, { joined });
    for (let i = 0; i < n; i++) {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [160, 90];
      const pen = canvas.getContext("2d");
      let frame = 0;
      setInterval(() => {
        if (!pen) return;
        frame += 1;
        pen.fillStyle = `hsl(${(i * 360) / n} 100% 50%)`;
        pen.fillRect(0, 0, 160, 90);
        pen.fillStyle = "#000"; // at the edge: the middle tells who it is
        pen.fillRect((frame * 4) % 150, 82, 8, 8);
      }, 80);
      const body = JSON.stringify({ room: name, name: `p${i}`, role: "publisher" });
      const { token, url } = (await (await fetch("/local/token", { method: "POST", body })).json()) as { token: string; url: string };
      const session = await sdk.connect(url, token, { audioStreams: 0, videoStreams: 0, reportStats: false });
      joined.push(session);
      const [picture] = canvas.captureStream(12).getVideoTracks();
      if (!picture) throw new Error("canvas gives no track");
      await session.localParticipant.publishTrack(picture, { source: "camera" });
      if (!sounds) continue;
      const [tone] = (await navigator.mediaDevices.getUserMedia({ audio: true })).getAudioTracks();
      if (tone) await session.localParticipant.publishTrack(tone, { source: "microphone" });
    }
  }, [room, count, sound] as const);
}

/** Joins with one receive stream for pictures, and looks at each picture that is to be seen. */
export function watch(page: Page, room: string, count: number, audioStreams: number): Promise<void> {
  return page.evaluate(async ([name, n, audio]) => {
    const sdk = (await import(new URL("/spillway-client.js", location.href).href)) as typeof SDK;
    const body = JSON.stringify({ room: name, name: "me", role: "viewer" });
    const { token, url } = (await (await fetch("/local/token", { method: "POST", body })).json()) as { token: string; url: string };
    const joined = new sdk.Room({ audioStreams: audio, videoStreams: 1 });
    const held: Held = { room: joined, videos: new Map(), seen: 0, wrong: [] };
    window.held = held;
    document.body.replaceChildren();
    joined.on("trackPublished", (publication, participant) => {
      if (publication.source !== "camera") return;
      const video = publication.track.attach(document.createElement("video")) as HTMLVideoElement;
      Object.assign(video.style, { width: "160px", height: "90px" });
      held.videos.set(participant.identity, video);
      document.body.append(video);
    });
    await joined.connect(url, token);
    const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
    const hueOf = (video: HTMLVideoElement): number | undefined => {
      pen?.drawImage(video, video.videoWidth / 2, video.videoHeight / 2, 1, 1, 0, 0, 1, 1);
      const [r = 0, g = 0, b = 0] = pen?.getImageData(0, 0, 1, 1).data ?? [];
      const [most, least] = [Math.max(r, g, b), Math.min(r, g, b)];
      if (most - least < 60) return undefined; // no colour: nothing is shown
      const at = most === r ? (g - b) / (most - least) : most === g ? 2 + (b - r) / (most - least) : 4 + (r - g) / (most - least);
      return (at * 60 + 360) % 360;
    };
    // What this finds before a frame is drawn is what the frame will show.
    const look = () => {
      for (const [identity, video] of held.videos) {
        if (video.style.visibility !== "visible" || video.videoWidth === 0) continue;
        const hue = hueOf(video);
        if (hue === undefined) continue;
        held.seen += 1;
        const own = (Number(identity.slice(1)) * 360) / n;
        const apart = Math.abs(((hue - own + 540) % 360) - 180);
        if (apart > 180 / n) held.wrong.push(`${identity} in colour ${Math.round(hue)}`);
      }
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }, [room, count, audioStreams] as const);
}

/** Asks for somebody before all others, and waits until that is who is shown. Resolves to how long it took, in milliseconds. */
export function switchTo(page: Page, identity: string): Promise<number> {
  return page.evaluate(async (who) => {
    const began = performance.now();
    for (const p of window.held.room.remoteParticipants.values()) p.getTrackPublication("camera")?.track.setPinned(p.identity === who);
    const shown = () => window.held.room.remoteParticipants.get(who)?.getTrackPublication("camera")?.track.isShown ?? false;
    while (!shown()) {
      if (performance.now() - began > 30_000) throw new Error(`${who} was never shown`);
      await new Promise((done) => { requestAnimationFrame(done); });
    }
    return performance.now() - began;
  }, identity);
}

/** Keeps every connection of a page, to ask it for what the SDK does not say. */
export const keepConnections = () => {
  const made: RTCPeerConnection[] = [];
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(configuration?: RTCConfiguration) {
      super(configuration);
      made.push(this);
    }
  };
  Object.assign(window, { made });
};

/** Sums of fields of all streams of a kind in one direction. */
export function sums(page: Page, type: "inbound-rtp" | "outbound-rtp", fields: readonly string[]): Promise<number[]> {
  return page.evaluate(async ([kind, names]) => {
    const out = names.map(() => 0);
    for (const pc of (window as unknown as { made: RTCPeerConnection[] }).made) {
      (await pc.getStats()).forEach((e: Record<string, unknown>) => {
        if (e["type"] === kind && e["kind"] === "video") names.forEach((name, i) => { out[i] = (out[i] ?? 0) + Number(e[name] ?? 0); });
      });
    }
    return out;
  }, [type, fields] as const);
}

/** The value that a share of the others is below. */
export const middle = (values: readonly number[], share: number) => [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) * share)] ?? NaN;
