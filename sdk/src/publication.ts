import type { Source, Track } from "./events.js";

/** What kind of media a source gives. */
export type Kind = "audio" | "video";

/** The kind of a source. */
export function kindOf(source: Source): Kind {
  return source === "microphone" || source === "screen_audio" ? "audio" : "video";
}

/** Sets up an element to play one track, or none. */
export function play(element: HTMLMediaElement, track: MediaStreamTrack | undefined): void {
  element.srcObject = track ? new MediaStream([track]) : null;
  // Rejects when something else is put on the element meanwhile, or sound is blocked: the room says so itself.
  if (track) void element.play().catch(() => undefined);
}

/** A new element of the right kind. */
export function newElement(kind: Kind): HTMLMediaElement {
  const element = document.createElement(kind);
  element.autoplay = true;
  if (element instanceof HTMLVideoElement) element.playsInline = true;
  return element;
}

/** A track that somebody offers in the room. */
export abstract class TrackPublication {
  readonly source: Source;
  readonly kind: Kind;
  #track: Track;

  constructor(track: Track) {
    this.source = track.source;
    this.kind = kindOf(track.source);
    this.#track = track;
  }

  /** Whether the sender has switched it off for now. */
  get isMuted(): boolean {
    return this.#track.muted ?? false;
  }

  /** Size of the captured picture in pixels; undefined for sound or when unknown. */
  get dimensions(): { width: number; height: number } | undefined {
    const { width, height } = this.#track;
    return width && height ? { width, height } : undefined;
  }

  /** @internal What is said of it in the contract's words. */
  get info(): Track {
    return this.#track;
  }

  /** @internal */
  update(track: Track): void {
    this.#track = track;
  }
}

/** Somebody in the room. */
export abstract class Participant<P extends TrackPublication = TrackPublication> {
  /** @internal */
  protected readonly publications = new Map<Source, P>();
  #level = 0;
  #speaking = false;

  /** Unique in the room. */
  abstract readonly identity: string;
  /** For people; the identity where there is no name. */
  abstract readonly name: string;

  /** What this participant offers, by source. */
  get trackPublications(): ReadonlyMap<Source, P> {
    return this.publications;
  }

  /** What this participant offers from a source. */
  getTrackPublication(source: Source): P | undefined {
    return this.publications.get(source);
  }

  /** Whether there is a camera picture to be seen. */
  get isCameraEnabled(): boolean {
    return this.#isOn("camera");
  }

  /** Whether the microphone is on. */
  get isMicrophoneEnabled(): boolean {
    return this.#isOn("microphone");
  }

  /** Whether a screen is shared. */
  get isScreenShareEnabled(): boolean {
    return this.#isOn("screen");
  }

  /** Whether this participant speaks at the moment. */
  get isSpeaking(): boolean {
    return this.#speaking;
  }

  /** How loud this participant speaks, 0 (silent) to 1. */
  get audioLevel(): number {
    return this.#level;
  }

  /** @internal Takes a loudness in -dBov (RFC 6464), or undefined for silence. */
  setSpeaking(level: number | undefined): void {
    this.#speaking = level !== undefined;
    this.#level = level === undefined ? 0 : 10 ** (-level / 20);
  }

  #isOn(source: Source): boolean {
    const publication = this.publications.get(source);
    return publication !== undefined && !publication.isMuted;
  }
}
