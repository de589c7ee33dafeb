/**
 * A gateway and a node inside the page, for tests of the SDK and the demo that
 * need no deployment: it takes the place of WebSocket and of the demo's token
 * endpoint, and answers offers with a real RTCPeerConnection of the same browser.
 */
import type * as events from "../../src/events.js";
import { pack, unpack } from "../../src/pack.js";
import { picture, plain, screen } from "./people.js";

type Plan = "answer" | "waiting" | "silent" | "refuse" | "offline" | { code: events.Code; text?: string };

interface Person {
  identity: string;
  name: string;
  track: MediaStreamTrack | undefined;
  screen: MediaStreamTrack | undefined;
  muted: boolean;
  role: events.Role;
}

const head = { v: 1 } as const;

/** What tests can do, as window.fake. */
class Fake {
  /** What happens to the next joins. */
  plan: Plan = "answer";
  /** Everything the SDK said. */
  readonly joins: events.Join[] = [];
  readonly leaves: events.Leave[] = [];
  readonly said: events.FromSDK[] = [];
  /** All peer connections that the page made, the SDK's and the fake node's. */
  readonly people: Person[] = [];
  viewers = 0;
  self = "me";
  role: events.Role = "publisher";
  sockets: FakeSocket[] = [];
  /** The resume tickets that sockets were opened with, in order. */
  tickets: (string | null)[] = [];
  #node: FakeNode | undefined;
  #generation = 0;

  /** Puts people into the room, before or while somebody is in it. */
  async populate(count: number, options: { videoless?: number[]; muted?: number[] } = {}): Promise<void> {
    const names = ["Ada Byron", "Grace H.", "Tomás Reyes", "Mei Lin", "Oluwaseun", "Ingrid Þórsdóttir", "Kofi", "Noor al-Din", "Sam", "Yuki Tanaka", "Elena Petrova", "Jo"];
    for (let i = this.people.length; i < count; i++) {
      this.people.push({
        identity: `p${i + 1}`, name: names[i % names.length] ?? "", role: "publisher", screen: undefined,
        track: options.videoless?.includes(i) ? undefined : picture(i + 1).track, muted: options.muted?.includes(i) ?? false,
      });
    }
    await this.#node?.tell();
  }

  /** Somebody shares a screen. */
  async share(identity: string): Promise<void> {
    const person = this.people.find((p) => p.identity === identity);
    if (person) person.screen = screen();
    await this.#node?.tell();
  }

  /** Somebody goes. */
  async remove(identity: string): Promise<void> {
    this.people.splice(this.people.findIndex((p) => p.identity === identity), 1);
    await this.#node?.tell();
  }

  /** The room has so many viewers, too many to be listed. */
  async watch(viewers: number): Promise<void> {
    this.viewers = viewers;
    await this.#node?.tell();
  }

  speak(...identities: string[]): void {
    this.#node?.send({ action: "speakers", ...head, speakers: identities.map((participant) => ({ participant, level: 30 })) });
  }

  closing(code: events.Code): void {
    this.#node?.send({ action: "closing", ...head, code });
  }

  /** Says anything at all over the control channel. */
  say(message: events.ToSDK): void {
    this.#node?.send(message);
  }

  /** Tells everybody who waits. */
  waiting(estimateMs: number, sinceMs = Date.now(), stage: events.WaitStage = "booting"): void {
    for (const s of this.sockets) s.receive({ action: "waiting", ...head, id: s.lastID, sinceMs, estimateMs, stage });
  }

  ready(): void {
    this.plan = "answer";
    for (const s of this.sockets) s.receive({ action: "ready", ...head, id: s.lastID });
  }

  /** The node dies without a word. */
  kill(): void {
    this.#node?.die();
    this.#node = undefined;
  }

  /** Two plain colours on one receive stream, one after the other, each with its own person. */
  async twoColours(): Promise<{ first: string; second: string }> {
    const add = (identity: string) => this.people.push({ identity, name: identity, role: "publisher", screen: undefined, track: undefined, muted: false });
    add("red");
    add("blue");
    await this.#node?.twoColours();
    return { first: "red", second: "blue" };
  }

  /** Switches the shared stream to the second colour; the map says so this much before the frames do. */
  async switchColour(earlyMs: number): Promise<void> {
    await this.#node?.switchColour(earlyMs);
  }

  async join(join: events.Join, socket: FakeSocket): Promise<void> {
    this.joins.push(join);
    const { plan } = this;
    if (plan === "silent") return;
    if (plan === "waiting") return socket.receive({ action: "waiting", ...head, id: join.id, sinceMs: Date.now() - 6_000, estimateMs: 19_000, stage: "booting" });
    if (typeof plan === "object") return socket.receive({ action: "error", ...head, id: join.id, code: plan.code, text: plan.text ?? plan.code, retryAfterMs: 50 });
    this.#node?.die();
    this.#node = new FakeNode(this);
    const answer = await this.#node.answer(join);
    this.#generation += 1;
    socket.receive({
      action: "answer", ...head, id: join.id, session: join.session, revision: this.#generation, room: "demo", identity: this.self,
      role: this.role, node: `n-fake-${this.#generation}`, answer, resume: `ticket-${this.#generation}`,
    });
  }
}

class FakeNode {
  readonly #fake: Fake;
  readonly #pc = new RealPeerConnection();
  #channel: RTCDataChannel | undefined;
  #media: events.Media | undefined;
  /** Which of the fake's senders goes with which mid. */
  readonly #senders = new Map<string, RTCRtpSender>();
  readonly #used = new Map<string, string>();
  #seq = 0;
  #revision = 0;
  readonly #started = Date.now();
  #streams: events.Stream[] = [];

  constructor(fake: Fake) {
    this.#fake = fake;
  }

  async answer(join: events.Join): Promise<string> {
    this.#media = join.media;
    await this.#pc.setRemoteDescription({ type: "offer", sdp: await unpack(join.offer) });
    for (const t of this.#pc.getTransceivers()) {
      const mid = t.mid ?? "";
      if (!join.media.video.includes(mid) && !join.media.audio.includes(mid)) continue;
      t.direction = "sendonly";
      this.#senders.set(mid, t.sender);
    }
    const channel = this.#pc.createDataChannel("control", { negotiated: true, id: 0 });
    this.#channel = channel;
    channel.addEventListener("open", () => void this.tell());
    const pulse = this.#pc.createDataChannel("pulse", { negotiated: true, id: 1, ordered: false, maxRetransmits: 0 });
    for (const c of [channel, pulse]) c.addEventListener("message", (event: MessageEvent<string>) => this.#read(JSON.parse(event.data) as events.FromSDK));
    await this.#pc.setLocalDescription(await this.#pc.createAnswer());
    await new Promise<void>((done) => {
      const look = () => this.#pc.iceGatheringState === "complete" && done();
      this.#pc.addEventListener("icegatheringstatechange", look);
      look();
    });
    return pack(this.#pc.localDescription?.sdp ?? "");
  }

  /** Says who is there and who is on which stream. */
  async tell(): Promise<void> {
    this.#seq += 1;
    this.send({
      action: "snapshot", ...head, seq: this.#seq, part: 0, parts: 1, room: "demo", self: this.#fake.self, viewers: this.#fake.viewers,
      members: [
        { identity: this.#fake.self, name: "Me", role: this.#fake.role, node: "n", joinedMs: this.#started, tracks: [] },
        ...this.#fake.people.map((p, i): events.Member => ({
          identity: p.identity, name: p.name, role: p.role, node: "n", joinedMs: 1000 + i,
          tracks: [
            { source: "microphone", ...(p.muted ? { muted: true } : {}) },
            ...(p.track || p.identity === "red" || p.identity === "blue" ? [{ source: "camera", width: 320, height: 180 } as const] : []),
            ...(p.screen ? [{ source: "screen", width: 1280, height: 720 } as const] : []),
          ],
        })),
      ],
    });
    await this.#put();
  }

  /** Puts everybody's tracks on free streams, and tells the map once the first packets are there. */
  async #put(): Promise<void> {
    const wanted = new Map<string, MediaStreamTrack>();
    for (const p of this.#fake.people) {
      if (p.screen) wanted.set(`${p.identity} screen`, p.screen);
      if (p.track) wanted.set(`${p.identity} camera`, p.track);
    }
    for (const [mid, key] of this.#used) {
      if (wanted.has(key)) continue;
      this.#used.delete(mid);
      await this.#senders.get(mid)?.replaceTrack(null);
    }
    for (const [key, track] of wanted) {
      if ([...this.#used.values()].includes(key)) continue;
      const mid = this.#media?.video.find((m) => !this.#used.has(m));
      if (!mid) break;
      this.#used.set(mid, key);
      await this.#senders.get(mid)?.replaceTrack(track);
    }
    const first = await Promise.all([...this.#used.keys()].map((mid) => timestampOf(mid)));
    this.#streams = [...this.#used].map(([mid, key], i) => {
      const [participant = "", source = "camera"] = key.split(" ");
      return { mid, participant, source: source as events.Source, csrc: 1, timestamp: first[i] ?? 0 };
    });
    this.#map();
  }

  #map(): void {
    this.#revision += 1;
    this.send({ action: "streams", ...head, revision: this.#revision, streams: this.#streams });
  }

  async twoColours(): Promise<void> {
    await this.tell();
    const mid = this.#media?.video[0] ?? "";
    await this.#senders.get(mid)?.replaceTrack(plain("red"));
    this.#streams = [{ mid, participant: "red", source: "camera", csrc: 1, timestamp: await timestampOf(mid) }];
    this.#map();
  }

  async switchColour(earlyMs: number): Promise<void> {
    const mid = this.#media?.video[0] ?? "";
    const timestamp = ((await timestampOf(mid)) + (earlyMs + 400) * 90) >>> 0;
    this.#streams = [{ mid, participant: "blue", source: "camera", csrc: 2, timestamp }];
    this.#map();
    await new Promise((done) => setTimeout(done, earlyMs));
    await this.#senders.get(mid)?.replaceTrack(plain("blue"));
  }

  #read(message: events.FromSDK): void {
    this.#fake.said.push(message);
    if (message.action === "ping") this.send({ action: "pong", ...head, n: message.n });
    if (message.action === "resync") void this.tell();
  }

  send(message: events.ToSDK): void {
    if (this.#channel?.readyState === "open") this.#channel.send(JSON.stringify(message));
  }

  die(): void {
    this.#pc.close();
  }
}

const RealPeerConnection = window.RTCPeerConnection;
const sdkPeers: RTCPeerConnection[] = [];
window.RTCPeerConnection = class extends RealPeerConnection {
  constructor(configuration?: RTCConfiguration) {
    super(configuration);
    sdkPeers.push(this);
  }
};

/** The RTP timestamp that the SDK's receiver of a stream has last seen; waits for the first. */
async function timestampOf(mid: string): Promise<number> {
  for (let i = 0; i < 200; i++) {
    const receiver = sdkPeers.at(-1)?.getTransceivers().find((t) => t.mid === mid)?.receiver;
    const source = receiver?.getSynchronizationSources()[0];
    if (source) return source.rtpTimestamp;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`nothing arrives on ${mid}`);
}

const fake = new Fake();

class FakeSocket extends EventTarget {
  static readonly OPEN = 1;
  readyState = 0;
  lastID = "";

  constructor(readonly url: URL) {
    super();
    if (url.pathname !== "/ws") throw new Error(`unexpected socket ${url.href}`);
    const { plan } = fake;
    fake.tickets.push(url.searchParams.get("resume"));
    setTimeout(() => {
      if (plan === "refuse" || plan === "offline") return this.#event("close", 3);
      fake.sockets.push(this);
      this.#event("open", 1);
    }, 30);
  }

  send(text: string): void {
    const message = JSON.parse(text) as events.FromClient;
    this.lastID = message.id;
    if (message.action === "leave") fake.leaves.push(message);
    else if (message.action === "join") void fake.join(message, this);
  }

  receive(message: events.ToClient): void {
    if (this.readyState === 1) setTimeout(() => this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(message) })), 5);
  }

  close(): void {
    this.#event("close", 3);
    fake.sockets = fake.sockets.filter((s) => s !== this);
  }

  #event(name: string, state: number): void {
    this.readyState = state;
    this.dispatchEvent(new Event(name));
  }
}

const realFetch = window.fetch.bind(window);
window.fetch = async (input, init) => {
  const url = input instanceof Request ? input.url : String(input);
  if (url.endsWith("/ws")) {
    if (fake.plan === "offline") throw new TypeError("Failed to fetch");
    return new Response(null, { status: 403 });
  }
  if (!url.endsWith("/local/token")) return realFetch(input, init);
  const asked = JSON.parse(String(init?.body)) as { room: string; name: string; role: events.Role };
  fake.role = asked.role;
  const part = (value: object) => btoa(JSON.stringify(value)).replace(/=+$/, "");
  const token = `${part({ alg: "HS256" })}.${part({ sub: fake.self, name: asked.name })}.c2ln`;
  return Response.json({ token, url: "ws://fake.invalid/ws" });
};

declare global {
  interface Window {
    fake: Fake;
  }
}
window.fake = fake;
window.WebSocket = FakeSocket as unknown as typeof WebSocket;
