package step_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
)

// A small room whose node has no seat left for it moves whole onto one that has: who
// has come is seated there, those who were there are asked to follow, and nobody is
// granted anything where the room leaves.
func TestASmallRoomThatOutgrowsItsNodeMoves(t *testing.T) {
	l := newLab(t, 12)
	l.joins(someone("a0", "a"))
	n := l.launches()
	for i := range 8 {
		l.admit(someone(fmt.Sprintf("a%d", i), "a"), n)
	}
	bea, ben := someone("bea", "b"), someone("ben", "b")
	l.admit(bea, n)
	l.admit(ben, n)
	l.after(4*time.Minute, n)
	l.sweep() // each room has as many seats as people: ten of twelve
	l.admit(someone("a8", "a"), n)
	l.inbox(bea)
	l.answers(n)
	bob := someone("bob", "b")
	if err := l.joins(bob); err != nil {
		t.Fatal(err)
	}
	m := l.launches()
	if l.inbox(bob); m.id == n.id {
		t.Fatal("no further node was launched")
	}
	moved := l.take(n.connection, events.ToNode)
	if !slices.ContainsFunc(moved, func(x events.Message) bool {
		to, ok := x.(events.MoveAway)
		return ok && to.Room == "b" && len(to.Keys) == 2
	}) {
		t.Errorf("those of the room were not asked to follow: %v", moved)
	}
	r := l.room("b")
	for _, b := range r.Blocks {
		if b.Node != n.id && b.Node != m.id {
			t.Errorf("a block on %s", b.Node)
		}
	}
	if got := l.seats()["b"]; got != 3 {
		t.Errorf("%d seats are taken", got)
	}
	l.admit(bob, m)
}
