import { useState } from "preact/hooks";
import { fullness, ordered, type FleetNode, type Link, type Order } from "./model.js";
import { Panel, Section, type Chosen } from "./parts.js";
import { bitrate, count, duration, percent } from "./words.js";

/** From how many nodes on they are shown as small tiles. */
const manyNodes = 18;

const orders: readonly (readonly [Order, string])[] = [["trouble", "Trouble first"], ["fullest", "Fullest first"], ["people", "Most people first"], ["newest", "Newest first"]];

interface NodesProps {
  nodes: readonly FleetNode[];
  chosen: string | undefined;
  onChoose(id: string): void;
}

/** Every node, as a card each or, when they are many, as a tile each. */
export function Nodes({ nodes, chosen, onChoose }: NodesProps) {
  const [order, setOrder] = useState<Order>("trouble");
  const many = nodes.length > manyNodes;
  const select = nodes.length > 1 && (
    <select aria-label="Order of nodes" value={order} onChange={(e) => setOrder(e.currentTarget.value as Order)}>
      {orders.map(([value, text]) => <option value={value} key={value}>{text}</option>)}
    </select>
  );
  return (
    <Section title="Nodes" aside={<><Legend />{select}</>}>
      {nodes.length === 0 && <p class="card empty">No node runs, and nothing is billed for one. The first join launches one.</p>}
      <div class={many ? "tiles" : "cards"}>
        {ordered(nodes, order).map((n) => many
          ? <Tile node={n} chosen={n.id === chosen} onChoose={onChoose} key={n.id} />
          : <Card node={n} chosen={n.id === chosen} onChoose={onChoose} key={n.id} />)}
      </div>
    </Section>
  );
}

function Legend() {
  return (
    <span class="legend" aria-hidden="true">
      <i class="measured" />measured<i class="claimed" />claimed<i class="free" />free
    </span>
  );
}

/** What a node's state is called, a lease that has ended included. */
function state(n: FleetNode): string {
  return !n.alive && (n.state === "ready" || n.state === "filling" || n.state === "draining") ? "silent" : n.state;
}

interface NodeProps {
  node: FleetNode;
  chosen: boolean;
  onChoose(id: string): void;
}

function Card({ node: n, chosen, onChoose }: NodeProps) {
  return (
    <button type="button" class={`card node ${state(n)}`} aria-pressed={chosen} onClick={() => onChoose(n.id)}>
      <span class="head"><span class="mono">{n.id}</span><span class="state">{state(n)}{n.oldBuild ? ", old build" : ""}</span></span>
      <LoadBar node={n} />
      <span class="numbers">{bitrate(n.measured.kbps)} <span class="soft">of {bitrate(n.claimed.kbps)} claimed, {bitrate(n.free.kbps)} free</span></span>
      <span class="soft small">{count(n.people, "person", "people")} · {count(n.roomCount, "room")} · {n.cpuPercent} % CPU · {n.type}{n.zone ? ` · ${n.zone}` : ""}</span>
    </button>
  );
}

function Tile({ node: n, chosen, onChoose }: NodeProps) {
  const title = `${n.id}, ${state(n)}: ${percent(fullness(n))} claimed, ${count(n.people, "person", "people")}, ${count(n.roomCount, "room")}, ${n.cpuPercent} % CPU`;
  return (
    <button type="button" class={`tile ${state(n)}`} title={title} aria-label={title} aria-pressed={chosen} onClick={() => onChoose(n.id)}>
      <span class="mono small">{n.id.replace(/^n-/, "").slice(0, 6)}</span>
      <b>{n.people}</b>
      <LoadBar node={n} />
    </button>
  );
}

function LoadBar({ node: n }: { node: FleetNode }) {
  const share = (kbps: number) => (n.capacity.kbps > 0 ? Math.min(kbps / n.capacity.kbps, 1) : 0);
  const measured = share(n.measured.kbps), claimed = Math.max(fullness(n), measured);
  return (
    <span class="load" role="img" aria-label={`${percent(measured)} measured, ${percent(fullness(n))} claimed`}>
      <i class="claimed" style={{ width: `${100 * Math.min(claimed, 1)}%` }} />
      <i class="measured" style={{ width: `${100 * measured}%` }} />
    </span>
  );
}

interface NodePanelProps {
  node: FleetNode;
  links: readonly Link[];
  onClose(): void;
  onChoose(chosen: Chosen): void;
}

/** All that is known of one node. */
export function NodePanel({ node: n, links, onClose, onChoose }: NodePanelProps) {
  const pipes = links.filter((l) => l.a === n.id || l.b === n.id);
  const facts: readonly (readonly [string, string])[] = [
    ["State", `${state(n)}, ${n.generation === 1 ? "first life" : `life ${n.generation}`}`],
    ["Up for", duration(Date.now() - Date.parse(n.since))],
    ["Instance", n.instance || "not known yet"],
    ["Build", n.oldBuild ? `${n.build ?? "unknown"}, an old build: the node is replaced when the others can take its people` : n.build ?? "unknown"],
    ["Type", n.zone ? `${n.type} in ${n.zone}` : n.type],
    ["Measured", `${bitrate(n.measured.kbps)}, ${n.measured.pps.toLocaleString("en")} packets/s`],
    ["Claimed", `${bitrate(n.claimed.kbps)}, ${n.claimed.pps.toLocaleString("en")} packets/s`],
    ["Capacity", `${bitrate(n.capacity.kbps)}, ${n.capacity.pps.toLocaleString("en")} packets/s`],
    ["Seats granted", `${n.seats.toLocaleString("en")}, ${count(n.people, "person", "people")} connected`],
    ["CPU", `${n.cpuPercent} %`],
    ["Addresses", (n.addresses ?? []).map((a) => `${a.IP}:${a.Port}`).join(", ") || "none"],
  ];
  return (
    <Panel title={n.id} onClose={onClose}>
      <LoadBar node={n} />
      <dl class="facts">{facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
      {pipes.length > 0 && <h3>Pipes</h3>}
      {pipes.map((l) => {
        const other = l.a === n.id ? l.b : l.a;
        return <button type="button" class="line" key={other} onClick={() => onChoose({ kind: "node", name: other })}><span class="mono">{other}</span><span>{l.up ? bitrate(l.kbps) : "down"}</span></button>;
      })}
      <h3>Rooms</h3>
      {n.rooms.length === 0 && <p class="soft">None.</p>}
      {n.rooms.slice(0, 40).map((name) => <button type="button" class="line" key={name} onClick={() => onChoose({ kind: "room", name })}><span>{name}</span></button>)}
      {n.roomCount > 40 && <p class="soft small">and {(n.roomCount - 40).toLocaleString("en")} more</p>}
    </Panel>
  );
}
