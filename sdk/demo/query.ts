import type { Role, VideoCaptureOptions } from "../src/index.js";

/** What the page's address says. */
export interface Query {
  readonly room: string;
  readonly name: string;
  /** Who to be; undefined lets the token's maker choose. */
  readonly identity: string | undefined;
  readonly role: Role;
  /** Whether one may bring others to the stage, mute and remove them. */
  readonly admin: boolean;
  /** Join at once, without the form. */
  readonly autojoin: boolean;
  /** Size and rate of the camera's picture, to keep many tabs light. */
  readonly capture: VideoCaptureOptions | undefined;
  /** Video codecs to offer, preferred ones first; undefined leaves it to the SDK. */
  readonly codecs: readonly string[] | undefined;
  /** Whether one stream may carry several layers; undefined leaves it to the SDK. */
  readonly scalable: boolean | undefined;
}

/** Reads `?room=R&name=N&identity=I&role=publisher|viewer&admin=1&autojoin=1&capture=320x180@10&codecs=vp9,vp8&scalable=0`; what is malformed counts as missing. */
export function readQuery(search: string): Query {
  const params = new URLSearchParams(search);
  return {
    room: params.get("room")?.trim() ?? "",
    name: params.get("name")?.trim() ?? "",
    identity: params.get("identity")?.trim() || undefined,
    role: params.get("role") === "viewer" ? "viewer" : "publisher",
    admin: params.get("admin") === "1",
    autojoin: params.get("autojoin") === "1",
    capture: readCapture(params.get("capture") ?? ""),
    codecs: params.get("codecs")?.split(",").filter(Boolean),
    scalable: params.has("scalable") ? params.get("scalable") !== "0" : undefined,
  };
}

function readCapture(text: string): VideoCaptureOptions | undefined {
  const match = /^(\d{1,4})x(\d{1,4})@(\d{1,3})$/.exec(text);
  if (!match) return undefined;
  const [width = 0, height = 0, frameRate = 0] = match.slice(1).map(Number);
  return width > 0 && height > 0 && frameRate > 0 ? { width, height, frameRate } : undefined;
}

/** The address by which others come to a room. */
export function invitation(page: string, room: string): string {
  const address = new URL(page);
  address.search = new URLSearchParams({ room }).toString();
  return address.toString();
}
