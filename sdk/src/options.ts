import type { AudioCaptureOptions, VideoCaptureOptions } from "./capture.js";
import type { Role } from "./events.js";

/** How a room behaves. */
export interface RoomOptions {
  /** What to be; by default whatever the token allows. */
  role?: Role;
  /** How many people can be heard at a time; 3, at most 16. */
  audioStreams?: number;
  /** How many videos can be seen at a time; 9, at most 49. */
  videoStreams?: number;
  /** Video codecs that may be used, preferred ones first; VP8 always may. */
  videoCodecs?: readonly string[];
  /**
   * Whether the camera's picture is sent as one stream of several layers where codec
   * and browser can (VP9 and AV1 in Chromium); true. Else each layer is a stream.
   */
  scalableVideo?: boolean;
  /** How the camera is opened unless a call says otherwise. */
  videoCapture?: VideoCaptureOptions;
  /** How the microphone is opened unless a call says otherwise. */
  audioCapture?: AudioCaptureOptions;
  /** Whether the room plays the sound it receives; true. */
  playAudio?: boolean;
  /**
   * How long what is received waits at least before it is played, in milliseconds, 0 to
   * 4,000: more evens out networks that deliver unevenly, and is heard as delay. Unless
   * it is set browsers choose. Where they cannot be told (`jitterBufferTarget`) it does nothing.
   */
  receiveDelayMs?: number;
  /** Whether closing the page leaves the room; true. */
  leaveOnPageHide?: boolean;
  /** Whether the node is told every ten seconds how this browser fares (rates, loss, delay), for the deployment's metrics; true. */
  reportStats?: boolean;
  /** Takes what a developer may want to know of; console.debug. */
  log?: (text: string) => void;
}

/** How one call of connect() behaves. */
export interface ConnectOptions {
  /** Gives up, rejecting with code `aborted`. */
  signal?: AbortSignal;
}
