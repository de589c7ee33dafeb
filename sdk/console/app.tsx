import { useEffect, useReducer, useState } from "preact/hooks";
import { links, totals, type Overview } from "./model.js";
import { NodePanel, Nodes } from "./nodes.js";
import type { Chosen } from "./parts.js";
import { Pipes } from "./pipes.js";
import { RoomPanel, Rooms } from "./rooms.js";
import { Decisions, Queue } from "./side.js";
import type { Source } from "./source.js";
import { bitrate, count, duration, percent } from "./words.js";

/** The whole page. */
export function App({ source }: { source: Source }) {
  const [, again] = useReducer((n: number) => n + 1, 0);
  useEffect(() => source.subscribe(() => again(undefined)), [source]);
  useEffect(() => {
    const timer = setInterval(() => again(undefined), 1000);
    return () => clearInterval(timer);
  }, []);
  const { view } = source;
  useEffect(() => { document.body.dataset["state"] = view.state; }, [view.state]);
  switch (view.state) {
    case "locked":
      return <Key refused={view.refused} onKey={(key) => source.unlock(key)} />;
    case "loading":
      return <div class="centre"><p class="soft" role="status">Asking for the fleet…</p></div>;
    case "live":
      return <Fleet source={source} overview={view.overview} ageMs={Date.now() - view.receivedAt} trouble={view.trouble} />;
  }
}

export function Brand() {
  return (
    <span class="brand">
      <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true">
        <rect width="32" height="32" rx="9" />
        <path d="M7 10h6c5 0 3 12 8 12h4" />
      </svg>
      Spillway <span class="soft">console</span>
    </span>
  );
}

function Key({ refused, onKey }: { refused: string | undefined; onKey(key: string): void }) {
  const [key, setKey] = useState("");
  const submit = (event: Event) => {
    event.preventDefault();
    if (key.trim()) onKey(key.trim());
  };
  return (
    <main class="centre">
      <form class="card key" onSubmit={submit}>
        <Brand />
        <label>
          <span>API key</span>
          <input type="password" name="key" value={key} autoComplete="off" autoFocus onInput={(e) => setKey(e.currentTarget.value)} aria-describedby="about-key" />
        </label>
        {refused && <p class="wrong" role="alert">{refused}</p>}
        <p class="soft small" id="about-key">The key is kept in this tab only and forgotten with it. <code>make dev</code> prints one.</p>
        <button type="submit" class="primary" disabled={!key.trim()}>Open the console</button>
      </form>
    </main>
  );
}

interface FleetProps {
  source: Source;
  overview: Overview;
  ageMs: number;
  trouble: string | undefined;
}

function Fleet({ source, overview: o, ageMs, trouble }: FleetProps) {
  const [chosen, choose] = useState<Chosen | null>(null);
  const node = chosen?.kind === "node" ? o.nodes.find((n) => n.id === chosen.name) : undefined;
  const room = chosen?.kind === "room" ? o.rooms.find((r) => r.name === chosen.name) : undefined;
  const pipes = links(o.nodes);
  const close = () => choose(null);
  return (
    <div class="page">
      <header class="bar">
        <Brand />
        <span class="soft">{o.region}</span>
        <span class={`live ${trouble ? "stale" : ""}`} role="status">
          <i aria-hidden="true" />{trouble ? `${trouble} Shown is the state of ${duration(ageMs)} ago.` : "live"}
        </span>
        <button type="button" class="quiet" onClick={() => source.lock()}>Forget the key</button>
      </header>
      <Figures overview={o} />
      <div class={`columns ${node || room ? "with-panel" : ""}`}>
        <main>
          <Nodes nodes={o.nodes} chosen={node?.id} onChoose={(id) => choose({ kind: "node", name: id })} />
          {pipes.length > 0 && <Pipes nodes={o.nodes} links={pipes} chosen={node?.id} onChoose={(id) => choose({ kind: "node", name: id })} />}
          <Rooms rooms={o.rooms} total={o.roomsTotal} chosen={room?.name} onChoose={(name) => choose({ kind: "room", name })} />
        </main>
        <aside>
          {node && <NodePanel node={node} links={pipes} onClose={close} onChoose={choose} />}
          {room && <RoomPanel key={room.name} room={room} source={source} onClose={close} onChoose={choose} />}
          <Queue launches={o.launches} waiting={o.waiting} at={o.at} />
          <Decisions decisions={o.decisions} at={o.at} />
        </aside>
      </div>
    </div>
  );
}

function Figures({ overview: o }: { overview: Overview }) {
  const t = totals(o);
  const states = [...t.byState].map(([state, n]) => `${n} ${state}`).join(" · ");
  return (
    <dl class="figures">
      <Figure name="People" value={t.people.toLocaleString("en")} />
      <Figure name="Rooms" value={o.roomsTotal.toLocaleString("en")} />
      <Figure name="Nodes" value={o.nodes.length.toLocaleString("en")} note={states || `none of ${count(o.maxNodes, "node")} allowed`} />
      <Figure name="Waiting" value={t.waiting.toLocaleString("en")} alarm={t.waiting > 0} note={o.launches.length > 0 ? `${count(o.launches.length, "launch", "launches")} under way` : ""} />
      <Figure name="Claimed" value={percent(t.claimed)} note={t.capacityKbps > 0 ? `of ${bitrate(t.capacityKbps)}` : ""} />
      <Figure name="Measured" value={percent(t.measured)} note={t.capacityKbps > 0 ? bitrate(t.measuredKbps) : ""} />
    </dl>
  );
}

function Figure({ name, value, note = "", alarm = false }: { name: string; value: string; note?: string; alarm?: boolean }) {
  return <div class={alarm ? "alarm" : ""}><dt>{name}</dt><dd>{value}</dd><p>{note}</p></div>;
}
