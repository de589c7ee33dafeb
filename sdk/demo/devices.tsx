import { useEffect, useState } from "preact/hooks";

type Kind = "videoinput" | "audioinput";

const labels: Readonly<Record<Kind, string>> = { videoinput: "Camera", audioinput: "Microphone" };

/** What the browser offers, as it changes. Names are empty until a device was allowed once. */
export function useDevices(again: unknown): readonly MediaDeviceInfo[] {
  const [devices, setDevices] = useState<readonly MediaDeviceInfo[]>([]);
  useEffect(() => {
    // Pages that were not loaded over https have no mediaDevices, whatever the types say.
    const media = navigator.mediaDevices as MediaDevices | undefined;
    if (!media) return;
    const look = () => void media.enumerateDevices().then(setDevices, () => undefined);
    look();
    media.addEventListener("devicechange", look);
    return () => media.removeEventListener("devicechange", look);
  }, [again]);
  return devices;
}

/** Choice of camera and microphone. */
export function DevicePicker({ onPick, again }: { onPick: (kind: Kind, deviceId: string) => void; again?: unknown }) {
  const devices = useDevices(again);
  return (
    <div class="devices">
      {(["videoinput", "audioinput"] as const).map((kind) => {
        const choices = devices.filter((d) => d.kind === kind && d.deviceId !== "");
        return (
          <label class="field" key={kind}>
            <span>{labels[kind]}</span>
            <select disabled={choices.length === 0} onChange={(e) => onPick(kind, e.currentTarget.value)}>
              {choices.length === 0 && <option>None found</option>}
              {choices.map((d, i) => <option key={d.deviceId} value={d.deviceId}>{d.label || `${labels[kind]} ${i + 1}`}</option>)}
            </select>
          </label>
        );
      })}
    </div>
  );
}
