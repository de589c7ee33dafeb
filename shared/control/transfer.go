package control

import (
	"cmp"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// transfer is seats that leave a block of a room in which they are free, so that
// they can be granted elsewhere. It keeps a room's limit exact: all seats may be
// granted while some of them are free where they are of no use.
type transfer struct {
	// block is what the seats leave, as it was.
	block fleet.Block
	// node is where it is; nil if that node, or that life of it, is gone.
	node  *fleet.View
	seats int
	// load is what leaves the node.
	load room.Load
	// room is the room after they left.
	room room.Room
	// member, with revision, is who leaves the block together with its seat, if
	// anybody does.
	member   room.Key
	revision room.Revision
}

// convert takes the seat that somebody sits on out of its block, with whoever
// sits there, so that it can be granted for the other role. A block that nobody
// else sits in goes whole.
func (s Seating) convert(r room.Room, b fleet.Block, key room.Key) *transfer {
	t := &transfer{block: b, seats: 1, member: key, revision: b.Members[key]}
	if v := s.node(b.Node); v != nil && v.Node.Generation == b.Generation {
		t.node = v
	}
	if len(b.Members) == 1 {
		t.seats, t.load, t.room = b.Seats, b.Load, r.WithoutBlock(b.Index)
		return t
	}
	t.load = r.Profile.SeatLoad(b.Role)
	t.room = r.WithSeats(b.Index, b.Seats-1, len(b.Members)-1 >= b.Seats-1)
	return t
}

// transfer finds free seats of the room for a role that cannot be sat on where
// they are: those of blocks for the other role, and of nodes that take nobody
// now. A seat on stage comes out of blocks for publishers only where the stage
// itself is the limit. Of a block's free seats half stay, so that seats do not
// wander to and fro. It returns the refusal where there are none.
func (s Seating) transfer(r room.Room, role room.Role, now time.Time) (*transfer, error) {
	if !s.Complete {
		return nil, ErrLookAgain
	}
	onStage := role != room.Viewer
	noStage := onStage && r.StageLeft() < 1
	var from []fleet.Block
	for _, b := range s.Blocks {
		if r.Apart && b.Seats < 2 {
			continue // the neighbours of a node that would leave the tree with it are not known
		}
		if b.Unused() > 0 && r.Ref(b.Index) != nil && (!noStage || b.For(room.Publisher)) {
			from = append(from, b)
		}
	}
	if len(from) == 0 {
		if noStage && (r.SeatsLeft > 0 || s.seatsFree() > 0) {
			return nil, stageFull(r)
		}
		return nil, events.Errorf(events.CodeRoomFull, "the room is full: it takes %d participants", r.Profile.MaxParticipants)
	}
	b := slices.MaxFunc(from, func(a, b fleet.Block) int {
		return cmp.Or(cmp.Compare(a.Unused(), b.Unused()), cmp.Compare(b.Index, a.Index))
	})
	t := &transfer{block: b, seats: (b.Unused() + 1) / 2}
	if b.Sealed {
		t.seats = b.Unused() // nobody else will sit down there
	}
	if onStage && !b.For(room.Publisher) {
		t.seats = min(t.seats, r.StageLeft()) // these come to the stage
	}
	if v := s.node(b.Node); v != nil && v.Node.Generation == b.Generation {
		t.node = v
	}
	if r.Apart {
		t.seats = min(t.seats, b.Seats-1)
	}
	left := b.Seats - t.seats
	if left == 0 {
		t.load, t.room = b.Load, r.WithoutBlock(b.Index)
		return t, nil
	}
	t.load = r.Profile.SeatLoad(b.Role).Times(t.seats)
	t.room = r.WithSeats(b.Index, left, len(b.Members) >= left)
	return t, nil
}

func stageFull(r room.Room) error {
	return events.Errorf(events.CodeStageFull, "the stage is full: it takes %d publishers; joining as a viewer is possible", r.Profile.MaxPublishers)
}

// seatsFree counts the free seats of all blocks.
func (s Seating) seatsFree() int {
	n := 0
	for _, b := range s.Blocks {
		n += b.Unused()
	}
	return n
}

// relieve returns candidates as they are once the seats have left their node.
func (t *transfer) relieve(candidates []fleet.View) []fleet.View {
	if t == nil || t.node == nil {
		return candidates
	}
	out := slices.Clone(candidates)
	for i := range out {
		if out[i].Node.ID == t.node.Node.ID {
			out[i].Node.Available = out[i].Node.Available.Plus(t.load)
		}
	}
	return out
}

// changes are those that take the seats out of their old block, if there is a
// transfer; what its node gets back is taken off loads.
func (t *transfer) changes(loads map[room.NodeID]room.Load) []Change {
	if t == nil {
		return nil
	}
	b := t.block
	if t.node != nil {
		loads[b.Node] = loads[b.Node].Minus(t.load)
	}
	left := b.Seats - t.seats
	if left == 0 {
		return []Change{DeleteBlock{b.Room, b.Index, b.Node, b.Generation, t.member, t.revision}}
	}
	b.Seats, b.Load, b.Members = left, b.Load.Minus(t.load), nil
	return []Change{ShrinkBlock{Block: b, From: t.block.Seats, Member: t.member, If: t.revision}}
}
