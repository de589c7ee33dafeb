import type { Participant } from "../src/index.js";
import type { Call } from "./call.js";
import { LinkIcon } from "./icons.js";
import { arrange, arrangeFocus, tileStyle, type Rect } from "./layout.js";
import { Tile } from "./tile.js";
import { useSize } from "./use.js";
import { useState } from "preact/hooks";
import { invitation } from "./query.js";

interface Placed {
  readonly key: string;
  readonly participant: Participant;
  readonly source: "camera" | "screen";
}

/** Everybody on stage, as large as the window allows; a shared screen larger still. */
export function Stage({ call }: { call: Call }) {
  const [ref, size] = useSize<HTMLDivElement>();
  const gap = size.width < 600 ? 8 : 12;
  const things = onStage(call);
  const screens = things.filter((t) => t.source === "screen");
  const people = things.filter((t) => t.source === "camera");
    const focus = screens[0];
  const order = focus ? [focus, ...screens.slice(1), ...people] : people;
  const style = tileStyle(size, gap, order.length);
  const rects: Rect[] = focus ? arrangeFocus(order.length - 1, size, style) : arrange(order.length, size, style);
  const nowhere: Rect = { x: 0, y: 0, width: 0, height: 0 };
  const self = call.room.localParticipant.role === "viewer" ? 1 : 0;
  const alone = call.room.remoteParticipants.size === 0 && call.room.viewerCount <= self;
  return (
    <div class="stage">
      <div class="tiles" ref={ref}>
        {order.map((t, i) => <Tile key={t.key} participant={t.participant} source={t.source} rect={rects[i] ?? nowhere} />)}
        {order.length === 0 && <p class="empty">Nobody is on stage yet.</p>}
      </div>
      {alone && <Invite room={call.view.choice?.room ?? call.room.name} />}
    </div>
  );
}

/** People on stage: the others in the order in which they joined, and oneself last. */
function onStage(call: Call): Placed[] {
  const { localParticipant, remoteParticipants } = call.room;
  const others: Participant[] = [...remoteParticipants.values()].filter((p) => p.role === "publisher");
  const everybody = localParticipant.role === "viewer" ? others : [...others, localParticipant];
  return everybody.flatMap((participant) => {
    const identity = participant === localParticipant ? "" : participant.identity;
    const camera: Placed = { key: `camera ${identity}`, participant, source: "camera" };
    const screen: Placed = { key: `screen ${identity}`, participant, source: "screen" };
    return participant.isScreenShareEnabled ? [camera, screen] : [camera];
  });
}

function Invite({ room }: { room: string }) {
  const [copied, setCopied] = useState(false);
  const link = invitation(location.href, room);
  const copy = () => {
    navigator.clipboard.writeText(link).then(() => setCopied(true), () => prompt("The room's link:", link));
  };
  return (
    <div class="invite">
      <span>You are the only one here.</span>
      <button type="button" class="quiet" onClick={copy}><LinkIcon />{copied ? "Link copied" : "Copy the room’s link"}</button>
    </div>
  );
}
