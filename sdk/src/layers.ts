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

/** An encoding as the browser is asked for it. */
export type Encoding = Layer & { scalabilityMode?: string };

/**
 * The encodings to ask for with a codec: simulcast as it is, where nothing has to be
 * said of how each is layered.
 */
export function simulcastOf(layers: Layer[], mimeType: string | undefined): Encoding[] {
  return isScalable(mimeType) ? layers.map((l) => ({ ...l, scalabilityMode: "L1T1" })) : layers;
}

/**
 * The same layers as one stream in which larger pictures build on smaller ones, at
 * key frames only: the first encoding has all of them, up to the largest that is of
 * use. Undefined where the codec cannot, or there is but one.
 */
export function scalableOf(layers: Layer[], mimeType: string | undefined): Encoding[] | undefined {
  const count = layers.filter((l) => l.scaleResolutionDownBy > 1).length + 1;
  const largest = layers[layers.findLastIndex((l) => l.active)];
  if (!isScalable(mimeType) || !largest || count === 1) return undefined;
  const used = layers.slice(0, layers.indexOf(largest) + 1);
  return layers.map((l, i) =>
    i > 0
      ? { ...l, active: false }
      : {
          rid: l.rid, active: true, scaleResolutionDownBy: largest.scaleResolutionDownBy,
          maxBitrate: used.reduce((sum, u) => sum + u.maxBitrate, 0), scalabilityMode: `L${used.length}T3${used.length > 1 ? "_KEY" : ""}`,
        },
  );
}

function isScalable(mimeType: string | undefined): boolean {
  return mimeType !== undefined && scalable.includes(mimeType.toLowerCase());
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
