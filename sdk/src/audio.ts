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

  /** Nothing is played before {@link put}; when not enabled, never. */
  constructor(enabled: boolean, onBlocked: (blocked: boolean) => void) {
    this.#enabled = enabled;
    this.#onBlocked = onBlocked;
  }

  /** Whether the browser lets nothing be heard before the person has done something on the page. */
  get isBlocked(): boolean {
    return this.#blocked;
  }

  /** Plays these receive streams, by mid, and no others. */
  put(tracks: ReadonlyMap<string, MediaStreamTrack>): void {
    this.clear();
    if (!this.#enabled) return;
    for (const [mid, track] of tracks) {
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
  }

  /** Tries to play; call it from a click after the browser blocked it. Resolves to whether sound is heard. */
  async start(): Promise<boolean> {
    const results = await Promise.allSettled([...this.#players.values()].map((p) => p.play()));
    const blocked = results.some((r) => r.status === "rejected" && (r.reason as { name?: unknown } | null)?.name === "NotAllowedError");
    if (blocked !== this.#blocked) {
      this.#blocked = blocked;
      this.#onBlocked(blocked);
    }
    return !blocked;
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

  async #useDevice(player: HTMLAudioElement): Promise<void> {
    if (this.#deviceId !== "" && "setSinkId" in player) await player.setSinkId(this.#deviceId);
  }
}
