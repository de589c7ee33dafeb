/** Turns an unknown value into a T, or throws a {@link Mismatch} that names the field. */
export type Check<T> = (value: unknown, path: string) => T;

/** A value that is not what the contract says. */
export class Mismatch extends Error {
  override readonly name = "Mismatch";
}

function mismatch(path: string, expected: string): never {
  throw new Mismatch(`${path || "message"} is not ${expected}`);
}

/** A string. */
export const string: Check<string> = (v, path) => (typeof v === "string" ? v : mismatch(path, "a string"));

/** A whole number that JavaScript holds exactly. */
export const integer: Check<number> = (v, path) =>
  typeof v === "number" && Number.isSafeInteger(v) ? v : mismatch(path, "a whole number");

/** True or false. */
export const flag: Check<boolean> = (v, path) => (typeof v === "boolean" ? v : mismatch(path, "true or false"));

/** One of these strings. */
export function oneOf<const T extends string>(...values: readonly T[]): Check<T> {
  return (v, path) => (values.includes(v as T) ? (v as T) : mismatch(path, `one of ${values.join(", ")}`));
}

/** An array of such elements. */
export function arrayOf<T>(element: Check<T>): Check<T[]> {
  return (v, path) => (Array.isArray(v) ? v.map((x, i) => element(x, `${path}[${i}]`)) : mismatch(path, "an array"));
}

/** The check of a field that may be missing. */
export interface Optional<T> {
  readonly optional: Check<T>;
}

/** A field that may be missing. */
export function optional<T>(check: Check<T>): Optional<T> {
  return { optional: check };
}

/** A check for each field of T; the compiler insists on all of them, and on which may be missing. */
export type Fields<T> = {
  readonly [K in keyof T]-?: object extends Pick<T, K> ? Optional<Exclude<T[K], undefined>> : Check<T[K]>;
};

/** An object with these fields. Fields that it does not know are dropped. */
export function object<T extends object>(fields: Fields<T>): Check<T> {
  const known = Object.entries(fields) as [string, Check<unknown> | Optional<unknown>][];
  return (v, path) => {
    if (typeof v !== "object" || v === null || Array.isArray(v)) return mismatch(path, "an object");
    const given = v as Record<string, unknown>;
    const taken: Record<string, unknown> = {};
    for (const [name, field] of known) {
      const at = path ? `${path}.${name}` : name;
      if (typeof field === "function") taken[name] = field(given[name], at);
      else if (given[name] !== undefined) taken[name] = field.optional(given[name], at);
    }
    return taken as T;
  };
}
