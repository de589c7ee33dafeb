package control

import (
	"maps"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/room"
)

type grant struct {
	commit Commit
	node   *fleet.View
	why    string
	asked  placement.Question
	choice placement.Choice
	// after is to be committed when the grant is, sends to be sent then.
	after []Commit
	sends []Send
	// together are those who are seated with the first, free is how many seats
	// nobody has.
	together []follower
	free     int
}

// homes returns the nodes of the room that can take people now, and that it does
// not keep away from.
func (s Seating) homes(now time.Time) []fleet.View {
	if s.Room == nil {
		return nil
	}
	var out []fleet.View
	seen := map[room.NodeID]bool{}
	shunned := s.Room.Shunned(now)
	for _, ref := range s.Room.Blocks {
		v := s.node(ref.Node)
		if v != nil && !slices.Contains(shunned, ref.Node) && v.Node.Generation == ref.Generation && v.Takes(now) && !seen[ref.Node] {
			seen[ref.Node] = true
			out = append(out, *v)
		}
	}
	return out
}

// grant claims a new block for the room, with p as its first member: on a node
// that the room is on, else on the fullest further one that fits, the room's
// zone first. A further node is joined to the others by a pipe, whose load is
// taken from both ends in the same transaction. Once the room's limit is
// granted, it takes the seats out of a block that has free ones which cannot
// serve p; where there is none the room, or its stage, is full. Somebody who
// changes its home gets a seat all the same: it needs two for a moment, of which
// the first leaves the room's count with it.
func (s Seating) grant(who seeker, p room.Participant, held room.Held, now time.Time, set Settings) (room.BlockRef, grant, error) {
	was := set.made(who.Room, now)
	if s.Room != nil {
		was = *s.Room
	}
	switch {
	case was.Apart && !s.Complete:
		return room.BlockRef{}, grant{}, ErrLookAgain
	case s.Narrow:
		return room.BlockRef{}, grant{}, ErrNarrow
	case was.Section > 0 && who.Role != room.Viewer, s.closed(was, who, set):
		return room.BlockRef{}, grant{}, s.fullSection()
	}
	was, drawn := s.drawn(was)
	seats := min(who.turn.claims(wanted(was, who.Role, who.crowd)), grantable(was, who.Role))
	var from *transfer
	if seats < 1 {
		var err error
		from, err = s.transfer(was, who.Role, now)
		switch {
		case err == nil:
			seats = from.seats
		case s.Complete && s.holds(who, held):
			seats = 1
		default:
			return room.BlockRef{}, grant{}, s.elsewhereFull(was, who, err)
		}
	}
	ref, g, err := s.claim(who, p, was, seats, from, now, set)
	if err == nil {
		g.commit.Changes = append(g.commit.Changes, s.given(was, drawn)...)
	}
	return ref, g, err
}

// claim claims a new block of seats, which come out of another block where from
// says so, with p as its first member.
func (s Seating) claim(who seeker, p room.Participant, was room.Room, seats int, from *transfer,
	now time.Time, set Settings) (room.BlockRef, grant, error) {
	r := was
	if from != nil {
		r = from.room
	}
	seatLoad := r.Profile.SeatLoad(who.Role)
	q, further := s.question(who, was, seatLoad, seats, from, now, set)
	q = who.turn.home(q)
	choice := placement.Choose(q)
	home := choice.Rank == placement.HomeAll || choice.Rank == placement.HomeSome
	if o, on := s.grownOn(now); on && !was.Apart && !home && from == nil && !who.stays && !o.shunned(who) {
		joined := choice.Seats > 0 && o.feeds(r.Profile)
		if o.small(r.Profile) || !joined {
			if whole, there := s.elsewhere(who, o, seats, now, set); there.Seats > 0 {
				there.Seats = max(min(there.Seats, grantable(was, who.Role)), 1)
				ref, g, err := s.put(who, p, was, r, whole, there, nil, now, set)
				return ref, o.move(g, now), err
			}
		}
		if !joined && o.fitsNew(r, seatLoad, set) {
			return room.BlockRef{}, grant{}, errNoNode
		}
	}
	if choice.Seats == 0 {
		if s.wide(was, who, set) {
			return room.BlockRef{}, grant{}, s.fullSection()
		}
		return room.BlockRef{}, grant{}, s.noPlace(further, now, set)
	}
	if err := tooLarge(was); err != nil {
		return room.BlockRef{}, grant{}, err
	}
	return s.put(who, p, was, r, q, choice, from, now, set)
}

// put grants a block where a choice says.
func (s Seating) put(who seeker, p room.Participant, was, r room.Room, q placement.Question, choice placement.Choice, from *transfer,
	now time.Time, set Settings) (room.BlockRef, grant, error) {
	seatLoad := r.Profile.SeatLoad(who.Role)
	node := s.view(choice.Node)
	granted, ref, blocks, together := granting(r, node.Node, who, p.Revision, choice.Seats, now)
	loads := map[room.NodeID]room.Load{ref.Node: seatLoad.Times(choice.Seats)}
	changes := from.changes(loads)
	next, more := s.balance(was, granted, loads, ref.Node, set.nodesPerRoom() > 1, now)
	home := slices.Contains(q.Home, ref.Node)
	if (len(q.Home) > 0 || was.Apart && len(was.Nodes) > 0) && !home && set.nodesPerRoom() > 1 && next.Pipes(ref.Node) == 0 {
		return room.BlockRef{}, grant{}, s.noFeeder()
	}
	revision := int64(0) // a room made here has one already, and is not there yet
	if s.Room != nil && !s.Fresh {
		revision = s.Room.Revision
	}
	changes = append(append(append(more, changes...), PutRoom{next, revision}), blocks...)
	for _, f := range together {
		changes = append(changes, f.changes()...)
	}
	return ref, grant{commit: Commit{Changes: changes}, node: node, why: whyThere(from, home, len(q.Home)), asked: q, choice: choice,
		together: together, free: choice.Seats - 1 - len(together)}, nil
}

func whyThere(from *transfer, home bool, homes int) string {
	switch {
	case from != nil:
		return "seats that another block of the room does not need"
	case home:
		return "a node of the room has room for another block"
	case homes > 0:
		return "the room grows onto a further node"
	}
	return "first block of the room"
}

// question asks where a block goes. Nodes are shown with what seats may take
// there: without the reserve for pipes, of which the room's own there are a part,
// and, where the room is not yet, of which the pipe that joins it will be. further reports whether the room may be on one more.
func (s Seating) question(who seeker, r room.Room, seat room.Load, seats int, from *transfer,
	now time.Time, set Settings) (q placement.Question, further bool) {
	homes := s.homes(now)
	reachable := slices.ContainsFunc(homes, func(v fleet.View) bool { return !slices.Contains(who.Avoid, v.Node.ID) })
	// Who is alone on a node that does not answer may leave it for another one.
	further = max(len(homes), len(r.Nodes)) < set.nodesPerRoom() || !reachable
	if r.Apart {
		reachable = reachable || len(homes) == 0
		further = len(r.Nodes) < set.nodesPerRoom()
	}
	further = further && !s.wide(r, who, set)
	pipes := set.nodesPerRoom() > 1 && (len(homes) > 0 || r.Apart && len(r.Nodes) > 0)
	if pipes && reachable && slices.ContainsFunc(homes, func(v fleet.View) bool { return v.Node.PipePort == 0 }) {
		further = false // a node of an older kind
	}
	pipe := room.Load{}
	if pipes {
		pipe = r.Profile.PipeLoad()
	}
	shown := slices.Clone(homes)
	if further {
		for _, v := range s.Candidates {
			ref := r.NodeRef(v.Node.ID)
			if ref != nil && ref.Section != r.Section {
				continue // a node is of one section
			}
			if !slices.ContainsFunc(homes, func(h fleet.View) bool { return h.Node.ID == v.Node.ID }) && (!pipes || !reachable || v.Node.PipePort > 0) {
				shown = append(shown, v)
			}
		}
	}
	for i := range shown {
		n := &shown[i].Node
		keep := set.reserve(r, *n)
		if i >= len(homes) {
			keep = room.Load{Kbps: max(keep.Kbps, pipe.Kbps), PPS: max(keep.PPS, pipe.PPS)}
			if pipes { // it is to feed others as any of the room's nodes: however much is granted at once
				joined := r
				joined.Nodes = append(slices.Clone(r.Nodes), room.NodeRef{Node: n.ID, Feeder: "any"})
				then := set.reserve(joined, *n).Plus(pipe)
				keep = room.Load{Kbps: max(keep.Kbps, then.Kbps), PPS: max(keep.PPS, then.PPS)}
			}
		}
		n.Available = n.Available.Minus(keep)
	}
	q = placement.Ask(seat, seats, from.relieve(shown), now)
	q.Avoid, q.Spread = slices.Concat(who.Avoid, s.leaving()), who.Spread
	if len(homes) == 0 && !r.Apart {
		q.Margin = set.Margin()
	}
	for _, h := range homes {
		q.Home = append(q.Home, h.Node.ID)
		if !slices.Contains(q.Zones, h.Node.Zone) {
			q.Zones = append(q.Zones, h.Node.Zone)
		}
	}
	return q, further
}

// noPlace is why no node takes a block: [errNoNode] where a launch would help.
func (s Seating) noPlace(further bool, now time.Time, set Settings) error {
	switch {
	case !s.Complete:
		return ErrLookAgain
	case further:
		return errNoNode
	case set.nodesPerRoom() == 1:
		return events.Errorf(events.CodeRoomFull, "the room's node is full, and this deployment has rooms on one node only")
	}
	return events.Errorf(events.CodeRoomFull, "the room's %d nodes are full, and this deployment has rooms on %d nodes at most",
		len(s.homes(now)), set.nodesPerRoom())
}

// noFeeder refuses to seat somebody on a node that nobody could hear.
func (s Seating) noFeeder() error {
	if !s.Complete {
		return ErrLookAgain
	}
	err := events.Errorf(events.CodeNoCapacity, "none of the room's nodes can feed a further one now")
	err.RetryAfterMs = 5000
	return err
}

// balance brings the pipes between a room's nodes in step with its blocks, and
// returns the room and what that and the given loads of blocks (negative: given
// back) change on the nodes. The node that gets a block, if any, is claimed from
// whatever the balance: it must be one that takes people. A node that is given up has
// no pipes, though the room has blocks there. A life of a node that is over gets and gives
// nothing. Without pipes the nodes are not joined to each other.
func (s Seating) balance(was, next room.Room, loads map[room.NodeID]room.Load, to room.NodeID, pipes bool,
	now time.Time) (room.Room, []Change) {
	pipe := was.Profile.PipeLoad()
	spare := func(id room.NodeID) int {
		v := s.view(id)
		if v == nil && (was.Apart || len(was.Nodes) > 2*room.SectionNodes) {
			return -1 // of such rooms not all nodes are looked at
		}
		if !pipes || v == nil || !v.Takes(now) || v.Node.PipePort == 0 || slices.Contains(was.Shunned(now), id) {
			return 0
		}
		return pipe.Into(v.Node.Available.Minus(loads[id]))
	}
	lost := func(id room.NodeID) bool {
		v := s.view(id)
		return v != nil && !v.Node.State.Living() && (!was.Apart || s.knows(was.Neighbours(id)))
	}
	next = next.SettledWithout(lost, spare, now)
	before, after := was.AllPipes(), next.AllPipes()
	lives, more := map[room.NodeID]room.Generation{}, map[room.NodeID]int{}
	for _, ref := range slices.Concat(was.Nodes, next.Nodes) {
		lives[ref.Node] = max(lives[ref.Node], ref.Generation)
	}
	for _, ref := range next.Nodes {
		if ref.Generation == lives[ref.Node] {
			more[ref.Node] += after[ref.Node] // where only an earlier life's block is left, they went with it
		}
	}
	for _, ref := range was.Nodes {
		if ref.Generation == lives[ref.Node] {
			more[ref.Node] -= before[ref.Node] // an earlier life's went with it
		}
	}
	for id, n := range more {
		if n != 0 {
			loads[id] = loads[id].Plus(pipe.Times(n))
		}
	}
	var changes []Change
	for _, id := range slices.Sorted(maps.Keys(loads)) {
		v, load := s.view(id), loads[id]
		switch {
		case v == nil || lives[id] != 0 && v.Node.Generation != lives[id]:
		case id == to || load.Kbps > 0 || load.PPS > 0:
			changes = append(changes, ClaimLoad{id, v.Node.Generation, load, now})
		case load != room.Load{}:
			changes = append(changes, ReturnLoad{id, v.Node.Generation, room.Load{}.Minus(load), now})
		}
	}
	return next, append(changes, s.planted(was, next)...)
}

// view returns a node of the snapshot, be the room on it or not.
func (s Seating) view(id room.NodeID) *fleet.View {
	if v := s.node(id); v != nil {
		return v
	}
	i := slices.IndexFunc(s.Candidates, func(v fleet.View) bool { return v.Node.ID == id })
	if i < 0 {
		return nil
	}
	return &s.Candidates[i]
}

// returnBlock gives a block back whose only member, if any, is key. The room
// goes with its last block, unless it was declared.
func returnBlock(s Seating, b fleet.Block, key room.Key, revision room.Revision, now time.Time) Commit {
	loads := map[room.NodeID]room.Load{}
	if v := s.node(b.Node); v != nil && v.Node.Generation == b.Generation {
		loads[b.Node] = room.Load{}.Minus(b.Load)
	}
	changes := []Change{DeleteBlock{b.Room, b.Index, b.Node, b.Generation, key, revision}}
	return Commit{Changes: append(changes, s.withoutBlock(b.Index, loads, now)...)}
}

// withoutBlock takes a block out of the room's directory.
func (s Seating) withoutBlock(index int, loads map[room.NodeID]room.Load, now time.Time) []Change {
	if s.Room == nil || s.Room.Ref(index) == nil {
		_, changes := s.balance(room.Room{}, room.Room{}, loads, "", false, now)
		return changes
	}
	return s.without(*s.Room, s.Room.WithoutBlock(index), loads, now)
}

// without stores a room that has lost blocks, and takes nodes that have none of
// it any more out of its tree. The room goes with its last block, unless it was
// declared.
func (s Seating) without(was, next room.Room, loads map[room.NodeID]room.Load, now time.Time) []Change {
	joined := slices.ContainsFunc(was.Nodes, func(n room.NodeRef) bool { return n.Feeder != "" })
	next, changes := s.balance(was, next, loads, "", joined, now)
	if len(next.Blocks) == 0 {
		return s.over(was, next, changes)
	}
	return append(changes, PutRoom{next, was.Revision})
}
