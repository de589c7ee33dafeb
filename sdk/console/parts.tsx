import type { ComponentChildren } from "preact";

/** What the side panel shows. */
export type Chosen = { readonly kind: "node" | "room"; readonly name: string };

/** A titled part of the page. */
export function Section({ title, aside, children }: { title: string; aside?: ComponentChildren; children: ComponentChildren }) {
  return (
    <section>
      <div class="title"><h2>{title}</h2>{aside}</div>
      {children}
    </section>
  );
}

/** A part of the side column that can be closed. */
export function Panel({ title, onClose, children }: { title: string; onClose(): void; children: ComponentChildren }) {
  return (
    <section class="card panel" aria-label={title}>
      <div class="title"><h2 class="mono">{title}</h2><button type="button" class="quiet" onClick={onClose}>Close</button></div>
      {children}
    </section>
  );
}
