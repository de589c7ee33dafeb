/** What the console knows: the answer of GET /v1/overview, and figures that follow from it. */

export interface Load {
  readonly kbps: number;
  readonly pps: number;
}

export type NodeState = "filling" | "ready" | "draining" | "terminating" | "lost";

/** A pipe to another node, as this node's last heartbeat counted it. */
export interface Pipe {
  readonly node: string;
  readonly up: boolean;
  readonly sendKbps: number;
  readonly receiveKbps: number;
}

export interface FleetNode {
  readonly id: string;
  readonly state: NodeState;
  readonly generation: number;
  readonly instance: string;
  readonly type: string;
  readonly zone?: string;
  /** The program's own name of its version. */
  readonly build?: string;
  /** Nodes are launched as another version now. */
  readonly oldBuild?: boolean;
  readonly capacity: Load;
  readonly claimed: Load;
  readonly free: Load;
  readonly measured: Load;
  readonly cpuPercent: number;
  readonly people: number;
  readonly seats: number;
  readonly roomCount: number;
  readonly rooms: readonly string[];
  readonly alive: boolean;
  readonly leaseUntil: string;
  readonly since: string;
  readonly addresses: readonly { readonly IP: string; readonly Port: number; readonly Scope: string }[] | null;
  readonly pipes?: readonly Pipe[];
}

export interface RoomRow {
  readonly name: string;
  readonly createdAt: string;
  readonly maxParticipants: number;
  readonly seats: number;
  readonly on: readonly { readonly node: string; readonly seats: number }[];
}

export interface Launch {
  readonly id: string;
  readonly type: string;
  readonly zone?: string;
  readonly state: string;
  readonly attempt: number;
  readonly at: string;
  readonly why: string;
}

export interface Waiting {
  readonly room: string;
  readonly count: number;
  readonly since: string;
}

export interface Decision {
  readonly id: string;
  readonly at: string;
  readonly step: string;
  readonly choice: string;
  readonly why: string;
  readonly inputs: Readonly<Record<string, unknown>>;
}

export interface Overview {
  readonly at: string;
  readonly region: string;
  readonly maxNodes: number;
  readonly nodes: readonly FleetNode[];
  readonly rooms: readonly RoomRow[];
  readonly roomsTotal: number;
  readonly launches: readonly Launch[];
  readonly waiting: readonly Waiting[];
  readonly decisions: readonly Decision[];
}

/** One participant, from GET /v1/rooms/{room}. */
export interface Person {
  readonly identity: string;
  readonly name?: string;
  readonly role: string;
  readonly joinedAt: string;
  readonly node?: string;
}

export interface Totals {
  readonly people: number;
  readonly waiting: number;
  readonly byState: ReadonlyMap<NodeState, number>;
  /** Shares of all capacity in kbps, 0 to 1; 0 where there is no node. */
  readonly claimed: number;
  readonly measured: number;
  readonly measuredKbps: number;
  readonly capacityKbps: number;
}

/** Adds a fleet up. */
export function totals(o: Overview): Totals {
  const byState = new Map<NodeState, number>();
  let people = 0, capacity = 0, claimed = 0, measured = 0;
  for (const n of o.nodes) {
    byState.set(n.state, (byState.get(n.state) ?? 0) + 1);
    people += n.people;
    capacity += n.capacity.kbps;
    claimed += n.claimed.kbps;
    measured += n.measured.kbps;
  }
  const of = (part: number) => (capacity > 0 ? part / capacity : 0);
  return {
    people, waiting: o.waiting.reduce((sum, w) => sum + w.count, 0), byState,
    claimed: of(claimed), measured: of(measured), measuredKbps: measured, capacityKbps: capacity,
  };
}

export type Order = "trouble" | "fullest" | "people" | "newest";

/** What an operator should look at first: a dead lease, then a state on the way out, then a hot machine. */
function trouble(n: FleetNode): number {
  if (n.state === "lost" || (!n.alive && n.state !== "terminating")) return 0;
  if (n.state === "terminating" || n.state === "draining") return 1;
  if (n.cpuPercent >= 80) return 2;
  return 3;
}

/** The share of a node's capacity that is claimed, in whichever dimension is scarcer. */
export function fullness(n: FleetNode): number {
  const share = (part: number, whole: number) => (whole > 0 ? part / whole : 0);
  return Math.max(share(n.claimed.kbps, n.capacity.kbps), share(n.claimed.pps, n.capacity.pps));
}

/** Nodes in an order; ties by id, so that tiles stay where they are. */
export function ordered(nodes: readonly FleetNode[], by: Order): FleetNode[] {
  const key: Record<Order, (n: FleetNode) => number> = {
    trouble: (n) => trouble(n), fullest: (n) => -fullness(n), people: (n) => -n.people, newest: (n) => -Date.parse(n.since),
  };
  return [...nodes].sort((a, b) => key[by](a) - key[by](b) || (a.id < b.id ? -1 : 1));
}

/** A pipe between two nodes, reported by either or both. */
export interface Link {
  readonly a: string;
  readonly b: string;
  /** Media in both directions, kbps, as the end that counted more says. */
  readonly kbps: number;
  /** Whether every end that reports it says that it is up. */
  readonly up: boolean;
}

/** The pipes of a fleet, each once, the busiest first. */
export function links(nodes: readonly FleetNode[]): Link[] {
  const found = new Map<string, Link>();
  for (const n of nodes) {
    for (const p of n.pipes ?? []) {
      const [a, b] = n.id < p.node ? [n.id, p.node] : [p.node, n.id];
      const before = found.get(`${a} ${b}`);
      const kbps = Math.max(p.sendKbps + p.receiveKbps, before?.kbps ?? 0);
      found.set(`${a} ${b}`, { a, b, kbps, up: p.up && (before?.up ?? true) });
    }
  }
  return [...found.values()].sort((x, y) => y.kbps - x.kbps || (x.a + x.b < y.a + y.b ? -1 : 1));
}
