import { SpillwayError } from "./errors.js";
import { MaxSDP } from "./events.js";

/**
 * Makes a session description fit a frame: raw DEFLATE (RFC 1951), then unpadded
 * base64url (RFC 4648, section 5). The Go package events has the same as Pack.
 */
export async function pack(sdp: string): Promise<string> {
  const deflated = await pipe(new TextEncoder().encode(sdp), new CompressionStream("deflate-raw"), Infinity);
  let binary = "";
  for (let i = 0; i < deflated.length; i += 8192) {
    binary += String.fromCharCode(...deflated.subarray(i, i + 8192));
  }
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/**
 * Undoes {@link pack}. Stops inflating at MaxSDP bytes, so that a small message
 * cannot claim much memory. Rejects with code `bad_offer`.
 */
export async function unpack(packed: string): Promise<string> {
  let raw: Uint8Array<ArrayBuffer>;
  try {
    raw = Uint8Array.from(atob(packed.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  } catch (cause) {
    throw new SpillwayError("bad_offer", "session description is not base64url", { cause });
  }
  let inflated: Uint8Array;
  try {
    inflated = await pipe(raw, new DecompressionStream("deflate-raw"), MaxSDP);
  } catch (cause) {
    if (cause instanceof SpillwayError) throw cause;
    throw new SpillwayError("bad_offer", "session description is not raw DEFLATE", { cause });
  }
  return new TextDecoder().decode(inflated);
}

async function pipe(
  bytes: Uint8Array<ArrayBuffer>,
  through: CompressionStream | DecompressionStream,
  limit: number,
): Promise<Uint8Array> {
  const reader = new Blob([bytes]).stream().pipeThrough(through).getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > limit) {
      await reader.cancel();
      throw new SpillwayError("bad_offer", `session description is larger than ${limit} bytes`);
    }
    chunks.push(value);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
