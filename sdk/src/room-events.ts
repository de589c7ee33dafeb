import type { SpillwayError } from "./errors.js";
import type { Source, WaitStage } from "./events.js";
import type { LocalTrackPublication } from "./local.js";
import type { Participant, TrackPublication } from "./publication.js";
import type { RemoteParticipant, RemoteTrack, RemoteTrackPublication } from "./remote.js";
import type { CloseReason, State } from "./session.js";

/** Names of the states of a room's connection. */
export type ConnectionState = Exclude<State["name"], "moving">;

/** A connection's state as the page sees it: a change of home is not its business. @internal */
export function shown(state: State): ConnectionState {
  return state.name === "moving" ? "joined" : state.name;
}

/** What somebody who waits for a node is told. */
export interface WaitInfo {
  /** When the waiting began. */
  readonly since: Date;
  /** How much longer it will probably take, in milliseconds; 0 when it takes longer than usual. */
  readonly remainingMs: number;
  /** How far the launch of the node is. */
  readonly stage: WaitStage;
}

/** What a room tells; the names of the events of {@link RoomEvents}. */
export const RoomEvent = {
  Connected: "connected",
  Waiting: "waiting",
  Reconnecting: "reconnecting",
  Reconnected: "reconnected",
  Disconnected: "disconnected",
  ConnectionStateChanged: "connectionStateChanged",
  ParticipantConnected: "participantConnected",
  ParticipantDisconnected: "participantDisconnected",
  ParticipantChanged: "participantChanged",
  RoomMetadataChanged: "roomMetadataChanged",
  ViewerCountChanged: "viewerCountChanged",
  TrackPublished: "trackPublished",
  TrackUnpublished: "trackUnpublished",
  TrackSubscribed: "trackSubscribed",
  TrackUnsubscribed: "trackUnsubscribed",
  TrackMuted: "trackMuted",
  TrackUnmuted: "trackUnmuted",
  TrackStreamStateChanged: "trackStreamStateChanged",
  LocalTrackPublished: "localTrackPublished",
  LocalTrackUnpublished: "localTrackUnpublished",
  ActiveSpeakersChanged: "activeSpeakersChanged",
  AudioPlaybackStatusChanged: "audioPlaybackStatusChanged",
  MediaDevicesError: "mediaDevicesError",
  DataReceived: "dataReceived",
} as const;

/** The arguments of each event. */
export interface RoomEvents {
  /** The room is joined; its participants are known. */
  connected: [];
  /** No node has room and one is being started; said again whenever more is known. */
  waiting: [wait: WaitInfo];
  /** The connection was lost and is being restored; what is published stays set up. */
  reconnecting: [];
  /** The connection is back, perhaps on another node. */
  reconnected: [];
  /** The session is over: with a reason when it ended in good order, with an error when it failed. */
  disconnected: [reason: CloseReason | undefined, error: SpillwayError | undefined];
  /** The connection is in another state. */
  connectionStateChanged: [state: ConnectionState];
  /** Somebody came. */
  participantConnected: [participant: RemoteParticipant];
  /** Somebody went. */
  participantDisconnected: [participant: RemoteParticipant];
  /** Somebody's name, metadata or role is another now; also one's own. */
  participantChanged: [participant: Participant];
  /** What is said of the room ({@link Room.metadata}) is something else now; not said of what it is at first. */
  roomMetadataChanged: [metadata: string];
  /** The room has so many viewers now. Of many nobody is told who they are: they count as gone, and come when they are few again. */
  viewerCountChanged: [viewers: number];
  /** Somebody offers a track. */
  trackPublished: [publication: RemoteTrackPublication, participant: RemoteParticipant];
  /** Somebody offers a track no more. */
  trackUnpublished: [publication: RemoteTrackPublication, participant: RemoteParticipant];
  /** Media of a track arrives from now on: attach it. */
  trackSubscribed: [track: RemoteTrack, publication: RemoteTrackPublication, participant: RemoteParticipant];
  /** Media of a track arrives no more; elements may stay attached. */
  trackUnsubscribed: [track: RemoteTrack, publication: RemoteTrackPublication, participant: RemoteParticipant];
  /** Somebody, perhaps oneself, switched a track off. */
  trackMuted: [publication: TrackPublication, participant: Participant];
  /** Somebody, perhaps oneself, switched a track on again. */
  trackUnmuted: [publication: TrackPublication, participant: Participant];
  /** A video was paused because the network does not carry it, or comes in a codec that this browser does not decode, or goes on. */
  trackStreamStateChanged: [publication: RemoteTrackPublication, state: "active" | "paused" | "undecodable", participant: RemoteParticipant];
  /** One's own track is offered to the room. */
  localTrackPublished: [publication: LocalTrackPublication];
  /** One's own track is offered no more. */
  localTrackUnpublished: [publication: LocalTrackPublication];
  /** Others speak now than before; the loudest first. Oneself may be among them. */
  activeSpeakersChanged: [speakers: readonly Participant[]];
  /** Whether the browser lets sound be heard; if not, call startAudio() from a click. */
  audioPlaybackStatusChanged: [canPlay: boolean];
  /** Somebody sent data; undefined is somebody who has left meanwhile, or one of very many viewers: the identity is always there. */
  dataReceived: [payload: Uint8Array, participant: RemoteParticipant | undefined, topic: string, identity: string];
  /** A device went away, or what it gives cannot be sent. */
  mediaDevicesError: [error: SpillwayError, source: Source];
}
