// Code generated from the Go package events by "make types". DO NOT EDIT.
//
// Names are those of the Go package, some of which (Error) the language has too:
//
//	import type * as events from "./events.js";

export const ChannelLabel = "control";
export const ChannelID = 0;
export const PulseLabel = "pulse";
export const PulseID = 1;
export const MaxListedViewers = 100;
export const DataLabel = "data";
export const DataID = 2;
export const LossyLabel = "lossy";
export const LossyID = 3;
export const MaxData = 10240;
export const MaxTopic = 64;
export const MaxReceivers = 100;
export const DataPerSecond = 30;
export const DataBytes = 65536;
export const DataBurst = 2;
export const Version = 1;
/** one WebSocket frame, and so one message from a browser or node */
export const MaxFrame = 32768;
/** one WebSocket message of several frames, and one post to a connection */
export const MaxMessage = 131072;
/** one message on the data channel */
export const MaxChannel = 16384;
/** a session description after inflating */
export const MaxSDP = 196608;
/** identity, display name, room name */
export const MaxName = 128;
/** a participant's metadata */
export const MaxMetadata = 2048;
/** a room's */
export const MaxRoomMetadata = 1024;
/** request, session, boot and node ids */
export const MaxID = 64;
/** what goes with an offer and comes back with its answer */
export const MaxTicket = 2048;
/** the text of an error */
export const MaxText = 1024;
/** a token: it travels in the query of a handshake */
export const MaxToken = 8192;
export const MaxAudioStreams = 16;
export const MaxVideoStreams = 49;
export const MaxAvoid = 8;
export const MaxSections = 73;
export const StatsEveryMs = 10000;
export const StatsLeastMs = 4000;

/** What a browser may send over its socket. */
export type FromClient =
  | Join
  | Leave
  | Renew;

/** The actions of FromClient. */
export const fromClientActions = [
  "join",
  "leave",
  "renew",
] as const satisfies readonly FromClient["action"][];

/** What a browser may receive over its socket. */
export type ToClient =
  | Answer
  | Error
  | LeaveDone
  | Ready
  | Resume
  | Waiting;

/** The actions of ToClient. */
export const toClientActions = [
  "answer",
  "error",
  "left",
  "ready",
  "resume",
  "waiting",
] as const satisfies readonly ToClient["action"][];

/** What the SDK may send over the data channel. */
export type FromSDK =
  | Data
  | Describe
  | Goodbye
  | Moderate
  | Ping
  | Resync
  | Stats
  | Tracks
  | Want;

/** The actions of FromSDK. */
export const fromSDKActions = [
  "data",
  "describe",
  "goodbye",
  "moderate",
  "ping",
  "resync",
  "stats",
  "tracks",
  "want",
] as const satisfies readonly FromSDK["action"][];

/** What the SDK may receive over the data channel. */
export type ToSDK =
  | Closing
  | DataFrom
  | Delta
  | Error
  | Layers
  | Done
  | Move
  | Muted
  | Pong
  | Snapshot
  | Speakers
  | Streams;

/** The actions of ToSDK. */
export const toSDKActions = [
  "closing",
  "data",
  "delta",
  "error",
  "layers",
  "moderated",
  "move",
  "mute",
  "pong",
  "snapshot",
  "speakers",
  "streams",
] as const satisfies readonly ToSDK["action"][];

/**
 * Join asks for a place in the room that the token names, and offers a
 * connection. The same session again is a retry and gets the same seat; another
 * session of the same participant replaces the earlier one.
 */
export interface Join {
  action: "join";
  v: typeof Version;
  id: string;
  /** Session is the SDK's random name for one connect(). */
  session: string;
  /** Room, when given, must be the token's: a guard against mixed-up tokens. */
  room?: string;
  /**
   * Role is what the participant wants to be; empty means publisher where the
   * token allows it, else viewer.
   */
  role?: Role;
  /** Offer is the session description, packed by Pack. */
  offer: string;
  media: Media;
  /** Avoid names nodes that did not answer. */
  avoid?: string[];
  /**
   * From is the session that this one continues. Its seat and its connection are
   * kept until this one stands, so that nothing is lost if it never does.
   * Without it the earlier session ends at once.
   */
  from?: string;
  /**
   * ReceiveKbps is what the network was last found to carry towards the
   * participant, as the earlier home said; 0 is unknown.
   */
  receiveKbps?: number;
}

/**
 * Leave gives the seat of a session back. The session that it continued, if
 * its connection is still there, has its seat again.
 */
export interface Leave {
  action: "leave";
  v: typeof Version;
  id: string;
  session: string;
}

/**
 * Renew asks for another resume ticket for a session that has its seat, because
 * the one that came with the answer nears its end. The socket may be a new one:
 * nothing else of the session goes over it.
 */
export interface Renew {
  action: "renew";
  v: typeof Version;
  id: string;
  session: string;
}

/**
 * Answer admits a participant: the seat is taken and the node waits for the
 * connection.
 */
export interface Answer {
  action: "answer";
  v: typeof Version;
  id: string;
  session: string;
  revision: number;
  room: string;
  identity: string;
  role: Role;
  /** Node is the participant's home. */
  node: string;
  /** Answer is the session description, packed by Pack. */
  answer: string;
  iceServers?: ICEServer[];
  /**
   * Resume is a sealed ticket for this session. With it a join token that has
   * expired in the meantime still lets its holder back in, for a day.
   */
  resume?: string;
}

/**
 * Error is the answer to a message that could not be served, on every border,
 * and a Go error. Text is for people; it never holds a secret, a stack trace or
 * another system's message.
 */
export interface Error {
  action: "error";
  v: typeof Version;
  /** ID is the request's, empty where there was none to read. */
  id?: string;
  code: Code;
  text: string;
  /**
   * RetryAfterMs is when the same request may succeed, in milliseconds; 0 when
   * it cannot without a change.
   */
  retryAfterMs?: number;
}

/** LeaveDone confirms a Leave. */
export interface LeaveDone {
  action: "left";
  v: typeof Version;
  id: string;
}

/** Ready says that a seat is held for somebody who waits: send join again. */
export interface Ready {
  action: "ready";
  v: typeof Version;
  id: string;
}

/** Resume answers Renew with a ticket in place of the one before. */
export interface Resume {
  action: "resume";
  v: typeof Version;
  id: string;
  session: string;
  /** Resume is as Answer.Resume. */
  resume: string;
}

/**
 * Waiting says that no node has room and one is being started. The participant
 * stays in line as long as the socket is open.
 */
export interface Waiting {
  action: "waiting";
  v: typeof Version;
  id: string;
  /** SinceMs is when the participant began to wait, in Unix milliseconds. */
  sinceMs: number;
  /**
   * EstimateMs is how much longer it will take, in milliseconds; a guess from
   * earlier launches.
   */
  estimateMs: number;
  /** Stage tells how far the launch is: asked, starting, booting. */
  stage: WaitStage;
}

/** Data is a message of the application to others in the room. */
export interface Data {
  action: "data";
  v: typeof Version;
  /** To are the identities it is for; none means everybody else. */
  to?: string[];
  topic?: string;
  /** Payload is in base64, with padding (RFC 4648, section 4). */
  payload: string;
}

/**
 * Describe is the participant's metadata as it is now, in place of what the token said.
 * It takes a token with canUpdateOwnMetadata.
 */
export interface Describe {
  action: "describe";
  v: typeof Version;
  revision: number;
  metadata: string;
}

/** Goodbye leaves the room; the node frees the seat at once. */
export interface Goodbye {
  action: "goodbye";
  v: typeof Version;
}

/**
 * Moderate asks the node to do something to somebody. It takes a token with
 * roomAdmin, except to demote oneself. The node answers with Done or an
 * Error with the same id.
 */
export interface Moderate {
  action: "moderate";
  v: typeof Version;
  id: string;
  deed: Deed;
  /** Participant is whom it is about; empty for the room. */
  participant?: string;
  /** Sources are what to mute. */
  sources?: Source[];
  /** Metadata is that of the participant, or of the room, from now on. */
  metadata?: string;
}

/** Ping asks for a Pong with the same number. */
export interface Ping {
  action: "ping";
  v: typeof Version;
  n: number;
}

/** Resync asks for the whole Snapshot after a gap in the numbered deltas. */
export interface Resync {
  action: "resync";
  v: typeof Version;
}

/**
 * Stats is how a participant's connection does, as its browser sees it, since the
 * last one.
 */
export interface Stats {
  action: "stats";
  v: typeof Version;
  sendKbps: number;
  receiveKbps: number;
  /**
   * SendLossPermille and ReceiveLossPermille are the shares of packets lost on the
   * way to the node and from it, in thousandths.
   */
  sendLossPermille: number;
  receiveLossPermille: number;
  /** RTTMs is to the node and back; 0 is unknown. */
  rttMs: number;
  /** JitterMs is the worst of the streams received (RFC 3550, section 6.4.1). */
  jitterMs: number;
  /** Freezes is how often received pictures stood still. */
  freezes: number;
  limitedBy: LimitedBy;
}

/**
 * Tracks is everything the participant publishes now; a source that it does not
 * list is not published any more.
 */
export interface Tracks {
  action: "tracks";
  v: typeof Version;
  revision: number;
  tracks: Track[];
}

/**
 * Want is everything the SDK asks to see. Streams that it leaves free are filled
 * with other publications by recency of speech, except those that are off.
 */
export interface Want {
  action: "want";
  v: typeof Version;
  revision: number;
  video: WantedVideo[];
  /** Only keeps free streams empty instead of filling them. */
  only?: boolean;
}

/**
 * Closing says that the node ends this connection, and why. After replaced,
 * removed and room_ended the SDK does not come back by itself; after node_gone
 * it joins again.
 */
export interface Closing {
  action: "closing";
  v: typeof Version;
  code: Code;
  text?: string;
}

/** DataFrom is a message of somebody's application. */
export interface DataFrom {
  action: "data";
  v: typeof Version;
  from: string;
  topic?: string;
  payload: string;
}

/**
 * Delta is what changed in the roster: members as they are now, and identities
 * that have left. Seq grows by one with each.
 */
export interface Delta {
  action: "delta";
  v: typeof Version;
  seq: number;
  viewers?: number;
  viewersHere?: number;
  changed?: Member[];
  gone?: string[];
  /** RoomMetadata is the room's from now on; null is as before. */
  roomMetadata?: string;
}

/**
 * Layers tells a publisher which layers of its videos are of use now. A source
 * that is not listed is to be sent in all of its layers, as before the first
 * message.
 */
export interface Layers {
  action: "layers";
  v: typeof Version;
  sources: SourceLayers[];
}

/** Done says that what was asked is done, or is being done. */
export interface Done {
  action: "moderated";
  v: typeof Version;
  id: string;
  /**
   * Moving says that a promoted participant has to change nodes first: the new
   * role comes with the new home.
   */
  moving?: boolean;
}

/**
 * Move asks the SDK to join again, naming this session in Join.From, and to
 * keep this connection until it stands on its new home.
 */
export interface Move {
  action: "move";
  v: typeof Version;
  /**
   * ReceiveKbps is what the network was last found to carry towards the
   * participant, for the new home to begin with; 0 is unknown.
   */
  receiveKbps?: number;
}

/** Muted tells the SDK that sources of its own were switched off by somebody else. */
export interface Muted {
  action: "mute";
  v: typeof Version;
  sources: Source[];
}

/** Pong answers Ping. */
export interface Pong {
  action: "pong";
  v: typeof Version;
  n: number;
}

/**
 * Snapshot is the whole roster, in parts of at most MaxChannel bytes; it
 * includes the receiver itself. Seq is the number of the last Delta that it
 * contains. All parts of one snapshot have the same Seq.
 *
 * Viewers is how many viewers the room has, listed or not, and ViewersHere how
 * many of them are on the receiver's own node: who would come back with it if that
 * node were lost.
 */
export interface Snapshot {
  action: "snapshot";
  v: typeof Version;
  seq: number;
  part: number;
  parts: number;
  room: string;
  self: string;
  viewers?: number;
  viewersHere?: number;
  /** RoomMetadata is the room's, in the first part. */
  roomMetadata?: string;
  members: Member[];
}

/** Speakers lists who speaks now, the dominant speaker first. */
export interface Speakers {
  action: "speakers";
  v: typeof Version;
  speakers: Speaker[];
}

/** Streams is what every receive stream carries; those not listed are empty. */
export interface Streams {
  action: "streams";
  v: typeof Version;
  revision: number;
  streams: Stream[];
}

/** Role is what a participant may do in a room. */
export type Role =
  | "publisher"
  | "viewer";

/**
 * Media tells which media section (by its mid) of the offer is what. An offer
 * lists all of them once and for all: it is never renegotiated.
 */
export interface Media {
  microphone?: string;
  camera?: string;
  screen?: string;
  screenAudio?: string;
  /**
   * Audio and Video are the receive streams, at most MaxAudioStreams and
   * MaxVideoStreams.
   */
  audio: string[];
  video: string[];
}

/** ICEServer is a STUN or TURN server as browsers take it. */
export interface ICEServer {
  urls: string[];
  username?: string;
  credential?: string;
}

/**
 * Code says what went wrong in a word that programs can compare. There is one
 * code per thing that the receiver can do about it.
 */
export type Code =
  /** not a JSON object */
  | "bad_json"
  /** another protocol version */
  | "bad_version"
  /** no such action here */
  | "unknown_action"
  /** a field is missing, of a wrong type or out of bounds */
  | "bad_field"
  /** more bytes than the border takes */
  | "too_large"
  /** the session description cannot be answered */
  | "bad_offer"
  /** The token is. */
  | "token_missing"
  /** not a JWT */
  | "token_malformed"
  /** not HS256, "none" among them */
  | "token_algorithm"
  /** minted with a key that this deployment does not have */
  | "token_bad_signature"
  | "token_expired"
  | "token_not_yet_valid"
  /** for another room */
  | "token_wrong_room"
  /** a node's token used by a browser, or the reverse */
  | "token_wrong_kind"
  /** lacks the grant that the request needs */
  | "token_no_permission"
  /** HTTP API: API key missing or wrong */
  | "unauthorized"
  /** no seat is free: the room's own limit, or its node's */
  | "room_full"
  /** more blocks or nodes than one room may have */
  | "room_too_large"
  /** the room's limit of publishers */
  | "stage_full"
  /** retry: no node has room and none can be launched now */
  | "no_capacity"
  /** the deployment's own limit of nodes */
  | "budget_exhausted"
  /** HTTP API: no such room or node */
  | "not_found"
  | "method_not_allowed"
  /** a leave without a join */
  | "not_joined"
  /** the same participant connected elsewhere */
  | "replaced"
  /** an administrator removed the participant */
  | "removed"
  | "room_ended"
  /** retry: the node stops; join again */
  | "node_gone"
  /** another life of this node has taken over */
  | "fenced"
  /** hello came after the launch was given up */
  | "launch_expired"
  /** no such participant, or not on this node */
  | "unknown_participant"
  /** retry */
  | "node_unreachable"
  /** retry: the sender sends more than it may */
  | "rate_limited"
  /** retry */
  | "busy"
  /** retry: details are in the log only */
  | "internal";

/** WaitStage is how far the launch that a participant waits for has come. */
export type WaitStage =
  /** in line; nothing is being launched yet */
  | "asked"
  /** an instance was asked for */
  | "starting"
  /** the instance exists and starts the node */
  | "booting";

/** Deed is what a Moderate does. */
export type Deed =
  /** to publisher */
  | "promote"
  /** to viewer; everybody may demote themselves */
  | "demote"
  /** sources are switched off; their owner may switch them on again */
  | "mute"
  /** out of the room; the session is void */
  | "remove"
  /** of one participant, or of the room */
  | "metadata"
  /** everybody is disconnected, and the room's declaration is forgotten */
  | "end";

/** Source is what a track shows or carries. */
export type Source =
  | "microphone"
  | "camera"
  | "screen"
  | "screen_audio";

/** LimitedBy is what keeps the pictures that a participant sends from being better. */
export type LimitedBy =
  | "none"
  | "cpu"
  | "bandwidth"
  | "other";

/** Track is one of the sender's tracks as it is now. */
export interface Track {
  source: Source;
  muted?: boolean;
  /** Width and Height are the captured picture's, in pixels; 0 for audio. */
  width?: number;
  height?: number;
}

/** WantedVideo is how one publication is shown. */
export interface WantedVideo {
  participant: string;
  source: Source;
  /**
   * Height is the element's, in physical pixels; it bounds the layer that is
   * sent.
   */
  height: number;
  /** Pinned publications come first when there is not enough for all. */
  pinned?: boolean;
  /** Off publications are not shown and not sent. */
  off?: boolean;
}

/** Member is a participant as the others see it. */
export interface Member {
  identity: string;
  name?: string;
  metadata?: string;
  role: Role;
  /** Node is the member's home. */
  node: string;
  /** JoinedMs is when it joined, in Unix milliseconds. */
  joinedMs: number;
  /**
   * Unreachable says that the member's home cannot be reached from the receiver's
   * at present: nothing of it is received, and it may soon be gone or elsewhere.
   */
  unreachable?: boolean;
  /** Tracks are its publications. */
  tracks: Track[];
}

/**
 * SourceLayers are the layers of one of the receiver's own sources that somebody
 * is sent.
 */
export interface SourceLayers {
  source: Source;
  /**
   * Rids name the layers (RFC 8852), the smallest first; those not listed need
   * not be sent.
   */
  rids: string[];
}

/** Speaker is somebody who speaks. */
export interface Speaker {
  participant: string;
  /** Level is the loudness in -dBov, 0 (loudest) to 127 (silence), as in RFC 6464. */
  level: number;
}

/** Stream is what one receive stream carries. */
export interface Stream {
  /** Mid is the receive stream's section of the session description. */
  mid: string;
  participant: string;
  source: Source;
  /**
   * CSRC is the number that the RTP packets of this publication carry in their
   * list of contributing sources.
   */
  csrc: number;
  /**
   * Timestamp is the RTP timestamp of the first frame of this publication on
   * this receive stream; what comes before it belongs to the one before.
   */
  timestamp: number;
  /** Paused publications have no layer small enough for the receiver's network. */
  paused?: boolean;
  /** Undecodable publications come in a codec that the receiver did not offer. */
  undecodable?: boolean;
}
