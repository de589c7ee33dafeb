import { openCamera, openMicrophone, openScreen, type AudioCaptureOptions, type CaptureDefaults, type ScreenShareOptions, type VideoCaptureOptions } from "./capture.js";
import { DataBudget, dataMessage, type DataOptions } from "./data.js";
import { bounded } from "./admin.js";
import { Description } from "./description.js";
import { SpillwayError } from "./errors.js";
import { MaxMetadata, Version, type Role, type Source, type SourceLayers } from "./events.js";
import { layersOf, onlyUseful, scalableOf, simulcastOf, type Encoding } from "./layers.js";
import type { Peer } from "./peer.js";
import { kindOf, newElement, Participant, play, TrackPublication, type Kind } from "./publication.js";

/** One's own track. */
export class LocalTrack {
  readonly source: Source;
  readonly kind: Kind;
  readonly #elements = new Set<HTMLMediaElement>();
  #track: MediaStreamTrack | undefined;

  /** @internal */
  constructor(source: Source) {
    this.source = source;
    this.kind = kindOf(source);
  }

  /** The browser's track; undefined while the camera is off. */
  get mediaStreamTrack(): MediaStreamTrack | undefined {
    return this.#track;
  }

  /** Shows one's own picture in an element, by default a new one. Nobody hears themselves: sound stays off. */
  attach(element: HTMLMediaElement = newElement(this.kind)): HTMLMediaElement {
    element.muted = true;
    this.#elements.add(element);
    play(element, this.#track);
    return element;
  }

  /** Takes the track off an element, by default off all, and returns them. */
  detach(element?: HTMLMediaElement): HTMLMediaElement[] {
    const elements = element ? [element] : [...this.#elements];
    for (const e of elements) if (this.#elements.delete(e)) e.srcObject = null;
    return elements;
  }

  /** @internal */
  replace(track: MediaStreamTrack | undefined): void {
    if (track !== this.#track) this.#track?.stop();
    this.#track = track;
    for (const element of this.#elements) play(element, track);
  }
}

/** What oneself offers from one source. */
export class LocalTrackPublication extends TrackPublication {
  readonly track: LocalTrack;

  /** @internal */
  constructor(source: Source) {
    super({ source, muted: true });
    this.track = new LocalTrack(source);
  }

  /** @internal Takes another device's track, or none; says what it is like. */
  put(track: MediaStreamTrack | undefined, muted: boolean): void {
    this.track.replace(track);
    const { width = 0, height = 0 } = track?.getSettings() ?? {};
    const size = this.kind === "video" && width > 0 && height > 0 ? { width, height } : {};
    this.update({ source: this.source, ...(muted ? { muted } : {}), ...size });
  }
}

/** What the local participant tells the room. @internal */
export interface LocalHost {
  onPublished(publication: LocalTrackPublication): void;
  onUnpublished(publication: LocalTrackPublication): void;
  onMuted(publication: LocalTrackPublication): void;
  onDeviceError(error: SpillwayError, source: Source): void;
}

/**
 * Oneself. What is published is kept over reconnects, and can be set up before
 * the room is joined. All methods may be called at any time, also twice at once:
 * calls about the same source are carried out one after the other.
 */
export class LocalParticipant extends Participant<LocalTrackPublication> {
  /** @internal */
  readonly capture: CaptureDefaults;
  readonly #host: LocalHost;
  /** Whether one stream may carry all layers of the camera. */
  readonly #scalable: boolean;
  readonly #turns = new Map<Source, Promise<unknown>>();
  /** Where it is sent: to two homes while one takes the place of the other. */
  #peers: readonly Peer[] = [];
  /** Which layers of what are of use, where a home has said so. */
  readonly #useful = new WeakMap<Peer, readonly SourceLayers[]>();
  readonly #data = new DataBudget();
  #revision = 0;
  readonly #description = new Description();
  #metadata = "";
  #identity = "";
  #name = "";
  #role: Role | undefined;

  /** @internal */
  constructor(host: LocalHost, capture: CaptureDefaults, scalable: boolean) {
    super();
    this.#host = host;
    this.#scalable = scalable;
    this.capture = capture;
  }

  /** Empty until the room is joined. */
  get identity(): string {
    return this.#identity;
  }

  get name(): string {
    return this.#name || this.#identity;
  }

  /** As the token or {@link setMetadata} says and the room knows; empty where neither says any. */
  get metadata(): string {
    return this.#metadata;
  }

  /**
   * Changes one's own metadata, which everybody in the room is told with `participantChanged`. It takes a token with `canUpdateOwnMetadata`, and
   * is at most 2,048 bytes long: `bad_field` otherwise. Kept over reconnects. Without the permission the room's log says that it was refused.
   */
  setMetadata(metadata: string): void {
    this.#description.say(bounded(metadata, MaxMetadata));
    for (const peer of this.#peers) this.#description.tell(peer);
  }

  /** What oneself may do now: an administrator can change it. Undefined until the room is joined. */
  get role(): Role | undefined {
    return this.#role;
  }

  /** Switches the camera on or off. Off closes the device. Rejects with a `media_…` code. */
  setCameraEnabled(enabled: boolean, options?: VideoCaptureOptions): Promise<LocalTrackPublication | undefined> {
    return this.#inTurn("camera", async () => {
      if (enabled === this.isCameraEnabled && !options) return this.publications.get("camera");
      if (!enabled) return this.#mute("camera", undefined);
      this.#mayPublish();
      return this.#put("camera", await openCamera({ ...this.capture.video, ...options }));
    });
  }

  /** Switches the microphone on or off. Off keeps the device open, so that on is instant. Rejects with a `media_…` code. */
  setMicrophoneEnabled(enabled: boolean, options?: AudioCaptureOptions): Promise<LocalTrackPublication | undefined> {
    return this.#inTurn("microphone", async () => {
      const publication = this.publications.get("microphone");
      if (enabled === this.isMicrophoneEnabled && !options) return publication;
      if (!enabled) return this.#mute("microphone", publication?.track.mediaStreamTrack);
      this.#mayPublish();
      const open = publication?.track.mediaStreamTrack;
      if (open?.readyState === "live" && !options) return this.#put("microphone", open);
      return this.#put("microphone", await openMicrophone({ ...this.capture.audio, ...options }));
    });
  }

  /** Begins or ends sharing a screen, which the browser lets the person choose. Rejects with a `media_…` code. */
  setScreenShareEnabled(enabled: boolean, options: ScreenShareOptions = {}): Promise<LocalTrackPublication | undefined> {
    return this.#inTurn("screen", async () => {
      if (enabled === this.isScreenShareEnabled) return this.publications.get("screen");
      if (!enabled) {
        this.#remove("screen_audio");
        return this.#remove("screen");
      }
      this.#mayPublish();
      const [picture, sound] = await openScreen(options);
      if (sound) this.#put("screen_audio", sound);
      return this.#put("screen", picture);
    });
  }

  /** Publishes a track that the page opened itself; it is stopped when it is unpublished or replaced. */
  publishTrack(track: MediaStreamTrack, options: { source: Source }): Promise<LocalTrackPublication> {
    return this.#inTurn(options.source, async () => {
      this.#mayPublish();
      if (track.kind !== kindOf(options.source)) throw new SpillwayError("bad_state", `${options.source} is not ${track.kind}`);
      return this.#put(options.source, track);
    });
  }

  /** Takes a source back altogether. */
  unpublishTrack(source: Source): Promise<LocalTrackPublication | undefined> {
    return this.#inTurn(source, async () => this.#remove(source));
  }

  /**
   * Sends data to others in the room. Resolves when it is on its way, not when it
   * has arrived. Rejects with `too_large`, `bad_field`, `bad_state` when the room is
   * not joined, and `rate_limited` when more is sent than the room takes; what is
   * not reliable is thrown away instead where only the network does not keep up.
   */
  async publishData(payload: Uint8Array, options: DataOptions = {}): Promise<void> {
    const message = dataMessage(payload, options);
    const { reliable = true } = options;
    const [peer] = this.#peers; // one, or whoever is on both homes would get it twice
    if (!peer) throw new SpillwayError("bad_state", "the room is not joined");
    if (!this.#data.spend(JSON.stringify(message).length, performance.now())) {
      throw new SpillwayError("rate_limited", "more data is sent than the room takes", { retryAfterMs: 1000 });
    }
    const how = peer.sendData(message, reliable);
    if (how === "closed") throw new SpillwayError("bad_state", "the room is not joined");
    if (how === "congested" && reliable) throw new SpillwayError("rate_limited", "more data is sent than the network carries", { retryAfterMs: 1000 });
  }

  /** @internal Sends over this peer, too, everything anew. */
  bind(peer: Peer): void {
    this.#peers = [...this.#peers, peer];
    this.#description.tell(peer);
    this.#tell();
    for (const source of this.publications.keys()) this.#send(source, [peer]);
  }

  /** @internal Sends over a peer only the layers that somebody there receives. */
  limit(sources: readonly SourceLayers[], peer: Peer): void {
    const before = this.#useful.get(peer) ?? [];
    this.#useful.set(peer, sources);
    const rids = (of: readonly SourceLayers[], source: Source) => of.find((l) => l.source === source)?.rids.join();
    for (const source of ["camera", "screen"] as const) {
      if (rids(before, source) !== rids(sources, source) && this.publications.has(source)) this.#send(source, [peer]);
    }
  }

  /** @internal */
  unbind(peer: Peer): void {
    this.#peers = this.#peers.filter((p) => p !== peer);
  }

  /** @internal Takes what the roster says about oneself. */
  become(self: { identity: string; name: string; metadata?: string; role: Role }): void {
    const changed = this.#role !== self.role;
    const offStage = this.#role === "publisher" && self.role === "viewer";
    this.#identity = self.identity;
    this.#name = self.name;
    this.#metadata = self.metadata ?? this.#metadata;
    if (self.metadata !== undefined) this.#description.see(self.metadata);
    this.#role = self.role;
    if (offStage) for (const source of [...this.publications.keys()]) this.#remove(source);
    if (!changed || this.#peers.length === 0) return;
    this.#tell();
    for (const source of this.publications.keys()) this.#send(source);
  }

  /** @internal Somebody else switched these off. A shared screen is shared no more. */
  beMuted(sources: readonly Source[]): void {
    for (const source of sources) {
      void this.#inTurn(source, async () => {
        if (source === "screen") this.#remove("screen_audio");
        if (source === "screen" || source === "screen_audio") return this.#remove(source);
        return this.#mute(source, source === "microphone" ? this.publications.get(source)?.track.mediaStreamTrack : undefined);
      });
    }
  }

  /** @internal Closes all devices. */
  stop(): void {
    for (const source of [...this.publications.keys()]) this.#remove(source);
    this.#role = undefined;
  }

  #inTurn<T>(source: Source, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(source) ?? Promise.resolve()).then(work, work);
    this.#turns.set(source, turn);
    return turn;
  }

  #mayPublish(): void {
    if (this.#role === "viewer") throw new SpillwayError("token_no_permission", "viewers do not publish");
  }

  #put(source: Source, track: MediaStreamTrack): LocalTrackPublication {
    const known = this.publications.get(source);
    const publication = known ?? new LocalTrackPublication(source);
    const wasMuted = publication.isMuted;
    if (publication.track.mediaStreamTrack !== track) {
      track.addEventListener("ended", () => this.#ended(publication, track), { once: true });
    }
    track.enabled = true;
    publication.put(track, false);
    this.publications.set(source, publication);
    this.#tell();
    this.#send(source);
    if (!known) this.#host.onPublished(publication);
    else if (wasMuted) this.#host.onMuted(publication);
    return publication;
  }

  #mute(source: Source, keep: MediaStreamTrack | undefined): LocalTrackPublication | undefined {
    const publication = this.publications.get(source);
    if (!publication || publication.isMuted) return publication;
    if (keep) keep.enabled = false;
    publication.put(keep, true);
    this.#tell();
    this.#send(source);
    this.#host.onMuted(publication);
    return publication;
  }

  #remove(source: Source): LocalTrackPublication | undefined {
    const publication = this.publications.get(source);
    if (!publication) return undefined;
    this.publications.delete(source);
    this.#tell();
    this.#send(source);
    publication.put(undefined, true);
    this.#host.onUnpublished(publication);
    return publication;
  }

  /** The device went away, or the person stopped sharing in the browser's own bar. */
  #ended(publication: LocalTrackPublication, track: MediaStreamTrack): void {
    const { source } = publication;
    if (this.publications.get(source) !== publication || publication.track.mediaStreamTrack !== track) return;
    if (source === "screen" || source === "screen_audio") {
      void this.unpublishTrack(source);
      return;
    }
    void this.#inTurn(source, async () => this.#mute(source, undefined));
    this.#host.onDeviceError(new SpillwayError("media_missing", `the ${source} went away`), source);
  }

  /** Tells the node everything that is published. Said before it is sent, so that the node knows the first packet. */
  #tell(): void {
    if (this.#role === "viewer") return;
    this.#revision += 1;
    const tracks = [...this.publications.values()].map((p) => p.info);
    for (const peer of this.#peers) peer.send({ action: "tracks", v: Version, revision: this.#revision, tracks });
  }

  #send(source: Source, peers = this.#peers): void {
    const publication = this.publications.get(source);
    const track = this.#role === "viewer" ? undefined : publication?.track.mediaStreamTrack;
    for (const peer of peers) {
      const sender = peer.sender(source);
      if (!sender) continue;
      const rids = () => this.#useful.get(peer)?.find((l) => l.source === source)?.rids;
      void inTurn(sender, () => place(sender, track ?? null, { source, rids: rids(), scalable: this.#scalable && source === "camera" })).catch((cause: unknown) => {
        if (!this.#peers.includes(peer)) return; // the connection ended meanwhile
        this.#host.onDeviceError(new SpillwayError("media_failed", `the ${source} cannot be sent`, { cause }), source);
      });
    }
  }
}

/** What is being done to a sender: parameters that are set while others are would be refused. */
const turns = new WeakMap<RTCRtpSender, Promise<unknown>>();

function inTurn(sender: RTCRtpSender, work: () => Promise<void>): Promise<void> {
  const turn = (turns.get(sender) ?? Promise.resolve()).then(work, work);
  turns.set(sender, turn);
  return turn;
}

/** How a source's pictures are to be sent. */
interface Placement {
  source: Source;
  /** The layers that are of use; undefined is all. */
  rids: readonly string[] | undefined;
  scalable: boolean;
}

/** Puts a track on a sender, with bitrates that fit the picture's size, and only the layers that are of use. */
async function place(sender: RTCRtpSender, track: MediaStreamTrack | null, { source, rids, scalable }: Placement): Promise<void> {
  if (sender.track !== track) await sender.replaceTrack(track);
  const { width, height, frameRate = 30 } = track?.getSettings() ?? {};
  if (track?.kind !== "video" || !width || !height) return;
  const mimeType = sender.getParameters().codecs[0]?.mimeType;
  const layers = onlyUseful(layersOf(source, { width, height, frameRate }), rids);
  const one = scalable ? scalableOf(layers, mimeType) : undefined;
  if (!one || !(await encode(sender, one))) await encode(sender, simulcastOf(layers, mimeType));
}

/**
 * Sets a sender's encodings. Resolves to false where the browser takes none that
 * are layered in the way asked for: some refuse them, some forget to mention it.
 */
async function encode(sender: RTCRtpSender, encodings: Encoding[]): Promise<boolean> {
  const parameters = sender.getParameters();
  for (const wanted of encodings) {
    const encoding = parameters.encodings.find((e) => e.rid === wanted.rid);
    if (encoding) Object.assign(encoding, wanted);
  }
  const [first] = encodings;
  const layered = first?.scalabilityMode !== undefined && first.scalabilityMode !== "L1T1";
  try {
    await sender.setParameters(parameters);
  } catch (cause) {
    if (layered) return false;
    throw cause;
  }
  const now: readonly Partial<Encoding>[] = sender.getParameters().encodings;
  return !layered || now.find((e) => e.rid === first.rid)?.scalabilityMode === first.scalabilityMode;
}
