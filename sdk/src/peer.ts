import { audioCodecs, videoCodecs } from "./codecs.js";
import { SpillwayError, type ErrorCode } from "./errors.js";
import { ChannelID, ChannelLabel, DataID, DataLabel, LossyID, LossyLabel, PulseID, PulseLabel, type Data, type FromSDK, type ICEServer, type Media, type Source, type ToSDK } from "./events.js";
import { layersOf } from "./layers.js";
import { pack, unpack } from "./pack.js";
import { readFromNode } from "./wire.js";

/** What a peer connection tells its owner; nothing after close(). */
export interface PeerListener {
  /** The control channel is open. */
  onOpen(): void;
  onMessage(message: ToSDK): void;
  /** The connection is over without anybody having asked for it. */
  onLost(code: ErrorCode, text: string): void;
  /** Something odd that does no harm. */
  onOddity(text: string): void;
}

/** How many streams can be received at a time. */
export interface StreamCounts {
  readonly audio: number;
  readonly video: number;
}

/** How many bytes of data may wait to be sent: reliably, and once. */
const reliableAhead = 1 << 20;
const lossyAhead = 16 << 10;

/** How long a closed connection may linger to get its goodbye out. */
const lingerMs = 300;

/**
 * One peer connection to a node, with its one offer: senders for microphone,
 * camera, screen and screen sound, receive streams, and the control channel. It
 * is never renegotiated; what is sent changes by replaceTrack, what is received
 * by what the node puts on the streams.
 */
export class Peer {
  /** Which section is what. */
  readonly media: Media;
  /** The offer, packed. */
  readonly offer: string;
  readonly connection: RTCPeerConnection;
  readonly #channel: RTCDataChannel;
  readonly #pulse: RTCDataChannel;
  readonly #data: readonly [reliable: RTCDataChannel, lossy: RTCDataChannel];
  readonly #senders: ReadonlyMap<Source, RTCRtpSender>;
  readonly #receivers: ReadonlyMap<string, RTCRtpReceiver>;
  #listener: PeerListener | undefined;

  private constructor(parts: {
    connection: RTCPeerConnection; channel: RTCDataChannel; pulse: RTCDataChannel; data: readonly [RTCDataChannel, RTCDataChannel]; media: Media; offer: string;
    senders: ReadonlyMap<Source, RTCRtpSender>; receivers: ReadonlyMap<string, RTCRtpReceiver>; listener: PeerListener;
  }) {
    this.connection = parts.connection;
    this.media = parts.media;
    this.offer = parts.offer;
    this.#channel = parts.channel;
    this.#pulse = parts.pulse;
    this.#data = parts.data;
    this.#senders = parts.senders;
    this.#receivers = parts.receivers;
    this.#listener = parts.listener;
    this.#watch();
  }

  /** Makes the connection and its offer. Rejects with `unsupported` where the browser cannot. */
  static async create(counts: StreamCounts, videoCodecNames: readonly string[], listener: PeerListener): Promise<Peer> {
    if (typeof RTCPeerConnection === "undefined" || typeof CompressionStream === "undefined") {
      throw new SpillwayError("unsupported", "this browser has no WebRTC, or is too old");
    }
    const connection = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    try {
      const { senders, receivers } = addSections(connection, counts, videoCodecNames);
      const channel = connection.createDataChannel(ChannelLabel, { negotiated: true, id: ChannelID, ordered: true });
      const pulse = connection.createDataChannel(PulseLabel, { negotiated: true, id: PulseID, ordered: false, maxRetransmits: 0 });
      const data = [
        connection.createDataChannel(DataLabel, { negotiated: true, id: DataID, ordered: true }),
        connection.createDataChannel(LossyLabel, { negotiated: true, id: LossyID, ordered: false, maxRetransmits: 0 }),
      ] as const;
      await connection.setLocalDescription(await connection.createOffer());
      const mid = (t: RTCRtpTransceiver) => t.mid ?? "";
      const media: Media = {
        microphone: mid(senders.microphone), camera: mid(senders.camera), screen: mid(senders.screen),
        screenAudio: mid(senders.screen_audio), audio: receivers.audio.map(mid), video: receivers.video.map(mid),
      };
      const offer = await pack(connection.localDescription?.sdp ?? "");
      return new Peer({
        connection, channel, pulse, data, media, offer, listener,
        senders: new Map(Object.entries(senders).map(([source, t]) => [source as Source, t.sender])),
        receivers: new Map([...receivers.audio, ...receivers.video].map((t) => [mid(t), t.receiver])),
      });
    } catch (cause) {
      connection.close();
      throw new SpillwayError("unsupported", "this browser cannot make the connection that is needed", { cause });
    }
  }

  /** The sender of a source. */
  sender(source: Source): RTCRtpSender | undefined {
    return this.#senders.get(source);
  }

  /** The receiver of a receive stream, by its mid. */
  receiver(mid: string): RTCRtpReceiver | undefined {
    return this.#receivers.get(mid);
  }

  /** Takes the node's answer; the connection then comes up by itself. */
  async accept(answer: string, iceServers: readonly ICEServer[] | undefined): Promise<void> {
    if (iceServers?.length) this.connection.setConfiguration({ iceServers: [...iceServers], bundlePolicy: "max-bundle" });
    await this.connection.setRemoteDescription({ type: "answer", sdp: await unpack(answer) });
  }

  /** Sends a ping where a lost packet holds nothing up; false when no channel is open. */
  ping(message: Extract<FromSDK, { action: "ping" }>): boolean {
    if (this.#pulse.readyState !== "open") return this.send(message);
    this.#pulse.send(JSON.stringify(message));
    return true;
  }

  /** How many bytes of media have arrived in all, and how long ago the last of them did, where the browser tells. */
  async received(): Promise<{ bytes: number; agoMs: number | undefined }> {
    const report = await this.connection.getStats();
    let bytes = 0;
    let agoMs: number | undefined;
    for (const entry of (report as ReadonlyMap<string, Readonly<Record<string, unknown>>>).values()) {
      const { type, timestamp, bytesReceived, lastPacketReceivedTimestamp: last } = entry;
      if (type !== "inbound-rtp" || typeof bytesReceived !== "number") continue;
      bytes += bytesReceived;
      if (typeof last !== "number" || typeof timestamp !== "number" || last > timestamp) continue;
      agoMs = Math.min(agoMs ?? Infinity, timestamp - last);
    }
    return { bytes, agoMs };
  }

  /** Sends over the control channel; false when it is not open. */
  send(message: FromSDK): boolean {
    if (this.#channel.readyState !== "open") return false;
    this.#channel.send(JSON.stringify(message));
    return true;
  }

  /** Sends data of the application: "sent", or why not. What is sent once is thrown away where the network does not keep up. */
  sendData(message: Data, reliable: boolean): "sent" | "closed" | "congested" {
    const channel = this.#data[reliable ? 0 : 1];
    if (channel.readyState !== "open") return "closed";
    if (channel.bufferedAmount > (reliable ? reliableAhead : lossyAhead)) return "congested";
    channel.send(JSON.stringify(message));
    return "sent";
  }

  /** Ends the connection; what was sent just before still gets out. */
  close(): void {
    this.#listener = undefined;
    for (const sender of this.#senders.values()) void sender.replaceTrack(null).catch(() => undefined);
    if (this.#channel.readyState !== "open") this.connection.close();
    else setTimeout(() => this.connection.close(), lingerMs);
  }

  #watch(): void {
    this.#channel.addEventListener("open", () => this.#listener?.onOpen());
    this.#channel.addEventListener("close", () => this.#listener?.onLost("node_unreachable", "the media server closed the connection"));
    const read = (event: MessageEvent<unknown>) => {
      let message: ToSDK;
      try {
        message = readFromNode(event.data);
      } catch (error) {
        this.#listener?.onOddity(`message from the node ignored: ${String(error)}`);
        return;
      }
      this.#listener?.onMessage(message);
    };
    for (const channel of [this.#channel, this.#pulse, ...this.#data]) channel.addEventListener("message", read);
    this.connection.addEventListener("connectionstatechange", () => {
      if (this.connection.connectionState !== "failed") return;
      this.#listener?.onLost("node_unreachable", "the connection to the media server failed");
    });
  }
}

/** Adds all sections, in the order that docs/protocol.md gives. */
function addSections(connection: RTCPeerConnection, counts: StreamCounts, videoCodecNames: readonly string[]) {
  const prefer = {
    audio: audioCodecs(RTCRtpReceiver.getCapabilities("audio")?.codecs ?? []),
    video: videoCodecs(RTCRtpReceiver.getCapabilities("video")?.codecs ?? [], videoCodecNames),
  };
  const add = (kind: "audio" | "video", init: RTCRtpTransceiverInit) => {
    const transceiver = connection.addTransceiver(kind, init);
    transceiver.setCodecPreferences(prefer[kind]);
    return transceiver;
  };
  const send = (kind: "audio" | "video", source: Source) =>
    add(kind, { direction: "sendonly", ...(kind === "video" ? { sendEncodings: layersOf(source) } : {}) });
  const receive = (kind: "audio" | "video", count: number) =>
    Array.from({ length: count }, () => add(kind, { direction: "recvonly" }));
  const senders: Record<Source, RTCRtpTransceiver> = {
    microphone: send("audio", "microphone"), camera: send("video", "camera"), screen: send("video", "screen"),
    screen_audio: send("audio", "screen_audio"),
  };
  return { senders, receivers: { audio: receive("audio", counts.audio), video: receive("video", counts.video) } };
}
