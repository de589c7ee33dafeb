import { useState } from "preact/hooks";
import type { Decision, Launch, Waiting } from "./model.js";
import { Section } from "./parts.js";
import { count, duration, plain } from "./words.js";

/** Who waits for a node, and which nodes are being launched. at is the time of the overview. */
export function Queue({ launches, waiting, at }: { launches: readonly Launch[]; waiting: readonly Waiting[]; at: string }) {
  const since = (then: string) => duration(Date.parse(at) - Date.parse(then));
  return (
    <Section title="Waiting and launches">
      <div class="card list">
        {launches.length + waiting.length === 0 && <p class="soft">Nobody waits and nothing is being launched.</p>}
        {waiting.slice(0, 8).map((w) => (
          <p class="line" key={w.room}><span>{count(w.count, "person waits", "people wait")} for <b>{w.room}</b></span><span class="soft">{since(w.since)}</span></p>
        ))}
        {waiting.length > 8 && <p class="soft small">and for {count(waiting.length - 8, "more room")}</p>}
        {launches.map((l) => (
          <div class="launch" key={l.id}>
            <p class="line"><span><span class="mono">{l.id}</span> {l.state === "started" ? "boots" : "is asked for"}{l.attempt > 1 ? `, attempt ${l.attempt}` : ""}</span><span class="soft">{since(l.at)}</span></p>
            <p class="soft small">{l.type}{l.zone ? ` in ${l.zone}` : ""}: {l.why}</p>
          </div>
        ))}
      </div>
    </Section>
  );
}

/** The latest decisions about the fleet, each with what it was made from. */
export function Decisions({ decisions, at }: { decisions: readonly Decision[]; at: string }) {
  const [open, setOpen] = useState("");
  return (
    <Section title="Decisions">
      <div class="card list">
        {decisions.length === 0 && <p class="soft">None within the last day.</p>}
        {decisions.map((d) => (
          <div class="decision" key={d.id}>
            <button type="button" class="line" aria-expanded={open === d.id} onClick={() => setOpen(open === d.id ? "" : d.id)}>
              <span><b>{d.choice}</b>{d.why ? `: ${d.why}` : ""}</span>
              <time class="soft" dateTime={d.at}>{duration(Date.parse(at) - Date.parse(d.at))}</time>
            </button>
            {open === d.id && (
              <dl class="facts">
                <div><dt>step</dt><dd>{d.step}</dd></div>
                <div><dt>at</dt><dd>{d.at}</dd></div>
                {Object.entries(d.inputs ?? {}).map(([name, value]) => <div key={name}><dt>{name}</dt><dd class="mono">{plain(value)}</dd></div>)}
              </dl>
            )}
          </div>
        ))}
      </div>
    </Section>
  );
}
