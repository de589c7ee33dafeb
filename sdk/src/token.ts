import type { ErrorCode } from "./errors.js";

/** A join token, or a function that fetches one: asked anew for each session. */
export type TokenSource = string | (() => string | Promise<string>);

/**
 * Names what is probably wrong with a token that the gateway refused. A browser
 * cannot read the answer to a refused handshake, so this looks at the token's form;
 * a well-formed one has, as far as can be told from here, the wrong signature.
 */
export function refusalOf(token: string): ErrorCode {
  if (token === "") return "token_missing";
  const parts = token.split(".");
  const header = parts.length === 3 ? json(parts[0] ?? "") : undefined;
  if (!header || !json(parts[1] ?? "")) return "token_malformed";
  return header["alg"] === "HS256" ? "token_bad_signature" : "token_algorithm";
}

function json(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(atob(part.replaceAll("-", "+").replaceAll("_", "/")));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
