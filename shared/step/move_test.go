package step_test

import (
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// follows makes a person's next session join, which names the one before and
// avoids nodes.
func (l *lab) follows(p person, session string, avoid ...node) person {
	l.Helper()
	m := l.join
	m.ID, m.Session, m.From = "join-"+session, session, p.session
	for _, n := range avoid {
		m.Avoid = append(m.Avoid, string(n.id))
	}
	if err := l.World.Join(l.Context(), p.caller, m); err != nil {
		l.Fatal(err)
	}
	return person{p.caller, session}
}

// second makes another node that is ready.
func (l *lab) second(n node) node {
	l.Helper()
	other := someone("other", "elsewhere")
	l.joins(other)
	m := l.launches()
	if m.id == n.id {
		l.Fatal("there is no second node")
	}
	l.inbox(other)
	if a := l.admit(other, m); l.left(m, other, a.Revision) != nil {
		l.Fatal("the other cannot leave")
	}
	return m
}

func (l *lab) drains(n node) {
	l.Helper()
	if _, err := l.Drain(l.Context(), n.id, time.Time{}, "a test"); err != nil {
		l.Fatal(err)
	}
}

func TestOneWhoCannotReachTheOthersIsRefused(t *testing.T) {
	l := newLab(t, 10)
	people := []person{someone("ann", "r"), someone("bob", "r"), someone("cas", "r"), someone("dan", "r")}
	n, _ := l.settles(people[0])
	for _, p := range people[1:] {
		l.admit(p, n)
	}
	l.follows(people[0], "session-ann-2", n)
	if e := one[events.Error](l, l.inbox(people[0])); e.Code != events.CodeNodeUnreachable || e.RetryAfterMs > 500 {
		t.Errorf("told %+v", e)
	}
	l.Pass(room.LossLasts + time.Second)
	// What one said a while ago does not count, and nobody counts twice.
	for range 3 {
		l.follows(people[1], "session-bob-2", n)
		one[events.Error](l, l.inbox(people[1]))
	}
	l.follows(people[2], "session-cas-2", n)
	one[events.Error](l, l.inbox(people[2]))
	if l.seats()["r"] != 4 {
		t.Error("a seat was lost")
	}
}

func TestANodeThatThreeCannotReachIsLeftAtOnce(t *testing.T) {
	l := newLab(t, 10)
	people := []person{someone("ann", "r"), someone("bob", "r"), someone("cas", "r"), someone("dan", "r")}
	n, _ := l.settles(people[0])
	for _, p := range people[1:] {
		l.admit(p, n)
	}
	var next []person
	for i, p := range people[:3] {
		next = append(next, l.follows(p, p.session+"-again", n))
		if i < 2 {
			one[events.Error](l, l.inbox(p))
		}
	}
	one[events.Waiting](l, l.inbox(people[2]))
	m := l.launches()
	one[events.Ready](l, l.inbox(people[2]))
	l.follows(people[2], next[2].session, n)
	l.answers(m)
	if a := one[events.Answer](l, l.inbox(people[2])); a.Node != string(m.id) {
		t.Errorf("seated on %s", a.Node)
	}
	// Those who say nothing of it go there, too.
	late := someone("eve", "r")
	if a := l.admit(late, m); a.Node != string(m.id) {
		t.Error("the room is split")
	}
	l.seats()
}

func TestAMoveHoldsTheOldSeatUntilTheNewOneStands(t *testing.T) {
	l := newLab(t, 4)
	ann, bob := someone("ann", "r"), someone("bob", "r")
	n, a := l.settles(ann)
	b := l.admit(bob, n)
	m := l.second(n)
	l.drains(n)
	move := one[events.MoveAway](l, l.take(n.connection, events.ToNode))
	if move.Room != "r" || len(move.Keys) != 2 {
		t.Errorf("asked to move: %+v", move)
	}
	again := l.follows(ann, "session-ann-2")
	if offers := l.answers(m); len(offers) != 1 || offers[0].From != ann.session {
		t.Fatalf("offers %+v", offers)
	}
	moved := one[events.Answer](l, l.inbox(ann))
	if got := l.take(n.connection, events.ToNode); len(got) != 0 {
		t.Errorf("the old home is told %v", got)
	}
	if got := l.seats()["r"]; got != 3 {
		t.Errorf("%d seats while one moves, want 3", got)
	}
	if err := l.left(n, ann, a.Revision); err != nil {
		t.Fatal(err)
	}
	if got := l.seats()["r"]; got != 2 {
		t.Errorf("%d seats after the move, want 2", got)
	}
	if err := l.left(m, again, moved.Revision); err != nil {
		t.Fatal(err)
	}
	if err := l.left(n, bob, b.Revision); err != nil {
		t.Fatal(err)
	}
	if got := l.seats()["r"]; got != 0 {
		t.Errorf("%d seats are left behind", got)
	}
	l.sweep()
	for _, id := range l.EC2.Living() {
		if id == n.id {
			t.Error("the drained node was not ended")
		}
	}
}

func TestAMoveThatComesToNothingGivesTheOldSeatBack(t *testing.T) {
	for _, c := range []struct {
		name string
		fail func(l *lab, again person, m node, revision int64) error
	}{
		{"the new home never hears of it", func(l *lab, p person, m node, revision int64) error { return l.left(m, p, revision) }},
		{"the participant gives it up", func(l *lab, p person, _ node, _ int64) error {
			return l.World.Leave(l.Context(), p.caller, events.Leave{Header: events.Head(events.ActionLeave), ID: "1", Session: p.session})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, 4)
			ann, bob := someone("ann", "r"), someone("bob", "r")
			n, a := l.settles(ann)
			l.admit(bob, n)
			m := l.second(n)
			l.drains(n)
			again := l.follows(ann, "session-ann-2")
			l.answers(m)
			moved := one[events.Answer](l, l.inbox(ann))
			if err := c.fail(l, again, m, moved.Revision); err != nil {
				t.Fatal(err)
			}
			if got := l.seats()["r"]; got != 2 {
				t.Errorf("%d seats, want 2", got)
			}
			third := l.follows(ann, "session-ann-3")
			if offers := l.answers(m); len(offers) != 1 || offers[0].Session != third.session {
				t.Fatalf("the next attempt: offers %+v", offers)
			}
			if err := l.left(n, ann, a.Revision); err != nil {
				t.Fatal(err)
			}
			if got := l.seats()["r"]; got != 2 {
				t.Errorf("%d seats at the end, want 2", got)
			}
		})
	}
}

func TestWhoWasReplacedMeanwhileDoesNotComeBack(t *testing.T) {
	l := newLab(t, 5)
	ann := someone("ann", "r")
	n, _ := l.settles(ann)
	l.admit(person{ann.caller, "session-other-tab"}, n)
	m := l.join
	m.Session, m.From = "session-ann-2", ann.session
	l.refused(l.World.Join(t.Context(), ann.caller, m), events.CodeReplaced)
	if l.seats()["r"] != 1 {
		t.Error("a seat too many")
	}
}

func TestAHostThatTakesTheMachineAwayDrainsIt(t *testing.T) {
	l := newLab(t, 5)
	ann := someone("ann", "r")
	n, _ := l.settles(ann)
	state := func() fleet.State { return l.node(n).Node.State }
	if err := l.DrainInstances(t.Context(), []string{"i-unknown", ""}, time.Time{}, "a spot notice"); err != nil || state() != fleet.Ready {
		t.Fatalf("%s, %v", state(), err)
	}
	h := events.Heartbeat{Header: events.Head(events.ActionHeartbeat), Node: string(n.id), Generation: n.generation, Seq: 99, EndsMs: l.Now().UnixMilli() + 120_000}
	if err := l.Heartbeat(t.Context(), callerOf(n), h); err != nil {
		t.Fatal(err)
	}
	if state() != fleet.Draining {
		t.Errorf("the node is %s", state())
	}
	one[events.MoveAway](l, l.take(n.connection, events.ToNode))
	l.sweep() // who did not hear of it is asked again, and nobody is put out
	one[events.MoveAway](l, l.take(n.connection, events.ToNode))
	if len(l.EC2.Living()) != 1 || l.seats()["r"] != 1 {
		t.Error("somebody was put out")
	}
}

func TestDrainOfAnUnknownNode(t *testing.T) {
	l := newLab(t, 5)
	_, err := l.Drain(t.Context(), "n-none", time.Time{}, "a test")
	l.refused(err, events.CodeNotFound)
}

// The new home dies and takes with it what was known of those who moved there:
// their old connections are not taken for leftovers.
func TestANewHomeThatDiesCostsNobodyTheOldOne(t *testing.T) {
	l := newLab(t, 4)
	ann, bob := someone("ann", "r"), someone("bob", "r")
	n, a := l.settles(ann)
	l.admit(bob, n)
	m := l.second(n)
	l.drains(n)
	l.take(n.connection, events.ToNode)
	l.follows(ann, "session-ann-2")
	l.answers(m)
	l.inbox(ann)
	var told []events.Message
	l.heard = func(_ node, message events.Message) { told = append(told, message) }
	for range 30 { // long enough for the node to be given up, and its blocks with it
		l.after(9*time.Second, n)
		l.sweep()
		l.answers(n)
	}
	items, err := l.World.Store.Get(t.Context(), true, step.ParticipantKey{Room: "r", Key: ann.caller.Key})
	if err != nil || len(items.Participants) != 0 {
		t.Fatalf("ann is still known: %+v, %v", items.Participants, err)
	}
	told = nil
	third := l.follows(ann, "session-ann-3", m)
	l.capacity()
	living := l.EC2.Living()
	k := l.boots(living[len(living)-1], "boot-one")
	l.capacity()
	l.follows(ann, third.session, m)
	if offers := l.answers(k); len(offers) != 1 || offers[0].Session != third.session {
		t.Fatalf("offers %+v", offers)
	}
	l.answers(n)
	for _, message := range told {
		if r, ok := message.(events.Remove); ok {
			t.Errorf("the old home is told %+v", r)
		}
	}
	if got := l.seats()["r"]; got != 3 {
		t.Errorf("%d seats while ann moves, want 3", got)
	}
	if err := l.left(n, ann, a.Revision); err != nil {
		t.Fatal(err)
	}
	if got := l.seats()["r"]; got != 2 {
		t.Errorf("%d seats after the move, want 2", got)
	}
}
