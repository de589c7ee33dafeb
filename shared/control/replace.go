package control

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Replacing is what is looked at to replace a node of an earlier version.
type Replacing struct {
	Emptying
	// Last is when a node was replaced last, Moved how many people it had.
	Last  time.Time
	Moved int
}

// Old reports whether a node was launched as another version than nodes are now.
func (s Settings) Old(n fleet.Node) bool { return s.Version != "" && n.Version != s.Version }

// Due reports whether there is a node to replace and the time has come: nothing
// else goes on in the fleet, and those moved for the last one are within the budget
// of people a minute. If not, Blocks and Rooms need not be loaded.
func (r Replacing) Due(now time.Time, set Settings) bool {
	if set.ReplacePerMinute <= 0 || r.Waits > 0 || now.Before(r.nextAt(set)) {
		return false
	}
	if slices.ContainsFunc(r.Launches, func(l fleet.Launch) bool { return l.State != fleet.Landed }) {
		return false
	}
	busy := func(v fleet.View) bool { return v.Node.State == fleet.Draining || v.Node.State == fleet.Filling }
	return !slices.ContainsFunc(r.Nodes, busy) && len(r.Olds(now, set)) > 0
}

// nextAt is when the next node may be replaced: a minute's budget after another, as
// many as the last one has used.
func (r Replacing) nextAt(set Settings) time.Time {
	return r.Last.Add(time.Duration(r.Moved) * time.Minute / time.Duration(set.ReplacePerMinute))
}

// Olds are the nodes that may be replaced next: those with the least granted, which
// make room on the others for the rest.
func (r Replacing) Olds(now time.Time, set Settings) []fleet.View {
	some := slices.DeleteFunc(slices.Clone(r.Nodes), func(v fleet.View) bool { return !v.Takes(now) || !set.Old(v.Node) })
	slices.SortFunc(some, func(a, b fleet.View) int {
		return cmp.Or(cmp.Compare(a.Node.Granted().Kbps, b.Node.Granted().Kbps), cmp.Compare(a.Node.ID, b.Node.ID))
	})
	return some[:min(len(some), emptyable)]
}

// ChoiceReplace is what a record of a node that was replaced says.
const ChoiceReplace = "replace a node"

// Replace drains one node of an earlier version, if the others can take all of its
// people. Those of the present version are looked at first, so that as few as
// possible are moved twice.
func Replace(r Replacing, now time.Time, set Settings) Plan {
	if !r.Due(now, set) {
		return Plan{}
	}
	for _, v := range r.Olds(now, set) {
		people, loads, known := r.on(v)
		if !known {
			continue
		}
		onto, fits := r.takers(v, loads, now, set)
		if !fits {
			continue
		}
		blocks := slices.DeleteFunc(slices.Clone(r.Blocks), func(b fleet.Block) bool { return b.Node != v.Node.ID })
		why := fmt.Sprintf("it is of version %.40q, nodes are launched as %.40q now", v.Node.Version, set.Version)
		plan := Drain(Drained{View: v, Blocks: blocks}, set.DrainBy(now, time.Time{}), why, now)
		if len(plan.Commits) == 0 {
			continue
		}
		plan.Decision.Choice = ChoiceReplace
		plan.Decision.Inputs["people"], plan.Decision.Inputs["onto"], plan.Decision.Inputs["perMinute"] = people, onto, set.ReplacePerMinute
		return plan
	}
	return Plan{}
}

// Relieve launches a node of the present version for the people of the one to replace
// next, where nobody can take them: the sweep after it has come up replaces that one.
// It is committed with the demand's revision, as [Launch] is.
func Relieve(r Replacing, p Pressure, now time.Time, set Settings) Plan {
	if !r.Due(now, set) {
		return Plan{}
	}
	if slices.ContainsFunc(r.Nodes, func(v fleet.View) bool { return !set.Old(v.Node) && v.Takes(now) && v.Node.Empty() }) {
		return Plan{} // another like it would not do either
	}
	olds := r.Olds(now, set)
	for _, v := range olds {
		if _, loads, known := r.on(v); known {
			if _, fits := r.takers(v, loads, now, set); fits {
				return Plan{} // it is replaced first
			}
		}
	}
	for _, v := range olds {
		people, loads, known := r.on(v)
		if !known {
			continue
		}
		need, reserve := room.Load{}, room.Load{}
		for name, load := range loads {
			need = need.Plus(load)
			keep := set.reserve(r.Rooms[name], fleet.Node{Capacity: v.Node.Capacity})
			reserve = room.Load{Kbps: max(reserve.Kbps, keep.Kbps), PPS: max(reserve.PPS, keep.PPS)}
		}
		question := p.shortage(set)
		question.Needs = []placement.Need{{Seat: need.Plus(reserve), Seats: 1, Rooms: 1}}
		supply := placement.Provide(question)
		if len(supply.Launch) == 0 {
			continue
		}
		why := fmt.Sprintf("nodes are launched as %.40q now, and nobody can take the people of %s", set.Version, v.Node.ID)
		plan := Plan{Decision: Decision{Inputs: map[string]any{"node": v.Node.ID, "people": people,
			"demandRevision": p.Demand.Revision, placement.KeyShortage: question, placement.KeySupply: supply}}}
		p.launch(&plan, question, supply, why, now, set)
		plan.Decision.Why = why
		return plan
	}
	return Plan{}
}

// on returns how many people are on a node, and what they take, by room.
func (r Replacing) on(v fleet.View) (people int, loads map[room.Name]room.Load, known bool) {
	loads = map[room.Name]room.Load{}
	for _, b := range r.Blocks {
		if b.Node != v.Node.ID || b.Generation != v.Node.Generation {
			continue
		}
		of, there := r.Rooms[b.Room]
		if !there {
			return 0, nil, false
		}
		people += len(b.Members)
		loads[b.Room] = loads[b.Room].Plus(of.Profile.SeatLoad(b.Role).Times(len(b.Members)))
	}
	return people, loads, true
}

// takers finds who can take a node's rooms: nodes of the present version alone, else
// any.
func (r Replacing) takers(v fleet.View, loads map[room.Name]room.Load, now time.Time, set Settings) (map[room.Name]room.NodeID, bool) {
	onto := map[room.Name]room.NodeID{}
	present := r.Emptying
	present.Nodes = slices.DeleteFunc(slices.Clone(r.Nodes), func(o fleet.View) bool { return set.Old(o.Node) })
	if _, fits := present.absorb(v, loads, onto, now, set); fits {
		return onto, true
	}
	clear(onto)
	_, fits := r.absorb(v, loads, onto, now, set)
	return onto, fits
}
