import { Admin } from "./admin.js";
import { decode } from "./data.js";
import { Emitter } from "./emitter.js";
import { Engine } from "./engine.js";
import { SpillwayError } from "./errors.js";
import { MaxAudioStreams, MaxVideoStreams, Version, type Member, type Speaker, type ToSDK } from "./events.js";
import { LocalParticipant } from "./local.js";
import type { ConnectOptions, RoomOptions } from "./options.js";
import type { Peer } from "./peer.js";
import type { Participant } from "./publication.js";
import { Reports, type Look } from "./report.js";
import { delayOf, Playout } from "./playout.js";
import { Requests } from "./requests.js";
import { Reception, type Owned } from "./reception.js";
import { RemoteParticipant } from "./remote.js";
import { shown, type ConnectionState, type RoomEvents, type WaitInfo } from "./room-events.js";
import { compareRosters, emptyRoster, mergeRosters, neighbours, takeDelta, takeSnapshot, viewersOf, type Roster } from "./roster.js";
import type { State } from "./session.js";
import { summarise, type RoomStats, type Sample } from "./stats.js";
import type { TokenSource } from "./token.js";

/** Events of the page after which the network may be another one. */
const networkEvents = ["online", "offline", "pageshow"] as const;

/**
 * A room: who is in it, what they offer, and oneself. It can be connected, left
 * and connected again any number of times.
 */
export class Room extends Emitter<RoomEvents> {
  /** Oneself. */
  readonly localParticipant: LocalParticipant;
  /** The others, by identity, in the order in which they joined. */
  readonly remoteParticipants: ReadonlyMap<string, RemoteParticipant>;
  /** What an administrator may do to others. */
  readonly admin: Admin;
  readonly #requests = new Requests();
  readonly #people = new Map<string, RemoteParticipant>();
  readonly #options: RoomOptions;
  readonly #engine: Engine;
  readonly #reception: Reception;
  readonly #log: (text: string) => void;
  /** What each connection says of who is there, the newest last; one that is gone has no peer. */
  #lines: readonly { readonly peer: Peer | undefined; readonly roster: Roster }[] = [];
  #roster: Roster = emptyRoster;
  #speakers: readonly Participant[] = [];
  #wantRevision = 0;
  #sample: Sample | undefined;
  readonly #playout: Playout;
  readonly #reports: Reports;
  #joinedBefore = false;
  readonly #onNetwork = () => this.#engine.renew();
  readonly #onPageHide = () => this.#engine.disconnect();

  constructor(options: RoomOptions = {}) {
    super();
    this.#options = options;
    this.#log = options.log ?? ((text) => console.debug(`spillway: ${text}`));
    this.remoteParticipants = this.#people;
    this.localParticipant = new LocalParticipant({
      onPublished: (publication) => {
        this.#reception.audio.retry();
        this.emit("localTrackPublished", publication);
      },
      onUnpublished: (publication) => this.emit("localTrackUnpublished", publication),
      onMuted: (publication) => this.emit(publication.isMuted ? "trackMuted" : "trackUnmuted", publication, this.localParticipant),
      onDeviceError: (error, source) => this.emit("mediaDevicesError", error, source),
    }, { video: { ...options.videoCapture }, audio: { ...options.audioCapture } }, options.scalableVideo ?? true);
    this.#reception = new Reception(options.playAudio ?? true, {
      find: (identity, source) => this.#find(identity, source),
      onWanted: () => this.#sendWant(),
      onSubscribed: ({ publication, participant }) => this.emit("trackSubscribed", publication.track, publication, participant),
      onUnsubscribed: ({ publication, participant }) => this.emit("trackUnsubscribed", publication.track, publication, participant),
      onPaused: ({ publication, participant }) =>
        this.emit("trackStreamStateChanged", publication, publication.isUndecodable ? "undecodable" : publication.isPaused ? "paused" : "active", participant),
      onSettled: (peer) => this.#engine.settled(peer),
      onSoundBlocked: (blocked) => this.emit("audioPlaybackStatusChanged", !blocked),
    });
    this.#reports = new Reports(options.reportStats ?? true, (before) => this.#lookAtStats(before), (report) => this.#engine.peer?.send(report));
    this.#playout = new Playout(() => this.#reception.carried, delayOf(options.receiveDelayMs));
    this.#engine = new Engine({
      onState: (state, before) => this.#onState(state, before),
      onPeer: (peer) => this.#onPeer(peer),
      onPeerGone: (peer) => this.#onPeerGone(peer),
      onMessage: (message, peer) => this.#onMessage(message, peer),
      onOddity: (text) => this.#log(text),
      crowd: () => this.#crowd(),
    });
    this.admin = new Admin(this.#requests, (message) => this.#engine.peer?.send(message) ?? false);
  }

  /** The state of the connection. */
  get state(): ConnectionState {
    return shown(this.#engine.state);
  }

  /** The room's name; empty until it is joined. */
  get name(): string {
    return this.#roster.room;
  }

  /** What the room's application says of the room; empty until it is joined, and where nothing is said. */
  get metadata(): string {
    return this.#roster.metadata;
  }

  /** How many viewers there are, oneself included. Of many, {@link remoteParticipants} has none. */
  get viewerCount(): number {
    return viewersOf(this.#roster);
  }

  /** The node that carries oneself; empty when there is none. */
  get node(): string {
    const state = this.#engine.state;
    if (state.name === "moving") return state.kept.node;
    return state.name === "joined" ? state.seat.node : "";
  }

  /** What is known about the node that is being started; undefined unless the state is `waiting` or `reconnecting`. */
  get waiting(): WaitInfo | undefined {
    const state = this.#engine.state;
    const wait = "attempt" in state ? state.attempt.wait : undefined;
    if (!wait) return undefined;
    const remainingMs = Math.max(0, wait.estimateMs - (performance.now() - wait.toldAt));
    return { since: new Date(wait.sinceMs), remainingMs, stage: wait.stage };
  }

  /** What went wrong; undefined unless the state is `error`. */
  get error(): SpillwayError | undefined {
    const state = this.#engine.state;
    return state.name === "error" ? new SpillwayError(state.code, state.text) : undefined;
  }

  /** Who speaks, the loudest first. */
  get activeSpeakers(): readonly Participant[] {
    return this.#speakers;
  }

  /** Whether the browser lets sound be heard. */
  get canPlaybackAudio(): boolean {
    return !this.#reception.audio.isBlocked;
  }

  /**
   * Joins the room that the token names. Waits, if it must, until a node has been
   * started. Resolves when the participants are known. Rejects with a
   * {@link SpillwayError} when that cannot be, `aborted` when it was called off.
   */
  connect(url: string, token: TokenSource, options: ConnectOptions = {}): Promise<void> {
    const { signal } = options;
    if (signal?.aborted) return Promise.reject(new SpillwayError("aborted", "connecting was called off"));
    if (this.state !== "idle" && this.state !== "closed" && this.state !== "error") {
      return Promise.reject(new SpillwayError("bad_state", `the room is ${this.state} already`));
    }
    const { audioStreams = 3, videoStreams = 9, videoCodecs = ["vp8"] } = this.#options;
    return new Promise((resolve, reject) => {
      const settle = (state: ConnectionState) => {
        if (state !== "joined" && state !== "closed" && state !== "error") return;
        this.off("connectionStateChanged", settle);
        signal?.removeEventListener("abort", abort);
        if (state === "joined") resolve();
        else reject(this.error ?? new SpillwayError("aborted", "connecting was called off"));
      };
      const abort = () => void this.disconnect();
      signal?.addEventListener("abort", abort);
      this.on("connectionStateChanged", settle);
      if (this.#options.leaveOnPageHide ?? true) addEventListener("pagehide", this.#onPageHide);
      for (const event of networkEvents) addEventListener(event, this.#onNetwork);
      this.#engine.connect({
        url, token, role: this.#options.role, videoCodecs,
        streams: { audio: Math.min(audioStreams, MaxAudioStreams), video: Math.min(videoStreams, MaxVideoStreams) },
      });
    });
  }

  /** Leaves the room, or calls off a connect() under way. Closes camera and microphone. */
  async disconnect(): Promise<void> {
    this.#engine.disconnect();
  }

  /** Makes what is received wait at least so long from now on, as {@link RoomOptions.receiveDelayMs}; undefined leaves it to the browser. */
  setReceiveDelay(delayMs: number | undefined): void {
    this.#playout.setDelay(delayOf(delayMs));
  }

  /** Lets sound be heard; call it from a click when {@link canPlaybackAudio} is false. Resolves to whether it worked. */
  startAudio(): Promise<boolean> {
    return this.#reception.audio.start();
  }

  /** Uses another camera, microphone or loudspeaker from now on. Rejects with a `media_…` code. */
  async switchActiveDevice(kind: MediaDeviceKind, deviceId: string): Promise<void> {
    const local = this.localParticipant;
    if (kind === "audiooutput") return this.#reception.audio.useDevice(deviceId);
    if (kind === "videoinput") {
      local.capture.video.deviceId = deviceId;
      if (local.isCameraEnabled) await local.setCameraEnabled(true, { deviceId });
      return;
    }
    local.capture.audio.deviceId = deviceId;
    if (local.isMicrophoneEnabled) await local.setMicrophoneEnabled(true, { deviceId });
  }

  /** How the connection is doing; undefined when there is none. Rates are means since the call before. */
  async getStats(): Promise<RoomStats | undefined> {
    const look = await this.#lookAtStats(this.#sample);
    this.#sample = look?.sample;
    return look?.stats;
  }

  async #lookAtStats(before: Sample | undefined): Promise<Look | undefined> {
    const peer = this.#engine.peer;
    if (!peer) return undefined;
    const report = await peer.connection.getStats();
    const entries = [...(report as ReadonlyMap<string, Record<string, unknown>>).values()];
    const sample: Sample = { at: performance.now(), of: peer, entries };
    const { camera = "", microphone = "", screen = "", screenAudio = "" } = peer.media;
    const stats = summarise(sample, before, {
      node: this.node, rttMs: this.#engine.rttMs, carried: this.#reception.carried,
      sources: new Map([[camera, "camera"], [microphone, "microphone"], [screen, "screen"], [screenAudio, "screen_audio"]]),
    });
    return { sample, stats };
  }

  #onState(state: State, before: State): void {
    if (state.name === "joined" && shown(before) !== "joined") {
      this.emit("connectionStateChanged", "joined");
      this.emit(this.#joinedBefore ? "reconnected" : "connected");
      this.#joinedBefore = true;
    }
    if (shown(state) === "joined") return;
    const wait = "attempt" in state ? state.attempt.wait : undefined;
    const waitBefore = "attempt" in before ? before.attempt.wait : undefined;
    if (shown(state) !== shown(before)) {
      if (state.name === "closed" || state.name === "error") this.#clear();
      this.emit("connectionStateChanged", shown(state));
      if (state.name === "reconnecting") this.emit("reconnecting");
      if (state.name === "closed") this.emit("disconnected", state.reason, undefined);
      if (state.name === "error") this.emit("disconnected", undefined, this.error);
    }
    if (wait && wait !== waitBefore && this.waiting) this.emit("waiting", this.waiting);
  }

  #onPeer(peer: Peer): void {
    const state = this.#engine.state;
    const seat = "attempt" in state ? state.attempt.seat : undefined;
    if (seat) this.localParticipant.become({ identity: seat.identity, name: this.localParticipant.name, role: seat.role });
    this.#reports.follow(this.#engine.peer);
    // What a connection said that is gone stands until a new one says otherwise.
    this.#lines = [...this.#lines, { peer, roster: emptyRoster }];
    this.localParticipant.bind(peer);
    this.#reception.bind(peer);
    this.#playout.follow(this.#engine.peer);
    this.#sendWant();
  }

  #onPeerGone(peer: Peer): void {
    this.localParticipant.unbind(peer);
    this.#reports.follow(this.#engine.peer);
    this.#setSpeakers([]);
    const others = this.#lines.filter((l) => l.peer !== peer);
    this.#lines = others.length > 0 ? others : this.#lines.map((l) => ({ ...l, peer: undefined }));
    this.#reception.unbind(peer);
    this.#playout.follow(this.#engine.peer);
    if (others.length > 0) this.#see();
  }

  #onMessage(message: ToSDK, peer: Peer): void {
    switch (message.action) {
      case "snapshot":
      case "delta": {
        const line = this.#lines.find((l) => l.peer === peer);
        if (!line) return;
        const { roster, resync } = message.action === "snapshot" ? takeSnapshot(line.roster, message) : takeDelta(line.roster, message);
        this.#lines = this.#lines.map((l) => (l === line ? { peer, roster } : l));
        if (resync) peer.send({ action: "resync", v: Version });
        this.#see();
        if (roster.seq >= 0 && line.roster.seq < 0) this.#engine.admitted(peer);
        return;
      }
      case "streams":
        return this.#reception.take(message, peer);
      case "speakers":
        // The newer home knows at least those who are on both.
        return peer === this.#engine.peer ? this.#setSpeakers(message.speakers) : undefined;
      case "layers": return this.localParticipant.limit(message.sources, peer);
      case "mute": return this.localParticipant.beMuted(message.sources);
      case "data": return this.emit("dataReceived", decode(message.payload), this.#people.get(message.from), message.topic ?? "", message.from);
      case "moderated":
        return void this.#requests.answer(message);
      case "error":
        return this.#requests.answer(message) ? undefined : this.#log(`the node says ${message.code}: ${message.text}`);
    }
  }

  /** Brings what the page sees up to date with what the connections say of who is there. */
  #see(): void {
    const known = this.#lines.filter((l) => l.roster.seq >= 0);
    const live = known.filter((l) => l.peer !== undefined), before = this.#roster;
    const roster = mergeRosters((live.length > 0 ? live : known).map((l) => l.roster));
    if (live.length > 0) this.#lines = this.#lines.filter((l) => l.peer !== undefined);
    if (roster === before) return;
    this.#roster = roster;
    const self = roster.members.get(roster.self);
    if (self) this.#becomeSelf(self, before.members.get(roster.self));
    const { joined, left, changed } = compareRosters(before, roster);
    for (const member of left) this.#remove(member.identity);
    for (const member of joined) this.#add(member);
    for (const { before: old, after } of changed) this.#change(old, after);
    this.#reception.reconcile();
    if (before.seq >= 0 && roster.metadata !== before.metadata) this.emit("roomMetadataChanged", roster.metadata);
    if (viewersOf(roster) !== viewersOf(before)) this.emit("viewerCountChanged", viewersOf(roster));
  }

  #becomeSelf(self: Member, before: Member | undefined): void {
    const { identity, name = "", metadata = "", role } = self;
    this.localParticipant.become({ identity, name, metadata, role });
    if (before && (before.role !== role || before.name !== self.name || before.metadata !== self.metadata)) this.emit("participantChanged", this.localParticipant);
  }

  #add(member: Member): void {
    const participant = new RemoteParticipant(this.#reception, member);
    this.#people.set(member.identity, participant);
    const { published } = participant.update(member);
    this.emit("participantConnected", participant);
    for (const publication of published) this.emit("trackPublished", publication, participant);
  }

  #change(before: Member, after: Member): void {
    const participant = this.#people.get(after.identity);
    if (!participant) return;
    const { published, unpublished, muted, unmuted } = participant.update(after);
    if (unpublished.length > 0) this.#reception.reconcile();
    for (const publication of unpublished) {
      publication.track.detach();
      this.emit("trackUnpublished", publication, participant);
    }
    for (const publication of published) this.emit("trackPublished", publication, participant);
    for (const publication of muted) this.emit("trackMuted", publication, participant);
    for (const publication of unmuted) this.emit("trackUnmuted", publication, participant);
    const facts = (m: Member) => JSON.stringify([m.name, m.metadata, m.role]);
    if (facts(before) !== facts(after)) this.emit("participantChanged", participant);
  }

  #remove(identity: string): void {
    const participant = this.#people.get(identity);
    if (!participant) return;
    this.#people.delete(identity);
    this.#reception.reconcile();
    for (const publication of participant.trackPublications.values()) publication.track.detach();
    if (this.#speakers.includes(participant)) {
      this.#speakers = this.#speakers.filter((p) => p !== participant);
      this.emit("activeSpeakersChanged", this.#speakers);
    }
    this.emit("participantDisconnected", participant);
  }

  #setSpeakers(speakers: readonly Speaker[]): void {
    const levels = new Map(speakers.map((s) => [s.participant, s.level]));
    const everybody: Participant[] = [this.localParticipant, ...this.#people.values()];
    for (const participant of everybody) participant.setSpeaking(levels.get(participant.identity));
    const now = speakers.flatMap((s) => everybody.find((p) => p.identity === s.participant) ?? []);
    if (now.length === 0 && this.#speakers.length === 0) return;
    this.#speakers = now;
    this.emit("activeSpeakersChanged", now);
  }

  #sendWant(): void {
    const wanted = this.#reception.wanted;
    if (wanted.length === 0 && this.#wantRevision === 0) return;
    this.#wantRevision += 1;
    this.#engine.send({ action: "want", v: Version, revision: this.#wantRevision, video: wanted });
  }

  #find(identity: string, source: Owned["publication"]["source"]): Owned | undefined {
    const participant = this.#people.get(identity);
    const publication = participant?.getTrackPublication(source);
    return participant && publication ? { participant, publication } : undefined;
  }

  /** The stage comes back first, so that there is something to see for the others. */
  #crowd(): { crowd: number; ahead: number } {
    const { stage, viewers } = neighbours(this.#roster);
    return this.localParticipant.role === "viewer" ? { crowd: viewers, ahead: stage } : { crowd: stage, ahead: 0 };
  }

  #clear(): void {
    removeEventListener("pagehide", this.#onPageHide);
    for (const event of networkEvents) removeEventListener(event, this.#onNetwork);
    for (const identity of [...this.#people.keys()]) this.#remove(identity);
    this.#setSpeakers([]);
    this.#requests.clear();
    this.localParticipant.stop();
    this.#roster = emptyRoster;
    this.#lines = [];
    this.#wantRevision = 0;
    this.#reports.stop();
    this.#joinedBefore = false;
  }
}
