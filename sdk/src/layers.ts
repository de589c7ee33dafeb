import type { Source } from "./events.js";

/** One simulcast encoding. */
export interface Layer {
  rid: string;
  scaleResolutionDownBy: number;
  maxBitrate: number;
  maxFramerate?: number;
}

/** The captured picture. */
export interface Picture {
  width: number;
  height: number;
  frameRate: number;
}

/** What is assumed of a picture before a device has been opened. */
export const usualPicture: Picture = { width: 1280, height: 720, frameRate: 30 };

/** 720p at 30 frames a second looks good in VP8 with this many bits a second. */
const usualBitrate = 1_700_000;
const leastBitrate = 50_000;

/**
 * The simulcast encodings of a source, smallest first, as they stand in the offer:
 * a quarter, a half and the full size of a camera; a half, at few frames, and the
 * full size of a screen. Bits follow size and frame rate, less than proportionally.
 */
export function layersOf(source: Source, picture: Picture = usualPicture): Layer[] {
  const bitrate = (scale: number, frameRate: number) => {
    const pixels = (picture.width / scale) * (picture.height / scale) * frameRate;
    const usual = usualPicture.width * usualPicture.height * usualPicture.frameRate;
    return Math.max(leastBitrate, Math.round(usualBitrate * (pixels / usual) ** 0.75));
  };
  if (source === "screen") {
    const slow = Math.min(5, picture.frameRate);
    return [
      { rid: "q", scaleResolutionDownBy: 2, maxBitrate: bitrate(2, slow), maxFramerate: slow },
      { rid: "f", scaleResolutionDownBy: 1, maxBitrate: bitrate(1, picture.frameRate) },
    ];
  }
  return [
    { rid: "q", scaleResolutionDownBy: 4, maxBitrate: bitrate(4, picture.frameRate) },
    { rid: "h", scaleResolutionDownBy: 2, maxBitrate: bitrate(2, picture.frameRate) },
    { rid: "f", scaleResolutionDownBy: 1, maxBitrate: bitrate(1, picture.frameRate) },
  ];
}
