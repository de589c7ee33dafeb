package control

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/room"
)

// MaxTogether is how many people besides the first one grant seats: with them its
// transaction stays within what DynamoDB takes.
const MaxTogether = 32

// Turn is somebody whose turn it is to be seated.
type Turn struct {
	fleet.Wait
	// Next are those who come next for the same room and role and of whom nothing
	// else is known: where the first is granted a block, they are seated with it.
	Next []fleet.Wait
	// Seats is how many wait for the same room and role, the first included. Roomy
	// says that more may be granted.
	Seats int
	Roomy bool
	// Home, if set, is where the room goes if it is nowhere yet and fits there.
	Home room.NodeID
}

// home narrows a question down to the node that is meant for the room.
func (t *Turn) home(q placement.Question) placement.Question {
	if t == nil || t.Home == "" || len(q.Home) > 0 {
		return q
	}
	one := q
	one.Nodes = slices.DeleteFunc(slices.Clone(q.Nodes), func(n placement.Node) bool { return n.ID != t.Home })
	if placement.Choose(one).Seats < q.Seats {
		return q
	}
	return one
}

// claims is how many seats are granted where a room would be granted so many.
func (t *Turn) claims(seats int) int {
	switch {
	case t == nil || t.Seats == 0:
		return seats
	case t.Roomy:
		seats = max(seats, t.Seats)
	default:
		seats = t.Seats
	}
	return min(seats, crowdBlocks*fleet.MaxBlockSeats)
}

// follower is somebody who is seated by the grant of who came before.
type follower struct {
	fleet.Wait
	participant room.Participant
}

// followers are those who may be seated with the first.
func (t *Turn) followers(now time.Time) []follower {
	var out []follower
	if t == nil {
		return nil
	}
	for _, w := range t.Next {
		if len(out) < MaxTogether && now.Sub(w.SeenAt) <= fleet.WaitLasts {
			out = append(out, follower{w, seekerOf(w).participant(room.Participant{}, now)})
		}
	}
	return out
}

// changes seat a follower whose place in a block is made beside.
func (f follower) changes() []Change {
	w := f.Wait
	return []Change{PutParticipant{Participant: f.participant}, DeleteWait{w.Region, w.Room, w.Key, w.Session}}
}

func seekerOf(w fleet.Wait) seeker {
	return seeker{Room: w.Room, Key: w.Key, Identity: w.Identity, Name: w.Name, Role: w.Role, Session: w.Session, From: w.From, Resumed: w.Resumed, Avoid: w.Avoid, Looked: -1}
}

// Outcome is what became of somebody's turn.
type Outcome struct {
	// First says that the first is out of the line: seated, refused or gone.
	First bool
	// Sessions are those who were seated together with it, Free is how many seats
	// were granted beyond.
	Sessions []string
	Free     int
}

// Behind reports whether somebody cannot be served because somebody else, who came
// before, was not: it wants the same, and whatever seat there is would do for the
// other too.
func Behind(w, before fleet.Wait) bool {
	return w.Room == before.Room && w.Role == before.Role && w.From == "" && before.Plain()
}

// Ample says how far a line surely fits into what is free on nodes.
type Ample struct {
	// First is how many of the line do, from the first on.
	First int
	// Homes are nodes for the rooms of those: where they would stand in each other's
	// way, they are not to choose for themselves.
	Homes map[room.Name]room.NodeID
	// Roomy says that all do, and that rooms may be granted more than that.
	Roomy bool
}

// Fits estimates how much of a line fits into what is free on nodes. What it says
// is exact while nobody else comes, and no room is bound to nodes already.
func Fits(waits []fleet.Wait, nodes []fleet.View, now time.Time, set Settings) Ample {
	var free []space
	var bins []room.Load
	for _, v := range nodes {
		if v.Opens(now) && !v.Hot() {
			load := set.forSeats(v.Node.Available, v.Node.Capacity)
			free, bins = append(free, space{v.Node.ID, load}), append(bins, load)
		}
	}
	more := set.needs(waits)
	for i := range more {
		more[i].Seats += max(3, more[i].Seats/2)
	}
	if placement.Fit(more, bins, set.seatOffers()) {
		return Ample{First: len(waits), Roomy: true}
	}
	slices.SortFunc(free, func(a, b space) int {
		return cmp.Or(cmp.Compare(a.load.Kbps, b.load.Kbps), cmp.Compare(a.node, b.node))
	})
	var a Ample
	a.First = sort.Search(len(waits), func(i int) bool {
		_, fit := housed(waits[:i+1], free, set)
		return !fit
	})
	a.Homes, _ = housed(waits[:a.First], free, set)
	return a
}

// space is what is free on a node.
type space struct {
	node room.NodeID
	load room.Load
}

// housed finds a node for each room of those who wait, the largest first and on the
// fullest node that takes it; one that no node can carry is divided.
func housed(waits []fleet.Wait, free []space, set Settings) (homes map[room.Name]room.NodeID, fit bool) {
	free, homes = slices.Clone(free), map[room.Name]room.NodeID{}
	for _, some := range ByRoom(waits) {
		var sum room.Load
		for _, w := range some {
			sum = sum.Plus(w.Load)
		}
		if i := slices.IndexFunc(free, func(s space) bool { return sum.Fits(s.load) }); i >= 0 {
			free[i].load = free[i].load.Minus(sum)
			homes[some[0].Room] = free[i].node
			continue
		}
		if slices.ContainsFunc(set.seatOffers(), func(o placement.Offer) bool { return sum.Fits(o.Capacity) }) {
			return nil, false
		}
		for _, w := range some {
			i := slices.IndexFunc(free, func(s space) bool { return w.Load.Fits(s.load) })
			if i < 0 {
				return nil, false
			}
			free[i].load = free[i].load.Minus(w.Load)
		}
	}
	return homes, true
}

// ByRoom groups those who wait by room: the rooms that need most first, so that what
// they need is there in one piece, and in each the first in line first.
func ByRoom(waits []fleet.Wait) [][]fleet.Wait {
	at, need := map[room.Name]int{}, map[room.Name]room.Load{}
	var out [][]fleet.Wait
	for _, w := range waits {
		i, known := at[w.Room]
		if !known {
			i = len(out)
			at[w.Room], out = i, append(out, nil)
		}
		out[i], need[w.Room] = append(out[i], w), need[w.Room].Plus(w.Load)
	}
	slices.SortStableFunc(out, func(a, b []fleet.Wait) int { return cmp.Compare(need[b[0].Room].Kbps, need[a[0].Room].Kbps) })
	return out
}
