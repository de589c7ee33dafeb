import type { FleetNode, Link } from "./model.js";
import { Section } from "./parts.js";
import { bitrate, count } from "./words.js";

/** Above this many nodes a ring of them cannot be read, and a list stands alone. */
const ringNodes = 40;
const listed = 12;
const size = 300;

interface PipesProps {
  nodes: readonly FleetNode[];
  links: readonly Link[];
  chosen: string | undefined;
  onChoose(id: string): void;
}

/** The pipes between nodes: a ring with a chord for each, and the busiest in a list. */
export function Pipes({ nodes, links, chosen, onChoose }: PipesProps) {
  const joined = nodes.filter((n) => links.some((l) => l.a === n.id || l.b === n.id));
  const mine = chosen ? links.filter((l) => l.a === chosen || l.b === chosen) : [];
  const shown = (mine.length > 0 ? mine : links).slice(0, listed);
  const down = links.filter((l) => !l.up).length;
  return (
    <Section title="Pipes" aside={<span class="soft">{count(links.length, "pipe")}{down > 0 ? `, ${down} down` : ""}</span>}>
      <div class="card pipes">
        {joined.length <= ringNodes && <Ring nodes={joined} links={links} chosen={chosen} onChoose={onChoose} />}
        <div class="list">
          {shown.map((l) => (
            <p class={`line ${l.up ? "" : "wrong"}`} key={`${l.a} ${l.b}`}>
              <span class="mono">{l.a} – {l.b}</span><span>{l.up ? bitrate(l.kbps) : "down"}</span>
            </p>
          ))}
          {links.length > shown.length && <p class="soft small">{mine.length > 0 ? "Those of the chosen node." : `The busiest ${shown.length}; choose a node to see its own.`}</p>}
        </div>
      </div>
    </Section>
  );
}

function Ring({ nodes, links, chosen, onChoose }: PipesProps) {
  const at = new Map(nodes.map((n, i) => {
    const angle = (i / nodes.length) * 2 * Math.PI - Math.PI / 2;
    return [n.id, { x: size / 2 + Math.cos(angle) * (size / 2 - 26), y: size / 2 + Math.sin(angle) * (size / 2 - 26) }] as const;
  }));
  const most = Math.max(1, ...links.map((l) => l.kbps));
  return (
    <svg viewBox={`0 0 ${size} ${size}`} class="ring" role="img" aria-label={`${count(nodes.length, "node")} joined by ${count(links.length, "pipe")}`}>
      {links.map((l) => {
        const from = at.get(l.a), to = at.get(l.b);
        if (!from || !to) return null;
        const faint = chosen && l.a !== chosen && l.b !== chosen ? "faint" : "";
        return (
          <path key={`${l.a} ${l.b}`} class={`${l.up ? "" : "down"} ${faint}`} stroke-width={1 + 5 * Math.sqrt(l.kbps / most)}
            d={`M${from.x} ${from.y}Q${size / 2} ${size / 2} ${to.x} ${to.y}`} />
        );
      })}
      {nodes.map((n) => {
        const p = at.get(n.id);
        return p && (
          <g key={n.id} class={n.id === chosen ? "chosen" : ""} onClick={() => onChoose(n.id)}>
            <title>{n.id}</title>
            <circle cx={p.x} cy={p.y} r={nodes.length > 20 ? 6 : 10} />
            {nodes.length <= 20 && <text x={p.x} y={p.y + 22}>{n.id.replace(/^n-/, "").slice(0, 6)}</text>}
          </g>
        );
      })}
    </svg>
  );
}
