package control

import (
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/room"
)

// A room that outgrows its node goes on on another one. A small room moves there
// whole: pipes would cost as much as it does, and the seats that it leaves are what
// the others on its node grow into. A large one spreads over both, joined by a pipe.

// smallPart is the part of a node that a room takes at most to be small.
const smallPart = 3

// outgrown is what a room has on the nodes that it is on and does not leave.
type outgrown struct {
	homes  []fleet.View
	blocks []fleet.Block
	// granted is what the blocks take, whoever sits in them.
	granted room.Load
	// people is how many sit there, by role.
	people map[room.Role]int
}

func (o outgrown) load(p room.Profile) room.Load {
	return p.Load(o.people[room.Publisher], o.people[room.Viewer])
}

// grownOn returns what a room has on its nodes, if any of them takes people.
func (s Seating) grownOn(now time.Time) (o outgrown, ok bool) {
	if !s.Complete {
		return o, false
	}
	leaving := s.leaving()
	o = outgrown{homes: slices.DeleteFunc(s.homes(now), func(v fleet.View) bool { return slices.Contains(leaving, v.Node.ID) }), people: map[room.Role]int{}}
	for _, b := range s.Blocks {
		if !o.on(b.Node) {
			continue
		}
		role := room.Publisher
		if b.For(room.Viewer) {
			role = room.Viewer
		}
		o.blocks, o.granted = append(o.blocks, b), o.granted.Plus(b.Load)
		o.people[role] += len(b.Members)
	}
	return o, len(o.blocks) > 0
}

func (o outgrown) on(id room.NodeID) bool {
	return slices.ContainsFunc(o.homes, func(v fleet.View) bool { return v.Node.ID == id })
}

// leaving returns the nodes on which all the room's blocks are sealed: it leaves
// them, and is granted nothing there.
func (s Seating) leaving() []room.NodeID {
	open := map[room.NodeID]bool{}
	for _, b := range s.Blocks {
		open[b.Node] = open[b.Node] || !b.Sealed
	}
	var out []room.NodeID
	for _, b := range s.Blocks {
		if !open[b.Node] && !slices.Contains(out, b.Node) {
			out = append(out, b.Node)
		}
	}
	return out
}

// Outgrowing returns what a node must have available to take the whole room, one
// more seat for the role included, if the room is on one node that has no seat left
// for it; else the zero Load. It needs a complete snapshot.
func (s Seating) Outgrowing(role room.Role, now time.Time, set Settings) room.Load {
	o, ok := s.grownOn(now)
	if !ok || s.Room == nil || s.Room.Apart {
		return room.Load{}
	}
	seat := s.Room.Profile.SeatLoad(role)
	for _, v := range o.homes {
		if seat.Into(v.Node.Available.Minus(set.reserve(*s.Room, v.Node))) > 0 {
			return room.Load{}
		}
	}
	for _, b := range s.Blocks {
		if b.For(role) && b.Free() > 0 {
			return room.Load{}
		}
	}
	return o.load(s.Room.Profile).Plus(seat)
}

// small reports whether a room is small enough to move rather than to spread.
func (o outgrown) small(p room.Profile) bool {
	return o.load(p).Times(smallPart).Fits(o.homes[0].Node.Carries())
}

// fitsNew reports whether any node that may be launched takes the whole room, and a
// seat more.
func (o outgrown) fitsNew(r room.Room, seat room.Load, set Settings) bool {
	need, least := o.load(r.Profile), set.least()
	if set.nodesPerRoom() == 1 { // those who are on their way to seats granted move with it
		need = o.granted
	}
	return need.Plus(seat).Fits(least.Minus(set.reserve(room.Room{Profile: r.Profile}, fleet.Node{Capacity: least})))
}

// shunned reports whether who has come avoids one of the nodes: then it is not the
// room that has to go.
func (o outgrown) shunned(by seeker) bool {
	return slices.ContainsFunc(o.homes, func(v fleet.View) bool { return slices.Contains(by.Avoid, v.Node.ID) })
}

// elsewhere finds a node that takes all of a room that has outgrown its own, with
// seats more for the role of who has come, or one at least.
func (s Seating) elsewhere(who seeker, o outgrown, seats int, now time.Time, set Settings) (placement.Question, placement.Choice) {
	r := *s.Room
	role := room.Publisher
	others := r.Profile.SeatLoad(room.Viewer).Times(o.people[room.Viewer])
	if who.Role == room.Viewer {
		role, others = room.Viewer, r.Profile.SeatLoad(room.Publisher).Times(o.people[room.Publisher])
	}
	var shown []fleet.View
	for _, v := range s.Candidates {
		if o.on(v.Node.ID) || slices.Contains(s.leaving(), v.Node.ID) {
			continue
		}
		v.Node.Available = v.Node.Available.Minus(set.reserve(r, v.Node)).Minus(others)
		shown = append(shown, v)
	}
	q := placement.Ask(r.Profile.SeatLoad(who.Role), o.people[role]+seats, shown, now)
	q.Avoid, q.Spread, q.Margin = who.Avoid, who.Spread, set.Margin()
	for _, v := range o.homes {
		q.Zones = append(q.Zones, v.Node.Zone)
	}
	choice := placement.Choose(q)
	if choice.Seats <= o.people[role] {
		return q, placement.Choice{}
	}
	return q, choice
}

// move makes a grant of one with which a room leaves a node: its blocks there are
// sealed, and who sits there is asked to go where there are seats for all now.
func (o outgrown) move(g grant, now time.Time) grant {
	g.why = "the room has outgrown its node, and moves to one with room for all of it"
	for _, v := range o.homes {
		g.after = append(g.after, seal(v.Node, o.blocks)...)
		g.sends = append(g.sends, moveAway(v.Node, o.blocks, now)...)
	}
	return g
}

// feeds reports whether one of a room's nodes has room for a pipe to a further one.
func (o outgrown) feeds(p room.Profile) bool {
	return slices.ContainsFunc(o.homes, func(v fleet.View) bool { return p.PipeLoad().Fits(v.Node.Available) })
}

// follow asks those again to go whose room leaves a node that stays: they may not
// have been reached.
func (s NodeSweep) follow(now time.Time) []Send {
	if !s.View.Node.State.Takes() {
		return nil
	}
	return moveAway(s.View.Node, slices.DeleteFunc(slices.Clone(s.Blocks), func(b fleet.Block) bool { return !b.Sealed }), now)
}
