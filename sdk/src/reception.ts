import { AudioOut } from "./audio.js";
import { VideoDemand } from "./demand.js";
import type { Source, Stream, Streams, WantedVideo } from "./events.js";
import type { Peer } from "./peer.js";
import type { RemoteHost, RemoteParticipant, RemoteTrack, RemoteTrackPublication } from "./remote.js";
import { compareStreams, emptyStreamMap, isSameRun, takeStreams, type StreamChange, type StreamMap } from "./streams.js";

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
}

/**
 * What is received: puts the publications on the receive streams that the node's
 * map gives them, and asks for what the page shows. A stream whose publication the
 * roster does not know yet carries nothing until it does.
 */
export class Reception implements RemoteHost {
  readonly audio: AudioOut;
  readonly #listener: ReceptionListener;
  readonly #demand: VideoDemand;
  #peer: Peer | undefined;
  #map: StreamMap = emptyStreamMap;
  #carried = new Map<string, Stream>();
  readonly #owners = new Map<string, Owned>();

  constructor(playAudio: boolean, listener: ReceptionListener) {
    this.#listener = listener;
    this.audio = new AudioOut(playAudio, (blocked) => listener.onSoundBlocked(blocked));
    this.#demand = new VideoDemand((wanted) => listener.onWanted(wanted));
  }

  /** What the page shows now. */
  get wanted(): WantedVideo[] {
    return this.#demand.wanted;
  }

  /** Who is on which receive stream. */
  get carried(): ReadonlyMap<string, Stream> {
    return this.#carried;
  }

  /** Receives over this peer from now on. */
  bind(peer: Peer): void {
    this.#peer = peer;
    this.#map = emptyStreamMap;
    const sound = peer.media.audio.flatMap((mid) => {
      const receiver = peer.receiver(mid);
      return receiver ? [[mid, receiver.track] as const] : [];
    });
    this.audio.put(new Map(sound));
  }

  /** Shows and plays nothing any more. */
  unbind(): void {
    this.#peer = undefined;
    this.#map = emptyStreamMap;
    this.audio.clear();
    this.reconcile();
  }

  /** Takes the node's map. */
  take(message: Streams): void {
    this.#map = takeStreams(this.#map, message);
    this.reconcile();
  }

  /** Does what the map says, as far as the roster knows whom it is about. Call it when either changes. */
  reconcile(): void {
    const next = new Map<string, Stream>();
    for (const [mid, stream] of this.#map.byMid) {
      if (this.#listener.find(stream.participant, stream.source) && this.#peer?.receiver(mid)) next.set(mid, stream);
    }
    const changes = compareStreams(this.#carried, next);
    this.#carried = next;
    for (const change of changes) this.#apply(change);
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

  #apply({ mid, before, after }: StreamChange): void {
    if (!after) {
      const owned = this.#owners.get(mid);
      this.#owners.delete(mid);
      owned?.publication.carry(undefined);
      if (owned) this.#listener.onUnsubscribed(owned);
      return;
    }
    const owned = this.#listener.find(after.participant, after.source);
    const receiver = this.#peer?.receiver(mid);
    if (!owned || !receiver) return;
    this.#owners.set(mid, owned);
    if (before && isSameRun(before, after)) owned.publication.setPaused(after.paused ?? false);
    else owned.publication.carry({ receiver, stream: after });
    if (!before) this.#listener.onSubscribed(owned);
    else if (!before.paused !== !after.paused) this.#listener.onPaused(owned);
  }
}
