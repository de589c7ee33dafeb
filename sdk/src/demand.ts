import type { Source, WantedVideo } from "./events.js";

/** One element in which a publication is shown. */
export interface Showing {
  readonly participant: string;
  readonly source: Source;
  /** Height of the element in physical pixels. */
  readonly height: number;
  readonly visible: boolean;
  readonly pinned: boolean;
}

/** Heights are rounded up to this, so that a window being resized does not chatter. */
const heightStep = 8;

/**
 * What to ask the node for: each publication once, as high as its highest visible
 * element; those whose elements are all out of sight are off. Pinned ones first.
 */
export function wantedVideo(showings: Iterable<Showing>): WantedVideo[] {
  const wanted = new Map<string, WantedVideo>();
  for (const s of showings) {
    const key = `${s.source} ${s.participant}`;
    const height = s.visible ? Math.min(16_384, Math.ceil(s.height / heightStep) * heightStep) : 0;
    const before = wanted.get(key);
    const most = Math.max(height, before?.height ?? 0);
    wanted.set(key, {
      participant: s.participant, source: s.source, height: most,
      ...(s.pinned || before?.pinned ? { pinned: true } : {}),
      ...(most === 0 ? { off: true } : {}),
    });
  }
  return [...wanted.values()].sort((a, b) => Number(b.pinned ?? false) - Number(a.pinned ?? false) || b.height - a.height);
}

/** How long a page may be out of sight before its video is switched off. */
const hiddenPageGraceMs = 15_000;
/** How long changes are gathered before the node is told. */
const settleMs = 120;

interface Observed {
  readonly participant: string;
  readonly source: Source;
  pinned: boolean;
  height: number;
  visible: boolean;
}

/**
 * Watches the elements in which video is shown, their size and whether they can be
 * seen, and says when what should be asked of the node has changed.
 */
export class VideoDemand {
  readonly #observed = new Map<Element, Observed>();
  readonly #onChange: (wanted: WantedVideo[]) => void;
  readonly #sizes = new ResizeObserver((entries) => this.#resized(entries));
  readonly #sight = new IntersectionObserver((entries) => this.#sighted(entries), { rootMargin: "64px" });
  readonly #onVisibility = () => this.#pageSeen();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #grace: ReturnType<typeof setTimeout> | undefined;
  #pageHidden = false;
  #said = "";

  constructor(onChange: (wanted: WantedVideo[]) => void) {
    this.#onChange = onChange;
  }

  /** What to ask for now. */
  get wanted(): WantedVideo[] {
    return wantedVideo([...this.#observed.values()].map((o) => ({ ...o, visible: o.visible && !this.#pageHidden })));
  }

  /** Begins to watch an element. It counts as visible until the browser says otherwise. */
  observe(element: HTMLVideoElement, what: { participant: string; source: Source; pinned: boolean }): void {
    if (this.#observed.size === 0) document.addEventListener("visibilitychange", this.#onVisibility);
    const height = element.clientHeight * devicePixelRatio;
    this.#observed.set(element, { ...what, height: Math.max(height, 1), visible: true });
    this.#sizes.observe(element);
    this.#sight.observe(element);
    this.#changed();
  }

  /** Whether the element's publication comes first when there is not enough for all. */
  pin(element: Element, pinned: boolean): void {
    const observed = this.#observed.get(element);
    if (!observed || observed.pinned === pinned) return;
    observed.pinned = pinned;
    this.#changed();
  }

  /** Stops watching an element. */
  unobserve(element: Element): void {
    if (!this.#observed.delete(element)) return;
    this.#sizes.unobserve(element);
    this.#sight.unobserve(element);
    if (this.#observed.size === 0) document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#changed();
  }

  #resized(entries: ResizeObserverEntry[]): void {
    for (const entry of entries) {
      const observed = this.#observed.get(entry.target);
      if (observed) observed.height = Math.max(1, entry.contentRect.height * devicePixelRatio);
    }
    this.#changed();
  }

  #sighted(entries: IntersectionObserverEntry[]): void {
    for (const entry of entries) {
      const observed = this.#observed.get(entry.target);
      if (observed) observed.visible = entry.isIntersecting;
    }
    this.#changed();
  }

  #pageSeen(): void {
    clearTimeout(this.#grace);
    const set = (hidden: boolean) => {
      this.#pageHidden = hidden;
      this.#changed();
    };
    if (document.visibilityState === "visible") set(false);
    else this.#grace = setTimeout(() => set(true), hiddenPageGraceMs);
  }

  #changed(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const wanted = this.wanted;
      const said = JSON.stringify(wanted);
      if (said === this.#said) return;
      this.#said = said;
      this.#onChange(wanted);
    }, settleMs);
  }
}
