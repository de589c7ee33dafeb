import { SpillwayError } from "./errors.js";
import type { Source, Stream } from "./events.js";
import type { Peer } from "./peer.js";

/** The longest that what is received may be made to wait, in milliseconds: browsers take no more. */
export const maxDelayMs = 4_000;
/** How often sound and picture of each person are compared, in milliseconds. */
const alignEveryMs = 1_000;
/** Less of a difference is left alone: nobody sees it, and it is in the measurement. */
const unseenMs = 20;
/** How far a stream may be held back for another. More is not a difference but a clock that is wrong. */
const mostMs = 600;

/** A delay that a page asks for. Throws `bad_field` when it is none. @internal */
export function delayOf(delayMs: number | undefined): number | undefined {
  if (delayMs !== undefined && !(delayMs >= 0 && delayMs <= maxDelayMs)) throw new SpillwayError("bad_field", `a delay is 0 to ${maxDelayMs} ms`);
  return delayMs;
}

/** What of one stream is played now. Times in milliseconds. */
export interface Playing {
  /** When it was captured, or, where the browser does not say that of both, came here, by a clock that both have in common. */
  readonly capturedMs: number;
  /** How long packets have waited to be played lately. */
  readonly delayMs: number;
  /** How long they are made to wait at least; undefined is as the browser likes. */
  readonly targetMs: number | undefined;
}

/**
 * How long the packets of a sound and of the picture that belongs to it are to wait
 * from now on, so that both are played together. What is ahead waits longer; but
 * first what is behind waits no longer than it must. Half of the difference is made
 * up at a time: browsers follow slowly. least is what both wait for anyway.
 */
export function align(sound: Playing, picture: Playing, least: number | undefined): { sound: number | undefined; picture: number | undefined } {
  const skew = picture.capturedMs - sound.capturedMs;
  const [ahead, behind] = skew > 0 ? [picture, sound] : [sound, picture];
  let [early, late] = [ahead.targetMs, behind.targetMs];
  if (Math.abs(skew) > unseenMs && Math.abs(skew) <= mostMs) {
    const step = Math.abs(skew) / 2;
    const spare = Math.max(0, (late ?? 0) - (least ?? 0));
    const given = Math.min(spare, step);
    if (given > 0) late = spare - given < 1 ? least : (least ?? 0) + spare - given;
    else early = Math.min((least ?? 0) + mostMs, maxDelayMs, Math.max(ahead.delayMs, early ?? 0) + step);
  }
  return skew > 0 ? { sound: late, picture: early } : { sound: early, picture: late };
}

/** What a browser says of one stream: Chromium, when it was captured only of streams that it keeps together itself. */
type Told = Omit<Playing, "capturedMs"> & { readonly capturedMs: number | undefined };

/**
 * Sound and picture in one measure. What the node sends at a time was captured at a
 * time, and comes over one network: so what waits longer here is behind.
 */
function comparable(sound: Told, picture: Told): [sound: Playing, picture: Playing] {
  const both = sound.capturedMs !== undefined && picture.capturedMs !== undefined;
  const of = (told: Told): Playing => ({ ...told, capturedMs: both ? told.capturedMs ?? 0 : -told.delayMs });
  return [of(sound), of(picture)];
}

/** Sources that belong together. */
const pairs: readonly (readonly [sound: Source, picture: Source])[] = [["microphone", "camera"], ["screen_audio", "screen"]];

type Entry = Readonly<Record<string, unknown>>;

/**
 * Keeps what is received waiting as long as the page wants, and the sound and the
 * picture of each person together: they come on streams of their own, so browsers do
 * not do it by themselves. Where a browser cannot be told how long to wait, or does
 * not say how long it does, everything stays as it is.
 */
export class Playout {
  readonly #carried: () => ReadonlyMap<string, Stream>;
  #peer: Peer | undefined;
  #least: number | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Who was on each stream, and how long it waits, by mid. */
  #targets = new Map<string, { readonly csrc: number; readonly targetMs: number | undefined }>();
  /** Totals at the look before, by mid: seconds waited, and how many packets or frames have. */
  #before = new Map<string, readonly [waited: number, played: number]>();

  constructor(carried: () => ReadonlyMap<string, Stream>, delayMs: number | undefined) {
    this.#carried = carried;
    this.#least = delayMs;
  }

  /** How long everything is made to wait at least; undefined is as the browser likes. */
  get delayMs(): number | undefined {
    return this.#least;
  }

  /** Changes that, at once. */
  setDelay(delayMs: number | undefined): void {
    this.#least = delayMs;
    this.#reset();
  }

  /** Looks after another connection, or none. */
  follow(peer: Peer | undefined): void {
    if (peer === this.#peer) return;
    this.#peer = peer;
    this.#reset();
    clearInterval(this.#timer);
    this.#timer = peer && setInterval(() => void this.#look(peer), alignEveryMs);
  }

  #reset(): void {
    this.#targets.clear();
    this.#before.clear();
    for (const mid of [...(this.#peer?.media.audio ?? []), ...(this.#peer?.media.video ?? [])]) this.#set(mid, 0, this.#least);
  }

  #set(mid: string, csrc: number, targetMs: number | undefined): void {
    const receiver = this.#peer?.receiver(mid);
    if (!receiver || !("jitterBufferTarget" in receiver)) return;
    const known = this.#targets.get(mid);
    this.#targets.set(mid, { csrc, targetMs });
    if (known && known.targetMs === targetMs) return;
    receiver.jitterBufferTarget = targetMs ?? null;
  }

  async #look(peer: Peer): Promise<void> {
    const streams = [...this.#carried().values()];
    for (const stream of streams) {
      const known = this.#targets.get(stream.mid);
      // Whoever comes onto a stream begins as the browser likes.
      if (known && known.csrc !== stream.csrc) this.#set(stream.mid, stream.csrc, this.#least);
    }
    const together = pairs.flatMap(([sound, picture]) => streams.filter((s) => s.source === sound && !s.paused).flatMap((heard) => {
      const seen = streams.find((s) => s.source === picture && s.participant === heard.participant && !s.paused);
      return seen ? [[heard, seen] as const] : [];
    }));
    if (together.length === 0) return;
    const report = await peer.connection.getStats().catch(() => undefined);
    if (!report || this.#peer !== peer) return;
    const entries = new Map<string, Entry>();
    for (const e of (report as ReadonlyMap<string, Entry>).values()) if (e["type"] === "inbound-rtp" && typeof e["mid"] === "string") entries.set(e["mid"], e);
    const playing = new Map([...entries].map(([mid, e]) => [mid, this.#playing(mid, e)]));
    for (const [heard, seen] of together) {
      const [sound, picture] = [playing.get(heard.mid), playing.get(seen.mid)];
      if (!sound || !picture) continue;
      const next = align(...comparable(sound, picture), this.#least);
      this.#set(heard.mid, heard.csrc, next.sound);
      this.#set(seen.mid, seen.csrc, next.picture);
    }
  }

  /** What a stream plays; undefined where the browser does not say, or nothing has been played since the last look. */
  #playing(mid: string, entry: Entry): Told | undefined {
    const [captured, waited, played] = ["estimatedPlayoutTimestamp", "jitterBufferDelay", "jitterBufferEmittedCount"].map((f) => entry[f]);
    if (typeof waited !== "number" || typeof played !== "number") return undefined;
    const [waitedBefore, playedBefore] = this.#before.get(mid) ?? [0, 0];
    this.#before.set(mid, [waited, played]);
    if (played <= playedBefore) return undefined;
    return { capturedMs: typeof captured === "number" ? captured : undefined, delayMs: (1000 * (waited - waitedBefore)) / (played - playedBefore), targetMs: this.#targets.get(mid)?.targetMs };
  }
}
