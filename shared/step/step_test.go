package step_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/step"
)

// The main job: from nothing to two people on a node, and back to nothing.
func TestFromNothingAndBack(t *testing.T) {
	l := newLab(t, 10)
	ann, bob := someone("ann", "r"), someone("bob", "r")
	for _, p := range []person{ann, bob} {
		if err := l.joins(p); err != nil {
			t.Fatal(err)
		}
		if w := one[events.Waiting](l, l.inbox(p)); w.EstimateMs != 25_000 {
			t.Errorf("estimate %d ms", w.EstimateMs)
		}
	}
	if n := l.Bus.Take(); n != 1 {
		t.Errorf("%d requests for capacity within a second", n)
	}
	l.capacity()
	l.capacity()
	if n := len(l.EC2.Living()); n != 1 {
		t.Fatalf("%d instances for two people", n)
	}
	var stages []events.WaitStage
	for _, m := range l.inbox(ann) {
		stages = append(stages, m.(events.Waiting).Stage)
	}
	if !slices.Equal(stages, []events.WaitStage{events.StageStarting, events.StageBooting}) {
		t.Errorf("told %v", stages)
	}
	l.nodes = 0
	n := l.launches()
	for _, p := range []person{ann, bob} {
		one[events.Ready](l, l.inbox(p))
	}
	a, b := l.admit(ann, n), l.admit(bob, n)
	if a.Node != string(n.id) || b.Node != a.Node || a.Role != events.Publisher {
		t.Errorf("answers %+v and %+v", a, b)
	}
	if got := l.seats(); got["r"] != 2 {
		t.Errorf("seats %v", got)
	}

	for _, p := range []struct {
		who person
		rev int64
	}{{ann, a.Revision}, {bob, b.Revision}} {
		if err := l.left(n, p.who, p.rev); err != nil {
			t.Fatal(err)
		}
	}
	l.after(time.Minute, n)
	l.sweep()
	if len(l.EC2.Living()) != 1 {
		t.Fatal("ended before it was idle for long enough")
	}
	l.after(61*time.Second, n)
	l.sweep()
	one[events.Shutdown](l, l.take(n.connection, events.ToNode))
	if len(l.EC2.Living()) != 0 {
		t.Fatal("an idle node lives on")
	}
	l.Pass(time.Minute)
	l.sweep()
	if n := l.World.Store.Len(); n != 0 {
		t.Errorf("%d items are left", n)
	}
}

func TestARetryTakesNoSecondSeat(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	n, first := l.settles(ann)
	second := l.admit(ann, n)
	if first.Revision != second.Revision || l.seats()["r"] != 1 {
		t.Errorf("revisions %d and %d, seats %v", first.Revision, second.Revision, l.seats())
	}
}

func TestALaterSessionTakesTheSeatOver(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	n, first := l.settles(ann)
	again := ann
	again.session, again.caller.Connection = "session-other-tab", "c-other-tab"
	second := l.admit(again, n)
	if second.Revision <= first.Revision {
		t.Fatalf("revision %d after %d", second.Revision, first.Revision)
	}
	if err := l.left(n, ann, first.Revision); err != nil {
		t.Fatal(err)
	}
	if l.seats()["r"] != 1 {
		t.Error("the late left of the first session freed the second one's seat")
	}
	if err := l.left(n, ann, second.Revision); err != nil {
		t.Fatal(err)
	}
	if got := l.seats(); len(got) != 0 {
		t.Errorf("seats %v", got)
	}
	l.Pass(time.Second)
	third := l.admit(ann, n)
	if third.Revision <= second.Revision {
		t.Errorf("revision %d after a return, %d before", third.Revision, second.Revision)
	}
}

func TestAFullRoomsNodeRefusesAndAnotherRoomGetsItsOwn(t *testing.T) {
	l := newLab(t, 3)
	l.joins(someone("p0", "r"))
	n := l.launches()
	for i := range 3 {
		p := someone(fmt.Sprintf("p%d", i), "r")
		l.inbox(p)
		l.admit(p, n)
	}
	l.refused(l.joins(someone("p3", "r")), events.CodeRoomFull)
	other := someone("other", "elsewhere")
	if err := l.joins(other); err != nil {
		t.Fatal(err)
	}
	m := l.launches()
	l.inbox(other)
	if a := l.admit(other, m); a.Node == string(n.id) {
		t.Error("the second room is on the full node")
	}
	if got := l.seats(); got["r"] != 3 || got["elsewhere"] != 1 {
		t.Errorf("seats %v", got)
	}
}

func TestANodeThatCannotAnswerGivesTheSeatBack(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	l.joins(ann)
	n := l.launches()
	l.inbox(ann)
	if err := l.joins(ann); err != nil {
		t.Fatal(err)
	}
	o := one[events.Offer](l, l.take(n.connection, events.ToNode))
	fault := events.Answered{Header: events.Head(events.ActionAnswered), Node: string(n.id), Generation: n.generation, Room: o.Room, Key: o.Person.Key,
		Session: o.Session, Revision: o.Revision, ID: o.ID, Ticket: o.Ticket, Fault: &events.Fault{Code: events.CodeBadOffer, Text: "no"}}
	forged := fault
	forged.Key = "k-somebody"
	caller := control.Caller{Node: n.id, Connection: n.connection}
	l.refused(l.Answered(t.Context(), caller, forged), events.CodeUnknownParticipant)
	late := fault
	late.Generation++
	l.refused(l.Answered(t.Context(), caller, late), events.CodeFenced)
	nonsense := fault
	nonsense.Ticket = "{"
	l.refused(l.Answered(t.Context(), caller, nonsense), events.CodeUnknownParticipant)
	if l.seats()["r"] != 1 {
		t.Fatal("a forged answer freed the seat")
	}
	if err := l.Answered(t.Context(), caller, fault); err != nil {
		t.Fatal(err)
	}
	if e := one[events.Error](l, l.inbox(ann)); e.Code != events.CodeBadOffer || e.ID != o.ID {
		t.Errorf("told %+v", e)
	}
	if got := l.seats(); len(got) != 0 {
		t.Errorf("seats %v", got)
	}
}

func TestLeaving(t *testing.T) {
	l := newLab(t, 10)
	ann, bob := someone("ann", "r"), someone("bob", "r")
	leave := func(p person) error {
		return l.Leave(t.Context(), p.caller, events.Leave{Header: events.Head(events.ActionLeave), ID: "leave", Session: p.session})
	}
	l.refused(leave(ann), events.CodeNotJoined)
	l.joins(ann)
	if err := leave(ann); err != nil { // while it waits
		t.Fatal(err)
	}
	one[events.LeaveDone](l, l.inbox(ann))
	n, _ := l.settles(bob)
	stranger := bob
	stranger.session = "session-unknown"
	l.refused(leave(stranger), events.CodeNotJoined)
	if err := leave(bob); err != nil {
		t.Fatal(err)
	}
	one[events.Remove](l, l.take(n.connection, events.ToNode))
	if got := l.seats(); len(got) != 0 {
		t.Errorf("seats %v", got)
	}
	if err := l.joins(ann); err != nil {
		t.Fatal(err)
	}
	if err := l.Disconnected(t.Context(), ann.caller); err != nil { // has a seat: nothing happens
		t.Fatal(err)
	}
	if l.seats()["r"] != 1 {
		t.Error("a closed socket freed a seat")
	}
}

// A sweep may read a node a moment before its first heartbeat: they are two items.
// breaker is a store that fails after a number of commits, as a function does
// that dies between two writes.
type breaker struct {
	step.Store
	left int
}

var errDied = errors.New("died")

func (b *breaker) Commit(ctx context.Context, c []control.Change) error {
	if b.left == 0 {
		return errDied
	}
	b.left--
	return b.Store.Commit(ctx, c)
}

func TestADeathBetweenTwoWritesIsFinishedByTheRetry(t *testing.T) {
	for died := range 4 {
		t.Run(fmt.Sprintf("after %d writes", died), func(t *testing.T) {
			l := newLab(t, 10)
			l.joins(someone("first", "r"))
			n := l.launches()
			ann := someone("ann", "r")
			store := l.World.World.Store
			l.World.World.Store = &breaker{store, died}
			err := l.joins(ann)
			l.World.World.Store = store
			if died < 2 && !errors.Is(err, errDied) {
				t.Fatalf("did not die: %v", err)
			}
			l.take(n.connection, events.ToNode)
			l.inbox(ann)
			a := l.admit(ann, n)
			if got := l.seats(); got["r"] != 2 { // first's seat is held
				t.Errorf("seats %v", got)
			}
			for d := range 3 {
				l.World.World.Store = &breaker{store, d}
				_ = l.left(n, ann, a.Revision)
			}
			l.World.World.Store = store
			if err := l.left(n, ann, a.Revision); err != nil {
				t.Fatal(err)
			}
			if got := l.seats(); got["r"] != 1 {
				t.Errorf("seats %v after leaving", got)
			}
		})
	}
}

func TestACrowdIsSeatedExactly(t *testing.T) {
	const people, seats = 150, 100
	l := newLab(t, seats)
	l.joins(someone("first", "r"))
	n := l.launches()
	var wg sync.WaitGroup
	var mu sync.Mutex
	outcomes := map[events.Code]int{}
	for i := range people {
		wg.Go(func() {
			err := l.joins(someone(fmt.Sprintf("p%d", i), "r"))
			for isBusy(err) {
				err = l.joins(someone(fmt.Sprintf("p%d", i), "r"))
			}
			mu.Lock()
			defer mu.Unlock()
			var e *events.Error
			switch {
			case err == nil:
				outcomes[""]++
			case errors.As(err, &e):
				outcomes[e.Code]++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := l.seats()["r"]; got != seats {
		t.Errorf("%d of %d seats taken", got, seats)
	}
	if outcomes[""] != seats-1 || outcomes[events.CodeRoomFull] != people-seats+1 {
		t.Errorf("outcomes %v", outcomes)
	}
	if o := l.answers(n); len(o) != seats-1 {
		t.Errorf("%d offers", len(o))
	}
}

func isBusy(err error) bool {
	var e *events.Error
	return errors.As(err, &e) && e.Code == events.CodeBusy
}

func TestWhoIsAloneMayAvoidANode(t *testing.T) {
	l := newLab(t, 1)
	ann, bob := someone("ann", "r"), someone("bob", "s")
	n, _ := l.settles(ann)
	m, b := l.settles(bob)
	if err := l.left(m, bob, b.Revision); err != nil {
		t.Fatal(err)
	}
	elsewhere := l.join
	elsewhere.ID, elsewhere.Session, elsewhere.Avoid = "again", "session-ann-2", []string{string(n.id)}
	if err := l.World.Join(t.Context(), ann.caller, elsewhere); err != nil {
		t.Fatal(err)
	}
	one[events.Remove](l, l.take(n.connection, events.ToNode))
	l.answers(m)
	if a := one[events.Answer](l, l.inbox(ann)); a.Node != string(m.id) {
		t.Errorf("on %s", a.Node)
	}
	l.sweep()
	if got := l.seats(); got["r"] != 1 {
		t.Errorf("seats %v", got)
	}
}

func TestARoleIsBoundedByTheToken(t *testing.T) {
	l := newLab(t, 10)
	p := someone("ann", "r")
	p.caller.MayPublish = false
	m := l.join
	m.Session, m.Role = p.session, events.Publisher
	l.refused(l.World.Join(t.Context(), p.caller, m), events.CodeTokenNoPermission)
	l.joins(p)
	n := l.launches()
	l.inbox(p)
	if a := l.admit(p, n); a.Role != events.Viewer {
		t.Errorf("role %s", a.Role)
	}
}
