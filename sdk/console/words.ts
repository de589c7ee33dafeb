/** Kilobits per second as people read them. */
export function bitrate(kbps: number): string {
  if (kbps >= 999_500) return `${trim(kbps / 1e6)} Gbps`;
  if (kbps >= 999.5) return `${trim(kbps / 1e3)} Mbps`;
  return `${Math.round(kbps)} kbps`;
}

/** Three significant digits at most. */
function trim(n: number): string {
  return n >= 100 ? String(Math.round(n)) : n >= 10 ? n.toFixed(1).replace(/\.0$/, "") : n.toFixed(2).replace(/\.?0+$/, "");
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** How long something has lasted, in the one or two largest units. */
export function duration(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m} min`;
  const h = Math.floor(m / 60);
  if (h < 48) return m % 60 ? `${h} h ${m % 60} min` : `${h} h`;
  return `${Math.floor(h / 24)} days`;
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

/** A value of a decision's inputs on one line. */
export function plain(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "number") return value.toLocaleString("en");
  return JSON.stringify(value) ?? "";
}
