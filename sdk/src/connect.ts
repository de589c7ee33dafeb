import type { ConnectOptions, RoomOptions } from "./options.js";
import { Room } from "./room.js";
import type { TokenSource } from "./token.js";

/** Makes a room and joins it: see {@link Room.connect}. */
export async function connect(
  url: string, token: TokenSource, options: RoomOptions & ConnectOptions = {},
): Promise<Room> {
  const room = new Room(options);
  await room.connect(url, token, options);
  return room;
}
