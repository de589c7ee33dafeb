package step_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// newHall returns a lab whose rooms take so many participants and publishers.
func newHall(t *testing.T, nodeSeats, participants, publishers int) *lab {
	l := newLab(t, nodeSeats)
	l.World.Settings.Profile.MaxParticipants, l.World.Settings.Profile.MaxPublishers = participants, publishers
	return l
}

func (l *lab) joinsAs(p person, role events.Role) error {
	l.Helper()
	m := l.join
	m.ID, m.Session, m.Role = "join-"+p.session, p.session, role
	return l.World.Join(l.Context(), p.caller, m)
}

func (l *lab) leaves(p person) {
	l.Helper()
	m := events.Leave{Header: events.Head(events.ActionLeave), ID: "leave", Session: p.session}
	if err := l.World.Leave(l.Context(), p.caller, m); err != nil {
		l.Fatal(err)
	}
}

// blocksOf returns the blocks of the only room.
func (l *lab) blocksOf(n node) []fleet.Block {
	l.Helper()
	items, err := l.World.Store.Find(l.Context(), step.BlocksOf{Node: n.id})
	if err != nil {
		l.Fatal(err)
	}
	return items.Blocks
}

func TestAViewersSeatIsClaimedAtAViewersLoad(t *testing.T) {
	l := newHall(t, 40, 100, 10)
	speaker, watcher := someone("speaker", "hall"), someone("watcher", "hall")
	n, _ := l.settles(speaker)
	if err := l.joinsAs(watcher, events.Viewer); err != nil {
		t.Fatal(err)
	}
	p := l.World.Settings.Profile
	for _, b := range l.blocksOf(n) {
		if want := p.SeatLoad(b.Role).Times(b.Seats); b.Load != want {
			t.Errorf("block %d for %ss: %v, want %v", b.Index, b.Role, b.Load, want)
		}
		_, speaks := b.Members[speaker.caller.Key]
		if speaks != (b.Role == room.Publisher) {
			t.Errorf("block %d for %ss: %v", b.Index, b.Role, b.Members)
		}
	}
	if l.seats()["hall"] != 2 {
		t.Errorf("%v", l.seats())
	}
}

func TestStepsDownFromTheStageByJoiningAsAViewer(t *testing.T) {
	l := newHall(t, 40, 10, 1)
	ann, bob := someone("ann", "hall"), someone("bob", "hall")
	n, _ := l.settles(ann)
	l.refused(l.joinsAs(bob, ""), events.CodeStageFull)
	ann.session = "session-two"
	if err := l.joinsAs(ann, events.Viewer); err != nil {
		t.Fatal(err)
	}
	if err := l.joinsAs(bob, ""); err != nil {
		t.Fatalf("the stage is free: %v", err)
	}
	if l.seats()["hall"] != 2 {
		t.Errorf("%v in %v", l.seats(), l.blocksOf(n))
	}
}

// TestLimitsAreExact lets people come and go at random and holds every answer
// against a count on fingers: nobody is refused while a seat is free, and
// nobody is admitted above a limit.
func TestLimitsAreExact(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			participants := 1 + rnd.IntN(14)
			publishers := rnd.IntN(participants + 1)
			l := newLab(t, 60)
			n, _ := l.settles(someone("first", "warm-up"))
			l.World.Settings.Profile.MaxParticipants, l.World.Settings.Profile.MaxPublishers = participants, publishers
			here := map[string]events.Role{}
			people := map[string]person{}
			for i := range 120 {
				l.after(time.Second, n)
				name := fmt.Sprint("p", rnd.IntN(participants+6))
				if _, in := here[name]; in {
					l.leaves(people[name])
					delete(here, name)
					continue
				}
				role := []events.Role{events.Publisher, events.Viewer}[rnd.IntN(2)]
				onStage := 0
				for _, r := range here {
					if r == events.Publisher {
						onStage++
					}
				}
				var want events.Code
				switch {
				case len(here) == participants:
					want = events.CodeRoomFull
				case role == events.Publisher && onStage == publishers:
					want = events.CodeStageFull
				}
				p := someone(name, "hall")
				p.session = fmt.Sprintf("session-%d", i)
				err := l.joinsAs(p, role)
				var e *events.Error
				switch {
				case want == "" && err != nil:
					t.Fatalf("step %d: %d of %d here, %d of %d on stage, %s refused: %v", i, len(here), participants, onStage, publishers, role, err)
				case want != "" && (!errors.As(err, &e) || e.Code != want):
					t.Fatalf("step %d: %d of %d here, %d of %d on stage, %s: %v, want %s", i, len(here), participants, onStage, publishers, role, err, want)
				case want == "":
					here[name], people[name] = role, p
				}
				if got := l.seats()["hall"]; got != len(here) {
					t.Fatalf("step %d: %d seats taken by %d people", i, got, len(here))
				}
			}
		})
	}
}

func TestSeatsLeaveANodeThatTakesNobody(t *testing.T) {
	l := newHall(t, 4, 4, 4)
	ann := someone("ann", "hall")
	n, _ := l.settles(ann) // the room's four seats are granted
	set := control.SetState{Node: n.id, Generation: 1, From: fleet.Ready, To: fleet.Draining}
	if err := l.World.Store.Commit(t.Context(), []control.Change{set}); err != nil {
		t.Fatal(err)
	}
	l.refuseNobodyElsewhere(n)
}

// refuseNobodyElsewhere joins three more, for whom the room's limit leaves seats
// that are on a draining node.
func (l *lab) refuseNobodyElsewhere(n node) {
	l.Helper()
	bob := someone("bob", "hall")
	if err := l.joins(bob); err != nil {
		l.Fatal(err)
	}
	m := l.launches()
	for _, name := range []string{"bob", "cid", "dot"} {
		if err := l.joins(someone(name, "hall")); err != nil {
			l.Fatalf("%s: %v", name, err)
		}
	}
	l.refused(l.joins(someone("eve", "hall")), events.CodeRoomFull)
	if got := l.seats()["hall"]; got != 4 {
		l.Errorf("%d seats taken: %v, %v", got, l.blocksOf(n), l.blocksOf(m))
	}
}

func TestADeclaredRoomOutlivesThoseWhoLeaveIt(t *testing.T) {
	l := newLab(t, 40)
	l.settles(someone("first", "warm-up"))
	p := room.Layout{Audio: 1, Tiles: 1}.Profile(2, 1)
	until := l.Now().Add(time.Hour)
	if err := l.World.Declare(t.Context(), control.Declaration{Room: "duo", Profile: p, KeepUntil: until}); err != nil {
		t.Fatal(err)
	}
	ann, bob := someone("ann", "duo"), someone("bob", "duo")
	for range 2 { // and once more after everybody left
		if err := l.joins(ann); err != nil {
			t.Fatal(err)
		}
		l.refused(l.joins(bob), events.CodeStageFull)
		if err := l.joinsAs(bob, events.Viewer); err != nil {
			t.Fatal(err)
		}
		l.refused(l.joinsAs(someone("cid", "duo"), events.Viewer), events.CodeRoomFull)
		l.leaves(ann)
		l.leaves(bob)
		items, err := l.World.Store.Get(t.Context(), true, step.RoomKey{Room: "duo"})
		if err != nil || len(items.Rooms) != 1 || len(items.Rooms[0].Blocks) != 0 || items.Rooms[0].SeatsLeft != 2 || !items.Rooms[0].KeepUntil.Equal(until) {
			t.Fatalf("%+v, %v", items.Rooms, err)
		}
	}
}
