package step_test

import (
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
)

// A second tab that had to wait, because it cannot reach the first one's node, is
// served elsewhere: then the first one's node is told.
func TestASecondTabServedElsewhereEndsTheFirst(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	n, _ := l.settles(ann)
	tab := ann
	tab.session, tab.caller.Connection = "session-second-tab", "c-second-tab"
	m := l.join
	m.ID, m.Session, m.Avoid = "join-second-tab", tab.session, []string{string(n.id)}
	if err := l.World.Join(t.Context(), tab.caller, m); err != nil {
		t.Fatal(err)
	}
	one[events.Waiting](l, l.inbox(tab))
	other := l.launches()
	one[events.Ready](l, l.inbox(tab))
	if r := one[events.Remove](l, l.take(n.connection, events.ToNode)); r.Code != events.CodeReplaced || r.Key != string(ann.caller.Key) {
		t.Errorf("the first tab's node is told %+v", r)
	}
	if a := l.admit(tab, other); a.Node != string(other.id) {
		t.Errorf("the second tab is on %s", a.Node)
	}
	if got := l.seats()["r"]; got != 1 {
		t.Errorf("%d seats", got)
	}
}

// A second tab that took the seat and never reached the node leaves it with the
// first one, whose session is over: the inventory frees the seat and ends that
// session, which may then ask for a seat again.
func TestASecondTabThatNeverReachedTheNodeLeavesNoSeat(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	n, first := l.settles(ann)
	tab := ann
	tab.session, tab.caller.Connection = "session-second-tab", "c-second-tab"
	l.Pass(time.Second)
	if err := l.joins(tab); err != nil {
		t.Fatal(err)
	}
	l.take(n.connection, events.ToNode) // the offer is lost
	there := events.Inventory{Parts: 1, Rooms: []events.RoomMembers{{Room: "r", Members: map[string]int64{string(ann.caller.Key): first.Revision}}}}
	l.after(time.Second, n)
	if err := l.beats(n, &there); err != nil {
		t.Fatal(err)
	}
	if got := l.seats()["r"]; got != 1 {
		t.Fatalf("%d seats while the second tab may still try", got)
	}
	l.after(control.SettleAfter, n)
	l.take(n.connection, events.ToNode)
	if err := l.beats(n, &there); err != nil {
		t.Fatal(err)
	}
	if got := l.seats(); len(got) != 0 {
		t.Errorf("seats %v", got)
	}
	if r := one[events.Remove](l, l.take(n.connection, events.ToNode)); r.Revision != first.Revision {
		t.Errorf("the node is told to end %+v", r)
	}
	if again := l.admit(ann, n); again.Revision <= first.Revision || l.seats()["r"] != 1 {
		t.Errorf("revision %d after %d, seats %v", again.Revision, first.Revision, l.seats())
	}
}

// A hello that was held up on its way, of a process that another has followed,
// must not end the one that lives.
func TestALateHelloOfAnEarlierProcessEndsOnlyThat(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	n, _ := l.settles(ann)
	second := l.boots(n.id, "boot-two")
	m := l.hello
	m.Node, m.Boot, m.Slot = string(n.id), "boot-one", 1
	if err := l.Hello(t.Context(), control.Caller{Connection: "c-late", Node: n.id}, m); err != nil {
		t.Fatal(err)
	}
	if s := one[events.Shutdown](l, l.take("c-late", events.ToNode)); s.Code != events.CodeFenced {
		t.Errorf("told %+v", s)
	}
	if v := l.node(n); int64(v.Node.Generation) != second.generation || v.Node.Boot != "boot-two" || v.Node.Connections[0] != second.connection {
		t.Errorf("the node is %+v", v.Node)
	}
	if err := l.beats(second, nil); err != nil {
		t.Errorf("the living process is refused: %v", err)
	}
}
