import { spawn, type ChildProcess } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { access, mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { root } from "./harness.js";

/** A local stack of one test file's own, on a free port. */
export interface Stack {
  readonly demo: string;
  readonly socket: string;
  readonly pid: number;
  /** The folder of what its processes write. */
  readonly logs: string;
  /** A GET of the HTTP API, or with a body a POST, with the key. */
  api<T>(path: string, body?: object): Promise<T>;
  /** Any other request to the HTTP API. */
  send(method: string, path: string, body?: object): Promise<unknown>;
  /** A call of what exists on this machine only, under /local/. */
  local<T>(path: string, body?: object): Promise<T>;
  /** The ids of the instances that run. */
  instances(): Promise<string[]>;
  /** Ends it and everything it started. */
  stop(): Promise<void>;
}

interface Ready {
  demo: string;
  socket: string;
  api: string;
  key: string;
}

/** Starts the stack that `make build` built. Options are its environment: see `make help`. */
export async function startStack(options: Record<string, string>): Promise<Stack> {
  const repository = path.dirname(root);
  const binary = process.env["SPILLWAY_LOCAL"] ?? path.join(repository, "build/local/spillway-local");
  await access(binary).catch(() => {
    throw new Error(`${binary} is missing: run make build`);
  });
  const folder = await mkdtemp(path.join(tmpdir(), "spillway-e2e-"));
  const readyFile = path.join(folder, "ready.json");
  const port = await freePort();
  const child = spawn(binary, [], {
    cwd: repository, detached: true, stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, PORT: String(port), READY_FILE: readyFile, LOG_DIR: path.join(folder, "logs"), ...options },
  });
  let output = "";
  child.stdout?.on("data", (data) => { output += String(data); });
  child.stderr?.on("data", (data) => { output += String(data); });
  const kill = () => end(child);
  process.on("exit", kill);
  const stop = async () => {
    process.off("exit", kill);
    await ended(child);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const ready = await until("the stack to be ready", async () => {
      if (child.exitCode !== null) throw new Error(`the stack ended: ${output}`);
      return JSON.parse(await readFile(readyFile, "utf8").catch(() => "null")) as Ready | null;
    }, 60_000);
    return operate(ready, child.pid ?? 0, path.join(folder, "logs"), stop);
  } catch (error) {
    await stop();
    throw new Error(`${String(error)}; it printed: ${output}`, { cause: error });
  }
}

function operate(ready: Ready, pid: number, logs: string, stop: () => Promise<void>): Stack {
  const json = async <T>(url: string, init?: RequestInit): Promise<T> => {
    const response = await fetch(url, init);
    if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  };
  const local = <T>(name: string, body?: object) => json<T>(new URL(`/local/${name}`, ready.demo).href,
    body ? { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } } : {});
  return {
    demo: ready.demo, socket: ready.socket, pid, logs, local, stop,
    send: (method, name, body) => json(`${ready.api}/${name}`, {
      method, headers: { authorization: `Bearer ${ready.key}` }, ...(body ? { body: JSON.stringify(body) } : {}),
    }),
    api: (name, body) => json(`${ready.api}/${name}`, {
      headers: { authorization: `Bearer ${ready.key}` }, ...(body && { method: "POST", body: JSON.stringify(body) }),
    }),
    instances: async () => (await local<{ instances: string[] }>("instances")).instances,
  };
}

/** Asks again and again until there is an answer; says for what it waited in vain. */
export async function until<T>(what: string, ask: () => Promise<T | null | undefined | false>, timeoutMs = 20_000): Promise<T> {
  for (const end = Date.now() + timeoutMs; Date.now() < end;) {
    const answer = await ask();
    if (answer) return answer;
    await new Promise((done) => { setTimeout(done, 100); });
  }
  throw new Error(`waited in vain for ${what}`);
}

/** The process ids of all that a process has started and that runs. */
export function descendants(pid: number): number[] {
  const children = (of: number): number[] => {
    try {
      return readdirSync(`/proc/${of}/task`).flatMap((t) => readFileSync(`/proc/${of}/task/${t}/children`, "utf8").split(/\s+/).filter(Boolean).map(Number));
    } catch {
      return [];
    }
  };
  const all: number[] = [];
  for (const queue = children(pid); queue.length > 0;) {
    const next = queue.pop() ?? 0;
    all.push(next);
    queue.push(...children(next));
  }
  return all;
}

/** The process ids of the nodes that a stack runs: its descendants that are sfu-node. */
export async function nodeProcesses(stack: number): Promise<number[]> {
  const all = descendants(stack);
  const names = await Promise.all(all.map((pid) => readFile(`/proc/${pid}/comm`, "utf8").catch(() => "")));
  return all.filter((_, i) => names[i]?.trim() === "sfu-node");
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (typeof address === "object" && address ? done(address.port) : fail(new Error("no port"))));
    });
  });
}

function end(child: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): void {
  try {
    if (child.pid && child.exitCode === null) process.kill(-child.pid, signal);
  } catch {
    // It has ended already.
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((done) => { child.once("exit", done); });
  end(child);
  const hard = setTimeout(() => end(child, "SIGKILL"), 10_000);
  await gone;
  clearTimeout(hard);
}
