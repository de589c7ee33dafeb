import { mediaError, SpillwayError } from "./errors.js";

/** How to open a camera. */
export interface VideoCaptureOptions {
  deviceId?: string;
  /** Wanted size in pixels and frames a second; the device comes as near as it can. */
  width?: number;
  height?: number;
  frameRate?: number;
}

/** How to open a microphone. All processing is on unless switched off. */
export interface AudioCaptureOptions {
  deviceId?: string;
  echoCancellation?: boolean;
  noiseSuppression?: boolean;
  autoGainControl?: boolean;
}

/** How devices are opened unless a call says otherwise. */
export interface CaptureDefaults {
  video: VideoCaptureOptions;
  audio: AudioCaptureOptions;
}

/** How to share a screen. */
export interface ScreenShareOptions {
  /** Whether to ask for the sound, too: of the tab or window, and of the whole system where a whole screen is shared and the browser can. */
  audio?: boolean;
  /** What it shows, which decides what gives way where the network carries too little: frames of `detail` (the default) and `text`, sharpness of `motion`. */
  contentHint?: "detail" | "text" | "motion";
}

/** Opens a camera. Rejects with a `media_…` code. */
export async function openCamera(options: VideoCaptureOptions): Promise<MediaStreamTrack> {
  const { deviceId, width = 1280, height = 720, frameRate = 30 } = options;
  const stream = await userMedia({
    video: { ...exactly(deviceId), width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: frameRate, max: frameRate } },
  }, "the camera");
  return first(stream, "the camera");
}

/** Opens a microphone. Rejects with a `media_…` code. */
export async function openMicrophone(options: AudioCaptureOptions): Promise<MediaStreamTrack> {
  const { deviceId, echoCancellation = true, noiseSuppression = true, autoGainControl = true } = options;
  const stream = await userMedia(
    { audio: { ...exactly(deviceId), echoCancellation, noiseSuppression, autoGainControl } }, "the microphone");
  return first(stream, "the microphone");
}

/** Lets the person choose a screen; the second track is its sound, if there is any. Rejects with a `media_…` code. */
export async function openScreen(options: ScreenShareOptions): Promise<[MediaStreamTrack, MediaStreamTrack?]> {
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getDisplayMedia(displayConstraints(options));
  } catch (cause) {
    throw mediaError(cause, "the screen");
  }
  const picture = first(stream, "the screen");
  picture.contentHint = options.contentHint ?? "detail";
  const sound = stream.getAudioTracks()[0];
  return sound ? [picture, sound] : [picture];
}

/** What is asked of the browser. Sound of a screen is music as often as speech: nothing is taken out of it, and browsers that do not know `systemAudio` ignore it. */
function displayConstraints({ audio = false, contentHint }: ScreenShareOptions): DisplayMediaStreamOptions & { systemAudio: "include" | "exclude" } {
  return {
    video: { frameRate: { ideal: contentHint === "motion" ? 30 : 15, max: 30 } },
    audio: audio && { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    systemAudio: audio ? "include" : "exclude",
  };
}

async function userMedia(constraints: MediaStreamConstraints, what: string): Promise<MediaStream> {
  // Pages that were not loaded over https have no mediaDevices, whatever the types say.
  const devices = navigator.mediaDevices as MediaDevices | undefined;
  if (!devices) throw new SpillwayError("media_denied", `${what} can only be used by pages loaded over https`);
  try {
    return await devices.getUserMedia(constraints);
  } catch (cause) {
    throw mediaError(cause, what);
  }
}

function first(stream: MediaStream, what: string): MediaStreamTrack {
  const track = stream.getTracks().find((t) => t.kind === "video") ?? stream.getTracks()[0];
  if (!track) throw new SpillwayError("media_missing", `${what} gave nothing`);
  return track;
}

function exactly(deviceId: string | undefined): { deviceId?: { exact: string } } {
  return deviceId ? { deviceId: { exact: deviceId } } : {};
}
