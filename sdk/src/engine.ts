import { SpillwayError, type ErrorCode } from "./errors.js";
import { Version, type FromSDK, type Role, type ToClient, type ToSDK } from "./events.js";
import { Gateway } from "./gateway.js";
import { Life } from "./life.js";
import type { Peer, StreamCounts } from "./peer.js";
import { renewal, Tickets } from "./resume.js";
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
  /** The control channel of a new peer is open: everything must be said to it. An older one may go on beside it. */
  onPeer(peer: Peer): void;
  /** The peer is of no more use. */
  onPeerGone(peer: Peer): void;
  onMessage(message: ToSDK, peer: Peer): void;
  onOddity(text: string): void;
  /** How many people there are: they would all come back together if the node died. */
  crowd(): { crowd: number; ahead: number };
}

/** How late an alarm must be for the machine to have slept; timers of tabs in the background may be a minute late. */
const sleptMs = 90_000;

/**
 * Carries out what the state machine in session.ts decides, and tells it what
 * happened. The only place that owns sockets, peer connections and timers. There
 * are at most one socket and, while a home is changed, two peer connections.
 */
export class Engine {
  #state: State = { name: "idle" };
  #target: Target | undefined;
  /** The sessions that have not ended, the newest last. */
  #lives: Life[] = [];
  #receiveKbps = 0;
  readonly #tickets = new Tickets((generation, ticket) => this.#renew(generation, ticket));
  #gateway: Gateway | undefined;
  #alarm: ReturnType<typeof setTimeout> | undefined;
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

  /** The peer connection that carries the room: the oldest whose control channel is open. */
  get peer(): Peer | undefined {
    return this.#lives.find((l) => l.peer)?.peer;
  }

  /** Round-trip time over the control channel, in milliseconds. */
  get rttMs(): number | undefined {
    return this.#lives.find((l) => l.peer)?.rttMs;
  }

  /** Begins, if nothing is under way. */
  connect(target: Target): void {
    this.#target = target;
    this.#receiveKbps = 0;
    this.#tickets.clear();
    this.#feed({ type: "connect" });
  }

  /** Ends, whatever is under way. */
  disconnect(): void {
    this.#feed({ type: "disconnect" });
  }

  /** Says that the room has its first roster over a peer. */
  admitted(peer: Peer): void {
    const life = this.#lives.find((l) => l.peer === peer);
    if (life) this.#feed({ type: "admitted", generation: life.generation });
  }

  /** Says that all that is shown comes over the newest peer. */
  settled(peer: Peer): void {
    const life = this.#lives.find((l) => l.peer === peer);
    if (life) this.#feed({ type: "settled", generation: life.generation });
  }

  /** The network may be another now: whether the node is still to be reached is found out at once, and what waits for the network does not. */
  renew(): void {
    for (const life of this.#lives) life.doubt();
    this.#feed({ type: "online" });
  }

  /** Sends over all control channels that are open. */
  send(message: FromSDK): void {
    for (const life of this.#lives) life.send(message);
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
        return this.#gateway?.send({ action: "leave", v: Version, id: this.#nextID(), session: this.#at(effect.generation)?.id ?? "" });
      case "goodbye":
        return void this.#at(effect.generation)?.send({ action: "goodbye", v: Version });
      case "hangUp":
        this.#gateway?.close();
        this.#gateway = undefined;
        return;
      case "discard":
        return this.#discard(effect.generation);
      case "alarm":
        return this.#setAlarm(effect.afterMs);
      case "silence":
        return clearTimeout(this.#alarm);
    }
  }

  #setAlarm(afterMs: number): void {
    clearTimeout(this.#alarm);
    const due = performance.now() + afterMs;
    this.#alarm = setTimeout(() => {
      const lateMs = performance.now() - due;
      this.#feed(lateMs > sleptMs ? { type: "alarm", lateMs } : { type: "alarm" });
    }, afterMs);
  }

  #prepare(generation: number): void {
    const target = this.#target;
    if (!target) return;
    const lost = (code: ErrorCode, text: string) => this.#feed({ type: "lost", generation, code, text });
    const life = new Life(generation, target.streams, target.videoCodecs, {
      onOpen: (peer) => {
        this.#listener.onPeer(peer);
        this.#feed({ type: "reached", generation });
      },
      onMessage: (message) => this.#message(life, message),
      onLost: lost,
      onSuspect: () => this.#feed({ type: "suspect", generation }),
      onRecovered: () => this.#feed({ type: "recovered", generation }),
      onCutOff: () => this.#feed({ type: "move", generation }),
      onOddity: (text) => this.#listener.onOddity(text),
    });
    life.ready.catch((error: unknown) => lost(...reasonOf(error, "unsupported")));
    this.#lives.push(life);
  }

  async #dial(dial: number): Promise<void> {
    const target = this.#target;
    if (!target) return;
    try {
      const token = await tokenOf(target.token);
      if (this.#dialled() !== dial) return;
      this.#gateway?.close();
      this.#gateway = new Gateway(target.url, token, this.#tickets.latest, {
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
      this.#feed({ type: "lost", generation: this.#newest?.generation ?? 0, code, text });
    }
  }

  /** Whether a message is about the present session rather than an earlier one. */
  #concerns(message: ToClient): boolean {
    if (message.action === "answer") return message.session === this.#newest?.id;
    return !message.id || message.id.startsWith(this.#idPrefix());
  }

  async #ask(effect: Extract<Effect, { do: "ask" }>): Promise<void> {
    const life = this.#at(effect.generation);
    const peer = await life?.ready.catch(() => undefined);
    if (!life || !peer || this.#newest !== life || this.#dialled() !== effect.dial) return;
    const from = "kept" in this.#state && this.#state.kept ? this.#at(this.#state.kept.generation)?.id : undefined;
    this.#gateway?.send({
      action: "join", v: Version, id: this.#nextID(), session: life.id, offer: peer.offer, media: peer.media,
      ...(this.#target?.role ? { role: this.#target.role } : {}),
      ...(effect.avoid.length > 0 ? { avoid: [...effect.avoid] } : {}),
      ...(from ? { from } : {}),
      ...(this.#receiveKbps > 0 ? { receiveKbps: this.#receiveKbps } : {}),
    });
  }

  async #accept(effect: Extract<Effect, { do: "accept" }>): Promise<void> {
    if (effect.answer.resume) this.#tickets.hold(effect.generation, effect.answer.resume);
    try {
      await (await this.#at(effect.generation)?.ready)?.accept(effect.answer.answer, effect.answer.iceServers);
    } catch (error) {
      this.#listener.onOddity(`answer not taken: ${String(error)}`);
      this.#feed({ type: "lost", generation: effect.generation, code: "node_unreachable", text: "the media server's answer cannot be used" });
    }
  }

  async #renew(generation: number, ticket: string): Promise<string> {
    const [target, life] = [this.#target, this.#at(generation)];
    if (!target || !life) throw new SpillwayError("bad_state", "the session is over");
    return renewal(target.url, await tokenOf(target.token), ticket, life.id);
  }

  #message(life: Life, message: ToSDK): void {
    const { generation } = life;
    switch (message.action) {
      case "closing":
        return this.#feed({ type: "closing", generation, code: message.code, text: message.text ?? "" });
      case "move":
        this.#receiveKbps = message.receiveKbps ?? 0;
        return this.#feed({ type: "move", generation });
      default:
        if (life.peer) this.#listener.onMessage(message, life.peer);
    }
  }

  #discard(generation: number): void {
    const life = this.#at(generation);
    if (!life) return;
    this.#lives = this.#lives.filter((l) => l !== life);
    this.#tickets.drop(generation);
    life.end();
    if (life.peer) this.#listener.onPeerGone(life.peer);
  }

  #at(generation: number): Life | undefined {
    return this.#lives.find((l) => l.generation === generation);
  }

  get #newest(): Life | undefined {
    return this.#lives.at(-1);
  }

  #dialled(): number | undefined {
    return "attempt" in this.#state ? this.#state.attempt.dial : undefined;
  }

  #idPrefix(): string {
    return `${this.#newest?.generation ?? 0}-`;
  }

  #nextID(): string {
    this.#requests += 1;
    return this.#idPrefix() + this.#requests;
  }
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
