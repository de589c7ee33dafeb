package step_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
)

// avoids takes a person to a node of its own.
func (l *lab) avoids(p person, n node) (node, events.Answer) {
	l.Helper()
	m := l.join
	m.ID, m.Session, m.Avoid = "join-"+p.session, p.session, []string{string(n.id)}
	for i := range 2 {
		if err := l.World.Join(l.Context(), p.caller, m); err != nil {
			l.Fatal(err)
		}
		if i == 0 {
			n = l.launches()
			l.inbox(p)
		}
	}
	l.answers(n)
	return n, one[events.Answer](l, l.inbox(p))
}

func TestTheSweepEmptiesWhatOthersCanTake(t *testing.T) {
	l := newLab(t, 12)
	l.World.Settings.Thrift = control.Cautious
	ann, bob := someone("ann", "r"), someone("bob", "s")
	n, a := l.settles(ann)
	m, b := l.avoids(bob, n)
	states := func() (ready, draining int) {
		for _, v := range []fleet.View{l.node(n), l.node(m)} {
			switch v.Node.State {
			case fleet.Ready:
				ready++
			case fleet.Draining:
				draining++
			}
		}
		return ready, draining
	}
	l.after(3*time.Minute, n, m)
	l.sweep() // gives back the seats that nobody has taken
	l.after(9*time.Minute, n, m)
	l.sweep()
	if ready, draining := states(); ready != 2 {
		t.Fatalf("after nine minutes %d are ready and %d drain", ready, draining)
	}
	l.after(2*time.Minute, n, m)
	l.sweep()
	l.sweep()
	if ready, draining := states(); ready != 1 || draining != 1 {
		t.Fatalf("after eleven minutes %d are ready and %d drain", ready, draining)
	}
	from, to, who, was := n, m, ann, a.Revision
	if l.node(m).Node.State == fleet.Draining {
		from, to, who, was = m, n, bob, b.Revision
	}
	if mail := l.take(from.connection, events.ToNode); len(mail) == 0 {
		t.Error("nobody is asked to move")
	}
	l.follows(who, who.session+"-2")
	l.answers(to)
	if moved := one[events.Answer](l, l.inbox(who)); moved.Node != string(to.id) {
		t.Errorf("moved to %s", moved.Node)
	}
	if err := l.left(from, who, was); err != nil {
		t.Fatal(err)
	}
	l.sweep()
	if living := l.EC2.Living(); len(living) != 1 || living[0] != to.id {
		t.Errorf("%v live", living)
	}
	if seats := l.seats(); seats["r"] != 1 || seats["s"] != 1 {
		t.Errorf("seats %v", seats)
	}
}

// How many nodes were emptied lately is read off the decisions that are kept: the
// fifth within an hour waits for the hour to be over.
func TestTheSweepEmptiesSoManyNodesAnHour(t *testing.T) {
	l := newLab(t, 12)
	l.World.Settings.Thrift = control.Cautious
	n, _ := l.settles(someone("ann", "r"))
	m, _ := l.avoids(someone("bob", "s"), n)
	l.after(3*time.Minute, n, m)
	l.sweep() // gives back the seats that nobody has taken
	l.after(11*time.Minute, n, m)
	for i := range 4 {
		at := l.Now().Add(-50 * time.Minute)
		r := control.Record{Region: l.Settings.Region, ID: fmt.Sprint(at.UnixMilli(), "-", i), At: at, Step: "consolidate", Choice: control.ChoiceEmpty}
		if err := l.Store.Commit(l.Context(), []control.Change{control.PutRecord{Record: r}}); err != nil {
			t.Fatal(err)
		}
	}
	drains := func() bool { return l.node(n).Node.State == fleet.Draining || l.node(m).Node.State == fleet.Draining }
	for range 9 {
		l.sweep()
		if drains() {
			t.Fatalf("a fifth node is emptied within an hour, at %v", l.Now())
		}
		l.after(time.Minute, n, m)
	}
	l.after(time.Minute, n, m)
	l.sweep()
	if !drains() {
		t.Error("none is emptied when the hour is over")
	}
}
