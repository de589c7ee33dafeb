import { useEffect, useRef, useState } from "preact/hooks";
import type { RoomStats } from "../src/index.js";
import type { Call } from "./call.js";
import { DevicePicker } from "./devices.js";
import { CloseIcon } from "./icons.js";

/** What is going on under the hood, and the choice of devices. */
export function Drawer({ call, onClose }: { call: Call; onClose: () => void }) {
  const [stats, setStats] = useState<RoomStats>();
  const panel = useRef<HTMLElement>(null);
  useEffect(() => {
    const look = () => void call.room.getStats().then(setStats);
    look();
    const timer = setInterval(look, 1000);
    return () => clearInterval(timer);
  }, [call]);
  useEffect(() => {
    panel.current?.focus();
    const listen = (event: KeyboardEvent) => event.key === "Escape" && onClose();
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  }, [onClose]);
  const receiving = stats?.streams.filter((s) => s.participant !== undefined) ?? [];
  return (
    <aside class="drawer" ref={panel} tabIndex={-1} aria-label="Details">
      <header>
        <h2>Details</h2>
        <button type="button" class="plain" aria-label="Close the details" onClick={onClose}><CloseIcon /></button>
      </header>
      <dl>
        <Fact name="Server">{call.room.node || "–"}</Fact>
        <Fact name="Round trip">{stats?.rttMs === undefined ? "–" : `${stats.rttMs.toFixed(stats.rttMs < 10 ? 1 : 0)} ms`}</Fact>
        <Fact name="Receiving">{rate(stats?.receiveKbps)}</Fact>
        <Fact name="Sending">{rate(stats?.sendKbps)}</Fact>
        <Fact name="Loss, receiving">{percent(stats?.receiveLossPercent)}</Fact>
        <Fact name="Jitter, receiving">{stats ? `${Math.round(stats.receiveJitterMs)} ms` : "–"}</Fact>
        {stats && stats.limitedBy !== "none" && <Fact name="Limited by">{{ bandwidth: "the network", cpu: "this machine", other: "the browser" }[stats.limitedBy]}</Fact>}
        <Fact name="Loss, sending">{percent(stats?.sendLossPercent)}</Fact>
        {stats && stats.sent.length > 0 && <Fact name="Layers">{stats.sent.map((s) => `${s.width}×${s.height}`).join(", ")}</Fact>}
      </dl>
      {receiving.length > 0 && (
        <table>
          <caption>Receive streams</caption>
          <thead><tr><th>From</th><th>What</th><th>Picture</th></tr></thead>
          <tbody>
            {receiving.map((s) => (
              <tr key={s.mid}>
                <td>{call.room.remoteParticipants.get(s.participant ?? "")?.name ?? s.participant}</td>
                <td>{(s.source ?? "").replace("_", " ")}</td>
                <td>{s.kind === "video" && s.width > 0 ? `${s.width}×${s.height}, ${Math.round(s.framesPerSecond)}/s` : "–"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {call.room.localParticipant.role === "publisher" && (
        <>
          <h3>Devices</h3>
          <DevicePicker onPick={(kind, id) => void call.attempt(() => call.room.switchActiveDevice(kind, id), () => "That device could not be opened.")} />
        </>
      )}
    </aside>
  );
}

function Fact({ name, children }: { name: string; children: string }) {
  return <div><dt>{name}</dt><dd>{children}</dd></div>;
}

function rate(kbps: number | undefined): string {
  if (kbps === undefined) return "–";
  return kbps < 1000 ? `${Math.round(kbps)} kbit/s` : `${(kbps / 1000).toFixed(1)} Mbit/s`;
}

function percent(value: number | undefined): string {
  return value === undefined ? "–" : `${value.toFixed(1)} %`;
}
