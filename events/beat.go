package events

import "hash/fnv"

// Load is what something costs, carries or may still take.
type Load struct {
	Kbps int64 `json:"kbps"`
	PPS  int64 `json:"pps"` // packets per second
}

// RoomMembers lists who of a room has a seat or a connection on a node:
// participant key → session revision.
type RoomMembers struct {
	Room    string           `json:"room"`
	Members map[string]int64 `json:"members"`
	// Epoch is that of the room's last [Assignment] here, by which a lost one is
	// found out; 0 is none.
	Epoch int64 `json:"epoch,omitempty"`
	// Described is the revision of the room's metadata that the node knows; 0 is none.
	Described int64 `json:"described,omitempty"`
	// Stage are those of Members who may send, where the inventory says so.
	Stage []string `json:"stage,omitempty"`
}

// Inventory is everybody a node carries, in parts that each fit a frame. A node
// sends all parts after its welcome and then at least once a minute, in
// consecutive heartbeats. A part is complete for the keys that belong to it by
// [InventoryPart], so that each can be acted on without the others.
type Inventory struct {
	// TakenMs is when the node listed its participants, in Unix milliseconds of
	// the node's own clock.
	TakenMs int64 `json:"takenMs"`
	Part    int   `json:"part"`
	Parts   int   `json:"parts"`
	// Roles says that the rooms list who is on stage. Nodes of an earlier kind do not.
	Roles bool `json:"roles,omitempty"`
	// Rooms holds the participants of this part, by room.
	Rooms List[RoomMembers] `json:"rooms"`
}

// MaxInventoryMembers bounds the participants in one part, MaxInventoryNames the
// bytes of its room names. With keys of 16 bytes a heartbeat then fits
// [MaxFrame], unless names are full of characters that JSON must escape, or most
// people are on stage in rooms of their own: a node takes more parts when one comes
// out too large.
const (
	MaxInventoryMembers = 300
	MaxInventoryNames   = 9 << 10
)

// InventoryPart tells to which of parts an inventory's participant belongs: the
// 32-bit FNV-1a hash of its key, modulo parts.
func InventoryPart(key string, parts int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // a hash cannot fail
	return int(h.Sum32() % uint32(max(parts, 1)))
}

// MaxHeartbeatPipes bounds the pipes that a heartbeat tells of: the busiest. Each
// pipe has two ends that tell of it.
const MaxHeartbeatPipes = 8

// Pipe is a node's pipe to another node, as measured since the last heartbeat.
type Pipe struct {
	Node string `json:"node"`
	Up   bool   `json:"up"`
	// SendKbps and ReceiveKbps are what it carried, from the sender of the heartbeat
	// and to it.
	SendKbps    int64 `json:"sendKbps"`
	ReceiveKbps int64 `json:"receiveKbps"`
}

func (p Pipe) validate() error {
	return firstOf(
		bounded("pipes.node", p.Node, 1, MaxID),
		inRange("pipes.sendKbps", p.SendKbps, 0, maxSafe),
		inRange("pipes.receiveKbps", p.ReceiveKbps, 0, maxSafe),
	)
}

// Heartbeat renews the node's lease and reports what it carries.
type Heartbeat struct {
	Header
	Node       string `json:"node"`
	Generation int64  `json:"generation"`
	// Seq grows with each heartbeat of this generation.
	Seq int64 `json:"seq"`
	// Load is what the node sends to participants and to other nodes, measured since
	// the last heartbeat.
	Load   Load `json:"load"`
	People int  `json:"people"`
	Rooms  int  `json:"rooms"`
	// CPUPercent is the share of all cores that the process used, 0 to 100.
	CPUPercent int `json:"cpuPercent"`
	// LossPermille is the share of packets that receivers have reported as lost since
	// the last heartbeat, in thousandths.
	LossPermille int `json:"lossPermille,omitempty"`
	// Screens is how many people on the node share their screen.
	Screens int `json:"screens,omitempty"`
	// EndsMs is when the machine will be taken away, in Unix milliseconds, where
	// its host has said so (a spot instance reclaimed, maintenance); 0 otherwise.
	EndsMs int64 `json:"endsMs,omitempty"`
	// Pipes are at most [MaxHeartbeatPipes] of the node's pipes, the busiest first.
	Pipes     List[Pipe] `json:"pipes,omitempty"`
	Inventory *Inventory `json:"inventory,omitempty"`
}

// Validate implements [Message].
func (h Heartbeat) Validate() error {
	if err := h.check(ActionHeartbeat); err != nil {
		return err
	}
	if err := firstOf(
		bounded("node", h.Node, 1, MaxID),
		positive("generation", h.Generation),
		positive("seq", h.Seq),
		inRange("load.kbps", h.Load.Kbps, 0, maxSafe),
		inRange("load.pps", h.Load.PPS, 0, maxSafe),
		inRange("people", int64(h.People), 0, 1_000_000),
		inRange("rooms", int64(h.Rooms), 0, 1_000_000),
		inRange("cpuPercent", int64(h.CPUPercent), 0, 100),
		inRange("lossPermille", int64(h.LossPermille), 0, 1000),
		inRange("screens", int64(h.Screens), 0, 1_000_000),
		inRange("endsMs", h.EndsMs, 0, maxSafe),
	); err != nil {
		return err
	}
	if len(h.Pipes) > MaxHeartbeatPipes {
		return badField("pipes", "has %d entries, at most %d are taken", len(h.Pipes), MaxHeartbeatPipes)
	}
	for _, p := range h.Pipes {
		if err := p.validate(); err != nil {
			return err
		}
	}
	if h.Inventory == nil {
		return nil
	}
	return h.Inventory.validate()
}

func (inv Inventory) validate() error {
	if err := firstOf(
		positive("inventory.takenMs", inv.TakenMs),
		inRange("inventory.parts", int64(inv.Parts), 1, 1000),
		inRange("inventory.part", int64(inv.Part), 0, int64(inv.Parts)-1),
	); err != nil {
		return err
	}
	members, names := 0, 0
	seen := map[string]bool{}
	for _, r := range inv.Rooms {
		if err := firstOf(bounded("inventory.rooms.room", r.Room, 1, MaxName), inRange("inventory.rooms.epoch", r.Epoch, 0, maxSafe), natural("inventory.rooms.described", r.Described)); err != nil {
			return err
		}
		if seen[r.Room] {
			return badField("inventory.rooms", "lists %.128q twice", r.Room)
		}
		seen[r.Room] = true
		members += len(r.Members)
		names += len(r.Room)
		for _, key := range r.Stage {
			if _, member := r.Members[key]; !member {
				return badField("inventory.rooms", "has %.64q on stage, who is no member", key)
			}
		}
		for key, revision := range r.Members {
			if err := firstOf(bounded("inventory.rooms.members", key, 1, MaxID), positive("inventory.rooms.members", revision)); err != nil {
				return err
			}
			if InventoryPart(key, inv.Parts) != inv.Part {
				return badField("inventory.rooms.members", "has %.64q, which belongs to another part", key)
			}
		}
	}
	if members > MaxInventoryMembers {
		return badField("inventory.rooms", "has %d members, at most %d are taken", members, MaxInventoryMembers)
	}
	if names > MaxInventoryNames {
		return badField("inventory.rooms", "has %d bytes of names, at most %d are taken", names, MaxInventoryNames)
	}
	return nil
}

// Renewed answers [Heartbeat]: the lease runs on from the moment that heartbeat
// was sent.
type Renewed struct {
	Header
	Node       string `json:"node"`
	Generation int64  `json:"generation"`
	Seq        int64  `json:"seq"`
	LeaseMs    int64  `json:"leaseMs"`
	// Draining tells the node to take no new participants.
	Draining bool `json:"draining,omitempty"`
	// Token replaces the node's token when that nears its end.
	Token string `json:"token,omitempty"`
}

// Validate implements [Message].
func (r Renewed) Validate() error {
	if err := r.check(ActionRenewed); err != nil {
		return err
	}
	return firstOf(
		bounded("node", r.Node, 1, MaxID),
		positive("generation", r.Generation),
		positive("seq", r.Seq),
		inRange("leaseMs", r.LeaseMs, 100, 600_000),
		bounded("token", r.Token, 0, MaxToken),
	)
}
