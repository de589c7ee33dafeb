import type { Source } from "./events.js";

/** One simulcast encoding. */
export interface Layer {
  rid: string;
  active: boolean;
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

/**
 * The codecs of which Chromium sends a single small picture unless each encoding
 * says of itself that it is one layer (W3C, Scalable Video Coding for WebRTC).
 */
const scalable: readonly string[] = ["video/vp9", "video/av1"];

/** The scalability mode to ask for with a codec; undefined where there is none. */
export function scalabilityOf(mimeType: string | undefined): string | undefined {
  return mimeType && scalable.includes(mimeType.toLowerCase()) ? "L1T1" : undefined;
}

/** What is assumed of a picture before a device has been opened. */
export const usualPicture: Picture = { width: 1280, height: 720, frameRate: 30 };

/** 720p at 30 frames a second looks good in VP8 with this many bits a second. */
const usualBitrate = 1_700_000;
const leastBitrate = 50_000;

/**
 * From how many pixels on a picture is worth a second and a third encoding.
 * Chromium sends no more than these whatever it is asked for, and of those asked
 * for the first ones: a small picture must be whole in the first.
 */
const worthTwo = 480 * 270;
const worthThree = 960 * 540;

/**
 * The simulcast encodings of a source, smallest first, as they stand in the offer:
 * q, h and f of a camera, q and f of a screen. Each is half as large as the next,
 * the last active one is the whole picture; small pictures leave the last ones
 * inactive. A screen's smaller one has few frames. Bits follow size and frame
 * rate, less than proportionally.
 */
export function layersOf(source: Source, picture: Picture = usualPicture): Layer[] {
  const rids = source === "screen" ? ["q", "f"] : ["q", "h", "f"];
  const pixels = picture.width * picture.height;
  const count = Math.min(rids.length, pixels >= worthThree ? 3 : pixels >= worthTwo ? 2 : 1);
  return rids.map((rid, i) => {
    const active = i < count;
    const scaleResolutionDownBy = active ? 2 ** (count - 1 - i) : 1;
    const slow = source === "screen" && i < count - 1;
    const frameRate = slow ? Math.min(5, picture.frameRate) : picture.frameRate;
    const maxBitrate = bitrateOf(pixels / scaleResolutionDownBy ** 2, frameRate);
    return { rid, active, scaleResolutionDownBy, maxBitrate, ...(slow ? { maxFramerate: frameRate } : {}) };
  });
}

/** The encodings with those that nobody receives switched off; undefined keeps all. */
export function onlyUseful(layers: Layer[], rids: readonly string[] | undefined): Layer[] {
  return rids ? layers.map((l) => ({ ...l, active: l.active && rids.includes(l.rid) })) : layers;
}

function bitrateOf(pixels: number, frameRate: number): number {
  const usual = usualPicture.width * usualPicture.height * usualPicture.frameRate;
  return Math.max(leastBitrate, Math.round(usualBitrate * ((pixels * frameRate) / usual) ** 0.75));
}
