import type { Call } from "./call.js";
import { CameraIcon, CameraOffIcon, ChatIcon, InfoIcon, LeaveIcon, MicrophoneIcon, MicrophoneOffIcon, PeopleIcon, ScreenIcon } from "./icons.js";
import { mediaNotice } from "./words.js";
import { useEffect } from "preact/hooks";
import type { ComponentChildren } from "preact";

/** What can be opened beside the stage. */
export type Panel = "people" | "chat" | "details";

const panels: readonly { name: Panel; label: string; icon: ComponentChildren }[] = [
  { name: "people", label: "People", icon: <PeopleIcon /> }, { name: "chat", label: "Chat", icon: <ChatIcon /> },
  { name: "details", label: "Details", icon: <InfoIcon /> },
];

interface ButtonProps {
  readonly label: string;
  readonly keys?: string;
  readonly pressed?: boolean;
  readonly tone?: "off" | "active" | "danger";
  readonly onClick: () => void;
  readonly children: ComponentChildren;
}

function RoundButton({ label, keys, pressed, tone, onClick, children }: ButtonProps) {
  const title = keys ? `${label} (${keys})` : label;
  return (
    <button type="button" class={`round ${tone ?? ""}`} aria-label={label} title={title} aria-pressed={pressed} onClick={onClick}>
      {children}
    </button>
  );
}

/** The bar at the bottom: microphone, camera, screen, details, leave. */
export function Controls({ call, panel, unread, onPanel }: { call: Call; panel: Panel | undefined; unread: boolean; onPanel: (panel: Panel) => void }) {
  const local = call.room.localParticipant;
  const publishes = local.role !== "viewer";
  const microphone = () => void call.attempt(
    () => local.setMicrophoneEnabled(!local.isMicrophoneEnabled), (e) => mediaNotice(e.code, "microphone"));
  const camera = () => void call.attempt(
    () => local.setCameraEnabled(!local.isCameraEnabled), (e) => mediaNotice(e.code, "camera"));
  // Closing the browser's own chooser also counts as a refusal: nothing to say about it.
  const screen = () => void call.attempt(
    () => local.setScreenShareEnabled(!local.isScreenShareEnabled, { audio: true }),
    (e) => (e.code === "media_denied" ? undefined : "The screen could not be shared."));
  useShortcuts(publishes ? { d: microphone, e: camera } : {});
  const sharable = "getDisplayMedia" in (navigator.mediaDevices ?? {});
  return (
    <div class="controls" role="toolbar" aria-label="Call controls">
      {publishes && (
        <>
          <RoundButton
            label={local.isMicrophoneEnabled ? "Mute the microphone" : "Unmute the microphone"} keys="Ctrl+D" onClick={microphone}
            pressed={local.isMicrophoneEnabled} {...(local.isMicrophoneEnabled ? {} : { tone: "off" })}
          >
            {local.isMicrophoneEnabled ? <MicrophoneIcon /> : <MicrophoneOffIcon />}
          </RoundButton>
          <RoundButton
            label={local.isCameraEnabled ? "Switch the camera off" : "Switch the camera on"} keys="Ctrl+E" onClick={camera}
            pressed={local.isCameraEnabled} {...(local.isCameraEnabled ? {} : { tone: "off" })}
          >
            {local.isCameraEnabled ? <CameraIcon /> : <CameraOffIcon />}
          </RoundButton>
          {sharable && (
            <RoundButton
              label={local.isScreenShareEnabled ? "Stop sharing the screen" : "Share a screen"} onClick={screen}
              pressed={local.isScreenShareEnabled} {...(local.isScreenShareEnabled ? { tone: "active" } : {})}
            >
              <ScreenIcon />
            </RoundButton>
          )}
        </>
      )}
      {panels.map(({ name, label, icon }) => (
        <RoundButton
          key={name} label={name === "chat" && unread ? `${label}, something new` : label} onClick={() => onPanel(name)} pressed={panel === name}
          {...(panel === name ? { tone: "active" } : {})}
        >
          {icon}{name === "chat" && unread && <span class="dot" />}
        </RoundButton>
      ))}
      <span class="gap" />
      <RoundButton label="Leave the room" tone="danger" onClick={() => call.leave()}><LeaveIcon /></RoundButton>
    </div>
  );
}

function useShortcuts(keys: Record<string, () => void>): void {
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const work = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey ? keys[event.key.toLowerCase()] : undefined;
      if (!work || event.repeat) return;
      event.preventDefault();
      work();
    };
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  });
}
