package control

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/price"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Thrift is how eagerly nodes are emptied whose people fit onto others.
type Thrift string

// The thrifts. The empty one is [ThriftOff].
const (
	ThriftOff Thrift = "off"
	Cautious  Thrift = "cautious"
	Eager     Thrift = "eager"
)

// Thrifts lists those that may be set.
var Thrifts = []Thrift{ThriftOff, Cautious, Eager}

// thrift is what a [Thrift] means.
type thrift struct {
	// calm is how long no node has come up, and nothing has been granted or given
	// back on the one to be emptied: what is filling now will not be emptied, and
	// what was emptied is not launched again at once.
	calm time.Duration
	// people is how many may be moved for each cent an hour that it saves.
	people int64
	// sparePercent is how much of the emptied node's capacity must be free on one
	// of the others afterwards.
	sparePercent int64
	// screens says that a node on which somebody shares a screen may be emptied, if
	// there is no other.
	screens bool
	// perHour bounds how many nodes are emptied.
	perHour int
	// busy nodes may be emptied too, if they came up long enough ago: seats change
	// hands all the time where many rooms are.
	busy bool
}

var thrifts = map[Thrift]thrift{
	Cautious: {calm: 10 * time.Minute, people: 1, sparePercent: 25, perHour: 4},
	Eager:    {calm: 2 * time.Minute, people: 15, sparePercent: 5, screens: true, perHour: 60, busy: true},
}

// SettlesIn is how long nobody is moved for thrift after it came.
const SettlesIn = time.Minute

// Emptying is what is looked at to empty a node.
type Emptying struct {
	Nodes    []fleet.View
	Launches []fleet.Launch
	// Waits are how many wait, Reserved how many reservations there are.
	Waits, Reserved int
	// Emptied is how many nodes were emptied for thrift within the last hour.
	Emptied int
	// Blocks are those on [Emptying.Candidates], Rooms what they belong to.
	Blocks []fleet.Block
	Rooms  map[room.Name]room.Room
}

// Idle reports whether the fleet is so calm that emptying a node may be thought
// of; if not, Blocks and Rooms need not be loaded.
func (e Emptying) Idle(now time.Time, set Settings) bool {
	t, on := thrifts[set.Thrift]
	if !on || e.Waits > 0 || e.Reserved > 0 || e.Emptied >= t.perHour {
		return false
	}
	if slices.ContainsFunc(e.Launches, func(l fleet.Launch) bool { return l.State != fleet.Landed }) {
		return false
	}
	takes := 0
	for _, v := range e.Nodes {
		if v.Node.State == fleet.Draining || v.Node.State == fleet.Filling || !t.busy && now.Sub(v.Node.HelloAt) < t.calm {
			return false
		}
		if v.Cut(now) {
			return false
		}
		if v.Takes(now) {
			takes++
		}
	}
	return takes >= 2
}

// emptyable is how many nodes are looked at for it.
const emptyable = 8

// Candidates are the nodes that may be emptied: those with the least granted.
// Empty ones end by being idle.
func (e Emptying) Candidates(now time.Time) []fleet.View {
	some := slices.DeleteFunc(slices.Clone(e.Nodes), func(v fleet.View) bool { return !v.Takes(now) || v.Node.Empty() })
	slices.SortFunc(some, func(a, b fleet.View) int {
		return cmp.Or(cmp.Compare(a.Node.Granted().Kbps, b.Node.Granted().Kbps), cmp.Compare(a.Node.ID, b.Node.ID))
	})
	return some[:min(len(some), emptyable)]
}

// emptied is a node that could be emptied.
type emptied struct {
	view   fleet.View
	people int
	saves  price.Micros // an hour
	onto   map[room.Name]room.NodeID
	// screens is 1 where somebody shares a screen, else 0.
	screens int
}

// Consolidate empties the node that costs most for each of its people, if the
// others can take those and it is worth it: dollars saved against people moved.
// It empties one at a time, and none while anything else goes on in the fleet.
// Whoever came less than [SettlesIn] ago keeps its node, and so does whoever shares a
// screen, unless the eager find no other node.
func Consolidate(e Emptying, now time.Time, set Settings) Plan {
	if !e.Idle(now, set) {
		return Plan{}
	}
	t := thrifts[set.Thrift]
	var best *emptied
	considered := map[string]string{}
	for _, v := range e.Candidates(now) {
		c, why := e.weigh(v, t, now, set)
		if why != "" {
			considered[string(v.Node.ID)] = why
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(c.screens, best.screens), cmp.Compare(int64(c.people)*int64(best.saves), int64(best.people)*int64(c.saves)), cmp.Compare(c.view.Node.ID, best.view.Node.ID)) < 0 {
			best = &c
		}
	}
	if best == nil {
		return Plan{}
	}
	blocks := slices.DeleteFunc(slices.Clone(e.Blocks), func(b fleet.Block) bool { return b.Node != best.view.Node.ID })
	// Without a deadline: nobody is pressed to go for thrift.
	plan := Drain(Drained{View: best.view, Blocks: blocks}, time.Time{}, fmt.Sprintf("its %d people fit onto other nodes, which saves %v an hour", best.people, best.saves), now)
	if len(plan.Commits) == 0 {
		return Plan{}
	}
	plan.Decision.Choice = ChoiceEmpty
	plan.Decision.Inputs["people"], plan.Decision.Inputs["onto"] = best.people, best.onto
	plan.Decision.Inputs["thrift"], plan.Decision.Inputs["emptiedInAnHour"], plan.Decision.Inputs["others"] = set.Thrift, e.Emptied, considered
	return plan
}

// ChoiceEmpty is what a record of a node that was emptied for thrift says.
const ChoiceEmpty = "empty a node"

// weigh returns what emptying a node would take, or why it stays.
func (e Emptying) weigh(v fleet.View, t thrift, now time.Time, set Settings) (emptied, string) {
	c := emptied{view: v, saves: set.hour(v.Node.Type) + price.PublicAddressHour, onto: map[room.Name]room.NodeID{}}
	switch {
	case now.Sub(v.Node.HelloAt) < t.calm:
		return c, "it came up a while ago"
	case !t.busy && now.Sub(v.Node.TouchedAt) < t.calm:
		return c, "seats were granted or given back there a while ago"
	}
	if v.Beat.Generation == v.Node.Generation && v.Beat.Screens > 0 {
		if c.screens = 1; !t.screens {
			return c, "somebody shares a screen there"
		}
	}
	loads := map[room.Name]room.Load{}
	for _, b := range e.Blocks {
		if b.Node != v.Node.ID || b.Generation != v.Node.Generation {
			continue
		}
		r, known := e.Rooms[b.Room]
		if !known {
			return c, "not all of its rooms are known"
		}
		for _, revision := range b.Members {
			if now.Sub(revision.Time()) < SettlesIn {
				return c, "somebody has just come"
			}
			c.people++
		}
		loads[b.Room] = loads[b.Room].Plus(r.Profile.SeatLoad(b.Role).Times(len(b.Members)))
	}
	if int64(c.people)*10_000 > int64(c.saves)*t.people {
		return c, "too many people for what it saves"
	}
	left, fits := e.absorb(v, loads, c.onto, now, set)
	if !fits {
		return c, "its rooms do not fit onto the others"
	}
	spare := room.Load{Kbps: v.Node.Capacity.Kbps * t.sparePercent / 100, PPS: v.Node.Capacity.PPS * t.sparePercent / 100}
	if !slices.ContainsFunc(left, spare.Fits) {
		return c, "too little would be free"
	}
	seats := 0
	for _, free := range left {
		seats += set.Profile.SeatLoad(room.Publisher).Into(free)
	}
	if seats < set.SpareSeats {
		return c, "too few seats would be spare"
	}
	return c, ""
}

// absorb puts each room of a node whole onto one of the others, the largest
// first: where the room is already, else where least is left over. It returns
// what is then free on the others.
func (e Emptying) absorb(v fleet.View, loads map[room.Name]room.Load, onto map[room.Name]room.NodeID,
	now time.Time, set Settings) (left []room.Load, fits bool) {
	var others []fleet.View
	for _, o := range e.Nodes {
		if o.Node.ID != v.Node.ID && o.Opens(now) && !o.Hot() {
			others = append(others, o)
		}
	}
	var names []room.Name
	for name := range loads {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b room.Name) int {
		return cmp.Or(cmp.Compare(loads[b].Kbps, loads[a].Kbps), cmp.Compare(a, b))
	})
	for _, name := range names {
		q := placement.Ask(loads[name], 1, others, now)
		for i, o := range others {
			q.Nodes[i].Available = o.Node.Available.Minus(set.reserve(e.Rooms[name], o.Node))
			if ref := e.Rooms[name]; ref.NodeRef(o.Node.ID) != nil {
				q.Home = append(q.Home, o.Node.ID)
			}
		}
		choice := placement.Choose(q)
		if choice.Seats == 0 {
			return nil, false
		}
		onto[name] = choice.Node
		i := slices.IndexFunc(others, func(o fleet.View) bool { return o.Node.ID == choice.Node })
		others[i].Node.Available = others[i].Node.Available.Minus(loads[name])
	}
	for _, o := range others {
		left = append(left, o.Node.Available)
	}
	return left, true
}

// hour is what a node of a type costs an hour.
func (s Settings) hour(name string) price.Micros {
	for _, o := range s.offers() {
		if o.Type == name && o.Hour > 0 {
			return o.Hour
		}
	}
	t, err := price.Type(name)
	if err != nil {
		return 0 // of a deployment before this one
	}
	return t.Hour
}
