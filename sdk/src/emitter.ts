/** A listener for an event with these arguments. */
export type Listener<Args extends unknown[]> = (...args: Args) => void;

/**
 * A typed event emitter. Listeners run synchronously, in the order in which they
 * were added; one that throws does not keep the others from running.
 */
export class Emitter<Events extends { [K in keyof Events]: unknown[] }> {
  readonly #listeners = new Map<keyof Events, Set<Listener<never>>>();

  /** Calls the listener at each event, until {@link off}. */
  on<K extends keyof Events>(event: K, listener: Listener<Events[K]>): this {
    let set = this.#listeners.get(event);
    if (!set) this.#listeners.set(event, (set = new Set()));
    set.add(listener);
    return this;
  }

  /** Calls the listener at the next event only. */
  once<K extends keyof Events>(event: K, listener: Listener<Events[K]>): this {
    const once: Listener<Events[K]> = (...args) => {
      this.off(event, once);
      listener(...args);
    };
    return this.on(event, once);
  }

  /** Takes a listener away that {@link on} added. */
  off<K extends keyof Events>(event: K, listener: Listener<Events[K]>): this {
    this.#listeners.get(event)?.delete(listener);
    return this;
  }

  /** Tells all listeners. */
  protected emit<K extends keyof Events>(event: K, ...args: Events[K]): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        (listener as Listener<Events[K]>)(...args);
      } catch (error) {
        // The listener is at fault, not the room: let the page hear of it, and go on.
        queueMicrotask(() => { throw error; });
      }
    }
  }
}
