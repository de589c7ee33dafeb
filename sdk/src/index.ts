/**
 * Spillway in a browser: join a room, see and hear who is in it, be seen and heard.
 *
 *     const room = new Room();
 *     room.on(RoomEvent.TrackSubscribed, (track) => document.body.append(track.attach()));
 *     await room.connect("wss://…/ws", token);
 *     await room.localParticipant.setCameraEnabled(true);
 *
 * @module
 */
export { Admin } from "./admin.js";
export type { AudioCaptureOptions, ScreenShareOptions, VideoCaptureOptions } from "./capture.js";
export { connect } from "./connect.js";
export type { DataOptions } from "./data.js";
export type { Listener } from "./emitter.js";
export { isRetryable, SpillwayError, type ErrorCode, type LocalCode } from "./errors.js";
export type { Code, LimitedBy, Role, Source, WaitStage } from "./events.js";
export { LocalParticipant, LocalTrack, LocalTrackPublication } from "./local.js";
export type { ConnectOptions, RoomOptions } from "./options.js";
export { Participant, TrackPublication, type Kind } from "./publication.js";
export { RemoteParticipant, RemoteTrack, RemoteTrackPublication } from "./remote.js";
export { RoomEvent, type ConnectionState, type RoomEvents, type WaitInfo } from "./room-events.js";
export { Room } from "./room.js";
export type { CloseReason } from "./session.js";
export type { ParticipantStats, RoomStats, StreamStats } from "./stats.js";
export type { TokenSource } from "./token.js";
