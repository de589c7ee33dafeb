import type { CloseReason, ErrorCode, WaitInfo } from "../src/index.js";

/** Something said to a person. */
export interface Words {
  readonly title: string;
  readonly text: string;
}

const oddMessage: Words = {
  title: "This page and the server do not understand each other",
  text: "One of them is probably out of date. Reload the page; if that does not help, tell whoever runs this site.",
};
const oddToken: Words = {
  title: "This invitation is not valid",
  text: "The server does not accept the pass that came with it. Ask for a new link.",
};

/** What each code means to a person, and what they can do about it. */
export const errorWords: Readonly<Record<ErrorCode, Words>> = {
  bad_json: oddMessage, bad_version: oddMessage, unknown_action: oddMessage, bad_field: oddMessage, too_large: oddMessage,
  bad_offer: {
    title: "This browser's offer was not understood",
    text: "Try another browser, for example a current Chrome, Edge, Firefox or Safari.",
  },
  token_missing: oddToken, token_malformed: oddToken, token_algorithm: oddToken, token_bad_signature: oddToken,
  token_wrong_kind: oddToken,
  token_expired: { title: "This invitation has expired", text: "Passes are only good for a while. Ask for a new link, or join again from the start." },
  token_not_yet_valid: {
    title: "It is too early to join",
    text: "This invitation becomes valid later. If it should be valid now, check this computer's clock.",
  },
  token_wrong_room: { title: "This invitation is for another room", text: "Check the room's name, or ask for the right link." },
  token_no_permission: { title: "You may not do that here", text: "This invitation does not allow it. You may be able to join as a viewer." },
  unauthorized: { title: "Access denied", text: "The key that this page used is missing or wrong." },
  room_full: { title: "The room is full", text: "As many people as it takes are in it. Try again when somebody has left." },
  room_too_large: { title: "The room cannot grow any more", text: "No room takes more people than are in this one." },
  stage_full: { title: "The stage is full", text: "As many people as may speak are on it. You can join as a viewer instead." },
  no_capacity: { title: "No server is free right now", text: "All servers are in use and no further one can be started at the moment. Try again in a minute." },
  budget_exhausted: { title: "The limit of this site is reached", text: "It may not start more servers. Try again later, or tell whoever runs it." },
  not_found: { title: "Not found", text: "There is no such room." },
  method_not_allowed: oddMessage,
  not_joined: { title: "You are not in this room", text: "Join it first." },
  replaced: { title: "You joined from somewhere else", text: "This room is open in another tab or on another device with your name, so it was closed here." },
  removed: { title: "You were removed", text: "Somebody who looks after this room removed you from it." },
  room_ended: { title: "The room has ended", text: "Everybody was sent home. Thank you for being there." },
  node_gone: { title: "The server stopped", text: "The server that carried you was stopped and no other could be reached. Try again." },
  fenced: oddMessage, launch_expired: oddMessage, unknown_participant: oddMessage,
  node_unreachable: {
    title: "The media server cannot be reached",
    text: "The network lets this page load, but no sound and picture through. Try another network, or switch a VPN off.",
  },
  rate_limited: { title: "That was too much at once", text: "Wait a moment, then send the rest." },
  busy: { title: "Very many people are joining", text: "The server is busy. Try again in a moment." },
  internal: { title: "Something went wrong on the server", text: "It is not your fault. Try again in a moment." },
  network: { title: "No connection", text: "The server cannot be reached. Check the network and try again." },
  aborted: { title: "Joining was cancelled", text: "You can join again at any time." },
  unsupported: { title: "This browser cannot do it", text: "It lacks something that video calls need. Use a current Chrome, Edge, Firefox or Safari." },
  bad_state: { title: "That does not work right now", text: "Reload the page and try again." },
  media_denied: { title: "Camera and microphone are not allowed", text: "Allow them beside the page's address to be seen and heard." },
  media_missing: { title: "No such device was found", text: "Plug in a camera or microphone, or choose another one." },
  media_failed: { title: "A device could not be opened", text: "Another program may be using the camera or microphone." },
};

/** Words for a code, also for one that this page does not know. */
export function wordsFor(code: ErrorCode): Words {
  return (errorWords as Partial<Record<string, Words>>)[code] ?? errorWords.internal;
}

/** How an ended session is described. */
export function wordsForClose(reason: CloseReason | undefined): Words {
  if (reason === undefined || reason === "left") return { title: "You left the room", text: "You can come back at any time." };
  return errorWords[reason];
}

/** The sentence of the waiting screen. */
export function waitingSentence(wait: Pick<WaitInfo, "remainingMs">): string {
  const seconds = Math.round(wait.remainingMs / 1000);
  if (seconds <= 0) return "Starting a server for this room, any moment now";
  if (seconds <= 90) return `Starting a server for this room, about ${seconds > 10 ? Math.ceil(seconds / 5) * 5 : seconds} s`;
  return `Starting a server for this room, about ${Math.round(seconds / 60)} min`;
}

/** What the launch of a server is doing. */
export const stageWords: Readonly<Record<WaitInfo["stage"], string>> = {
  asked: "You are in line.", starting: "A server has been asked for.", booting: "The server is starting up.",
};

/** What to say when camera or microphone cannot be had, though the room is joined. */
export function mediaNotice(code: ErrorCode, what: "camera" | "microphone" | "camera and microphone"): string {
  const lost = what === "camera" ? "see" : what === "microphone" ? "hear" : "see or hear";
  switch (code) {
    case "media_denied":
      return `The browser did not allow the ${what}. You are in the room, but others cannot ${lost} you.`;
    case "media_missing":
      return `No ${what} was found. You are in the room, but others cannot ${lost} you.`;
    default:
      return `The ${what} could not be opened; another program may be using it. Others cannot ${lost} you.`;
  }
}

/** Up to two letters that stand for a name. */
export function initials(name: string): string {
  const words = name.trim().split(/[\s._-]+/u).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return letters.map((w) => [...(w ?? "")][0] ?? "").join("").toLocaleUpperCase();
}

/** A colour of the avatar, as a hue in degrees: always the same for the same person. */
export function hueOf(identity: string): number {
  let hash = 2166136261;
  for (const char of identity) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 16777619);
  return (hash >>> 0) % 360;
}
