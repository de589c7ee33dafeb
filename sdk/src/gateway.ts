import type { ErrorCode } from "./errors.js";
import type { FromClient, ToClient } from "./events.js";
import { refusalOf } from "./token.js";
import { readFromGateway } from "./wire.js";

/** What a socket tells its owner; nothing after close(). */
export interface GatewayListener {
  onOpen(): void;
  onMessage(message: ToClient): void;
  /** The socket is gone: `network`, or what is probably wrong with the token when the host refused it. */
  onHungUp(code: ErrorCode): void;
  /** Something odd that does no harm. */
  onOddity(text: string): void;
}

/** A socket to the gateway, for as long as it takes to get a seat. */
export class Gateway {
  readonly #socket: WebSocket;
  #listener: GatewayListener | undefined;

  /**
   * Begins to connect; a resume ticket makes good for a token that has expired. Throws what the WebSocket constructor
   * throws for a bad address.
   */
  constructor(url: string, token: string, ticket: string | undefined, listener: GatewayListener) {
    this.#listener = listener;
    const address = new URL(url);
    address.searchParams.set("access_token", token);
    if (ticket) address.searchParams.set("resume", ticket);
    const socket = new WebSocket(address);
    this.#socket = socket;
    let opened = false;
    socket.addEventListener("open", () => {
      opened = true;
      this.#listener?.onOpen();
    });
    socket.addEventListener("message", (event: MessageEvent<unknown>) => this.#read(event.data));
    socket.addEventListener("close", () => {
      if (opened) this.#listener?.onHungUp("network");
      else void isThere(url).then((there) => this.#listener?.onHungUp(there ? refusalOf(token) : "network"));
    });
  }

  /** Sends, if the socket is open. */
  send(message: FromClient): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Closes; the listener hears nothing more. */
  close(): void {
    this.#listener = undefined;
    this.#socket.close();
  }

  #read(raw: unknown): void {
    let message: ToClient;
    try {
      message = readFromGateway(raw);
    } catch (error) {
      this.#listener?.onOddity(`message from the gateway ignored: ${String(error)}`);
      return;
    }
    this.#listener?.onMessage(message);
  }
}

/**
 * Whether anything answers at the gateway's host. A browser does not show why a
 * handshake failed; if the host answers a plain request, it was refused.
 */
async function isThere(url: string): Promise<boolean> {
  const address = new URL(url);
  address.protocol = address.protocol === "ws:" ? "http:" : "https:";
  try {
    await fetch(address, { mode: "no-cors", cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(5_000) });
    return true;
  } catch {
    return false;
  }
}
