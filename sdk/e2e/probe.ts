// What a person sees and hears of others, measured in the page itself. Used by
// tests and by measurements alike.
import type { Page } from "playwright-core";

/** What a page's probe has seen since it was begun. */
export interface Seen {
  /** The longest time between two pictures of anybody, in milliseconds. */
  readonly gapMs: number;
  /** Sound that was made up because the real one was missing, in what was played of anybody, in milliseconds. */
  readonly concealedMs: number;
  /** How often somebody's sound was put on another connection. */
  readonly soundSwitches: number;
  /** Elements in which somebody had been shown and that the page put others in the place of. */
  readonly elements: number;
}

declare global {
  interface Window {
    probe: { begin(): Promise<void>; read(): Promise<Seen> };
  }
}

/** Installs the probe. Call it before the page loads. */
export async function probe(page: Page): Promise<void> {
  await page.addInitScript(install);
}

/** Begins to measure anew. */
export async function begin(page: Page): Promise<void> {
  await page.evaluate(() => window.probe.begin());
}

/** What was seen since {@link begin}. */
export function read(page: Page): Promise<Seen> {
  return page.evaluate(() => window.probe.read());
}

/**
 * Runs in the page. Pictures are those that the browser shows in the elements of
 * others. Of sound, only what an element plays at the time counts: a connection
 * that is being made ready beside another is heard by nobody.
 */
function install(): void {
  interface Playing { readonly receiver: RTCRtpReceiver; before: number | undefined }
  const receivers = new Map<MediaStreamTrack, RTCRtpReceiver>();
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(configuration?: RTCConfiguration) {
      super(configuration);
      this.addEventListener("track", (event) => receivers.set(event.track, event.receiver));
    }
  };
  const shown = new Map<string, { last: number; worst: number }>();
  const watched = new WeakSet<HTMLVideoElement>();
  let elements = 0;
  const watch = (video: HTMLVideoElement, who: string) => {
    if (shown.has(who)) elements += 1;
    let before: VideoFrameCallbackMetadata | undefined;
    const frame = (_: number, now: VideoFrameCallbackMetadata) => {
      const seen = shown.get(who);
      if (getComputedStyle(video).visibility === "visible" && video.isConnected) {
        // A page that was busy is told late, and only of the last picture; the browser counts them.
        const pictures = before && now.presentedFrames > before.presentedFrames ? now.presentedFrames - before.presentedFrames : 1;
        const gap = seen ? (now.presentationTime - seen.last) / pictures : 0;
        shown.set(who, { last: now.presentationTime, worst: Math.max(seen?.worst ?? 0, gap) });
      }
      before = now;
      video.requestVideoFrameCallback(frame);
    };
    video.requestVideoFrameCallback(frame);
  };
  setInterval(() => {
    for (const video of document.querySelectorAll<HTMLVideoElement>("[data-participant] video")) {
      const who = video.closest<HTMLElement>("[data-participant]")?.dataset["participant"];
      if (!who || who === "me" || watched.has(video)) continue;
      watched.add(video);
      watch(video, who);
    }
  }, 50);

  const players: HTMLAudioElement[] = [];
  window.Audio = class extends Audio {
    constructor() {
      super();
      players.push(this);
    }
  };
  const playing = new Map<MediaStreamTrack, Playing>();
  let concealed = 0;
  let soundSwitches = 0;
  const concealedBy = async (receiver: RTCRtpReceiver) => {
    let samples: number | undefined;
    (await receiver.getStats()).forEach((raw: unknown) => {
      const s = raw as { type: string; concealedSamples?: number; packetsReceived?: number };
      if (s.type === "inbound-rtp" && s.packetsReceived) samples = s.concealedSamples;
    });
    return samples;
  };
  const update = async (p: Playing) => {
    const now = await concealedBy(p.receiver);
    if (now === undefined) return;
    if (p.before !== undefined) concealed += Math.max(0, now - p.before);
    p.before = now;
  };
  const heard = () => players.flatMap((p) => (p.muted || p.paused || !(p.srcObject instanceof MediaStream) ? [] : p.srcObject.getAudioTracks()));
  const look = async () => {
    const now = new Set(heard());
    for (const track of now) {
      const receiver = receivers.get(track);
      if (!receiver || playing.has(track)) continue;
      playing.set(track, { receiver, before: undefined });
      soundSwitches += 1;
    }
    for (const [track, p] of playing) {
      if (!now.has(track)) playing.delete(track);
      else await update(p);
    }
  };
  // A switch is noticed as it is made: what was made up before it does not count, and all after it does.
  const { addTrack } = MediaStream.prototype;
  MediaStream.prototype.addTrack = function add(track: MediaStreamTrack) {
    addTrack.call(this, track);
    if (track.kind === "audio") void look();
  };
  setInterval(() => void look(), 100);
  window.probe = {
    async begin() {
      await look();
      concealed = 0;
      soundSwitches = 0;
      elements = 0;
      for (const seen of shown.values()) Object.assign(seen, { worst: 0 });
    },
    async read() {
      await look();
      const now = performance.now();
      const gaps = [...shown.values()].map((s) => Math.max(s.worst, now - s.last));
      return { gapMs: Math.max(0, ...gaps), concealedMs: concealed / 48, soundSwitches, elements };
    },
  };
}
