package control

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// ErrSectionFull says that a section of the room takes no more, while another one,
// or a new one, may: look there and decide again.
var ErrSectionFull = errors.New("the section is full")

// Of the room's seats a section is given as many at a time as some blocks have, and
// no more than a part of all.
const (
	drawBlocks = 100
	drawPart   = 50
)

// ErrNarrow says that a section was not looked at wide enough: look at its nodes too,
// and at where it may grow.
var ErrNarrow = errors.New("the snapshot is narrow")

func (s Settings) sectionBlocks() int {
	if s.SectionBlocks > 0 {
		return s.SectionBlocks
	}
	return room.SectionBlocks
}

func (s Settings) sectionNodes() int {
	if s.SectionNodes > 0 {
		return s.SectionNodes
	}
	return room.SectionNodes
}

// bounded reports whether somebody is seated within the bounds of a section: who
// comes to the stage is not, nor who is in the room already, nor anybody where
// there is no other section.
func (s Seating) bounded(who seeker, set Settings) bool {
	return who.Role == room.Viewer && !who.stays && !s.Squeezed && set.nodesPerRoom() > 1
}

// closed reports whether a section takes no further block for who. That its
// last node may be filled, it has some more than those with which it stops to grow
// onto further ones.
func (s Seating) closed(r room.Room, who seeker, set Settings) bool {
	blocks, _ := r.SectionSize()
	return s.bounded(who, set) && blocks >= set.sectionBlocks()*5/4
}

// wide reports whether a section grows onto no further node for who.
func (s Seating) wide(r room.Room, who seeker, set Settings) bool {
	return s.bounded(who, set) && grown(r, set)
}

func grown(r room.Room, set Settings) bool {
	blocks, nodes := r.SectionSize()
	return nodes >= set.sectionNodes() || blocks >= set.sectionBlocks()
}

// foreign reports whether a block belongs to another section than the one that is
// looked at.
func (s Seating) foreign(block int) bool {
	return s.Room != nil && room.SectionOf(block) != s.Room.Section
}

// fullSection says that the section that is looked at has no place, as far as a
// complete snapshot shows it.
func (s Seating) fullSection() error {
	if !s.Complete {
		return ErrLookAgain
	}
	return ErrSectionFull
}

// elsewhereFull turns the refusal of a section into what it means for the room.
func (s Seating) elsewhereFull(r room.Room, who seeker, err error) error {
	var refused *events.Error
	if r.Apart && !s.Last && who.Role == room.Viewer && errors.As(err, &refused) && refused.Code == events.CodeRoomFull {
		return ErrSectionFull
	}
	return err
}

// drawn gives a section seats out of the room's where it has none left.
func (s Seating) drawn(r room.Room) (room.Room, int) {
	if s.Head == nil || r.SeatsLeft > 0 {
		return r, 0
	}
	n := min(drawBlocks*fleet.MaxBlockSeats, max(r.Profile.MaxParticipants/drawPart, fleet.MaxBlockSeats))
	n = max(min(n, s.Head.Pool()), 0)
	r = r.Clone()
	r.SeatsLeft += n
	return r, n
}

// given is the change of a room that gives one of its sections seats, or has a new one.
func (s Seating) given(r room.Room, seats int) []Change {
	if s.Head == nil || seats == 0 && !s.Fresh {
		return nil
	}
	head := s.Head.WithSection(r.Section, seats)
	if s.Fresh {
		head, _ = head.WithSectionFull(true, s.Tried...)
	}
	return []Change{PutRoom{head, s.Head.Revision}}
}

// noteFull marks the sections full that were found to be.
func (s Seating) noteFull() []Commit {
	if s.Head == nil || s.Fresh {
		return nil // noted with the new one, or the room is written anyway
	}
	if head, changed := s.Head.WithSectionFull(true, s.Tried...); changed {
		return []Commit{Hint(PutRoom{head, s.Head.Revision})}
	}
	return nil
}

// knows reports whether nodes were looked at: the pipes of others must stay.
func (s Seating) knows(nodes []room.NodeRef) bool {
	return !slices.ContainsFunc(nodes, func(n room.NodeRef) bool { return s.view(n.Node) == nil })
}

// planted is the change of a tree that is stored apart.
func (s Seating) planted(was, next room.Room) []Change {
	if !next.Apart || next.Epoch == was.Epoch {
		return nil
	}
	known := was.Epoch
	if s.Fresh && !s.Head.Apart {
		known = 0
	}
	return []Change{PutTree{next.Tree(), known}}
}

// over takes out of the room what has no block left: a section, and with the last of
// them the room, unless it was declared.
func (s Seating) over(was, next room.Room, changes []Change) []Change {
	if was.Section > 0 && s.Head == nil {
		return append(changes, PutRoom{next, was.Revision})
	}
	left, revision := next, was.Revision
	if was.Section > 0 {
		changes = append(changes, DeleteRoom{Name: was.Name, Section: was.Section, If: was.Revision})
		left, revision = s.Head.WithoutSection(was.Section, next.SeatsLeft), s.Head.Revision
	}
	if !left.Over() {
		return append(changes, PutRoom{left, revision})
	}
	if was.Apart {
		changes = slices.DeleteFunc(changes, func(c Change) bool { _, tree := c.(PutTree); return tree })
		changes = append(changes, DeleteTree{was.Name, was.Epoch})
		left = left.Together(next.Tree())
	}
	if left.KeepUntil.IsZero() {
		return append(changes, DeleteRoom{Name: left.Name, If: revision})
	}
	return append(changes, PutRoom{left, revision})
}

// tooLarge refuses what would make a room larger than its items can be.
func tooLarge(r room.Room) error {
	if len(r.Blocks) < room.MaxBlocks && len(r.Nodes) < room.MaxNodes {
		return nil
	}
	return events.Errorf(events.CodeRoomTooLarge, "the room has %d blocks of seats in one section, and is on %d nodes: no room has more than %d, or is on more than %d",
		len(r.Blocks), len(r.Nodes), room.MaxBlocks, room.MaxNodes)
}

// callToStage asks somebody in a further section to come to the first one, which has
// the stage: it takes its new role there.
func (s Seating) callToStage(p room.Participant, home fleet.View, d Decision) (Plan, bool, error) {
	open := slices.ContainsFunc(s.Head.Blocks, func(b room.BlockRef) bool { return b.For(room.Publisher) && !b.Full })
	switch {
	case !open && s.Head.StageLeft() < 1:
		return Plan{}, false, stageFull(*s.Head)
	case !open && s.Head.SeatsLeft < 1:
		return Plan{}, false, events.Errorf(events.CodeRoomFull, "the room is full: it takes %d participants", s.Head.Profile.MaxParticipants)
	}
	d.Why = "the stage is in the room's first section"
	plan := Plan{Decision: d, Sends: []Send{{To: Sockets(home.Node, 0), Message: events.MoveAway{Header: events.Head(events.ActionMove),
		Generation: int64(home.Node.Generation), Room: string(p.Room), Keys: []string{string(p.Key)}}}}}
	waits := p
	if waits.Cast = room.Publisher; waits != p {
		plan.Commits = []Commit{One(PutParticipant{waits, p.Revision})}
	}
	return plan, true, nil
}

// sections puts right what the room says of the sections on a node: one in which
// somebody can sit down is tried again, and one that grows no more gives back what
// seats it was given and has not granted.
func (s NodeSweep) sections(now time.Time, set Settings) []Commit {
	var commits []Commit
	for _, name := range slices.Sorted(maps.Keys(s.Rooms)) {
		r := s.Rooms[name]
		head, known := s.Heads[name]
		if r.Section == 0 {
			head, known = r, r.Apart
		}
		if !known {
			continue
		}
		if r.Section > 0 && r.SeatsLeft > 0 && grown(r, set) {
			next := r.Clone()
			next.SeatsLeft = 0
			next.Revision++
			commits = append(commits, Hint(PutRoom{next, r.Revision}, PutRoom{head.WithSection(r.Section, -r.SeatsLeft), head.Revision}))
			continue
		}
		if next, changed := s.hints(r); changed {
			commits = append(commits, Hint(PutRoom{next, r.Revision}))
			continue
		}
		if next, changed := head.WithSectionFull(false, r.Section); changed && s.sits(r, now, set) {
			commits = append(commits, Hint(PutRoom{next, head.Revision}))
		}
	}
	return commits
}

// hints returns a room in which the blocks on the node are marked as they are, full or
// open, and whether any was not.
func (s NodeSweep) hints(r room.Room) (room.Room, bool) {
	next, changed := r.Clone(), false
	for _, b := range s.Blocks {
		ref := next.Ref(b.Index)
		if b.Room == r.Name && ref != nil && b.Generation == s.View.Node.Generation && ref.Full != (b.Free() == 0) {
			ref.Full, changed = b.Free() == 0, true
		}
	}
	next.Revision++
	return next, changed
}

// sits reports whether a viewer of a room can sit down on the node.
func (s NodeSweep) sits(r room.Room, now time.Time, set Settings) bool {
	if !s.View.Takes(now) {
		return false
	}
	for _, b := range s.Blocks {
		if b.Room == r.Name && b.Generation == s.View.Node.Generation && b.For(room.Viewer) && b.Free() > 0 {
			return true
		}
	}
	seat := r.Profile.SeatLoad(room.Viewer)
	blocks, _ := r.SectionSize()
	return r.SeatsLeft > 0 && blocks < set.sectionBlocks() && seat.Into(s.View.Node.Available.Minus(set.reserve(r, s.View.Node))) > 0
}
