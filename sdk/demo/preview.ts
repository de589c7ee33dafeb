import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { VideoCaptureOptions } from "../src/index.js";

/** What the preview shows of one's own devices. */
export interface Preview {
  readonly video: MediaStreamTrack | undefined;
  readonly audio: MediaStreamTrack | undefined;
  /** Whether the browser or the person refused. */
  readonly refused: boolean;
  /** Uses another device. */
  pick(kind: "videoinput" | "audioinput", deviceId: string): void;
  /** Hands the tracks over to the room; the preview does not stop them any more. */
  take(): MediaStreamTrack[];
}

/** Opens camera and microphone for as long as the form is shown, each only while it is wanted. */
export function usePreview(camera: boolean, microphone: boolean, capture: VideoCaptureOptions | undefined): Preview {
  const [ids, setIds] = useState<{ videoinput?: string; audioinput?: string }>({});
  const [refused, setRefused] = useState(false);
  const onRefused = useCallback(() => setRefused(true), []);
  const video = useTrack(camera, onRefused, JSON.stringify({
    video: { ...sized(capture), ...(ids.videoinput ? { deviceId: { exact: ids.videoinput } } : {}) },
  }));
  const audio = useTrack(microphone, onRefused, JSON.stringify({
    audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, ...(ids.audioinput ? { deviceId: { exact: ids.audioinput } } : {}) },
  }));
  return {
    video: video.track, audio: audio.track, refused,
    pick: (kind, deviceId) => setIds((now) => ({ ...now, [kind]: deviceId })),
    take: () => [video.take(), audio.take()].filter((t) => t !== undefined),
  };
}

function sized({ width = 1280, height = 720, frameRate = 30 }: VideoCaptureOptions = {}): MediaTrackConstraints {
  return { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: frameRate, max: frameRate } };
}

/** One device's track, opened anew when the constraints (as JSON) change. */
function useTrack(wanted: boolean, onRefused: () => void, constraints: string) {
  const [track, setTrack] = useState<MediaStreamTrack>();
  const mine = useRef<MediaStreamTrack>();
  useEffect(() => {
    let over = false;
    const media = navigator.mediaDevices as MediaDevices | undefined;
    if (!wanted || !media) return;
    media.getUserMedia(JSON.parse(constraints) as MediaStreamConstraints).then((stream) => {
      const [opened] = stream.getTracks();
      if (over) return opened?.stop();
      mine.current = opened;
      setTrack(opened);
    }, (error: unknown) => {
      if (!over && error instanceof DOMException && error.name === "NotAllowedError") onRefused();
    });
    return () => {
      over = true;
      mine.current?.stop();
      mine.current = undefined;
      setTrack(undefined);
    };
  }, [wanted, constraints, onRefused]);
  const take = () => {
    const given = mine.current;
    mine.current = undefined;
    return given;
  };
  return { track, take };
}
