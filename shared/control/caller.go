package control

import (
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/price"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Settings are the deployment's own limits and defaults.
type Settings struct {
	Region string
	// Profile is that of rooms nobody declared.
	Profile room.Profile
	// Metadata is that of rooms nobody declared; "" is none.
	Metadata string
	// InstanceType and NodeCapacity describe the nodes to launch where Offers does
	// not.
	InstanceType string
	NodeCapacity room.Load
	// Offers are the types of nodes that may be launched.
	Offers []placement.Offer
	// Zones are where nodes may be launched; none leaves it to the launch template.
	Zones []string
	// NodesPerRoom bounds the nodes that one room is on; 0 means 1.
	NodesPerRoom int
	// SectionBlocks and SectionNodes bound a section of a room; 0 stands for
	// [room.SectionBlocks] and [room.SectionNodes].
	SectionBlocks, SectionNodes int
	// PipeReserve is what seats leave free on a node for the pipes of rooms that
	// outgrow it, where NodesPerRoom is above 1; the zero Load stands for
	// [room.Room.PipeReserve]. It is a wish and not a bound: claims that race may
	// dip into it.
	PipeReserve room.Load
	// MaxNodes bounds the nodes that exist or are being launched, MaxHour what
	// they may cost an hour together (0: no bound but MaxNodes).
	MaxNodes int
	MaxHour  price.Micros
	// SpareSeats is how many seats of the default profile are kept free for whoever
	// comes next.
	SpareSeats int
	// Thrift is how eagerly nodes are emptied whose people fit onto others.
	Thrift Thrift
	// Version is what nodes are launched as now: template, image and program. Nodes
	// of another are replaced, ReplacePerMinute people a minute; empty, or 0, replaces
	// none.
	Version          string
	ReplacePerMinute int
	// IdleAfterMs is how long a node may be empty before it is ended, in
	// milliseconds.
	IdleAfterMs int64
	// DrainWithinMs is how long people may take to leave a node that drains, in
	// milliseconds; 0 stands for [DefaultDrain].
	DrainWithinMs int64
	// BootMs is how long a launch is expected to take, in milliseconds.
	BootMs int64
}

// nodesPerRoom is how many nodes one room may be on.
func (s Settings) nodesPerRoom() int { return max(s.NodesPerRoom, 1) }

// reserve is what a room's seats leave free on a node for pipes.
func (s Settings) reserve(r room.Room, n fleet.Node) room.Load {
	switch {
	case s.nodesPerRoom() == 1:
		return room.Load{}
	case s.PipeReserve != room.Load{}:
		keep := s.PipeReserve.Minus(r.Profile.PipeLoad().Times(r.Pipes(n.ID)))
		return room.Load{Kbps: max(keep.Kbps, 0), PPS: max(keep.PPS, 0)}
	}
	return r.PipeReserve(n.ID, n.Capacity)
}

// growth is the part of a node that is kept for the rooms there to grow into, as
// long as other nodes have room for new ones.
const growth = 5

// Margin is what is free on a node on which new rooms begin, on top of their
// seats, as long as there is one.
func (s Settings) Margin() room.Load {
	least := s.least()
	return room.Load{Kbps: least.Kbps / growth, PPS: least.PPS / growth}
}

// least is the capacity of the smallest node.
func (s Settings) least() room.Load {
	least := s.offers()[0].Capacity
	for _, o := range s.offers() {
		if o.Capacity.Kbps < least.Kbps {
			least = o.Capacity
		}
	}
	return least
}

// Need is what a node must have available to be a candidate for a seat in a room
// of that profile: the seat, and what seats leave free for pipes.
func (s Settings) Need(p room.Profile, role room.Role) room.Load {
	return p.SeatLoad(role).Plus(s.reserve(room.Room{Profile: p}, fleet.Node{Capacity: s.least()}))
}

// offers returns the types of nodes that may be launched.
func (s Settings) offers() []placement.Offer {
	if len(s.Offers) > 0 {
		return s.Offers
	}
	return []placement.Offer{{Type: s.InstanceType, Capacity: s.NodeCapacity, Hour: hour(s.InstanceType)}}
}

// hour is what a node of a type costs; one that the table does not know costs
// nothing.
func hour(typ string) price.Micros {
	t, _ := price.Type(typ)
	return t.Hour
}

// Caller is who sent a message, as the authorizer found and the gateway
// repeats with every message.
type Caller struct {
	Connection string
	// Participant's:
	Room     room.Name
	Key      room.Key
	Identity string
	Name     string
	Metadata string
	// MayPublish bounds the role, Sources what a publisher may publish; none means
	// any.
	MayPublish bool
	Sources    []events.Source
	Admin      bool
	// NoData forbids to send data to others.
	NoData bool
	// Wish, unless nil, is what the token says of its room, where nobody has made it
	// yet.
	Wish *room.Wish
	// Describes allows to change one's own metadata.
	Describes bool
	// Resume is the session of the resume ticket that came with the token. Late says
	// that the token has expired, and that only the ticket lets its holder in.
	Resume string
	Late   bool
	// Node's:
	Node room.NodeID
	// RenewAt is when the node is to be given another token; zero is never.
	RenewAt time.Time
}

// Role returns the role a caller gets that asks for want (empty: the most it
// may have).
func (c Caller) Role(want events.Role) (room.Role, error) {
	switch {
	case want == events.Viewer:
		return room.Viewer, nil
	case want == events.Publisher && !c.MayPublish:
		return "", events.Errorf(events.CodeTokenNoPermission, "the token does not allow to publish")
	case c.MayPublish:
		return room.Publisher, nil
	default:
		return room.Viewer, nil
	}
}

// Sockets lists a node's connections, beginning with the slot that spread
// points to, so that no single socket carries everything.
func Sockets(n fleet.Node, spread uint64) []string {
	var slots, out []string
	for slot := range events.MaxSlots {
		if c := n.Connections[slot]; c != "" {
			slots = append(slots, c)
		}
	}
	for i := range slots {
		out = append(out, slots[(uint64(i)+spread)%uint64(len(slots))])
	}
	return out
}
