import { SpillwayError, type ErrorCode } from "./errors.js";
import { Version, type FromSDK, type Role, type ToClient, type ToSDK } from "./events.js";
import { Gateway } from "./gateway.js";
import { Peer, type StreamCounts } from "./peer.js";
import { answered, beat, heard, isSilent, pingEveryMs, restingPulse, type Pulse } from "./pulse.js";
import { step, type Effect, type Input, type State, type World } from "./session.js";
import type { TokenSource } from "./token.js";

/** Where and as what to connect. */
export interface Target {
  readonly url: string;
  readonly token: TokenSource;
  /** What to be; undefined is whatever the token allows. */
  readonly role: Role | undefined;
  readonly streams: StreamCounts;
  readonly videoCodecs: readonly string[];
}

/** What the engine tells the room. */
export interface EngineListener {
  onState(state: State, before: State): void;
  /** The control channel of a new peer is open: everything must be said anew. */
  onPeer(peer: Peer): void;
  /** The peer is of no more use. */
  onPeerGone(): void;
  onMessage(message: ToSDK): void;
  onOddity(text: string): void;
  /** How many people there are: they would all come back together if the node died. */
  crowd(): { crowd: number; ahead: number };
}

interface Session {
  readonly generation: number;
  readonly id: string;
  readonly peer: Promise<Peer>;
}

/**
 * Carries out what the state machine in session.ts decides, and tells it what
 * happened. The only place that owns sockets, peer connections and timers; at
 * most one of each at a time.
 */
export class Engine {
  #state: State = { name: "idle" };
  #target: Target | undefined;
  #session: Session | undefined;
  #peer: Peer | undefined;
  #gateway: Gateway | undefined;
  #alarm: ReturnType<typeof setTimeout> | undefined;
  #heart: ReturnType<typeof setInterval> | undefined;
  #pulse: Pulse = restingPulse;
  #requests = 0;
  readonly #inputs: Input[] = [];
  readonly #listener: EngineListener;

  constructor(listener: EngineListener) {
    this.#listener = listener;
  }

  /** The present state. */
  get state(): State {
    return this.#state;
  }

  /** The peer connection whose control channel is open, if there is one. */
  get peer(): Peer | undefined {
    return this.#peer;
  }

  /** Round-trip time over the control channel, in milliseconds. */
  get rttMs(): number | undefined {
    return this.#pulse.rttMs;
  }

  /** Begins, if nothing is under way. */
  connect(target: Target): void {
    this.#target = target;
    this.#feed({ type: "connect" });
  }

  /** Ends, whatever is under way. */
  disconnect(): void {
    this.#feed({ type: "disconnect" });
  }

  /** Says that the room has its first roster over the present peer. */
  admitted(): void {
    if (this.#session) this.#feed({ type: "admitted", generation: this.#session.generation });
  }

  /** Sends over the control channel; false when there is none. */
  send(message: FromSDK): boolean {
    return this.#peer?.send(message) ?? false;
  }

  /** One input at a time: what listeners cause while one is carried out waits its turn. */
  #feed(input: Input): void {
    this.#inputs.push(input);
    if (this.#inputs.length > 1) return;
    for (let next = this.#inputs[0]; next; next = this.#inputs[0]) {
      const before = this.#state;
      const world: World = { now: performance.now(), random: Math.random(), ...this.#listener.crowd() };
      const { state, effects } = step(before, next, world);
      this.#state = state;
      for (const effect of effects) this.#carryOut(effect);
      if (state !== before) this.#listener.onState(state, before);
      this.#inputs.shift();
    }
  }

  #carryOut(effect: Effect): void {
    switch (effect.do) {
      case "prepare":
        return this.#prepare(effect.generation);
      case "dial":
        return void this.#dial(effect.dial);
      case "ask":
        return void this.#ask(effect);
      case "accept":
        return void this.#accept(effect);
      case "leave":
        return this.#gateway?.send({ action: "leave", v: Version, id: this.#nextID(), session: this.#session?.id ?? "" });
      case "goodbye":
        return void this.send({ action: "goodbye", v: Version });
      case "hangUp":
        this.#gateway?.close();
        this.#gateway = undefined;
        return;
      case "discard":
        return this.#discard(effect.generation);
      case "alarm":
        clearTimeout(this.#alarm);
        this.#alarm = setTimeout(() => this.#feed({ type: "alarm" }), effect.afterMs);
        return;
      case "silence":
        return clearTimeout(this.#alarm);
    }
  }

  #prepare(generation: number): void {
    const target = this.#target;
    if (!target) return;
    const lost = (code: ErrorCode, text: string) => this.#feed({ type: "lost", generation, code, text });
    const peer = Peer.create(target.streams, target.videoCodecs, {
      onOpen: () => void this.#open(generation),
      onMessage: (message) => this.#message(generation, message),
      onLost: lost,
      onOddity: (text) => this.#listener.onOddity(text),
    });
    peer.catch((error: unknown) => lost(...reasonOf(error, "unsupported")));
    this.#session = { generation, id: randomName(), peer };
  }

  async #dial(dial: number): Promise<void> {
    const target = this.#target;
    if (!target) return;
    try {
      const token = await tokenOf(target.token);
      if (this.#dialled() !== dial) return;
      this.#gateway?.close();
      this.#gateway = new Gateway(target.url, token, {
        onOpen: () => this.#feed({ type: "opened", dial }),
        onMessage: (message) => {
          if (this.#concerns(message)) this.#feed({ type: "told", dial, message });
        },
        onHungUp: (code) => this.#feed({ type: "hungUp", dial, code }),
        onOddity: (text) => this.#listener.onOddity(text),
      });
    } catch (error) {
      if (this.#dialled() !== dial) return;
      const [code, text] = reasonOf(error, "bad_state");
      this.#feed({ type: "lost", generation: this.#session?.generation ?? 0, code, text });
    }
  }

  /** Whether a message is about the present session rather than an earlier one. */
  #concerns(message: ToClient): boolean {
    if (message.action === "answer") return message.session === this.#session?.id;
    return !message.id || message.id.startsWith(this.#idPrefix());
  }

  async #ask(effect: Extract<Effect, { do: "ask" }>): Promise<void> {
    const { session } = this.#at(effect.generation);
    const peer = await session?.peer.catch(() => undefined);
    if (!session || !peer || this.#session !== session || this.#dialled() !== effect.dial) return;
    this.#gateway?.send({
      action: "join", v: Version, id: this.#nextID(), session: session.id, offer: peer.offer, media: peer.media,
      ...(this.#target?.role ? { role: this.#target.role } : {}),
      ...(effect.avoid.length > 0 ? { avoid: [...effect.avoid] } : {}),
    });
  }

  async #accept(effect: Extract<Effect, { do: "accept" }>): Promise<void> {
    const { session } = this.#at(effect.generation);
    try {
      await (await session?.peer)?.accept(effect.answer.answer, effect.answer.iceServers);
    } catch (error) {
      this.#listener.onOddity(`answer not taken: ${String(error)}`);
      this.#feed({ type: "lost", generation: effect.generation, code: "node_unreachable", text: "the media server's answer cannot be used" });
    }
  }

  async #open(generation: number): Promise<void> {
    const { session } = this.#at(generation);
    const peer = await session?.peer;
    if (!peer || this.#session !== session) return;
    this.#peer = peer;
    this.#pulse = restingPulse;
    clearInterval(this.#heart);
    this.#heart = setInterval(() => this.#beat(generation), pingEveryMs);
    this.#listener.onPeer(peer);
    this.#feed({ type: "reached", generation });
  }

  #message(generation: number, message: ToSDK): void {
    if (this.#session?.generation !== generation) return;
    this.#pulse = heard(this.#pulse, performance.now());
    switch (message.action) {
      case "pong":
        this.#pulse = answered(this.#pulse, message.n, performance.now());
        return;
      case "closing":
        return this.#feed({ type: "closing", generation, code: message.code, text: message.text ?? "" });
      default:
        this.#listener.onMessage(message);
    }
  }

  #beat(generation: number): void {
    const now = performance.now();
    if (isSilent(this.#pulse, now, this.#peer?.isBroken ?? false)) {
      this.#feed({ type: "lost", generation, code: "node_unreachable", text: "the media server does not answer" });
      return;
    }
    const n = this.#pulse.next;
    if (this.send({ action: "ping", v: Version, n })) this.#pulse = beat(this.#pulse, now);
  }

  #discard(generation: number): void {
    const { session } = this.#at(generation);
    if (!session) return;
    clearInterval(this.#heart);
    this.#session = undefined;
    session.peer.then((peer) => peer.close(), () => undefined);
    if (!this.#peer) return;
    this.#peer = undefined;
    this.#listener.onPeerGone();
  }

  #at(generation: number): { session: Session | undefined } {
    return { session: this.#session?.generation === generation ? this.#session : undefined };
  }

  #dialled(): number | undefined {
    return "attempt" in this.#state ? this.#state.attempt.dial : undefined;
  }

  #idPrefix(): string {
    return `${this.#session?.generation ?? 0}-`;
  }

  #nextID(): string {
    this.#requests += 1;
    return this.#idPrefix() + this.#requests;
  }
}

/** 128 random bits; crypto.randomUUID is missing on pages that were not loaded over https. */
function randomName(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

/** The token; a source that fails without one of our errors could not be reached. */
async function tokenOf(source: TokenSource): Promise<string> {
  if (typeof source === "string") return source;
  try {
    return await source();
  } catch (cause) {
    if (cause instanceof SpillwayError) throw cause;
    throw new SpillwayError("network", "no token could be fetched", { cause });
  }
}

function reasonOf(error: unknown, otherwise: ErrorCode): [ErrorCode, string] {
  return error instanceof SpillwayError ? [error.code, error.message] : [otherwise, String(error)];
}
