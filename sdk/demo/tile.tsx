import { useEffect, useRef } from "preact/hooks";
import { LocalParticipant, type LocalTrackPublication, type Participant, type RemoteTrackPublication } from "../src/index.js";
import { MicrophoneOffIcon, ScreenIcon, SlowIcon } from "./icons.js";
import type { Rect } from "./layout.js";
import { hueOf, initials } from "./words.js";

/** One thing to be seen on the stage. */
export interface TileProps {
  readonly participant: Participant;
  readonly source: "camera" | "screen";
  readonly rect: Rect;
}

type AnyPublication = LocalTrackPublication | RemoteTrackPublication;

/** A person, with their camera's picture or their initials; or the screen that they share. */
export function Tile({ participant, source, rect }: TileProps) {
  const video = useRef<HTMLVideoElement>(null);
  const publication = participant.getTrackPublication(source) as AnyPublication | undefined;
  const track = publication?.track;
  const pinned = source === "screen";
  useEffect(() => {
    const element = video.current;
    if (!element || !track) return;
    track.attach(element);
    if ("setPinned" in track) track.setPinned(pinned);
    return () => void track.detach(element);
  }, [track, pinned]);

  const isSelf = participant instanceof LocalParticipant;
  const on = publication !== undefined && !publication.isMuted;
  const paused = publication !== undefined && "isPaused" in publication && publication.isPaused;
  const undecodable = publication !== undefined && "isUndecodable" in publication && publication.isUndecodable;
  const name = isSelf ? "You" : participant.name;
  const classes = [
    "tile", source, isSelf ? "self" : "", on ? "on" : "off", participant.isSpeaking && source === "camera" ? "speaking" : "",
    Math.min(rect.width, rect.height) < 110 ? "small" : "",
  ];
  return (
    <div
      class={classes.filter(Boolean).join(" ")}
      style={{ transform: `translate(${rect.x}px, ${rect.y}px)`, width: `${rect.width}px`, height: `${rect.height}px` }}
      data-source={source}
      {...(isSelf ? { "data-self": "" } : { "data-participant": participant.identity })}
    >
      {source === "camera" && <Avatar identity={participant.identity || "you"} name={isSelf ? participant.name || "You" : name} size={Math.min(rect.width, rect.height)} />}
      <video ref={video} muted playsInline autoPlay aria-label={source === "screen" ? `Screen of ${name}` : `Video of ${name}`} />
      {undecodable && <p class="note">This browser cannot show this picture</p>}
      <div class="label">
        {source === "screen" && <span class="badge"><ScreenIcon /></span>}
        {source === "camera" && !participant.isMicrophoneEnabled && (
          <span class="badge muted" role="img" aria-label="Microphone off"><MicrophoneOffIcon /></span>
        )}
        <span class="name">{source === "screen" ? `${name === "You" ? "Your" : `${name}’s`} screen` : name}</span>
        {paused && <span class="badge" role="img" aria-label="Paused: the network is slow"><SlowIcon /></span>}
      </div>
    </div>
  );
}

/** A coloured disc with somebody's initials. */
export function Avatar({ identity, name, size }: { identity: string; name: string; size: number }) {
  const diameter = Math.round(Math.min(148, Math.max(36, size * 0.42)));
  return (
    <div class="avatar" aria-hidden="true" style={{ "--hue": hueOf(identity), "--size": `${diameter}px` }}>
      <span>{initials(name)}</span>
    </div>
  );
}
