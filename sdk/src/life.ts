import type { ErrorCode } from "./errors.js";
import { Version, type FromSDK, type ToSDK } from "./events.js";
import { Peer, type StreamCounts } from "./peer.js";
import { answered, beat, heard, isSilent, isUneasy, look, nextLookMs, restingPulse, type Pulse } from "./pulse.js";

/** After a change of the network: how often to ask for a sign of life, and how long to wait for one. */
const doubtEveryMs = 150;
const cutOffMs = 700;

/** What a session tells the engine; nothing after {@link Life.end}. */
export interface LifeListener {
  /** The control channel is open. */
  onOpen(peer: Peer): void;
  onMessage(message: ToSDK): void;
  onLost(code: ErrorCode, text: string): void;
  /** Nothing has come for a while, and after that: something has come again. */
  onSuspect(): void;
  onRecovered(): void;
  /** The network may be another, and nothing has come since. */
  onCutOff(): void;
  onOddity(text: string): void;
}

/** One session with its peer connection, and whether the node at its other end shows life. */
export class Life {
  readonly generation: number;
  readonly id = randomName();
  readonly ready: Promise<Peer>;
  #peer: Peer | undefined;
  #listener: LifeListener | undefined;
  #heart: ReturnType<typeof setTimeout> | undefined;
  #pulse: Pulse = restingPulse;
  #doubted: ReturnType<typeof setInterval> | undefined;
  #suspect = false;
  /** How much media had come when this was last looked at; undefined while all is well. */
  #received: number | undefined;
  #looking = false;

  constructor(generation: number, streams: StreamCounts, videoCodecs: readonly string[], listener: LifeListener) {
    this.generation = generation;
    this.#listener = listener;
    this.ready = Peer.create(streams, videoCodecs, {
      onOpen: () => void this.#open(),
      onMessage: (message) => this.#message(message),
      onLost: (code, text) => this.#listener?.onLost(code, text),
      onOddity: (text) => this.#listener?.onOddity(text),
    });
  }

  /** The peer once its control channel is open. */
  get peer(): Peer | undefined {
    return this.#peer;
  }

  get rttMs(): number | undefined {
    return this.#pulse.rttMs;
  }

  /** Sends over the control channel; false when it is not open. */
  send(message: FromSDK): boolean {
    return this.#peer?.send(message) ?? false;
  }

  /** Asks for a sign of life now. */
  ask(): void {
    const n = this.#pulse.next;
    if (this.#peer?.ping({ action: "ping", v: Version, n })) this.#pulse = beat(this.#pulse, performance.now());
  }

  /**
   * Finds out soon whether the node can still be reached: a connection does not
   * survive the loss of the address it was made from, and need not be waited for.
   */
  doubt(): void {
    const peer = this.#peer;
    if (!peer || this.#doubted) return;
    const began = performance.now();
    this.ask();
    this.#doubted = setInterval(() => {
      const now = performance.now();
      const heard = this.#pulse.heardAt > began;
      if (!heard && now - began < cutOffMs) return this.ask();
      clearInterval(this.#doubted);
      this.#doubted = undefined;
      if (!heard && this.#listener && !this.#suspect) this.#listener.onCutOff();
    }, doubtEveryMs);
  }

  /** Ends the connection; the listener hears nothing more. */
  end(): void {
    this.#listener = undefined;
    clearTimeout(this.#heart);
    clearInterval(this.#doubted);
    this.ready.then((peer) => peer.close(), () => undefined);
  }

  async #open(): Promise<void> {
    const peer = await this.ready;
    if (!this.#listener) return;
    this.#peer = peer;
    const now = performance.now();
    this.#pulse = heard(look(this.#pulse, now), now);
    this.#listener.onOpen(peer);
    this.#beat(peer);
  }

  #message(message: ToSDK): void {
    const now = performance.now();
    if (message.action === "pong") this.#pulse = answered(this.#pulse, message.n, now);
    this.#alive(now);
    if (message.action !== "pong") this.#listener?.onMessage(message);
  }

  #alive(at: number): void {
    this.#pulse = heard(this.#pulse, at);
    if (!isUneasy(this.#pulse)) this.#received = undefined;
    if (!this.#suspect) return;
    this.#suspect = false;
    this.#listener?.onRecovered();
  }

  #beat(peer: Peer): void {
    if (!this.#listener) return;
    this.#pulse = look(this.#pulse, performance.now());
    this.ask();
    this.#heart = setTimeout(() => this.#beat(peer), nextLookMs(this.#pulse));
    if (isUneasy(this.#pulse)) void this.#lookForMedia(peer);
  }

  /** Pings may be lost or held up where media is not. */
  async #lookForMedia(peer: Peer): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    const { bytes, agoMs } = await peer.received().finally(() => { this.#looking = false; });
    if (!this.#listener || !isUneasy(this.#pulse)) return;
    const now = performance.now();
    const before = this.#received;
    this.#received = bytes;
    const at = now - (agoMs ?? 0);
    if (before !== undefined && bytes > before) return this.#alive(at);
    // The last of it may have come after the last message.
    if (bytes > 0 && agoMs !== undefined) this.#pulse = heard(this.#pulse, at);
    if (this.#suspect || !isSilent(this.#pulse)) return;
    this.#suspect = true;
    this.#listener.onSuspect();
  }
}

/** 128 random bits; crypto.randomUUID is missing on pages that were not loaded over https. */
function randomName(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}
