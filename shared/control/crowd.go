package control

import (
	"errors"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Where very many join a room at once, each would find the last block full and
// grant another one, and all but one of those grants would be in conflict. So in
// a crowd a few grant, and they grant a lot: the others look again a moment later,
// when there are seats for all of them.

const (
	// crowdLasts is how young a block is whose seats are gone for their taking to be
	// called a crowd.
	crowdLasts = 2 * time.Second
	// crowdBlocks is how many blocks a grant claims at most in a crowd.
	crowdBlocks = 8
	// grantsOne in so many of a crowd grants, the others look again, but not more
	// often than crowdLooks: whoever was to grant may have died.
	grantsOne  = 24
	crowdLooks = 5
	// crowdReserve is how many free seats are few in a crowd: about as many people
	// have looked and not yet sat down.
	crowdReserve = 96
)

// ErrCrowd says that others are about to grant what this one needs: look again in
// some ten milliseconds.
var ErrCrowd = errors.New("others are granting seats")

// crowded reports whether the seats for a role were granted a moment ago and are
// gone.
func (s Seating) crowded(role room.Role, now time.Time) bool {
	for _, b := range s.Blocks {
		if b.For(role) && now.Sub(b.CreatedAt) < crowdLasts && b.Free() == 0 {
			return true
		}
	}
	return false
}

// ahead reports whether somebody who could sit down in a block should do otherwise,
// because a crowd is about to take its last seats: with a cheap snapshot look at all
// the blocks, and with a complete one be one of few who grant before the seats are
// gone. Racers for last seats write in vain.
func (s Seating) ahead(who seeker, b fleet.Block, now time.Time) (grant bool, err error) {
	if _, sits := b.Members[who.Key]; sits || who.Looked < 0 || b.Seats < crowdBlocks || now.Sub(b.CreatedAt) >= crowdLasts {
		return false, nil
	}
	if !s.Complete && 4*b.Free() <= b.Seats {
		return false, ErrLookAgain
	}
	if !s.Complete || s.Room.SeatsLeft == 0 {
		return false, nil
	}
	free := 0
	for _, b := range s.Blocks {
		if b.For(who.Role) {
			free += b.Free()
		}
	}
	switch {
	case free >= crowdReserve:
		return false, nil
	case who.Spread%grantsOne == 0:
		return true, nil
	case free < crowdReserve/3 && who.Looked < crowdLooks:
		return false, ErrCrowd
	}
	return false, nil
}

// unseen reports whether the directory has blocks that may have a seat and were
// not loaded.
func (s Seating) unseen(role room.Role) bool {
	if s.Room == nil || s.Complete {
		return false
	}
	for _, ref := range s.Room.Blocks {
		if ref.For(role) && !ref.Full && s.block(ref.Index) == nil {
			return true
		}
	}
	return false
}

// grants tells whether somebody grants seats now, though a block may have one, and
// whether for a crowd.
func (s Seating) grants(who seeker, b *fleet.Block, now time.Time) (grant, crowd bool, err error) {
	if b != nil {
		grant, err = s.ahead(who, *b, now)
		return grant, grant, err
	}
	if s.cut(who.Avoid, now) {
		return false, false, errCut
	}
	crowd, err = s.mayGrant(who, now)
	return true, crowd, err
}

// mayGrant tells somebody for whom no block has a seat whether to grant one now,
// and whether for a crowd.
func (s Seating) mayGrant(who seeker, now time.Time) (crowd bool, err error) {
	crowd = who.Looked >= 0 && s.crowded(who.Role, now)
	switch {
	case s.unseen(who.Role), crowd && !s.Complete:
		return crowd, ErrLookAgain
	case (crowd || s.Fresh && who.Looked >= 0) && who.Looked < crowdLooks && who.Spread%grantsOne != 0:
		return crowd, ErrCrowd
	}
	return crowd, nil
}

// wanted is how many seats a grant claims: as many as the room has for the role,
// so that blocks double, and in a crowd twice as many, in several blocks.
func wanted(r room.Room, role room.Role, crowd bool) int {
	least := 4
	if r.Section > 0 {
		least = fleet.MaxBlockSeats // the room is large, and this one new
	}
	seats := min(max(least, r.GrantedTo(role)/2), fleet.MaxBlockSeats)
	if crowd {
		seats = min(max(least, 3*r.GrantedTo(role)), crowdBlocks*fleet.MaxBlockSeats)
	}
	return min(seats, grantable(r, role))
}

// grantable is how many seats for a role the room's limits leave.
func grantable(r room.Room, role room.Role) int {
	switch {
	case role == room.Viewer && r.Apart && r.Section == 0:
		return r.Pool()
	case role == room.Viewer:
		return r.SeatsLeft
	}
	return min(r.SeatsLeft, r.StageLeft())
}

// split shares seats out among blocks.
func split(seats int) (blocks []int) {
	for ; seats > fleet.MaxBlockSeats; seats -= fleet.MaxBlockSeats {
		blocks = append(blocks, fleet.MaxBlockSeats)
	}
	return append(blocks, seats)
}

// granting makes blocks of seats on a node, the first with somebody in it and as
// many of those who are seated together with it as there are seats, and the room
// that has them.
func granting(r room.Room, n fleet.Node, who seeker, revision room.Revision, seats int, now time.Time) (
	next room.Room, first room.BlockRef, blocks []Change, together []follower) {
	waiting := who.turn.followers(now)
	for i, seats := range split(seats) {
		ref := room.BlockRef{Index: r.NextBlock, Node: n.ID, Generation: n.Generation, Seats: seats, Role: who.Role}
		b := fleet.Block{Room: r.Name, Index: ref.Index, Node: n.ID, Generation: n.Generation, Seats: seats, Role: who.Role,
			Load: r.Profile.SeatLoad(who.Role).Times(seats), CreatedAt: now}
		if i == 0 {
			b.Members = map[room.Key]room.Revision{who.Key: revision}
		}
		for ; len(waiting) > 0 && len(b.Members) < seats; waiting = waiting[1:] {
			f := waiting[0]
			f.participant.Block = ref.Index
			if b.Members == nil {
				b.Members = map[room.Key]room.Revision{}
			}
			b.Members[f.Key] = f.participant.Revision
			together = append(together, f)
		}
		ref.Full = len(b.Members) >= seats
		if i == 0 {
			first = ref
		}
		r = r.WithBlock(ref)
		blocks = append(blocks, PutBlock{b})
	}
	return r, first, blocks, together
}
