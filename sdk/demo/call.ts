import {
  Room, RoomEvent, SpillwayError, type CloseReason, type ConnectionState, type ErrorCode, type Role,
} from "../src/index.js";
import type { Query } from "./query.js";
import { mediaNotice, wordsFor } from "./words.js";

/** What the demo's own messages are called, among all data. */
const chatTopic = "chat";

/** What a person chose before joining. */
export interface Choice {
  readonly room: string;
  readonly name: string;
  readonly identity: string | undefined;
  readonly role: Role;
  /** Ask for a pass that lets one bring others to the stage, mute and remove them. */
  readonly admin: boolean;
  readonly camera: boolean;
  readonly microphone: boolean;
  /** What the preview opened already. */
  readonly tracks: readonly MediaStreamTrack[];
}

/** Something written in the chat. */
export interface ChatLine {
  /** Undefined is oneself. */
  readonly from: string | undefined;
  readonly text: string;
  readonly n: number;
}

/** How many lines of the chat are kept. */
const chatLines = 200;

/** What the page shows beside what the room itself knows. */
export interface CallView {
  /** One of the room's states; `joining` also while the pass is fetched. */
  readonly state: ConnectionState;
  readonly choice: Choice | undefined;
  readonly error: SpillwayError | undefined;
  readonly reason: CloseReason | undefined;
  /** Things said to the person that do not stand in the way. */
  readonly notices: readonly string[];
  readonly chat: readonly ChatLine[];
}

/**
 * One person's way through the demo: fetches a pass, joins, opens devices, and
 * tells its listener whenever there is something new to show.
 */
export class Call {
  readonly room: Room;
  #view: CallView = { state: "idle", choice: undefined, error: undefined, reason: undefined, notices: [], chat: [] };
  readonly #listeners = new Set<() => void>();
  #abort = new AbortController();

  constructor({ capture, codecs, scalable }: Pick<Query, "capture" | "codecs" | "scalable">) {
    // Twelve people on stage, all of them visible, and a shared screen.
    this.room = new Room({
      videoStreams: 12,
      ...(capture && { videoCapture: capture }),
      ...(codecs && { videoCodecs: codecs }),
      ...(scalable !== undefined && { scalableVideo: scalable }),
    });
    for (const event of Object.values(RoomEvent)) this.room.on(event, () => this.#changed());
    this.room.on(RoomEvent.ConnectionStateChanged, (state) => this.#set({ state, error: this.room.error }));
    this.room.on(RoomEvent.Disconnected, (reason) => this.#set({ reason }));
    this.room.on(RoomEvent.DataReceived, (payload, participant, topic, identity) => {
      if (topic === chatTopic) this.#say(participant?.name ?? identity, new TextDecoder().decode(payload));
    });
    this.room.on(RoomEvent.MediaDevicesError, (error, source) => {
      if (source === "camera" || source === "microphone") this.#notice(mediaNotice(error.code, source));
    });
  }

  /** What to show. */
  get view(): CallView {
    return this.#view;
  }

  /** Calls the listener whenever something changed, until the returned function is called. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Joins. Never rejects: what goes wrong is shown. */
  async join(choice: Choice): Promise<void> {
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    this.#set({ state: "joining", choice, error: undefined, reason: undefined, notices: [], chat: [] });
    try {
      const passes = new Passes(choice);
      const url = await passes.url(signal);
      await this.room.connect(url, () => passes.token(), { signal });
    } catch (error) {
      stop(choice.tracks);
      if (this.room.state === "error" || this.room.state === "closed") return;
      if (signal.aborted) this.#set({ state: "closed", reason: "left" });
      else this.#set({ state: "error", error: asError(error) });
      return;
    }
    if (this.room.localParticipant.role === "publisher") await this.#publish(choice);
    else stop(choice.tracks);
  }

  /** Joins again as before. */
  async rejoin(): Promise<void> {
    const { choice } = this.#view;
    if (choice) await this.join({ ...choice, tracks: [] });
  }

  /** Leaves, or stops joining. */
  leave(): void {
    this.#abort.abort();
    void this.room.disconnect();
  }

  /** Back to the form. */
  reset(): void {
    this.#set({ state: "idle", error: undefined, reason: undefined, notices: [] });
  }

  /** Writes to everybody. Resolves to whether it is on its way; what goes wrong becomes a notice. */
  async write(text: string): Promise<boolean> {
    let sent = false;
    await this.attempt(async () => {
      await this.room.localParticipant.publishData(new TextEncoder().encode(text), { topic: chatTopic });
      this.#say(undefined, text);
      sent = true;
    }, (error) => wordsFor(error.code).title);
    return sent;
  }

  /** Takes a notice away. */
  dismiss(notice: string): void {
    this.#set({ notices: this.#view.notices.filter((n) => n !== notice) });
  }

  /** Carries out what a control asks for; what goes wrong becomes a notice. */
  async attempt(work: () => Promise<unknown>, sayFor?: (error: SpillwayError) => string | undefined): Promise<void> {
    try {
      await work();
    } catch (error) {
      const words = sayFor?.(asError(error));
      if (words) this.#notice(words);
    }
    this.#changed();
  }

  async #publish(choice: Choice): Promise<void> {
    const local = this.room.localParticipant;
    const failures = new Map<"camera" | "microphone", ErrorCode>();
    const open = async (source: "camera" | "microphone", wanted: boolean, enable: () => Promise<unknown>) => {
      const track = choice.tracks.find((t) => t.kind === (source === "camera" ? "video" : "audio") && t.readyState === "live");
      if (!wanted) return track?.stop();
      try {
        await (track ? local.publishTrack(track, { source }) : enable());
      } catch (error) {
        failures.set(source, asError(error).code);
      }
    };
    await Promise.all([
      open("microphone", choice.microphone, () => local.setMicrophoneEnabled(true)),
      open("camera", choice.camera, () => local.setCameraEnabled(true)),
    ]);
    const [first] = failures;
    if (!first) return;
    const both = failures.size === 2 && failures.get("camera") === failures.get("microphone");
    if (both) this.#notice(mediaNotice(first[1], "camera and microphone"));
    else for (const [source, code] of failures) this.#notice(mediaNotice(code, source));
  }

  #say(from: string | undefined, text: string): void {
    const { chat } = this.#view;
    this.#set({ chat: [...chat, { from, text, n: (chat.at(-1)?.n ?? 0) + 1 }].slice(-chatLines) });
  }

  #notice(text: string): void {
    if (!this.#view.notices.includes(text)) this.#set({ notices: [...this.#view.notices, text] });
  }

  #set(change: Partial<CallView>): void {
    this.#view = { ...this.#view, ...change };
    document.body.dataset["state"] = this.#view.state;
    this.#changed();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** Fetches passes for one person: a new one each time the last was used. */
class Passes {
  readonly #choice: Choice;
  #identity: string | undefined;
  #unused: string | undefined;

  constructor(choice: Choice) {
    this.#choice = choice;
    this.#identity = choice.identity;
  }

  async url(signal: AbortSignal): Promise<string> {
    const pass = await this.#fetch(signal);
    this.#unused = pass.token;
    return pass.url;
  }

  async token(): Promise<string> {
    const token = this.#unused ?? (await this.#fetch()).token;
    this.#unused = undefined;
    return token;
  }

  async #fetch(signal?: AbortSignal): Promise<{ token: string; url: string }> {
    const { room, name, role, admin } = this.#choice;
    let response: Response;
    try {
      response = await fetch("/local/token", {
        method: "POST", headers: { "content-type": "application/json" }, signal: signal ?? null,
        body: JSON.stringify({ room, name, role, ...(admin ? { admin } : {}), ...(this.#identity ? { identity: this.#identity } : {}) }),
      });
    } catch (cause) {
      throw new SpillwayError("network", "no pass could be fetched", { cause });
    }
    const answer: unknown = await response.json().catch(() => undefined);
    const { token, url, code, text } = (answer ?? {}) as Partial<Record<"token" | "url" | "code" | "text", unknown>>;
    if (!response.ok || typeof token !== "string" || typeof url !== "string") {
      throw new SpillwayError(typeof code === "string" ? (code as ErrorCode) : "internal", String(text ?? `no pass was given (${response.status})`));
    }
    this.#identity ??= subjectOf(token);
    return { token, url };
  }
}

/** Whom a pass is for, so that the next one is for the same person. */
function subjectOf(token: string): string | undefined {
  try {
    const claims: unknown = JSON.parse(atob((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/")));
    const { sub } = claims as { sub?: unknown };
    return typeof sub === "string" ? sub : undefined;
  } catch {
    return undefined;
  }
}

function asError(error: unknown): SpillwayError {
  return error instanceof SpillwayError ? error : new SpillwayError("internal", String(error), { cause: error });
}

function stop(tracks: readonly MediaStreamTrack[]): void {
  for (const track of tracks) track.stop();
}
