package control

import (
	"maps"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Times of the sweep.
const (
	// IndexLags is how long the index of nodes may take to show one, with much to
	// spare.
	IndexLags = 10 * time.Second
	// LostAfter is how long after the end of its lease a node is given up on which
	// nobody has a seat any more.
	LostAfter = 60 * time.Second
	// CutOffAfter is how long after the end of its lease a node is given up whose
	// people have stayed: it may serve them, and be cut off from here alone.
	CutOffAfter = 4 * time.Minute
	// lapsesTogether is how far apart leases end that one fault of the control plane
	// has ended: nodes beat every few seconds, and not at the same moment.
	lapsesTogether = 2 * fleet.LeaseLasts
	// doubtLasts is how long after the end of a lease the control plane may suspect
	// itself. Nodes that have died together would otherwise never be given up.
	doubtLasts = 10 * time.Minute
	// OrphanAfter is how old an instance must be before the sweep wonders why the
	// table does not know it: what EC2 lists lags behind.
	OrphanAfter = 5 * time.Minute
	// strayLasts is how long a node may have people for whom nothing is granted there
	// before they count no more: its inventory has long put that right.
	strayLasts = 5 * time.Minute
)

// Instance is what EC2 says of an instance with this deployment's tag.
type Instance struct {
	ID         string
	Node       room.NodeID
	Gone       bool // shutting down or terminated
	LaunchedAt time.Time
}

// SweepLaunch repeats a launch of which nothing was heard, gives up one whose
// node never said hello, and forgets one that landed a while ago, or whose node
// is gone already (noNode).
func SweepLaunch(l fleet.Launch, noNode bool, now time.Time) Plan {
	d := Decision{Inputs: map[string]any{"node": l.ID, "state": l.State, "attempt": l.Attempt, "ageMs": now.Sub(l.At).Milliseconds()}}
	switch {
	case l.State == fleet.Landed:
		if age := now.Sub(l.LandedAt); age <= fleet.LandedKept && !(noNode && age > IndexLags) {
			return Plan{}
		}
		return Plan{Commits: []Commit{One(DeleteLaunch{l.Region, l.ID, fleet.Landed})}}
	case now.Sub(l.At) > fleet.LaunchTimeout:
		d.Choice, d.Why = "give the launch up", "no hello in time"
		return Plan{
			Commits:      []Commit{One(DeleteLaunch{l.Region, l.ID, l.State})},
			Terminations: []Termination{{Node: l.ID, Instance: l.Instance, Why: d.Why}},
			Capacity:     "a launch was given up", Decision: d,
		}
	case l.State == fleet.Asked && now.Sub(l.AskedAt) > fleet.LaunchRepeat:
		d.Choice, d.Why = "ask EC2 again", "nothing is known of the last request"
		l.AskedAt = now
		return Plan{Commits: []Commit{One(PutLaunch{l, fleet.Asked})}, Launches: []fleet.Launch{l}, Decision: d}
	}
	return Plan{}
}

// NodeSweep is what the sweep sees of one node.
type NodeSweep struct {
	View fleet.View
	// Blocks are those on the node, with the rooms they belong to. One that has been
	// moved elsewhere, which an index may still show here, is passed over.
	Blocks []fleet.Block
	Rooms  map[room.Name]room.Room
	// Heads are the rooms of those that are further sections.
	Heads map[room.Name]room.Room
	// Peers are the other nodes of those rooms, of a large one those near this.
	Peers []fleet.View
	// Instance is nil where EC2 does not list one.
	Instance *Instance
	// Blind says that so many leases ended together with this one that the fault is
	// more likely here than there: the node is not given up for its lease.
	Blind bool
	// Kept nodes stay though they are idle.
	Kept bool
	// Surplus nodes need not be idle for long: others have room.
	Surplus bool
}

// Sweep moves one node on: an idle one is drained and ended, a dead one given
// up, its blocks dropped, and a row without an instance removed. Every step is
// conditioned on what it was decided from; what has changed meanwhile is
// left to the next sweep.
func Sweep(s NodeSweep, now time.Time, set Settings) Plan {
	n := s.View.Node
	s.Blocks = slices.DeleteFunc(slices.Clone(s.Blocks), func(b fleet.Block) bool { return b.Node != n.ID })
	gone := s.Instance != nil && s.Instance.Gone || s.Instance == nil && now.Sub(n.HelloAt) > OrphanAfter
	d := Decision{Inputs: map[string]any{"node": n.ID, "state": n.State, "generation": n.Generation, "empty": n.Empty(),
		"leaseEndedMs": now.Sub(s.View.LeaseEnds()).Milliseconds(), "instanceGone": gone}}
	switch {
	case n.State == fleet.Terminating && (gone || s.Instance == nil) && len(s.Blocks) > 0:
		return s.dropBlocks(d, now) // with the node's row they would be out of reach
	case n.State == fleet.Terminating && (gone || s.Instance == nil):
		d.Choice, d.Why = "forget the node", "its instance is gone"
		return Plan{Commits: []Commit{One(DeleteNode{n.ID, n.Generation, n.State})}, Decision: d}
	case n.State == fleet.Terminating:
		return Plan{Terminations: []Termination{{Node: n.ID, Instance: n.Instance, Why: "asked again"}}}
	case n.State == fleet.Lost && len(s.Blocks) > 0 && now.Sub(s.View.LeaseEnds()) <= fleet.NoShowAfter:
		d.Choice, d.Why = "keep the seats", "whose node died may come back for them"
		return Plan{Commits: append(seal(n, s.Blocks), s.part(now)...), Decision: d}
	case n.State == fleet.Lost:
		return s.dropBlocks(d, now)
	case gone:
		d.Choice, d.Why = "give the node up", "EC2 says its instance is gone"
		plan := s.move(fleet.LeaseExpired, false, d)
		plan.Commits = append(append(plan.Commits, seal(n, s.Blocks)...), s.part(now)...)
		plan.Sends = shutdown(n, events.CodeFenced)
		return plan
	case !s.Blind && s.silent(now):
		d.Choice, d.Why = "give the node up", "its lease ended"
		plan := s.move(fleet.LeaseExpired, false, d)
		for i := range plan.Commits { // not if it has been heard of in the meantime
			plan.Commits[i].Changes = append(plan.Commits[i].Changes, CheckBeat{n.ID, s.View.Beat.Generation, s.View.Beat.Seq})
		}
		plan.Commits = append(append(plan.Commits, seal(n, s.Blocks)...), s.part(now)...)
		plan.Sends = shutdown(n, events.CodeFenced)
		return plan
	case s.inhabited(now):
	case n.Empty() && n.State == fleet.Draining && len(s.Blocks) == 0:
		d.Choice, d.Why = "end the node", "drained and empty"
		return s.end(fleet.Emptied, true, d)
	case n.Presses(now.Add(-OverdueAfter)):
		d.Choice, d.Why = "end the node", "its people were told to go, and their time is long over"
		return s.end(fleet.Overdue, false, d)
	case n.Empty() && n.State.Takes() && len(s.Blocks) == 0 && !s.Kept && s.idle(now, set):
		d.Choice, d.Why = "end the node", "idle"
		plan := s.move(fleet.DrainAsked, true, d)
		s.View.Node.State = fleet.Draining
		end := s.end(fleet.Emptied, true, d)
		plan.Commits = append(plan.Commits, end.Commits...)
		plan.Sends, plan.Terminations = end.Sends, end.Terminations
		return plan
	}
	plan := s.tidy(now, d, set)
	s.overcommit(&plan)
	plan.Sends = append(plan.Sends, s.follow(now)...)
	if n.State == fleet.Draining {
		plan.Commits = append(plan.Commits, seal(n, s.Blocks)...)
		// Whoever has not gone yet may not have been reached.
		plan.Sends = append(plan.Sends, moveAway(n, s.Blocks, now)...)
	}
	return plan
}

// inhabited reports whether a node that nothing is granted on says that it has
// people all the same, as one may that was cut off while its rooms were brought
// elsewhere. They are told to come after first.
func (s NodeSweep) inhabited(now time.Time) bool {
	n, b := s.View.Node, s.View.Beat
	return n.Empty() && b.Generation == n.Generation && b.People > 0 && now.Sub(n.TouchedAt) < strayLasts
}

// silent reports whether a node has been out of reach for so long that it is given
// up: soon where all who had their seats there have gone elsewhere, or a room of
// which has left it because its people came back; later where all have stayed,
// because the node may be cut off from here alone and serve them well.
func (s NodeSweep) silent(now time.Time) bool {
	silence := now.Sub(s.View.LeaseEnds())
	stay := false
	for _, b := range s.Blocks {
		stay = stay || b.Generation == s.View.Node.Generation && len(b.Members) > 0
	}
	for _, r := range s.Rooms {
		if slices.ContainsFunc(r.Suspects, func(x room.Suspect) bool {
			return x.Node == s.View.Node.ID && x.At.After(s.View.LeaseEnds().Add(-fleet.LeaseLasts))
		}) {
			stay = false
		}
	}
	return silence > LostAfter && !stay || silence > CutOffAfter
}

func (s NodeSweep) move(cause fleet.Cause, ifEmpty bool, d Decision) Plan {
	n := s.View.Node
	to, err := n.State.Next(cause)
	if err != nil {
		d.Choice, d.Why = "nothing", err.Error()
		return Plan{Decision: d}
	}
	return Plan{Commits: []Commit{One(SetState{Node: n.ID, Generation: n.Generation, From: n.State, To: to, IfEmpty: ifEmpty})}, Decision: d}
}

func (s NodeSweep) end(cause fleet.Cause, ifEmpty bool, d Decision) Plan {
	n := s.View.Node
	plan := s.move(cause, ifEmpty, d)
	plan.Sends = shutdown(n, events.CodeNodeGone)
	plan.Terminations = []Termination{{Node: n.ID, Instance: n.Instance, Why: d.Why}}
	return plan
}

func shutdown(n fleet.Node, code events.Code) []Send {
	return []Send{{To: Sockets(n, 0), Message: events.Shutdown{Header: events.Head(events.ActionShutdown), Generation: int64(n.Generation), Code: code}}}
}

// maxDrops bounds the blocks dropped in one plan; the next sweep goes on.
const maxDrops = 25

// dropBlocks takes the blocks of a lost node out of their rooms, and ends the
// node once there are none.
func (s NodeSweep) dropBlocks(d Decision, now time.Time) Plan {
	n := s.View.Node
	if len(s.Blocks) == 0 {
		d.Choice, d.Why = "end the node", "lost, and its blocks are dropped"
		plan := s.move(fleet.GivenUp, false, d)
		plan.Terminations = []Termination{{Node: n.ID, Instance: n.Instance, Why: d.Why}}
		return plan
	}
	d.Choice, d.Why = "drop blocks", "their node is lost"
	plan := Plan{Decision: d}
	plan.Commits = s.drop(s.Blocks[:min(len(s.Blocks), maxDrops)], now)
	d.Inputs["blocks"] = len(s.Blocks)
	return plan
}

// drop removes blocks whose life of the node is over, with their members: those
// of one room in one commit. One after the other, the second would be conditioned
// on the revision that the first was to leave, which another write may have left
// in its place. Each commit is optional, and a room is written once in a plan.
func (s NodeSweep) drop(blocks []fleet.Block, now time.Time) []Commit {
	of := map[room.Name][]fleet.Block{}
	for _, b := range blocks {
		of[b.Room] = append(of[b.Room], b)
	}
	var commits, hints []Commit
	for _, name := range slices.Sorted(maps.Keys(of)) {
		var changes []Change
		left, known := s.Rooms[name]
		r := left
		for _, b := range of[name] {
			changes = append(changes, DropBlock{b.Room, b.Index, b.Node, b.Generation})
			left = left.WithoutBlock(b.Index)
			for _, key := range slices.Sorted(maps.Keys(b.Members)) {
				hints = append(hints, Hint(DeleteParticipant{b.Room, key, b.Members[key]}))
			}
		}
		if known && left.Revision != r.Revision {
			changes = append(changes, s.seating(r).without(r, left, map[room.NodeID]room.Load{}, now)...)
		}
		commits = append(commits, Commit{Changes: changes, Optional: true})
		delete(s.Rooms, name)
	}
	return append(commits, hints...)
}

// part takes a node that is given up out of its rooms' trees, though they have
// blocks there: those that it fed are joined to others at once.
func (s NodeSweep) part(now time.Time) []Commit {
	s.View.Node.State = fleet.Lost
	var commits []Commit
	for _, name := range slices.Sorted(maps.Keys(s.Rooms)) {
		r := s.Rooms[name]
		if r.Pipes(s.View.Node.ID) == 0 || len(commits) >= maxDrops {
			continue
		}
		next := r.Clone()
		next.Revision++
		c := One(s.seating(r).without(r, next, map[room.NodeID]room.Load{}, now)...)
		c.Optional = true
		commits = append(commits, c)
	}
	return commits
}

// seating is what a return of blocks is decided from.
func (s NodeSweep) seating(r room.Room) Seating {
	out := Seating{Nodes: append([]fleet.View{s.View}, s.Peers...), Room: &r}
	if head, known := s.Heads[r.Name]; known && r.Section > 0 {
		out.Head = &head
	}
	return out
}

// tidy drops blocks of earlier lives of a living node, and gives back blocks
// that two who left at once have left empty.
func (s NodeSweep) tidy(now time.Time, d Decision, set Settings) Plan {
	d.Choice, d.Why = "tidy", "blocks of an earlier life, or empty, or seats that nobody needs there"
	plan := Plan{Decision: d}
	n := s.View.Node
	var old []fleet.Block
	for _, b := range s.Blocks {
		if b.Generation < n.Generation && len(old) < maxDrops {
			old = append(old, b)
		}
	}
	plan.Commits = s.drop(old, now)
	for _, b := range s.Blocks {
		r, ok := s.Rooms[b.Room]
		if b.Generation != n.Generation || len(b.Members) > 0 || !ok || len(plan.Commits) >= maxDrops {
			continue // a room that was written is left to the next sweep
		}
		delete(s.Rooms, b.Room)
		c := returnBlock(s.seating(r), b, "", 0, now)
		c.Optional = true
		plan.Commits = append(plan.Commits, c)
	}
	plan.Commits = append(plan.Commits, s.trim(now)...)
	plan.Commits = append(plan.Commits, s.sections(now, set)...)
	if len(plan.Commits) == 0 {
		return Plan{}
	}
	return plan
}

// Orphans ends instances that no node and no launch knows, once they are old
// enough that neither can still be on its way.
func Orphans(instances []Instance, known func(room.NodeID) bool, now time.Time) Plan {
	var plan Plan
	for _, i := range instances {
		if i.Gone || known(i.Node) || now.Sub(i.LaunchedAt) <= OrphanAfter {
			continue
		}
		plan.Terminations = append(plan.Terminations, Termination{Instance: i.ID, Why: "no node and no launch knows it"})
	}
	if len(plan.Terminations) > 0 {
		plan.Decision = Decision{Choice: "end orphans", Why: "no node and no launch knows them", Inputs: map[string]any{"instances": len(plan.Terminations)}}
	}
	return plan
}

// Blind reports whether so many living nodes have lost their lease together with
// one that the control plane should doubt itself before it gives that one up:
// over 30 %, and at least two. Those whose leases ended at other times have not
// ended by the same fault.
func Blind(nodes []fleet.View, of fleet.View, now time.Time) bool {
	if now.Sub(of.LeaseEnds()) > doubtLasts {
		return false
	}
	living, failed := 0, 0
	for _, v := range nodes {
		if !v.Node.State.Living() {
			continue
		}
		living++
		if !v.Alive(now) && v.LeaseEnds().Sub(of.LeaseEnds()).Abs() <= lapsesTogether {
			failed++
		}
	}
	return together(failed, living)
}
