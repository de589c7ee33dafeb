package control

import (
	"maps"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Drained is a node that is to be emptied, with what is on it.
type Drained struct {
	View   fleet.View
	Blocks []fleet.Block
}

// Drain takes a node out of service: from the commit on it is given no new seats,
// and everybody on it is asked to move. The sweep asks again those who are still
// there, and ends the node when it is empty. A node that drains already is asked
// anew; one that takes no part any more is left alone.
func Drain(d Drained, why string, now time.Time) Plan {
	n := d.View.Node
	plan := Plan{Decision: Decision{Choice: "drain", Why: why, Inputs: map[string]any{
		"node": n.ID, "state": n.State, "blocks": len(d.Blocks), "leaseEndedMs": now.Sub(d.View.LeaseEnds()).Milliseconds()}}}
	switch {
	case n.State == fleet.Draining:
	case n.State.Takes():
		to, err := n.State.Next(fleet.DrainAsked)
		if err != nil {
			plan.Decision.Choice, plan.Decision.Why = "nothing", err.Error()
			return plan
		}
		plan.Commits = []Commit{One(SetState{Node: n.ID, Generation: n.Generation, From: n.State, To: to})}
		plan.Commits = append(plan.Commits, seal(n, d.Blocks)...)
	default:
		plan.Decision.Choice, plan.Decision.Why = "nothing", "the node is "+string(n.State)
		return plan
	}
	plan.Sends = moveAway(d.View, d.Blocks)
	return plan
}

// seal lets nobody new sit down in the blocks of a node that has left ready, as one
// would who read the node before that. The sweep repeats it for blocks that were
// granted meanwhile. Who sits there may stay.
func seal(n fleet.Node, blocks []fleet.Block) []Commit {
	var commits []Commit
	for _, b := range blocks {
		if b.Node == n.ID && b.Generation == n.Generation && !b.Sealed {
			commits = append(commits, Hint(SealBlock{b.Room, b.Index, b.Node, b.Generation}))
		}
	}
	return commits
}

// moveAway asks everybody on a node to go elsewhere, a message for each room and
// [events.MaxMoveKeys] people.
func moveAway(v fleet.View, blocks []fleet.Block) []Send {
	keys := map[room.Name][]string{}
	for _, b := range blocks {
		if b.Node != v.Node.ID || b.Generation != v.Node.Generation {
			continue
		}
		for key := range b.Members {
			keys[b.Room] = append(keys[b.Room], string(key))
		}
	}
	var sends []Send
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		slices.Sort(keys[name])
		for some := range slices.Chunk(keys[name], events.MaxMoveKeys) {
			sends = append(sends, Send{To: Sockets(v.Node, uint64(len(sends))), Message: events.MoveAway{
				Header: events.Head(events.ActionMove), Generation: int64(v.Node.Generation), Room: string(name), Keys: some}})
		}
	}
	return sends
}
