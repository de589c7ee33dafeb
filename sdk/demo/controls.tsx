import type { Call } from "./call.js";
import { CameraIcon, CameraOffIcon, InfoIcon, LeaveIcon, MicrophoneIcon, MicrophoneOffIcon, ScreenIcon } from "./icons.js";
import { mediaNotice } from "./words.js";
import { useEffect } from "preact/hooks";
import type { ComponentChildren } from "preact";

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
export function Controls({ call, details, onDetails }: { call: Call; details: boolean; onDetails: () => void }) {
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
      <RoundButton label="Details" onClick={onDetails} pressed={details} {...(details ? { tone: "active" } : {})}><InfoIcon /></RoundButton>
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
