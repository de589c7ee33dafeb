package control

import (
	"errors"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/room"
)

// When a node dies, its blocks are re-homed whole: whoever of a room comes back
// first brings the room's blocks along to another node, with all who sit in them.
// Those who follow find their seats there, newcomers cannot take them, and the
// room's counts stay. Who has not come within [fleet.NoShowAfter] is dropped by the
// new node's inventory.

// maxRehomed bounds the blocks that one transaction moves; DynamoDB's takes 100
// items. 40 blocks are close to a thousand seats.
const maxRehomed = 40

// own returns the block in which a participant sits, nil if there is none.
func (s Seating) own(key room.Key, prev room.Participant) *fleet.Block {
	if prev.Revision == 0 {
		return nil
	}
	b := s.block(prev.Block)
	if b == nil || b.Members[key] != prev.Revision || s.foreign(b.Index) {
		return nil
	}
	return b
}

// dead reports whether the room can use a block no more where it is: its node, or
// that life of it, is over, is cut off from here, or is one that enough of the room's people cannot
// reach. A node that drains is none of these.
func (s Seating) dead(b fleet.Block, now time.Time) bool {
	v := s.node(b.Node)
	return v == nil || v.Node.Generation != b.Generation || !v.Node.State.Living() || !v.Alive(now) ||
		slices.Contains(s.Room.Shunned(now), b.Node)
}

// Stranded returns what the room's blocks on the node of the participant's seat
// take together, and what the participant's own takes, if it may come to re-homing
// them: the node is dead, or among those that the participant avoids. It needs a complete snapshot.
func (s Seating) Stranded(avoid []room.NodeID, now time.Time) []room.Load {
	if s.Room == nil || s.Participant == nil {
		return nil
	}
	own := s.own(s.Participant.Key, *s.Participant)
	if own == nil || !s.dead(*own, now) && !slices.Contains(avoid, own.Node) {
		return nil
	}
	all := room.Load{}
	for _, b := range s.together(*own) {
		all = all.Plus(b.Load)
	}
	if all == own.Load {
		return []room.Load{all}
	}
	return []room.Load{all, own.Load}
}

// together returns the blocks that share a block's node and that life of it.
func (s Seating) together(own fleet.Block) []fleet.Block {
	var out []fleet.Block
	for _, b := range s.Blocks {
		if b.Node == own.Node && b.Generation == own.Generation {
			out = append(out, b)
		}
	}
	return out
}

// rehome moves the blocks of a dead node to another one for somebody who has its
// seat there: all that the room has there, or, where no node takes them together,
// and the room may be on several, the one of the seat alone. Where no node takes even
// that one, nothing is moved, and the room notes that it has left the node; whoever
// comes is then seated like anybody else, or waits for a node that takes all. It
// returns the snapshot to go on with.
func (s Seating) rehome(who seeker, prev room.Participant, now time.Time, set Settings) (Seating, []Commit) {
	own := s.own(who.Key, prev)
	if !s.Complete || s.Room == nil || own == nil || !s.dead(*own, now) {
		return s, nil
	}
	all := s.together(*own)
	if len(all) <= maxRehomed {
		if next, commit, ok := s.rehomed(who, all, now, set); ok {
			return next, []Commit{commit}
		}
	}
	if len(all) > 1 && set.nodesPerRoom() > 1 {
		if next, commit, ok := s.rehomed(who, []fleet.Block{*own}, now, set); ok {
			return next, []Commit{commit}
		}
	}
	if v := s.node(own.Node); v == nil || v.Node.Generation != own.Generation || slices.Contains(s.Room.Shunned(now), own.Node) {
		return s, nil // a later life of it is well, or the room has left it already
	}
	// That its people come back tells a node that is dead from one that is cut off.
	was := s.Room.Revision
	r := s.Room.WithSuspect(own.Node, now)
	r.Revision++
	s.Room = &r
	return s, []Commit{One(PutRoom{r, was})}
}

// leave takes a room off a node that does not answer: it notes what who says of the
// node, and brings along what the room has on a dead one. It returns the
// snapshot to go on with, and what to commit first, also before who waits (errNoNode).
func (s Seating) leave(who seeker, prev room.Participant, now time.Time, set Settings) (Seating, []Commit, error) {
	if own := s.own(who.Key, prev); s.Narrow && own != nil && (s.dead(*own, now) || slices.Contains(who.Avoid, own.Node)) {
		return s, nil, ErrNarrow
	}
	s, first, err := s.splits(who, prev, now, set)
	if err != nil {
		return s, first, err
	}
	s, rehomed := s.rehome(who, prev, now, set)
	first = append(first, rehomed...)
	if s.Complete && s.torn(who.Key, prev, now, set) {
		return s, first, errNoNode
	}
	return s, first, nil
}

// torn reports whether a room that may be on one node only would be torn apart by
// seating somebody whose seat is on a dead node elsewhere, alone.
func (s Seating) torn(key room.Key, prev room.Participant, now time.Time, set Settings) bool {
	own := s.own(key, prev)
	if own == nil || set.nodesPerRoom() > 1 || !s.dead(*own, now) || len(s.homes(now)) > 0 {
		return false
	}
	people := 0
	for _, b := range s.together(*own) {
		people += len(b.Members)
	}
	return people > 1
}

// bereft reports whether somebody is refused for want of a seat who has one, on a
// dead node: no node has room for its block now, but one that is launched will.
func (s Seating) bereft(key room.Key, prev room.Participant, err error, now time.Time) bool {
	var refused *events.Error
	if !errors.As(err, &refused) || refused.Code != events.CodeRoomFull && refused.Code != events.CodeStageFull || s.Room == nil {
		return false
	}
	own := s.own(key, prev)
	return own != nil && s.dead(*own, now)
}

// rehomed moves blocks that are on one node to another.
func (s Seating) rehomed(who seeker, blocks []fleet.Block, now time.Time, set Settings) (Seating, Commit, bool) {
	was := *s.Room
	need := room.Load{}
	for _, b := range blocks {
		need = need.Plus(b.Load)
	}
	who.stays = true // the node they leave goes
	from, life := blocks[0].Node, blocks[0].Generation
	who.Avoid = append(slices.Clone(who.Avoid), was.Shunned(now)...)
	if v := s.view(from); v != nil && v.Node.Generation == life {
		who.Avoid = append(who.Avoid, from)
	}
	// As one seat: all of it or nothing.
	q, _ := s.question(who, was, need, 1, nil, now, set)
	to := s.view(placement.Choose(q).Node)
	if to == nil {
		return s, Commit{}, false
	}
	loads := map[room.NodeID]room.Load{to.Node.ID: need}
	if v := s.view(from); v != nil && v.Node.Generation == life {
		loads[from] = room.Load{}.Minus(need)
	}
	var moves []Change
	var indexes []int
	next := s
	next.Blocks = slices.Clone(s.Blocks)
	for i, b := range next.Blocks {
		if !slices.ContainsFunc(blocks, func(o fleet.Block) bool { return o.Index == b.Index }) {
			continue
		}
		b.Node, b.Generation, b.Sealed, b.MovedAt = to.Node.ID, to.Node.Generation, false, now
		next.Blocks[i] = b
		indexes = append(indexes, b.Index)
		b.Members = nil
		moves = append(moves, MoveBlock{Block: b, From: from, If: life})
	}
	r, changes := s.balance(was, was.WithMoved(to.Node.ID, to.Node.Generation, indexes...), loads, to.Node.ID, set.nodesPerRoom() > 1, now)
	if (len(q.Home) > 0 || was.Apart && len(was.Nodes) > 0) && !slices.Contains(q.Home, to.Node.ID) && set.nodesPerRoom() > 1 && r.Pipes(to.Node.ID) == 0 {
		return s, Commit{}, false // nobody there could hear the others
	}
	next.Room = &r
	if s.node(to.Node.ID) == nil {
		next.Nodes = append(slices.Clone(s.Nodes), *to)
	}
	return next, Commit{Changes: append(append(changes, moves...), PutRoom{r, was.Revision})}, true
}
