import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Role } from "../src/index.js";
import type { Call } from "./call.js";
import { DevicePicker } from "./devices.js";
import { CameraIcon, CameraOffIcon, MicrophoneIcon, MicrophoneOffIcon } from "./icons.js";
import { usePreview } from "./preview.js";
import type { Query } from "./query.js";
import { Avatar } from "./tile.js";

/** A person of this tab: two people of one name do not throw each other out, and a reload comes back as the same one. */
function ownIdentity(name: string): string {
  const key = "spillway-tab";
  const tab = sessionStorage.getItem(key) ?? Math.random().toString(36).slice(2, 8);
  sessionStorage.setItem(key, tab);
  return `${name}-${tab}`;
}

/** The form before joining: who, where, as what, with which devices. */
export function JoinCard({ call, query }: { call: Call; query: Query }) {
  const before = call.view.choice;
  const [room, setRoom] = useState(before?.room ?? (query.room || "lobby"));
  const [name, setName] = useState(before?.name ?? query.name);
  const [role, setRole] = useState<Role>(before?.role ?? query.role);
  const [camera, setCamera] = useState(before?.camera ?? true);
  const [microphone, setMicrophone] = useState(before?.microphone ?? true);
  const publishes = role === "publisher";
  const preview = usePreview(publishes && camera, publishes && microphone, query.capture);
  const ready = room.trim() !== "" && name.trim() !== "";
  const submit = (event: Event) => {
    event.preventDefault();
    if (!ready) return;
    void call.join({ room: room.trim(), name: name.trim(), identity: query.identity ?? ownIdentity(name.trim()), role, admin: query.admin, camera, microphone, tracks: preview.take() });
  };
  return (
    <main class="centre">
      <form class={`card join ${publishes ? "" : "narrow"}`} onSubmit={submit}>
        {publishes && (
          <div class="preview">
            <Picture track={preview.video} name={name}>
              <Toggle on={microphone} what="microphone" onClick={() => setMicrophone(!microphone)} />
              <Toggle on={camera} what="camera" onClick={() => setCamera(!camera)} />
            </Picture>
            {preview.refused && (
              <p class="hint" role="status">The browser did not allow camera or microphone. You can join all the same; others will not see or hear you.</p>
            )}
          </div>
        )}
        <div class="fields">
          <h1>Join a room</h1>
          <label class="field">
            <span>Your name</span>
            <input name="name" value={name} maxLength={60} autoComplete="name" autoFocus required placeholder="How others see you" onInput={(e) => setName(e.currentTarget.value)} />
          </label>
          <label class="field">
            <span>Room</span>
            <input name="room" value={room} maxLength={60} autoComplete="off" spellcheck={false} required onInput={(e) => setRoom(e.currentTarget.value)} />
          </label>
          <fieldset class="segments">
            <legend>I want to</legend>
            <Segment value="publisher" role={role} onPick={setRole}>Take part</Segment>
            <Segment value="viewer" role={role} onPick={setRole}>Only watch</Segment>
          </fieldset>
          {publishes && <DevicePicker again={preview.video ?? preview.audio} onPick={preview.pick} />}
          <button type="submit" class="primary" disabled={!ready}>Join</button>
        </div>
      </form>
    </main>
  );
}

function Picture({ track, name, children }: { track: MediaStreamTrack | undefined; name: string; children: ComponentChildren }) {
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (video.current) video.current.srcObject = track ? new MediaStream([track]) : null;
  }, [track]);
  return (
    <div class={`picture ${track ? "on" : "off"}`}>
      <Avatar identity={name || "you"} name={name || "You"} size={240} />
      <video ref={video} muted playsInline autoPlay aria-label="Your camera" />
      <div class="toggles">{children}</div>
    </div>
  );
}

function Toggle({ on, what, onClick }: { on: boolean; what: "camera" | "microphone"; onClick: () => void }) {
  const icons = what === "camera" ? [<CameraIcon />, <CameraOffIcon />] : [<MicrophoneIcon />, <MicrophoneOffIcon />];
  return (
    <button type="button" class={`round ${on ? "glass" : "off"}`} aria-pressed={on} aria-label={`Join with the ${what} ${on ? "on" : "off"}`} title={`${what} is ${on ? "on" : "off"}`} onClick={onClick}>
      {icons[on ? 0 : 1]}
    </button>
  );
}

function Segment({ value, role, onPick, children }: { value: Role; role: Role; onPick: (role: Role) => void; children: string }) {
  return (
    <label class={role === value ? "chosen" : ""}>
      <input type="radio" name="role" value={value} checked={role === value} onChange={() => onPick(value)} />
      {children}
    </label>
  );
}
