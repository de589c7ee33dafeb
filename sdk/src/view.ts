import type { Stream } from "./events.js";
import { isReached } from "./streams.js";

/** How often a shown picture's source is compared with the map, in milliseconds. */
const guardEveryMs = 250;
/** How often to look where the browser has no callback for frames. */
const pollMs = 50;

/**
 * Keeps one <video> element truthful: it is blank (visibility: hidden) until the
 * first frame of the publication that the map promised, because an element
 * otherwise goes on showing whoever was on the receive stream before; and it
 * blanks again when the packets turn out to come from somebody else.
 */
export class VideoView {
  readonly element: HTMLVideoElement;
  /** Callbacks of an earlier {@link show} are ignored. */
  #turn = 0;
  #shown = false;
  #guardedAt = 0;

  constructor(element: HTMLVideoElement) {
    this.element = element;
    element.playsInline = true;
    element.muted = true;
    element.autoplay = true;
    this.blank();
  }

  /** Whether a picture of the right person is to be seen. */
  get isShown(): boolean {
    return this.#shown;
  }

  /**
   * Puts a receive stream on the element; it becomes visible with the publication's
   * first frame. One that is ready takes the place of another of the same
   * publication, whose picture stands until then.
   */
  show(receiver: RTCRtpReceiver, stream: Stream, isReady: boolean): void {
    const turn = ++this.#turn;
    if (!isReady) this.#setShown(false);
    this.#guardedAt = isReady ? performance.now() : 0;
    const now = this.element.srcObject;
    if (!(now instanceof MediaStream)) this.element.srcObject = new MediaStream([receiver.track]);
    else if (now.getVideoTracks()[0] !== receiver.track) {
      // Within the same stream: the element then keeps its last picture and goes on.
      for (const track of now.getVideoTracks()) now.removeTrack(track);
      now.addTrack(receiver.track);
    }
    // Rejects when another picture is put on the element meanwhile; muted video may always play.
    void this.element.play().catch(() => undefined);
    this.#watch(turn, receiver, stream);
  }

  /** Shows nothing. */
  blank(): void {
    this.#turn += 1;
    this.#setShown(false);
    this.element.srcObject = null;
  }

  /** Gives the element back to the page. */
  release(): void {
    this.blank();
    this.element.style.removeProperty("visibility");
  }

  #watch(turn: number, receiver: RTCRtpReceiver, stream: Stream): void {
    const look = (timestamp: number | undefined) => {
      if (turn !== this.#turn) return;
      if (!this.#shown && timestamp !== undefined && isReached(timestamp, stream.timestamp)) this.#setShown(true);
      this.#guard(receiver, stream);
      again();
    };
    const newest = () => receiver.getSynchronizationSources()[0]?.rtpTimestamp;
    const again = "requestVideoFrameCallback" in this.element
      ? () => this.element.requestVideoFrameCallback((_, frame) => look(frame.rtpTimestamp ?? newest()))
      : () => setTimeout(() => look(newest()), pollMs);
    again();
  }

  /** Hides the picture while the packets name another source than the map does. */
  #guard(receiver: RTCRtpReceiver, stream: Stream): void {
    const now = performance.now();
    if (now - this.#guardedAt < guardEveryMs) return;
    this.#guardedAt = now;
    const latest = newestSource(receiver.getContributingSources());
    if (latest === undefined) return;
    const right = latest.source === stream.csrc;
    if (this.#shown && !right) this.#setShown(false);
    else if (!this.#shown && right && isReached(latest.rtpTimestamp, stream.timestamp)) this.#setShown(true);
  }

  #setShown(shown: boolean): void {
    this.#shown = shown;
    this.element.style.setProperty("visibility", shown ? "visible" : "hidden", "important");
  }
}

function newestSource(sources: RTCRtpContributingSource[]): RTCRtpContributingSource | undefined {
  return sources.reduce<RTCRtpContributingSource | undefined>(
    (newest, s) => (newest && newest.timestamp >= s.timestamp ? newest : s), undefined);
}
