import { render } from "preact";
import type { Room } from "../src/index.js";
import { App } from "./app.js";
import { Call } from "./call.js";
import { readQuery } from "./query.js";

declare global {
  interface Window {
    /** The SDK's room, for automation and the curious. */
    room: Room;
  }
}

const query = readQuery(location.search);
const call = new Call(query);
window.room = call.room;
const root = document.getElementById("app");
if (root) render(<App call={call} query={query} />, root);
if (query.autojoin) {
  void call.join({
    room: query.room || "lobby", name: query.name || "Guest", identity: query.identity, role: query.role, admin: query.admin, camera: true, microphone: true,
    tracks: [],
  });
}
