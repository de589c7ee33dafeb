import { AudioOut } from "./audio.js";
import { VideoDemand } from "./demand.js";
import type { Source, Stream, Streams, WantedVideo } from "./events.js";
import type { Peer } from "./peer.js";
import { kindOf } from "./publication.js";
import type { RemoteHost, RemoteParticipant, RemoteTrack, RemoteTrackPublication } from "./remote.js";
import { emptyStreamMap, isReached, isSameRun, takeStreams, type StreamMap } from "./streams.js";

/** A publication with whose it is. @internal */
export interface Owned {
  readonly participant: RemoteParticipant;
  readonly publication: RemoteTrackPublication;
}

/** What the reception tells the room. @internal */
export interface ReceptionListener {
  find(identity: string, source: Source): Owned | undefined;
  onWanted(wanted: WantedVideo[]): void;
  onSubscribed(owned: Owned): void;
  onUnsubscribed(owned: Owned): void;
  onPaused(owned: Owned): void;
  onSoundBlocked(blocked: boolean): void;
  /** All that an older peer carried comes over this one. */
  onSettled(peer: Peer): void;
}

/** How often to look whether a new peer gives what an old one gave. */
const lookEveryMs = 30;
/** How long a voice must have come over a new peer before it is played: at first a browser makes up what its buffer lacks. */
const soundMs = 300;

/** Whether both are paused, or cannot be decoded, or not. */
function isSameState(a: Stream, b: Stream): boolean {
  return !a.paused === !b.paused && !a.undecodable === !b.undecodable;
}

/** One connection and what it says of its receive streams. */
interface Line {
  readonly peer: Peer;
  map: StreamMap;
  /** Since when each voice has come, by source and participant. */
  readonly voices: Map<string, number>;
}

/** Where a publication comes from. */
interface Carrying {
  readonly owned: Owned;
  readonly line: Line;
  readonly stream: Stream;
}

/**
 * What is received: puts the publications on the receive streams that the node's
 * map gives them, and asks for what the page shows. A stream whose publication the
 * roster does not know yet carries nothing until it does.
 *
 * While a home is changed there are two peers. A publication stays on the old one
 * until the new one has a picture of it, and sound goes over in one step when the
 * new one has all of it, so that nothing is seen or heard of the change.
 */
export class Reception implements RemoteHost {
  readonly audio: AudioOut;
  readonly #listener: ReceptionListener;
  readonly #demand: VideoDemand;
  #lines: Line[] = [];
  #shown = new Map<string, Carrying>();
  /** The line whose sound is played. */
  #heard: Line | undefined;
  #look: ReturnType<typeof setInterval> | undefined;

  constructor(playAudio: boolean, listener: ReceptionListener) {
    this.#listener = listener;
    this.audio = new AudioOut(playAudio, (blocked) => listener.onSoundBlocked(blocked));
    this.#demand = new VideoDemand((wanted) => listener.onWanted(wanted));
  }

  /** What the page shows now. */
  get wanted(): WantedVideo[] {
    return this.#demand.wanted;
  }

  /** Who is on which receive stream of the oldest peer. */
  get carried(): ReadonlyMap<string, Stream> {
    const [line] = this.#lines;
    return new Map([...this.#shown.values()].filter((s) => s.line === line).map((s) => [s.stream.mid, s.stream]));
  }

  /** Receives over this peer, too. */
  bind(peer: Peer): void {
    const line: Line = { peer, map: emptyStreamMap, voices: new Map() };
    this.#lines.push(line);
    if (this.#lines.length === 1) this.#hear(line);
    else this.#look ??= setInterval(() => this.#compare(), lookEveryMs);
  }

  /** Receives over this peer no more. What it showed stays as it is until something comes in its place, if anything may. */
  unbind(peer: Peer): void {
    this.#lines = this.#lines.filter((l) => l.peer !== peer);
    if (this.#lines.length < 2) {
      clearInterval(this.#look);
      this.#look = undefined;
    }
    const [next] = this.#lines;
    if (!next) this.audio.clear();
    if (this.#heard?.peer === peer) this.#heard = undefined;
    if (next && !this.#heard) this.#hear(next);
    this.reconcile();
  }

  /** Takes a node's map. */
  take(message: Streams, peer: Peer): void {
    const line = this.#lines.find((l) => l.peer === peer);
    if (!line) return;
    line.map = takeStreams(line.map, message);
    this.reconcile();
  }

  /** Does what the maps say, as far as the roster knows whom they are about. Call it when either changes. */
  reconcile(): void {
    const next = this.#choose();
    const before = this.#shown;
    this.#shown = next;
    for (const [key, old] of before) {
      if (next.get(key)?.owned.publication === old.owned.publication) continue;
      old.owned.publication.carry(undefined);
      this.#listener.onUnsubscribed(old.owned);
    }
    for (const [key, now] of next) this.#put(now, before.get(key));
  }

  observe(element: HTMLVideoElement, track: RemoteTrack): void {
    this.#demand.observe(element, { participant: track.participantIdentity, source: track.source, pinned: track.isPinned });
  }

  unobserve(element: HTMLVideoElement): void {
    this.#demand.unobserve(element);
  }

  pin(element: HTMLVideoElement, pinned: boolean): void {
    this.#demand.pin(element, pinned);
  }

  silence(mid: string, silent: boolean): void {
    this.audio.silence(mid, silent);
  }

  /** Where each publication is to come from. */
  #choose(): Map<string, Carrying> {
    const next = new Map<string, Carrying>();
    for (const line of this.#lines) {
      for (const stream of line.map.byMid.values()) {
        const owned = this.#listener.find(stream.participant, stream.source);
        if (!owned || !line.peer.receiver(stream.mid)) continue;
        const key = `${stream.source} ${stream.participant}`;
        if (next.has(key) && !this.#isReady(line, stream, key)) continue;
        next.set(key, { owned, line, stream });
      }
    }
    return next;
  }

  /** Whether a newer line gives a publication as well as the older one. What has gone over does not go back. */
  #isReady(line: Line, stream: Stream, key: string): boolean {
    const now = this.#shown.get(key);
    if (now?.line === line || stream.paused || stream.undecodable) return true;
    if (kindOf(stream.source) === "audio") return this.#heard === line;
    const [latest] = line.peer.receiver(stream.mid)?.getSynchronizationSources() ?? [];
    return latest !== undefined && isReached(latest.rtpTimestamp, stream.timestamp);
  }

  #put(now: Carrying, before: Carrying | undefined): void {
    const { owned, line, stream } = now;
    const receiver = line.peer.receiver(stream.mid);
    const same = before?.owned.publication === owned.publication ? before : undefined;
    if (!receiver) return;
    if (same?.line === line && same.stream.mid === stream.mid && isSameRun(same.stream, stream)) {
      if (isSameState(same.stream, stream)) return;
      owned.publication.settle(stream);
      return this.#listener.onPaused(owned);
    }
    owned.publication.carry({ receiver, stream, isReady: same !== undefined && same.line !== line && !stream.paused });
    if (!same) this.#listener.onSubscribed(owned);
    if (same ? !isSameState(same.stream, stream) : stream.undecodable) this.#listener.onPaused(owned);
  }

  /** Looks what has begun to come over the newest peer, and says when all has. */
  #compare(): void {
    const newest = this.#lines.at(-1);
    const [oldest] = this.#lines;
    if (!newest || !oldest || newest === oldest) return;
    if (this.#heard !== newest && this.#sounds(newest, oldest)) this.#hear(newest);
    this.reconcile();
    if (newest.map.revision === 0 && oldest.map.byMid.size > 0) return;
    if (this.#heard === newest && [...this.#shown.values()].every((s) => s.line === newest)) this.#listener.onSettled(newest.peer);
  }

  /** Whether everybody who can be heard over the old peer can be over the new one, and has been for a moment. */
  #sounds(newest: Line, oldest: Line): boolean {
    const voices = (line: Line) => [...line.map.byMid.values()].filter((s) => kindOf(s.source) === "audio")
      .map((s) => ({ ...s, key: `${s.source} ${s.participant}`, latest: line.peer.receiver(s.mid)?.getSynchronizationSources()[0] }));
    const now = performance.now();
    for (const { key, latest } of voices(newest)) if (latest && !newest.voices.has(key)) newest.voices.set(key, now);
    return voices(oldest).every(({ key, latest, participant, source }) => {
      const silent = !latest || latest.timestamp < now + performance.timeOrigin - 1_000;
      return silent || now - (newest.voices.get(key) ?? now) >= soundMs || !this.#listener.find(participant, source);
    });
  }

  #hear(line: Line): void {
    this.#heard = line;
    const sound = line.peer.media.audio.flatMap((mid) => {
      const receiver = line.peer.receiver(mid);
      return receiver ? [[mid, receiver.track] as const] : [];
    });
    this.audio.put(new Map(sound));
  }
}
