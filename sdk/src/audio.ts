/** How long a browser may take to say that nothing may be heard yet. */
const refusalMs = 200;

/**
 * Plays the receive streams that carry sound, one hidden player each. Which person
 * is on which stream does not matter for hearing them.
 */
export class AudioOut {
  readonly #players = new Map<string, HTMLAudioElement>();
  readonly #onBlocked: (blocked: boolean) => void;
  readonly #enabled: boolean;
  #blocked = false;
  #deviceId = "";
  readonly #onGesture = () => void this.start();

  /** Nothing is played before {@link put}; when not enabled, never. */
  constructor(enabled: boolean, onBlocked: (blocked: boolean) => void) {
    this.#enabled = enabled;
    this.#onBlocked = onBlocked;
  }

  /** Whether the browser lets nothing be heard before the person has done something on the page. */
  get isBlocked(): boolean {
    return this.#blocked;
  }

  /** Plays these receive streams, by mid, and no others. Players that play already are used again. */
  put(tracks: ReadonlyMap<string, MediaStreamTrack>): void {
    if (!this.#enabled) return;
    for (const [mid, player] of this.#players) {
      if (tracks.has(mid)) continue;
      player.srcObject = null;
      this.#players.delete(mid);
    }
    for (const [mid, track] of tracks) {
      const known = this.#players.get(mid);
      if (known?.srcObject instanceof MediaStream) {
        const stream = known.srcObject;
        known.muted = false;
        for (const old of stream.getTracks()) stream.removeTrack(old);
        stream.addTrack(track);
        continue;
      }
      const player = new Audio();
      player.autoplay = true;
      player.srcObject = new MediaStream([track]);
      this.#players.set(mid, player);
      void this.#useDevice(player);
    }
    void this.start();
  }

  /** Stops and forgets everything that plays. */
  clear(): void {
    for (const player of this.#players.values()) player.srcObject = null;
    this.#players.clear();
    this.#setBlocked(false);
  }

  /** Tries to play; call it from a click after the browser blocked it. Resolves to whether sound is heard. */
  async start(): Promise<boolean> {
    let refused = false;
    for (const player of this.#players.values()) {
      player.play().catch((error: unknown) => {
        if (isRefusal(error)) refused = true;
      });
    }
    // A refusal comes at once; consent only when there is something to be heard.
    await new Promise((done) => { setTimeout(done, refusalMs); });
    this.#setBlocked(refused);
    return !refused;
  }

  /** Tries again if the browser blocked it before, which opening a microphone may have changed. */
  retry(): void {
    if (this.#blocked) void this.start();
  }

  /** Silences a stream here while the page plays it in an element of its own. */
  silence(mid: string, silent: boolean): void {
    const player = this.#players.get(mid);
    if (player) player.muted = silent;
  }

  /** Plays on this output device. Rejects as setSinkId does. */
  async useDevice(deviceId: string): Promise<void> {
    this.#deviceId = deviceId;
    await Promise.all([...this.#players.values()].map((p) => this.#useDevice(p)));
  }

  /** While nothing may be heard, whatever the person does on the page is taken as leave to play. */
  #setBlocked(blocked: boolean): void {
    if (blocked === this.#blocked) return;
    this.#blocked = blocked;
    for (const gesture of ["pointerdown", "keydown"]) {
      if (blocked) document.addEventListener(gesture, this.#onGesture);
      else document.removeEventListener(gesture, this.#onGesture);
    }
    this.#onBlocked(blocked);
  }

  async #useDevice(player: HTMLAudioElement): Promise<void> {
    if (this.#deviceId !== "" && "setSinkId" in player) await player.setSinkId(this.#deviceId);
  }
}

function isRefusal(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === "NotAllowedError";
}
