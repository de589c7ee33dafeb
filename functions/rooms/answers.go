package main

import (
	"cmp"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// roomList answers GET /v1/rooms.
type roomList struct {
	Rooms []roomSummary `json:"rooms"`
}

type roomSummary struct {
	Name            room.Name     `json:"name"`
	Metadata        string        `json:"metadata,omitempty"`
	CreatedAt       time.Time     `json:"createdAt"`
	Participants    int           `json:"participants"`
	MaxParticipants int           `json:"maxParticipants"`
	MaxPublishers   int           `json:"maxPublishers"`
	Seats           int           `json:"seats"` // granted, taken or not
	Nodes           []room.NodeID `json:"nodes"`

	blocks map[int]room.NodeID
}

func (s roomSummary) nodeOf(block int) room.NodeID { return s.blocks[block] }

// roomDetail answers GET /v1/rooms/{room}.
type roomDetail struct {
	roomSummary
	Participants []participant `json:"people"`
}

type participant struct {
	Identity string      `json:"identity"`
	Name     string      `json:"name,omitempty"`
	Role     room.Role   `json:"role"`
	JoinedAt time.Time   `json:"joinedAt"`
	Node     room.NodeID `json:"node,omitempty"`
}

func sortParticipants(p []participant) {
	slices.SortFunc(p, func(a, b participant) int {
		return cmp.Or(a.JoinedAt.Compare(b.JoinedAt), cmp.Compare(a.Identity, b.Identity))
	})
}

// nodeList answers GET /v1/nodes.
type nodeList struct {
	Nodes []node `json:"nodes"`
}

type load struct {
	Kbps int64 `json:"kbps"`
	PPS  int64 `json:"pps"`
}

func newLoad(l room.Load) load { return load(l) }

type node struct {
	ID         room.NodeID     `json:"id"`
	State      fleet.State     `json:"state"`
	Generation room.Generation `json:"generation"`
	Instance   string          `json:"instance"`
	Type       string          `json:"type"`
	Zone       string          `json:"zone,omitempty"`
	// Capacity is what the node carries at most; Claimed what is granted of it,
	// Free what is not, Measured what its last heartbeat said it sends.
	Capacity     load            `json:"capacity"`
	Claimed      load            `json:"claimed"`
	Free         load            `json:"free"`
	Measured     load            `json:"measured"`
	CPUPercent   int             `json:"cpuPercent"`
	Participants int             `json:"participants"`
	Seats        int             `json:"seats"`
	Rooms        []room.Name     `json:"rooms"`
	Alive        bool            `json:"alive"` // its lease covers now
	LeaseUntil   time.Time       `json:"leaseUntil"`
	Addresses    []fleet.Address `json:"addresses"`
	Since        time.Time       `json:"since"`
	// DrainAt is when the node began to drain, DrainBy when those who are still there
	// are made to go.
	DrainAt time.Time `json:"drainAt,omitzero"`
	DrainBy time.Time `json:"drainBy,omitzero"`
	// Build is the program's own name of its version; OldBuild says that nodes are
	// launched as another now.
	Build    string `json:"build,omitempty"`
	OldBuild bool   `json:"oldBuild,omitempty"`
}

func newNode(v fleet.View, now time.Time, set control.Settings) node {
	n := v.Node
	return node{ID: n.ID, State: n.State, Generation: n.Generation, Instance: n.Instance, Type: n.Type, Zone: n.Zone,
		Capacity: newLoad(n.Capacity), Claimed: newLoad(n.Capacity.Minus(n.Available)), Free: newLoad(n.Available),
		Measured: newLoad(v.Beat.Load), CPUPercent: v.Beat.CPUPercent, Rooms: []room.Name{}, Alive: v.Alive(now),
		LeaseUntil: v.Beat.LeaseUntil, Addresses: n.Addresses, Since: n.HelloAt, DrainAt: n.DrainAt, DrainBy: n.DrainBy,
		Build: n.Build, OldBuild: set.Old(n)}
}

// draining says how many people are asked to move from a node, and when those who
// are still there are made to. A node that drains already may have an earlier
// deadline.
type draining struct {
	Node   room.NodeID `json:"node"`
	People int         `json:"people"`
	By     time.Time   `json:"by"`
}
