package step_test

import (
	"fmt"
	"testing"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/room"
)

// A room with everybody in it whom it takes moves as any other does, and takes
// nobody more meanwhile; afterwards its limit is what it was.
func TestARoomAtItsLimitMoves(t *testing.T) {
	for _, c := range []struct {
		name                     string
		participants, publishers int
		full                     events.Code
	}{
		{"of participants", 3, 3, events.CodeRoomFull},
		{"of publishers", 10, 3, events.CodeStageFull},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, 3)
			l.World.Settings.Profile.MaxParticipants, l.World.Settings.Profile.MaxPublishers = c.participants, c.publishers
			var people []person
			var seats []events.Answer
			var n node
			for i := range 3 {
				p := someone(fmt.Sprintf("p%d", i), "r")
				people = append(people, p)
				if i == 0 {
					var a events.Answer
					n, a = l.settles(p)
					seats = append(seats, a)
					continue
				}
				seats = append(seats, l.admit(p, n))
			}
			m := l.second(n)
			late := someone("late", "r")
			noMore := func() { t.Helper(); l.refused(l.joins(late), c.full) }
			noMore()
			l.drains(n)
			l.take(n.connection, events.ToNode)
			var moved []person
			for i, p := range people {
				moved = append(moved, l.follows(p, p.session+"-2"))
				if offers := l.answers(m); len(offers) != 1 || offers[0].From != p.session {
					t.Fatalf("%d: offers %+v", i, offers)
				}
				l.inbox(p)
				if got := l.seats()["r"]; i == 0 && got != 4 {
					t.Errorf("%d seats while the first moves", got)
				}
				noMore()
				if i == 1 { // two at once, then their old connections end
					for k := range 2 {
						if err := l.left(n, people[k], seats[k].Revision); err != nil {
							t.Fatal(err)
						}
						noMore()
					}
				}
			}
			if err := l.left(n, people[2], seats[2].Revision); err != nil {
				t.Fatal(err)
			}
			if got := l.seats()["r"]; got != 3 {
				t.Errorf("%d seats after the move, want 3", got)
			}
			noMore()
			l.isWhole("r", c.participants)
			// One leaves, and one may come.
			p := l.row(moved[0])
			if err := l.left(m, moved[0], int64(p.Revision)); err != nil {
				t.Fatal(err)
			}
			l.admit(late, m)
			l.isWhole("r", c.participants)
		})
	}
}

// A move at the limit that comes to nothing leaves the room as it was.
func TestAMoveAtTheLimitThatFails(t *testing.T) {
	l := newLab(t, 2)
	l.World.Settings.Profile.MaxParticipants, l.World.Settings.Profile.MaxPublishers = 2, 2
	ann, bob := someone("ann", "r"), someone("bob", "r")
	n, _ := l.settles(ann)
	l.admit(bob, n)
	m := l.second(n)
	l.drains(n)
	again := l.follows(ann, "session-ann-2")
	l.answers(m)
	a := one[events.Answer](l, l.inbox(ann))
	if err := l.left(m, again, a.Revision); err != nil {
		t.Fatal(err)
	}
	if got := l.seats()["r"]; got != 2 {
		t.Errorf("%d seats, want 2", got)
	}
	l.isWhole("r", 2)
	l.refused(l.joins(someone("late", "r")), events.CodeRoomFull)
}

// isWhole fails where a room's books do not add up to its limit, or it has
// granted more than that.
func (l *lab) isWhole(name room.Name, limit int) {
	l.Helper()
	if r := l.room(name); r.SeatsLeft < 0 || r.SeatsLeft+r.Granted() != limit || r.StageLeft() < 0 {
		l.Errorf("%s: %d seats left, %d granted, %d left on stage, limit %d", name, r.SeatsLeft, r.Granted(), r.StageLeft(), limit)
	}
}
