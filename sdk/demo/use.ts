import { useEffect, useLayoutEffect, useReducer, useRef, useState } from "preact/hooks";
import type { RefObject } from "preact";
import type { Call } from "./call.js";
import type { Size } from "./layout.js";

/** Renders again whenever the call has something new, at most once a frame. */
export function useCall(call: Call): void {
  const [, again] = useReducer((n: number) => n + 1, 0);
  useEffect(() => {
    let frame = 0;
    const off = call.subscribe(() => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        again(undefined);
      });
    });
    again(undefined);
    return () => {
      off();
      cancelAnimationFrame(frame);
    };
  }, [call]);
}

/** The size of an element's content, as it changes. */
export function useSize<E extends Element>(): [RefObject<E>, Size] {
  const ref = useRef<E>(null);
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry) setSize({ width: entry.contentRect.width, height: entry.contentRect.height });
    });
    observer.observe(element);
    setSize({ width: element.clientWidth, height: element.clientHeight });
    return () => observer.disconnect();
  }, []);
  return [ref, size];
}

/** Renders again every so many milliseconds while it is on. */
export function useTicks(everyMs: number, on = true): number {
  const [n, tick] = useReducer((x: number) => x + 1, 0);
  useEffect(() => {
    if (!on) return;
    const timer = setInterval(() => tick(undefined), everyMs);
    return () => clearInterval(timer);
  }, [everyMs, on]);
  return n;
}
