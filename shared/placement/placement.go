// Package placement decides where seats go and which nodes to launch.
//
// It is pure: candidates and randomness are arguments. What is asked and what
// is answered can be written to a log and read back, so that every decision can
// be made again later and explained.
package placement

import (
	"cmp"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Candidates is how many nodes a decision looks at: the fullest that fit. Where
// most of these are being granted on, it looks at [MoreCandidates], so that racers
// part ways.
const (
	Candidates     = 5
	MoreCandidates = 20
)

// Node is what a placement needs to know of a node.
type Node struct {
	ID        room.NodeID `json:"id"`
	Zone      string      `json:"zone,omitempty"`
	Available room.Load   `json:"available"`
	State     fleet.State `json:"state"`
	// LeaseMs is when the node's lease ends, in Unix milliseconds.
	LeaseMs int64 `json:"leaseMs"`
	// Hot nodes carry so much by their own measure that they are passed over.
	Hot bool `json:"hot,omitempty"`
	// Cut nodes have no socket now by which they could be told of anybody.
	Cut bool `json:"cut,omitempty"`
}

// Question is where a block of seats should go: all that the answer depends on.
type Question struct {
	Seat  room.Load `json:"seat"`
	Seats int       `json:"seats"`
	// Home are the nodes that the room is on.
	Home []room.NodeID `json:"home,omitempty"`
	// Zones are those of the room's nodes; others are asked when these have none.
	Zones []string      `json:"zones,omitempty"`
	Avoid []room.NodeID `json:"avoid,omitempty"`
	Nodes []Node        `json:"nodes"`
	NowMs int64         `json:"nowMs"`
	// Margin is what is to be free beside the seats, where any node has it, so that
	// the rooms on a node can grow. Where none has, the emptiest is taken.
	Margin room.Load `json:"margin,omitzero"`
	// Spread, any number, picks among the nodes that are as good as the best after
	// a conflict, so that racers part ways; 0 takes the best.
	Spread uint64 `json:"spread,omitempty"`
}

// Ask puts together a question about nodes as a decision sees them.
func Ask(seat room.Load, seats int, views []fleet.View, now time.Time) Question {
	q := Question{Seat: seat, Seats: seats, NowMs: now.UnixMilli()}
	for _, v := range views {
		q.Nodes = append(q.Nodes, Node{ID: v.Node.ID, Zone: v.Node.Zone, Available: v.Node.Available, State: v.Node.State,
			LeaseMs: v.LeaseEnds().UnixMilli(), Hot: v.Hot(), Cut: !v.Node.Reached()})
	}
	return q
}

// Choice answers a question: on Node go Seats of the wanted seats. Without a
// node none of those in question can take even one.
type Choice struct {
	Node  room.NodeID `json:"node,omitempty"`
	Seats int         `json:"seats,omitempty"`
	// Rank says why this node came before the others.
	Rank Rank `json:"rank,omitempty"`
}

// Rank orders nodes that can take seats; lower ones come first.
type Rank int

// The ranks. Whoever joins a room is best off where the room is already, even
// if its node takes only some of the seats; further nodes cost pipes, and those
// between zones cost money.
const (
	Unfit    Rank = iota
	HomeAll       // the room is there already, and all the seats fit
	HomeSome      // the room is there already, and some of the seats fit
	ZoneAll       // in a zone that the room is in, and all fit
	FarAll        // elsewhere, and all fit
	ZoneSome      // in a zone that the room is in, and some fit
	FarSome       // elsewhere, and some fit
)

func (r Rank) String() string {
	return [...]string{"none can take a seat", "the room is there already", "the room is there already and some of the seats fit",
		"the fullest that fits", "the fullest that fits in another zone", "it takes the most", "it takes the most, in another zone"}[r]
}

// passed returns why a node is passed over, empty if it is not.
func (q Question) passed(n Node) string {
	switch {
	case slices.Contains(q.Avoid, n.ID):
		return "it is to be avoided"
	case !n.State.Takes():
		return "it is " + string(n.State)
	case q.NowMs >= n.LeaseMs:
		return "its lease has ended"
	case n.Cut:
		return "its sockets have ended"
	case n.Hot:
		return "it is as busy as it may get, by its own measure"
	case q.Seat.Into(n.Available) < 1:
		return "not one seat fits"
	}
	return ""
}

// rank says how good a node is for the question.
func (q Question) rank(n Node) Rank {
	if q.passed(n) != "" {
		return Unfit
	}
	all := q.Seat.Into(n.Available) >= q.Seats
	near := len(q.Zones) == 0 || slices.Contains(q.Zones, n.Zone)
	switch {
	case slices.Contains(q.Home, n.ID) && all:
		return HomeAll
	case slices.Contains(q.Home, n.ID):
		return HomeSome
	case all && near:
		return ZoneAll
	case all:
		return FarAll
	case near:
		return ZoneSome
	}
	return FarSome
}

// Choose answers where a block of seats goes: to the node of the lowest rank;
// among several to the fullest that takes all the seats, or to the one that
// takes the most of them.
func Choose(q Question) Choice {
	best := Unfit
	for _, n := range q.Nodes {
		if r := q.rank(n); r != Unfit && (best == Unfit || r < best) {
			best = r
		}
	}
	if best == Unfit {
		return Choice{}
	}
	var good []Node
	for _, n := range q.Nodes {
		if q.rank(n) == best {
			good = append(good, n)
		}
	}
	tight := false
	if q.Margin != (room.Load{}) && (best == ZoneAll || best == FarAll) {
		roomy := slices.DeleteFunc(slices.Clone(good), func(n Node) bool { return !q.Seat.Times(q.Seats).Plus(q.Margin).Fits(n.Available) })
		if tight = len(roomy) == 0; !tight {
			good = roomy
		}
	}
	slices.SortFunc(good, func(a, b Node) int {
		byRest := cmp.Compare(a.Available.Kbps, b.Available.Kbps)
		if tight {
			byRest = -byRest
		}
		if some := best == HomeSome || best == ZoneSome || best == FarSome; some {
			byRest = cmp.Compare(q.Seat.Into(b.Available), q.Seat.Into(a.Available))
		}
		return cmp.Or(byRest, cmp.Compare(a.ID, b.ID))
	})
	n := good[q.Spread%uint64(len(good))]
	return Choice{Node: n.ID, Seats: min(q.Seats, q.Seat.Into(n.Available)), Rank: best}
}
