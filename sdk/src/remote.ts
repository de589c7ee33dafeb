import type { Member, Role, Source, Stream, Track } from "./events.js";
import { kindOf, newElement, Participant, play, TrackPublication, type Kind } from "./publication.js";
import { VideoView } from "./view.js";

/** What remote tracks need of the room. @internal */
export interface RemoteHost {
  observe(element: HTMLVideoElement, track: RemoteTrack): void;
  unobserve(element: HTMLVideoElement): void;
  pin(element: HTMLVideoElement, pinned: boolean): void;
  /** The page itself plays the sound of this receive stream, or no longer. */
  silence(mid: string, silent: boolean): void;
}

/** A receive stream that carries a track now. @internal */
export interface Carrier {
  readonly receiver: RTCRtpReceiver;
  readonly stream: Stream;
  /** Whether it takes the place of another stream of the same publication, and has pictures already. */
  readonly isReady: boolean;
}

/**
 * Somebody else's track. It exists as long as the publication does; whether
 * media arrives for it changes. Elements stay attached meanwhile: video is blank
 * while nothing of this participant can be shown.
 */
export class RemoteTrack {
  readonly participantIdentity: string;
  readonly source: Source;
  readonly kind: Kind;
  readonly #host: RemoteHost;
  readonly #views = new Map<HTMLVideoElement, VideoView>();
  readonly #players = new Set<HTMLMediaElement>();
  #carrier: Carrier | undefined;
  #pinned = false;

  /** @internal */
  constructor(host: RemoteHost, participantIdentity: string, source: Source) {
    this.#host = host;
    this.participantIdentity = participantIdentity;
    this.source = source;
    this.kind = kindOf(source);
  }

  /** The browser's track that carries it now. It may carry somebody else's later: prefer attach(). */
  get mediaStreamTrack(): MediaStreamTrack | undefined {
    return this.#carrier?.receiver.track;
  }

  /** Where it is attached. */
  get attachedElements(): HTMLMediaElement[] {
    return [...this.#views.keys(), ...this.#players];
  }

  /** Whether any attached element shows this participant's picture now. */
  get isShown(): boolean {
    return [...this.#views.values()].some((v) => v.isShown);
  }

  /** Whether this video comes first when the network does not carry all. */
  get isPinned(): boolean {
    return this.#pinned;
  }

  /**
   * Shows or plays the track in an element, by default a new one. The size of the
   * element and whether it can be seen decide what is asked of the node. Sound is
   * played by the room anyway, unless it was told not to; an element takes over.
   */
  attach(element: HTMLMediaElement = newElement(this.kind)): HTMLMediaElement {
    if (this.kind === "audio") {
      this.#players.add(element);
      this.#playIn(element);
    } else if (element instanceof HTMLVideoElement && !this.#views.has(element)) {
      const view = new VideoView(element);
      this.#views.set(element, view);
      this.#host.observe(element, this);
      if (this.#carrier) view.show(this.#carrier.receiver, this.#carrier.stream, false);
    }
    return element;
  }

  /** Takes the track off an element, by default off all, and returns them. */
  detach(element?: HTMLMediaElement): HTMLMediaElement[] {
    const elements = element ? [element] : this.attachedElements;
    for (const e of elements) {
      if (e instanceof HTMLVideoElement) {
        this.#views.get(e)?.release();
        if (this.#views.delete(e)) this.#host.unobserve(e);
      }
      if (this.#players.delete(e)) e.srcObject = null;
    }
    if (this.#carrier && this.kind === "audio") this.#host.silence(this.#carrier.stream.mid, this.#players.size > 0);
    return elements;
  }

  /** Asks that this video come first when the network does not carry all. */
  setPinned(pinned: boolean): void {
    this.#pinned = pinned;
    for (const element of this.#views.keys()) this.#host.pin(element, pinned);
  }

  /** @internal Puts the track on a receive stream, or takes it off. */
  carry(carrier: Carrier | undefined): void {
    const before = this.#carrier;
    this.#carrier = carrier;
    for (const view of this.#views.values()) {
      if (carrier) view.show(carrier.receiver, carrier.stream, carrier.isReady);
      else view.blank();
    }
    if (this.kind !== "audio" || this.#players.size === 0) return;
    if (before) this.#host.silence(before.stream.mid, false);
    for (const element of this.#players) this.#playIn(element);
  }

  #playIn(element: HTMLMediaElement): void {
    play(element, this.#carrier?.receiver.track);
    if (this.#carrier) this.#host.silence(this.#carrier.stream.mid, true);
  }
}

/** What somebody else offers from one source. */
export class RemoteTrackPublication extends TrackPublication {
  readonly track: RemoteTrack;
  #subscribed = false;
  #paused = false;
  #undecodable = false;

  /** @internal */
  constructor(host: RemoteHost, identity: string, track: Track) {
    super(track);
    this.track = new RemoteTrack(host, identity, track.source);
  }

  /** Whether a receive stream carries it now. */
  get isSubscribed(): boolean {
    return this.#subscribed;
  }

  /** Whether nothing is sent because the network does not carry even the smallest picture. */
  get isPaused(): boolean {
    return this.#paused;
  }

  /** Whether nothing is sent because it comes in a codec that this browser did not offer to decode. */
  get isUndecodable(): boolean {
    return this.#undecodable;
  }

  /** @internal */
  carry(carrier: Carrier | undefined): void {
    this.#subscribed = carrier !== undefined;
    this.settle(carrier?.stream);
    this.track.carry(carrier);
  }

  /** @internal What the map says of the stream now. */
  settle(stream: Stream | undefined): void {
    this.#paused = stream?.paused ?? false;
    this.#undecodable = stream?.undecodable ?? false;
  }
}

/** What a roster change did to somebody's publications. @internal */
export interface PublicationChanges {
  readonly published: RemoteTrackPublication[];
  readonly unpublished: RemoteTrackPublication[];
  readonly muted: RemoteTrackPublication[];
  readonly unmuted: RemoteTrackPublication[];
}

/** Somebody else in the room. */
export class RemoteParticipant extends Participant<RemoteTrackPublication> {
  readonly identity: string;
  readonly #host: RemoteHost;
  #member: Member;

  /** @internal */
  constructor(host: RemoteHost, member: Member) {
    super();
    this.#host = host;
    this.#member = member;
    this.identity = member.identity;
  }

  get name(): string {
    return this.#member.name || this.identity;
  }

  /** What the token says about this participant, for the application. */
  get metadata(): string {
    return this.#member.metadata ?? "";
  }

  /** What this participant may do. */
  get role(): Role {
    return this.#member.role;
  }

  /** When this participant joined. */
  get joinedAt(): Date {
    return new Date(this.#member.joinedMs);
  }

  /** The node that carries this participant. */
  get node(): string {
    return this.#member.node;
  }

  /** False while the nodes of the room cannot reach this participant's: nothing of it comes, and it may soon be gone or back from elsewhere. */
  get isReachable(): boolean {
    return !this.#member.unreachable;
  }

  /** @internal Makes the publications what the roster says. */
  update(member: Member): PublicationChanges {
    const changes: PublicationChanges = { published: [], unpublished: [], muted: [], unmuted: [] };
    this.#member = member;
    for (const [source, publication] of [...this.publications]) {
      if (member.tracks.some((t) => t.source === source)) continue;
      this.publications.delete(source);
      changes.unpublished.push(publication);
    }
    for (const track of member.tracks) {
      const publication = this.publications.get(track.source);
      if (!publication) {
        const added = new RemoteTrackPublication(this.#host, this.identity, track);
        this.publications.set(track.source, added);
        changes.published.push(added);
        continue;
      }
      const wasMuted = publication.isMuted;
      publication.update(track);
      if (publication.isMuted && !wasMuted) changes.muted.push(publication);
      if (!publication.isMuted && wasMuted) changes.unmuted.push(publication);
    }
    return changes;
  }
}
