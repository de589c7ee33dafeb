import { useEffect, useState } from "preact/hooks";
import type { Person, RoomRow } from "./model.js";
import { Panel, Section, type Chosen } from "./parts.js";
import type { Source } from "./source.js";
import { count, duration } from "./words.js";

/** How many rooms the table shows at first. */
const few = 15;

interface RoomsProps {
  rooms: readonly RoomRow[];
  total: number;
  chosen: string | undefined;
  onChoose(name: string): void;
}

/** The rooms with the most seats, and which nodes they are on. */
export function Rooms({ rooms, total, chosen, onChoose }: RoomsProps) {
  const [all, setAll] = useState(false);
  const shown = all ? rooms : rooms.slice(0, few);
  return (
    <Section title="Rooms" aside={<span class="soft">{total > rooms.length ? `the largest ${rooms.length} of ${total.toLocaleString("en")}` : ""}</span>}>
      {rooms.length === 0 && <p class="card empty">No room is open.</p>}
      {rooms.length > 0 && (
        <div class="card scroll">
          <table>
            <thead><tr><th>Room</th><th class="number">Seats granted</th><th>On</th><th class="number">Open for</th></tr></thead>
            <tbody>
              {shown.map((r) => (
                <tr key={r.name} class={r.name === chosen ? "chosen" : ""}>
                  <td><button type="button" class="link" onClick={() => onChoose(r.name)}>{r.name}</button></td>
                  <td class="number">{r.seats.toLocaleString("en")} <span class="soft">of {r.maxParticipants.toLocaleString("en")}</span></td>
                  <td><On room={r} /></td>
                  <td class="number">{duration(Date.now() - Date.parse(r.createdAt))}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {rooms.length > few && <button type="button" class="quiet" onClick={() => setAll(!all)}>{all ? "Show fewer" : `Show ${rooms.length - few} more`}</button>}
    </Section>
  );
}

function On({ room }: { room: RoomRow }) {
  const first = room.on.slice(0, 3);
  return (
    <>
      {first.map((on) => <span class="chip mono" key={on.node} title={count(on.seats, "seat")}>{on.node}</span>)}
      {room.on.length > first.length && <span class="soft"> and {count(room.on.length - first.length, "more node")}</span>}
    </>
  );
}

interface RoomPanelProps {
  room: RoomRow;
  source: Source;
  onClose(): void;
  onChoose(chosen: Chosen): void;
}

/** Who is in a room, node by node; asked for once it is chosen, and again as it changes. */
export function RoomPanel({ room, source, onClose, onChoose }: RoomPanelProps) {
  const [people, setPeople] = useState<readonly Person[] | null>(null);
  const [trouble, setTrouble] = useState("");
  useEffect(() => {
    const asking = new AbortController();
    const ask = () => source.people(room.name, asking.signal).then(
      (found) => { setPeople(found); setTrouble(""); },
      (error: unknown) => { if (!asking.signal.aborted) setTrouble(error instanceof Error ? error.message : String(error)); });
    void ask();
    const timer = setInterval(() => void ask(), 5000);
    return () => {
      clearInterval(timer);
      asking.abort();
    };
  }, [room.name, source]);
  const nodes = [...new Set((people ?? []).map((p) => p.node ?? ""))];
  return (
    <Panel title={room.name} onClose={onClose}>
      <p class="soft">{people ? count(people.length, "person", "people") : "Asking who is there…"} · {count(room.seats, "seat")} granted of {room.maxParticipants.toLocaleString("en")} · {count(room.on.length, "node")}</p>
      {trouble && <p class="wrong" role="alert">{trouble}</p>}
      {nodes.map((node) => (
        <div key={node}>
          <h3>{node ? <button type="button" class="link mono" onClick={() => onChoose({ kind: "node", name: node })}>{node}</button> : "On no node"}</h3>
          {(people ?? []).filter((p) => (p.node ?? "") === node).slice(0, 100).map((p) => (
            <p class="line" key={p.identity}><span>{p.name || p.identity}</span><span class="soft">{p.role}</span></p>
          ))}
        </div>
      ))}
    </Panel>
  );
}
