package step_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// cuts ends a node's socket, as the gateway tells it.
func (l *lab) cuts(n node) {
	l.Helper()
	if err := l.Closed(l.Context(), callerOf(n)); err != nil {
		l.Fatal(err)
	}
	l.Mail.Close(l.Context(), n.connection)
}

// dials lets a node say hello on a further socket.
func (l *lab) dials(n node, connection string, slot int) node {
	l.Helper()
	m := l.hello
	m.Node, m.Boot, m.Slot = string(n.id), "boot-one", slot
	n.connection = connection
	if err := l.Hello(l.Context(), callerOf(n), m); err != nil {
		l.Fatal(err)
	}
	if w := one[events.Welcome](l, l.take(connection, events.ToNode)); w.Generation != n.generation {
		l.Fatalf("generation %d after %d", w.Generation, n.generation)
	}
	return n
}

// blocksOn returns the blocks on a node.
func (l *lab) blocksOn(id room.NodeID) []fleet.Block {
	l.Helper()
	items, err := l.World.Store.Find(l.Context(), step.BlocksOf{Node: id})
	if err != nil {
		l.Fatal(err)
	}
	return items.Blocks
}

func TestANodeWithoutASocketTakesNobodyNew(t *testing.T) {
	l := newLab(t, 10)
	ann, bob, cas := someone("ann", "r"), someone("bob", "r"), someone("cas", "s")
	n, _ := l.settles(ann)
	l.cuts(n)
	// Its lease runs. The room is there: whoever comes to it is not seated apart.
	var e *events.Error
	err := l.joins(bob)
	l.refused(err, events.CodeNodeUnreachable)
	if !errors.As(err, &e) || e.RetryAfterMs > 500 {
		t.Errorf("told %v", err)
	}
	// Another room goes elsewhere.
	l.joins(cas)
	one[events.Waiting](l, l.inbox(cas))
	if got := l.seats(); got["r"] != 1 || got["s"] != 0 {
		t.Errorf("seats %v", got)
	}
	n = l.dials(n, "c-again", 0)
	l.capacity() // the hello has rung for it
	one[events.Ready](l, l.inbox(cas))
	l.admit(cas, n)
	if a := l.admit(bob, n); a.Node != string(n.id) {
		t.Errorf("bob is on %s", a.Node)
	}
	if len(l.EC2.Living()) != 1 {
		t.Error("a node was launched though the first was back")
	}
}

func TestTheEndOfOneSocketOfTwoChangesNothing(t *testing.T) {
	l := newLab(t, 10)
	ann, bob, cas := someone("ann", "r"), someone("bob", "r"), someone("cas", "r")
	n, _ := l.settles(ann)
	second := l.dials(n, "c-second", 1)
	l.cuts(n)
	l.admit(bob, second)
	// The same slot is dialled anew before the end of the old socket is told.
	third := l.dials(second, "c-third", 1)
	l.cuts(second)
	l.admit(cas, third)
	if got := l.node(n).Node.Connections; len(got) != 1 || got[1] != "c-third" {
		t.Errorf("sockets %v", got)
	}
}

// TestOneReportOfANodeWithoutASocketIsEnough: its sockets and one of its people say
// that a node is dead. The room goes whole.
func TestOneReportOfANodeWithoutASocketIsEnough(t *testing.T) {
	l := newLab(t, 10)
	people := []person{someone("ann", "r"), someone("bob", "r"), someone("cas", "r"), someone("dan", "r")}
	n, _ := l.settles(people[0])
	for _, p := range people[1:] {
		l.admit(p, n)
	}
	l.arrives("n-other")
	l.cuts(n)
	l.follows(people[0], "session-ann-2", n)
	other := node{id: "n-other", connection: "c-n-other", generation: 1}
	l.answers(other)
	if a := one[events.Answer](l, l.inbox(people[0])); a.Node != "n-other" {
		t.Errorf("ann is on %s", a.Node)
	}
	items := l.blocksOn("n-other")
	members := 0
	for _, b := range items {
		members += len(b.Members)
	}
	if members != 4 {
		t.Errorf("%d of the room's people have their seats where it is now", members)
	}
}

// TestAloneOnANodeWithoutASocketGoesElsewhere: nobody else is torn off.
func TestAloneOnANodeWithoutASocketGoesElsewhere(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	n, _ := l.settles(ann)
	l.arrives("n-other")
	l.cuts(n)
	l.follows(ann, "session-ann-2", n)
	l.answers(node{id: "n-other", connection: "c-n-other", generation: 1})
	if a := one[events.Answer](l, l.inbox(ann)); a.Node != "n-other" {
		t.Errorf("ann is on %s", a.Node)
	}
}

// TestWhenAllSocketsEndTogetherNothingIsLaunched: then it was the gateway.
func TestWhenAllSocketsEndTogetherNothingIsLaunched(t *testing.T) {
	l := newLab(t, 4)
	for i := range 3 {
		l.arrives(fmt.Sprintf("n-%d", i))
	}
	for i := range 3 {
		l.cuts(node{id: room.NodeID(fmt.Sprintf("n-%d", i)), connection: fmt.Sprintf("c-n-%d", i), generation: 1})
	}
	ann := someone("ann", "r")
	l.joins(ann)
	l.capacity()
	if n := len(l.EC2.Living()); n != 0 {
		t.Fatalf("%d nodes are launched", n)
	}
	m := l.hello
	m.Node, m.Boot = "n-1", "boot"
	if err := l.Hello(t.Context(), control.Caller{Connection: "c-back", Node: "n-1"}, m); err != nil {
		t.Fatal(err)
	}
	l.capacity()
	one[events.Ready](l, l.inbox(ann))
	if n := len(l.EC2.Living()); n != 0 {
		t.Errorf("%d nodes are launched", n)
	}
}

// TestTwoReportsStartANodeInTime: two of a room say that its node does not answer, and no
// other has room for it. A node starts, and whatever becomes of it, nothing else
// happens to a node that is well.
func TestTwoReportsStartANodeInTime(t *testing.T) {
	l := newLab(t, 10)
	people := []person{someone("ann", "r"), someone("bob", "r"), someone("cas", "r"), someone("dan", "r")}
	n, _ := l.settles(people[0])
	for _, p := range people[1:] {
		l.admit(p, n)
	}
	for i, p := range people[:2] {
		l.follows(p, p.session+"-2", n)
		if e := one[events.Error](l, l.inbox(p)); e.Code != events.CodeNodeUnreachable || e.RetryAfterMs > 500 {
			t.Errorf("told %+v", e)
		}
		l.capacity()
		if got := len(l.EC2.Living()); got != 1+i {
			t.Fatalf("%d nodes after %d reports", got, 1+i)
		}
	}
	m := l.boots(l.EC2.Living()[1], "boot-one")
	for range 3 {
		l.capacity()
	}
	for _, p := range people {
		if mail := l.inbox(p); len(mail) > 0 {
			t.Errorf("%s is told %v", p.caller.Identity, mail)
		}
	}
	if got := len(l.blocksOn(m.id)); got != 0 || l.seats()["r"] != 4 {
		t.Errorf("%d blocks have left a node that is well, seats %v", got, l.seats())
	}
	// It was their own network. What was launched for them ends; the node stays.
	for range 6 {
		alive := []node{n}
		if slices.Contains(l.EC2.Living(), m.id) {
			alive = append(alive, m)
		}
		l.after(30*time.Second, alive...)
		l.sweep()
	}
	if living := l.EC2.Living(); len(living) != 1 || living[0] != n.id {
		t.Errorf("%v live, not %s alone", living, n.id)
	}
	if l.node(n).Node.State != fleet.Ready || l.seats()["r"] != 4 {
		t.Error("the node that is well is not what it was")
	}
}
