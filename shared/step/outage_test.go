package step_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/step"
)

var errStoreDown = errors.New("the store is down")

// downStore is a store that nothing can be read from or written to.
type downStore struct{ step.Store }

func (downStore) Get(context.Context, bool, ...step.Key) (step.Items, error) {
	return step.Items{}, errStoreDown
}
func (downStore) Find(context.Context, step.Query) (step.Items, error) {
	return step.Items{}, errStoreDown
}
func (downStore) Commit(context.Context, []control.Change) error { return errStoreDown }

// The store is away for a minute, so that every lease ends. Sweeps fail meanwhile
// and end nobody; the first one after it sees lapsed leases, and ends nobody either;
// the nodes' next heartbeats put all right.
func TestAMinuteWithoutTheStoreEndsNoNode(t *testing.T) {
	for _, second := range []bool{false, true} {
		l := newLab(t, 10)
		ann := someone("ann", "r")
		n, _ := l.settles(ann)
		nodes := []node{n}
		if second {
			m, _ := l.avoids(someone("bob", "s"), n)
			nodes = append(nodes, m)
		}
		l.after(time.Second, nodes...)
		up := l.World.World.Store
		l.World.World.Store = downStore{up}
		for range 6 {
			l.Pass(10 * time.Second)
			if err := l.World.Sweep(t.Context()); !errors.Is(err, errStoreDown) {
				t.Fatalf("a sweep without the store: %v", err)
			}
			if err := l.beats(n, nil); !errors.Is(err, errStoreDown) {
				t.Fatalf("a heartbeat without the store: %v", err)
			}
		}
		if err := l.joins(someone("late", "r")); !errors.Is(err, errStoreDown) {
			t.Errorf("a join without the store: %v", err)
		}
		l.World.World.Store = up
		if l.node(n).Alive(l.Now()) {
			t.Fatal("the lease has not ended: the outage is too short to show anything")
		}
		l.sweep()
		for _, m := range nodes {
			if err := l.beats(m, nil); err != nil {
				t.Fatal(err)
			}
		}
		l.sweep()
		if living := l.EC2.Living(); len(living) != len(nodes) {
			t.Errorf("%v live, want %d", living, len(nodes))
		}
		for _, m := range nodes {
			if v := l.node(m); v.Node.State != fleet.Ready || !v.Alive(l.Now()) {
				t.Errorf("%s is %s", m.id, v.Node.State)
			}
			for _, message := range l.take(m.connection, events.ToNode) {
				if _, ended := message.(events.Shutdown); ended {
					t.Errorf("%s is told to end", m.id)
				}
			}
		}
		if l.seats()["r"] != 1 {
			t.Errorf("seats %v", l.seats())
		}
		l.admit(someone("late", "r"), n)
	}
}
