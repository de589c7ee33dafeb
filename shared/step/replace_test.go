package step_test

import (
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
)

// drainingOf counts the nodes that drain.
func (l *lab) drainingOf(nodes ...node) (n int) {
	l.Helper()
	for _, m := range nodes {
		if l.node(m).Node.State == fleet.Draining {
			n++
		}
	}
	return n
}

// A new version is deployed while three nodes of the old one carry people: they
// are drained one after the other, in the order of how many people they have, and
// no faster than the budget allows.
func TestADeploymentReplacesNodesOneAfterTheOther(t *testing.T) {
	l := newLab(t, 12)
	l.World.Settings.Version, l.World.Settings.ReplacePerMinute = "1-old", 1
	ann, bob := someone("ann", "r"), someone("bob", "s")
	n, a := l.settles(ann)
	m, b := l.avoids(bob, n)
	l.after(time.Second, n, m)
	l.sweep()
	if got := l.node(n).Node.Version; got != "1-old" || l.drainingOf(n, m) != 0 {
		t.Fatalf("launched as %q; %d drain", got, l.drainingOf(n, m))
	}

	l.World.Settings.Version = "2-new"
	l.sweep()
	if l.drainingOf(n, m) != 1 {
		t.Fatalf("%d drain after the deployment, want 1", l.drainingOf(n, m))
	}
	l.after(2*time.Minute, n, m)
	l.sweep()
	if l.drainingOf(n, m) != 1 {
		t.Fatal("a second one drains beside the first")
	}
	from, to, who, was := n, m, ann, a.Revision
	if l.node(m).Node.State == fleet.Draining {
		from, to, who, was = m, n, bob, b.Revision
	}
	if got := l.node(from).Node; got.DrainBy.Sub(got.DrainAt) != control.DefaultDrain {
		t.Errorf("it drains within %v", got.DrainBy.Sub(got.DrainAt))
	}
	if asked, _ := l.told(from); asked == 0 {
		t.Error("nobody is asked to move")
	}
	l.follows(who, who.session+"-2")
	l.answers(to)
	l.inbox(who)
	if err := l.left(from, who, was); err != nil {
		t.Fatal(err)
	}
	l.sweep()
	if living := l.EC2.Living(); len(living) != 1 || living[0] != to.id {
		t.Fatalf("%v live", living)
	}
	// The last one has nobody who could take its people: a node is launched for them,
	// once, and takes them.
	l.after(5*time.Minute, to)
	l.sweep()
	l.sweep()
	living := l.EC2.Living()
	if len(living) != 2 || l.drainingOf(to) != 0 {
		t.Fatalf("%v live, %d drain", living, l.drainingOf(to))
	}
	next := l.boots(living[len(living)-1], "boot-next")
	l.after(time.Second, to, next)
	l.sweep() // it takes people now
	l.sweep()
	if got := l.node(next).Node; got.Version != "2-new" || got.State != fleet.Ready || l.drainingOf(to) != 1 {
		t.Errorf("the new one is %s of %q; %d old ones drain", got.State, got.Version, l.drainingOf(to))
	}
}
