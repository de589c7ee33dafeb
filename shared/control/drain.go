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

// Times of a drain.
const (
	// DefaultDrain is how long people may take to leave a node that drains, where
	// neither settings nor whoever asks for it say.
	DefaultDrain = 10 * time.Minute
	// EndsBefore is how long before a machine is taken away nobody should be on it any
	// more: whoever is pressed to go takes a few seconds, after the next heartbeat.
	EndsBefore = 30 * time.Second
	// OverdueAfter is how long after its deadline a node is ended on which somebody
	// still has a seat: it does not do what it is told.
	OverdueAfter = 2 * time.Minute
)

// DrainBy is the deadline of a drain that begins now; one of a machine that is
// taken away at ends is over in time, the zero time being never.
func (s Settings) DrainBy(now, ends time.Time) time.Time {
	within := DefaultDrain
	if s.DrainWithinMs > 0 {
		within = time.Duration(s.DrainWithinMs) * time.Millisecond
	}
	by := now.Add(within)
	if !ends.IsZero() && ends.Add(-EndsBefore).Before(by) {
		by = ends.Add(-EndsBefore)
	}
	if by.Before(now) {
		return now
	}
	return by
}

// Drain takes a node out of service: from the commit on it is given no new seats,
// and everybody on it is asked to move. The sweep asks again those who are still
// there, presses them to go once the deadline has passed (zero: never), and ends the
// node when it is empty. A node that drains already is asked anew, and its deadline
// brought forward to an earlier one; one that takes no part any more is left alone.
func Drain(d Drained, by time.Time, why string, now time.Time) Plan {
	n := d.View.Node
	plan := Plan{Decision: Decision{Choice: "drain", Why: why, Inputs: map[string]any{
		"node": n.ID, "state": n.State, "blocks": len(d.Blocks), "leaseEndedMs": now.Sub(d.View.LeaseEnds()).Milliseconds()}}}
	if !by.IsZero() {
		plan.Decision.Inputs["withinMs"] = by.Sub(now).Milliseconds()
	}
	switch {
	case n.State == fleet.Draining:
		if !by.IsZero() && (n.DrainBy.IsZero() || by.Before(n.DrainBy)) {
			plan.Commits = []Commit{One(Hasten{n.ID, n.Generation, by})}
			n.DrainBy = by
		}
	case n.State.Takes():
		to, err := n.State.Next(fleet.DrainAsked)
		if err != nil {
			plan.Decision.Choice, plan.Decision.Why = "nothing", err.Error()
			return plan
		}
		plan.Commits = []Commit{One(SetState{Node: n.ID, Generation: n.Generation, From: n.State, To: to, At: now, By: by})}
		plan.Commits = append(plan.Commits, seal(n, d.Blocks)...)
		n.State, n.DrainBy = to, by
	default:
		plan.Decision.Choice, plan.Decision.Why = "nothing", "the node is "+string(n.State)
		return plan
	}
	plan.Sends = moveAway(n, d.Blocks, now)
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
// [events.MaxMoveKeys] people. After the node's deadline they are pressed.
func moveAway(n fleet.Node, blocks []fleet.Block, now time.Time) []Send {
	keys := map[room.Name][]string{}
	for _, b := range blocks {
		if b.Node != n.ID || b.Generation != n.Generation {
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
			sends = append(sends, Send{To: Sockets(n, uint64(len(sends))), Message: events.MoveAway{Header: events.Head(events.ActionMove),
				Generation: int64(n.Generation), Room: string(name), Keys: some, Press: n.Presses(now)}})
		}
	}
	return sends
}
