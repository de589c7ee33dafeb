// Package placement decides where seats go and which nodes to launch.
//
// It is pure: candidates and randomness are arguments.
package placement

import (
	"cmp"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Candidates is how many nodes a decision looks at: the fullest that fit.
const Candidates = 5

// Choose returns the node on which a block of seats goes, and how many of the
// wanted seats it takes: the fullest node that fits all of them, else the one
// that fits most, if that is at least one. It returns nil where no candidate
// fits one seat. Nodes whose lease does not cover now and nodes in avoid are
// passed over.
//
// On a retry after a conflict, spread (any number) picks among the candidates
// that fit, so that racers part ways; 0 means the best.
func Choose(candidates []fleet.View, seat room.Load, seats int, avoid []room.NodeID, now time.Time, spread uint64) (*fleet.View, int) {
	var fit, partly []fleet.View
	for _, v := range candidates {
		if !v.Takes(now) || slices.Contains(avoid, v.Node.ID) {
			continue
		}
		switch n := seat.Into(v.Node.Available); {
		case n >= seats:
			fit = append(fit, v)
		case n > 0:
			partly = append(partly, v)
		}
	}
	if len(fit) > 0 {
		slices.SortStableFunc(fit, func(a, b fleet.View) int {
			return cmp.Or(cmp.Compare(a.Node.Available.Kbps, b.Node.Available.Kbps), cmp.Compare(a.Node.ID, b.Node.ID))
		})
		return &fit[spread%uint64(len(fit))], seats
	}
	if len(partly) == 0 {
		return nil, 0
	}
	best := slices.MaxFunc(partly, func(a, b fleet.View) int {
		return cmp.Compare(seat.Into(a.Node.Available), seat.Into(b.Node.Available))
	})
	return &best, seat.Into(best.Node.Available)
}

// Need is what a room's waiting participants would take.
type Need struct {
	Room room.Name
	Seat room.Load
	// Seats is how many wait.
	Seats int
}

// Missing returns how many nodes of the given capacity are needed on top of
// those that are coming, for all needs to be served. A need that is larger than
// a node is served as far as one node goes, because a room is on one node until
// pipes join nodes; so it asks for one node at most. Needs are packed first fit,
// largest first, which wastes at most a fifth against the best packing
// (Johnson 1973: 11/9 OPT + 4).
func Missing(needs []Need, coming []room.Load, capacity room.Load) int {
	needs = slices.Clone(needs)
	slices.SortStableFunc(needs, func(a, b Need) int {
		return cmp.Or(cmp.Compare(b.Seat.Times(b.Seats).Kbps, a.Seat.Times(a.Seats).Kbps), cmp.Compare(a.Room, b.Room))
	})
	bins := slices.Clone(coming)
	launches := 0
	for _, n := range needs {
		seats := min(n.Seats, n.Seat.Into(capacity))
		if seats == 0 {
			continue
		}
		load := n.Seat.Times(seats)
		if i := slices.IndexFunc(bins, load.Fits); i >= 0 {
			bins[i] = bins[i].Minus(load)
			continue
		}
		bins = append(bins, capacity.Minus(load))
		launches++
	}
	return launches
}
