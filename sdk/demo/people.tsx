import { LocalParticipant, RemoteParticipant, type Participant, type Role } from "../src/index.js";
import type { Call } from "./call.js";
import { CloseIcon } from "./icons.js";
import { Avatar } from "./tile.js";
import { wordsFor } from "./words.js";

/** Who is there, those on stage first; what can be done to them, for those who may. */
export function People({ call, onClose }: { call: Call; onClose: () => void }) {
  const { room, view } = call;
  const everybody = [room.localParticipant, ...room.remoteParticipants.values()];
  const group = (role: Role) => everybody.filter((p) => (p.role ?? "viewer") === role);
  // Of very many who watch nobody is told who they are.
  const unlisted = { publisher: 0, viewer: room.viewerCount - group("viewer").length };
  const admin = view.choice?.admin ?? false;
  return (
    <aside class="drawer people" aria-label="People">
      <header><h2>People</h2><button type="button" class="plain" aria-label="Close" onClick={onClose}><CloseIcon /></button></header>
      {([["publisher", "On stage"], ["viewer", "Watching"]] as const).map(([role, title]) => group(role).length + unlisted[role] > 0 && (
        <section key={role} aria-label={title}>
          <h3>{title}, {(group(role).length + unlisted[role]).toLocaleString("en")}</h3>
          <ul>
            {group(role).map((p) => <Person key={p.identity} call={call} participant={p} role={role} admin={admin} />)}
            {unlisted[role] > 0 && <li class="unlisted">{group(role).length > 0 && "and "}{unlisted[role].toLocaleString("en")} others</li>}
          </ul>
        </section>
      ))}
      {admin && (
        <button type="button" class="quiet" onClick={() => void call.attempt(() => room.admin.endRoom(), (e) => wordsFor(e.code).title)}>End for everybody</button>
      )}
    </aside>
  );
}

function Person({ call, participant, role, admin }: { call: Call; participant: Participant; role: Role; admin: boolean }) {
  const { identity } = participant;
  const self = participant instanceof LocalParticipant;
  const remote = participant instanceof RemoteParticipant ? participant : undefined;
  const act = (work: () => Promise<unknown>) => void call.attempt(work, (error) => wordsFor(error.code).title);
  const deeds = call.room.admin;
  const buttons = [
    admin && role === "viewer" && { label: "Bring to stage", work: () => deeds.promote(identity) },
    (admin || self) && role === "publisher" && { label: self ? "Leave the stage" : "To the audience", work: () => deeds.demote(identity) },
    admin && !self && participant.isMicrophoneEnabled && { label: "Mute", work: () => deeds.mute(identity) },
    admin && !self && { label: "Remove", work: () => deeds.remove(identity) },
  ].filter((b) => b !== false);
  return (
    <li data-person={identity}>
      <Avatar identity={identity} name={participant.name} size={80} />
      <span class="who">{participant.name}{self && " (you)"}</span>
      <span class="home">{remote ? remote.node : call.room.node}{remote?.isReachable === false && ", cannot be reached at present"}</span>
      <span class="deeds">
        {buttons.map(({ label, work }) => <button type="button" key={label} class="quiet" onClick={() => act(work)}>{label}</button>)}
      </span>
    </li>
  );
}
