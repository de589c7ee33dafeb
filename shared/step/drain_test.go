package step_test

import (
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// beatsWith sends a heartbeat of a node that says how many people it carries, and
// when its machine ends (zero: never).
func (l *lab) beatsWith(n node, people int, ends time.Time) {
	l.Helper()
	l.seq++
	h := events.Heartbeat{Header: events.Head(events.ActionHeartbeat), Node: string(n.id), Generation: n.generation,
		Seq: l.seq, People: people}
	if !ends.IsZero() {
		h.EndsMs = ends.UnixMilli()
	}
	if err := l.Heartbeat(l.Context(), callerOf(n), h); err != nil {
		l.Fatal(err)
	}
}

// told returns what a node is told about moving: how often, and how often with
// force.
func (l *lab) told(n node) (asked, pressed int) {
	l.Helper()
	for _, m := range l.take(n.connection, events.ToNode) {
		if move, ok := m.(events.MoveAway); ok && move.Press {
			pressed++
		} else if ok {
			asked++
		}
	}
	return asked, pressed
}

func TestADrainAsksUntilItsDeadlineAndPressesThen(t *testing.T) {
	l := newLab(t, 5)
	ann := someone("ann", "r")
	n, a := l.settles(ann)
	by := l.Now().Add(5 * time.Minute)
	if people, err := l.Drain(t.Context(), n.id, by, "a test"); err != nil || people != 1 {
		t.Fatalf("%d people, %v", people, err)
	}
	if v := l.node(n).Node; !v.DrainBy.Equal(by) || !v.DrainAt.Equal(l.Now()) {
		t.Errorf("drains from %v to %v", v.DrainAt, v.DrainBy)
	}
	for _, step := range []struct {
		wait           time.Duration
		asked, pressed int
	}{{0, 1, 0}, {4 * time.Minute, 1, 0}, {time.Minute, 0, 1}, {time.Minute, 0, 1}} {
		if step.wait > 0 {
			l.after(step.wait, n)
			l.sweep()
		}
		if asked, pressed := l.told(n); asked != step.asked || pressed != step.pressed {
			t.Fatalf("after %v more it is asked %d times and pressed %d times, want %d and %d", step.wait, asked, pressed, step.asked, step.pressed)
		}
	}
	l.beatsWith(n, 0, time.Time{})
	if asked, pressed := l.told(n); asked+pressed != 0 {
		t.Error("a node without people is told to move them")
	}
	l.beatsWith(n, 1, time.Time{})
	if _, pressed := l.told(n); pressed != 1 {
		t.Error("the heartbeat after the deadline presses nobody")
	}
	if err := l.left(n, ann, a.Revision); err != nil {
		t.Fatal(err)
	}
	l.beatsWith(n, 0, time.Time{})
	l.sweep()
	if living := l.EC2.Living(); len(living) != 0 {
		t.Errorf("%v live", living)
	}
}

func TestADrainWithoutADeadlinePressesNobody(t *testing.T) {
	l := newLab(t, 5)
	n, _ := l.settles(someone("ann", "r"))
	l.drains(n)
	l.told(n)
	for range 3 {
		l.after(time.Hour, n)
		l.sweep()
		if asked, pressed := l.told(n); asked != 1 || pressed != 0 {
			t.Errorf("asked %d times, pressed %d times", asked, pressed)
		}
	}
	if len(l.EC2.Living()) != 1 {
		t.Error("somebody was put out")
	}
}

func TestTheEarliestDeadlineCounts(t *testing.T) {
	l := newLab(t, 5)
	n, _ := l.settles(someone("ann", "r"))
	start := l.Now()
	by := func() time.Duration { return l.node(n).Node.DrainBy.Sub(start) }
	drain := func(within time.Duration) {
		t.Helper()
		if _, err := l.Drain(t.Context(), n.id, start.Add(within), "a test"); err != nil {
			t.Fatal(err)
		}
	}
	drain(time.Hour)
	drain(2 * time.Hour)
	if by() != time.Hour {
		t.Errorf("a later deadline made it %v", by())
	}
	drain(20 * time.Minute)
	if by() != 20*time.Minute {
		t.Errorf("an earlier deadline made it %v", by())
	}
	// A spot notice comes during the drain: the event may be lost, the heartbeat
	// says it too.
	l.beatsWith(n, 1, start.Add(2*time.Minute))
	if want := 2*time.Minute - control.EndsBefore; by() != want {
		t.Errorf("the notice made it %v, want %v", by(), want)
	}
	l.told(n)
	l.beatsWith(n, 1, start.Add(2*time.Minute))
	if asked, pressed := l.told(n); asked+pressed != 0 {
		t.Error("the notice in each heartbeat asks people each time")
	}
	// Without a deadline given there is one.
	l.drains(n)
	if by() != 90*time.Second {
		t.Errorf("a drain without a deadline made it %v", by())
	}
}

func TestANoticeOfTheHostIsADeadline(t *testing.T) {
	for _, c := range []struct {
		name string
		ends time.Duration // 0: not known
		want time.Duration
	}{
		{"a spot notice", 2 * time.Minute, 90 * time.Second},
		{"at the last moment", 10 * time.Second, 0},
		{"maintenance in a week", 7 * 24 * time.Hour, control.DefaultDrain},
		{"a recommendation to rebalance", 0, control.DefaultDrain},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, 5)
			n, _ := l.settles(someone("ann", "r"))
			l.sweep()
			instance, start := l.node(n).Node.Instance, l.Now()
			var ends time.Time
			if c.ends > 0 {
				ends = start.Add(c.ends)
			}
			if err := l.DrainInstances(t.Context(), []string{"i-other", instance}, ends, c.name); err != nil {
				t.Fatal(err)
			}
			if v := l.node(n).Node; v.State != fleet.Draining || v.DrainBy.Sub(start) != c.want {
				t.Errorf("%s within %v", v.State, v.DrainBy.Sub(start))
			}
		})
	}
}

// A node that does not do what it is told keeps nobody's machine running.
func TestADrainThatNothingComesOfEndsTheNode(t *testing.T) {
	l := newLab(t, 5)
	n, _ := l.settles(someone("ann", "r"))
	if _, err := l.Drain(t.Context(), n.id, l.Now(), "a test"); err != nil {
		t.Fatal(err)
	}
	l.after(control.OverdueAfter-time.Second, n)
	l.sweep()
	if v := l.node(n).Node; v.State != fleet.Draining {
		t.Fatalf("it is %s before the time", v.State)
	}
	l.take(n.connection, events.ToNode)
	l.after(time.Second, n)
	l.sweep()
	if living := l.EC2.Living(); len(living) != 0 || l.node(n).Node.State != fleet.Terminating {
		t.Errorf("%v live", living)
	}
	one[events.Shutdown](l, l.take(n.connection, events.ToNode))
	l.after(time.Minute)
	for range 3 {
		l.sweep()
	}
	if l.seats()[room.Name("r")] != 0 {
		t.Errorf("seats %v are left", l.seats())
	}
}
