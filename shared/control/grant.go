package control

import (
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
}

// grant claims a new block for the room, with p as its first member. Once the
// room's limit is granted, it takes the seats out of a block that has free ones
// which cannot serve p; where there is none the room, or its stage, is full.
func (s Seating) grant(who seeker, p room.Participant, now time.Time, set Settings) (room.BlockRef, grant, error) {
	r := room.New(who.Room, set.Region, set.Profile, now)
	var revision int64
	if s.Room != nil {
		r, revision = *s.Room, s.Room.Revision
	}
	seats := min(max(4, r.GrantedTo(who.Role)), fleet.MaxBlockSeats, r.SeatsLeft)
	if who.Role != room.Viewer {
		seats = min(seats, r.StageLeft())
	}
	var from *transfer
	if seats < 1 {
		var err error
		if from, err = s.transfer(r, who.Role, now); err != nil {
			return room.BlockRef{}, grant{}, err
		}
		r, seats = from.room, from.seats
	}
	seatLoad := r.Profile.SeatLoad(who.Role)
	candidates, why := s.Candidates, "first block of the room"
	if home := s.home(who.Avoid, now); home != nil {
		candidates, why = []fleet.View{*home}, "the room's node has room for another block"
	}
	if from != nil {
		candidates, why = from.relieve(candidates), "seats that another block of the room does not need"
	}
	q := placement.Ask(seatLoad, seats, candidates, now)
	q.Avoid, q.Spread = who.Avoid, who.Spread
	choice := placement.Choose(q)
	if choice.Seats == 0 {
		switch {
		case !s.Complete:
			return room.BlockRef{}, grant{}, ErrLookAgain
		case s.home(who.Avoid, now) != nil:
			return room.BlockRef{}, grant{}, events.Errorf(events.CodeRoomFull, "the room's node is full, and a room is on one node in this version")
		default:
			return room.BlockRef{}, grant{}, errNoNode
		}
	}
	n := choice.Seats
	node := &candidates[slices.IndexFunc(candidates, func(v fleet.View) bool { return v.Node.ID == choice.Node })]
	ref := room.BlockRef{Index: r.NextBlock, Node: node.Node.ID, Generation: node.Node.Generation, Seats: n, Role: who.Role, Full: n == 1}
	load := seatLoad.Times(n)
	block := fleet.Block{Room: who.Room, Index: ref.Index, Node: ref.Node, Generation: ref.Generation, Seats: n, Role: who.Role, Load: load,
		Members: map[room.Key]room.Revision{who.Key: p.Revision}, CreatedAt: now}
	changes := append(from.changes(ref, load, now), PutRoom{r.WithBlock(ref), revision}, PutBlock{block})
	return ref, grant{commit: Commit{Changes: changes}, node: node, why: why, asked: q, choice: choice}, nil
}
