import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Call } from "./call.js";
import { ClosedCard, ErrorCard, JoiningCard, WaitingCard } from "./cards.js";
import { Chat } from "./chat.js";
import { Controls, type Panel } from "./controls.js";
import { Drawer } from "./drawer.js";
import { CloseIcon, PeopleIcon, SoundIcon } from "./icons.js";
import { JoinCard } from "./join.js";
import type { Query } from "./query.js";
import { People } from "./people.js";
import { Stage } from "./stage.js";
import { useCall } from "./use.js";
import { waitingSentence } from "./words.js";

/** The whole page. */
export function App({ call, query }: { call: Call; query: Query }) {
  useCall(call);
  switch (call.view.state) {
    case "idle":
      return <Page><JoinCard call={call} query={query} /></Page>;
    case "joining":
      return <Page><JoiningCard call={call} /></Page>;
    case "waiting":
      return <Page><WaitingCard call={call} /></Page>;
    case "joined":
    case "reconnecting":
      return <Meeting call={call} />;
    case "closed":
      return <Page><ClosedCard call={call} /></Page>;
    case "error":
      return <Page><ErrorCard call={call} /></Page>;
  }
}

function Page({ children }: { children: ComponentChildren }) {
  return <div class="page"><header class="bar"><Brand /></header>{children}</div>;
}

function Brand() {
  return (
    <span class="brand">
      <svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
        <rect width="32" height="32" rx="9" />
        <path d="M7 10h6c5 0 3 12 8 12h4" />
      </svg>
      Spillway
    </span>
  );
}

function Meeting({ call }: { call: Call }) {
  const [panel, setPanel] = useState<Panel | undefined>(undefined);
  const [read, setRead] = useState(0);
  const { room, view } = call;
  const latest = view.chat.at(-1)?.n ?? 0;
  useEffect(() => { if (panel === "chat") setRead(latest); }, [panel, latest]);
  const close = () => setPanel(undefined);
  const watching = room.viewerCount;
  const people = watching + [room.localParticipant, ...room.remoteParticipants.values()].filter((p) => p.role === "publisher").length;
  const heard = [...room.remoteParticipants.values()].some((p) => p.isMicrophoneEnabled);
  return (
    <div class="page meeting">
      <header class="bar">
        <Brand />
        <h1>{view.choice?.room ?? room.name}</h1>
        {room.metadata && <p class="topic">{room.metadata}</p>}
        <span class="count" title={watching > 0 ? `${watching.toLocaleString("en")} only watching` : undefined}>
          <PeopleIcon /><span data-people={people}>{people.toLocaleString("en")}</span><span class="visually-hidden"> people in the room</span>
        </span>
      </header>
      {view.state === "reconnecting" && (
        <p class="banner" role="status">
          <span class="spinner small" aria-hidden="true" />
          {room.waiting ? waitingSentence(room.waiting) : "The connection was lost. Reconnecting…"}
        </p>
      )}
      <div class="body">
        <Stage call={call} />
        {panel === "details" && <Drawer call={call} onClose={close} />}
        {panel === "chat" && <Chat call={call} onClose={close} />}
        {panel === "people" && <People call={call} onClose={close} />}
      </div>
      <div class="notices">
        {!room.canPlaybackAudio && heard && (
          <button type="button" class="pill" onClick={() => void call.attempt(() => room.startAudio())}><SoundIcon />Click to hear the others</button>
        )}
        {view.notices.map((notice) => (
          <p class="toast" role="status" key={notice}>
            <span>{notice}</span>
            <button type="button" class="plain" aria-label="Dismiss" onClick={() => call.dismiss(notice)}><CloseIcon /></button>
          </p>
        ))}
      </div>
      <Controls call={call} panel={panel} unread={latest > read && panel !== "chat"} onPanel={(p) => setPanel(p === panel ? undefined : p)} />
    </div>
  );
}
