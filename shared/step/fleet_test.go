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
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/step"
)

func TestWhoWaitsBeyondTheLimitOfNodesIsTold(t *testing.T) {
	l := newLab(t, 1)
	l.Settings.MaxNodes = 1
	ann, bob := someone("ann", "r"), someone("bob", "s")
	l.settles(ann)
	if err := l.joins(bob); err != nil {
		t.Fatal(err)
	}
	l.capacity()
	if e := one[events.Error](l, l.inbox(bob)); e.Code != events.CodeBudgetExhausted {
		t.Errorf("code %s", e.Code)
	}
	if len(l.EC2.Living()) != 1 {
		t.Error("launched beyond the limit")
	}
}

func TestWhoClosesTheSocketLeavesTheLine(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	l.joins(ann)
	other := ann
	other.caller.Connection = "c-earlier"
	if err := l.Disconnected(t.Context(), other.caller); err != nil {
		t.Fatal(err)
	}
	if l.World.Store.Len() != 1 {
		t.Fatal("an earlier socket's end took the place in line")
	}
	if err := l.Disconnected(t.Context(), ann.caller); err != nil {
		t.Fatal(err)
	}
	l.capacity()
	if len(l.EC2.Living()) != 0 || l.World.Store.Len() != 0 {
		t.Error("launched for nobody")
	}
}

func TestWhoFallsSilentLeavesTheLine(t *testing.T) {
	l := newLab(t, 10)
	l.joins(someone("ann", "r"))
	l.Pass(fleet.WaitLasts + time.Second)
	l.capacity()
	if len(l.EC2.Living()) != 0 || l.World.Store.Len() != 0 {
		t.Error("launched for somebody who gave up")
	}
}

func TestALaunchThatNeverSaysHelloIsGivenUp(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	l.joins(ann)
	l.capacity()
	id := l.EC2.Living()[0]
	l.Pass(fleet.LaunchTimeout + time.Second)
	l.joins(ann) // still there
	l.sweep()
	living := l.EC2.Living()
	if len(living) != 1 || living[0] == id {
		t.Fatalf("instances %v, expected one other than %s", living, id)
	}
	m := l.hello
	m.Node = string(id)
	if err := l.Hello(t.Context(), control.Caller{Connection: "c-late", Node: id}, m); err != nil {
		t.Fatal(err)
	}
	if s := one[events.Shutdown](l, l.take("c-late", events.ToNode)); s.Code != events.CodeLaunchExpired {
		t.Errorf("told %s", s.Code)
	}
}

func TestALostNodeIsEndedAndItsSeatsDropped(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	n, a := l.settles(ann)
	l.Pass(fleet.LeaseLasts + time.Second)
	if err := l.joins(someone("bob", "s")); err != nil {
		t.Fatal(err)
	}
	one[events.Waiting](l, l.inbox(someone("bob", "s"))) // an ended lease takes nobody
	l.Pass(control.LostAfter)
	l.sweep()
	if l.node(n).Node.State != fleet.Ready { // ann may be well there
		t.Error("a node that may only be cut off was given up")
	}
	l.Pass(control.CutOffAfter - control.LostAfter)
	for range 3 {
		l.sweep()
	}
	for _, id := range l.EC2.Living() {
		if id == n.id {
			t.Error("a dead node lives on")
		}
	}
	l.refused(l.beats(n, nil), events.CodeFenced)
	l.refused(l.left(n, ann, a.Revision), events.CodeFenced)
	if got := l.seats(); len(got) != 0 {
		t.Errorf("seats %v", got)
	}
}

func TestWhenAllLeasesEndTogetherNobodyIsGivenUp(t *testing.T) {
	l := newLab(t, 1)
	var nodes []node
	for i := range 3 {
		p := someone(fmt.Sprint(i), fmt.Sprintf("r%d", i))
		l.joins(p)
		n := l.launches()
		l.inbox(p)
		l.admit(p, n)
		nodes = append(nodes, n)
	}
	l.Pass(control.CutOffAfter + 2*fleet.LeaseLasts)
	l.sweep()
	if n := len(l.EC2.Living()); n != 3 {
		t.Fatalf("%d of 3 nodes left", n)
	}
	for _, n := range nodes[1:] {
		if err := l.beats(n, nil); err != nil {
			t.Fatal(err)
		}
	}
	l.sweep()
	l.sweep()
	l.sweep()
	if n := len(l.EC2.Living()); n != 2 {
		t.Errorf("%d instances; one of three is dead by itself", n)
	}
}

func TestANodeWithoutAHeartbeatIsNotGivenUp(t *testing.T) {
	l := newLab(t, 10)
	l.joins(someone("ann", "r"))
	n := l.launches()
	items, err := l.World.Store.Get(t.Context(), true, step.NodeKey{Node: n.id})
	if err != nil {
		t.Fatal(err)
	}
	unseen := items.Nodes[0]
	unseen.Beat = fleet.Beat{}
	s := control.NodeSweep{View: unseen, Instance: &control.Instance{ID: "i", Node: n.id}}
	if plan := control.Sweep(s, l.Now(), l.Settings); len(plan.Commits) != 0 {
		t.Errorf("%+v", plan.Decision)
	}
	// And one that is heard of while a sweep gives it up is kept.
	l.Pass(fleet.LeaseLasts + control.LostAfter + time.Second)
	items.Nodes[0].Node.State = fleet.Ready
	plan := control.Sweep(control.NodeSweep{View: items.Nodes[0], Instance: s.Instance}, l.Now(), l.Settings)
	if err := l.beats(n, nil); err != nil {
		t.Fatal(err)
	}
	if len(plan.Commits) != 1 {
		t.Fatalf("%+v", plan)
	}
	if err := l.World.Store.Commit(t.Context(), plan.Commits[0].Changes); !errors.Is(err, step.ErrConflict) {
		t.Errorf("given up all the same: %v", err)
	}
}

func TestANodeThatStartsAgainIsAnotherLife(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	n, first := l.settles(ann)
	l.Pass(time.Second)
	reborn := l.boots(n.id, "boot-two")
	if reborn.generation != n.generation+1 {
		t.Fatalf("generation %d after %d", reborn.generation, n.generation)
	}
	l.refused(l.left(n, ann, first.Revision), events.CodeFenced)
	again := ann
	again.session = "session-ann-again"
	second := l.admit(again, reborn)
	if second.Revision <= first.Revision {
		t.Error("the revision did not grow")
	}
	l.sweep()
	if got := l.seats(); got["r"] != 1 {
		t.Errorf("seats %v", got)
	}
	if err := l.left(reborn, ann, second.Revision); err != nil {
		t.Fatal(err)
	}
	if n := l.World.Store.Len(); n > 3 { // node, heartbeat and launch
		t.Errorf("%d items are left", n)
	}
}

func TestASecondSocketDoesNotFenceTheFirst(t *testing.T) {
	l := newLab(t, 10)
	l.joins(someone("ann", "r"))
	n := l.launches()
	m := l.hello
	m.Node, m.Boot, m.Slot = string(n.id), "boot-one", 1
	if err := l.Hello(t.Context(), control.Caller{Connection: "c-second", Node: n.id}, m); err != nil {
		t.Fatal(err)
	}
	if w := one[events.Welcome](l, l.take("c-second", events.ToNode)); w.Generation != n.generation || w.Slot != 1 {
		t.Errorf("welcome %+v", w)
	}
	if err := l.beats(n, nil); err != nil {
		t.Error(err)
	}
}

func TestTheInventoryPutsRightWhatTableAndNodeDisagreeOn(t *testing.T) {
	l := newLab(t, 10)
	ann, bob := someone("ann", "r"), someone("bob", "r")
	n, a := l.settles(ann)
	l.admit(bob, n)
	inv := func(members map[string]int64) *events.Inventory {
		return &events.Inventory{TakenMs: l.Now().UnixMilli(), Parts: 1, Rooms: []events.RoomMembers{{Room: "r", Members: members}}}
	}
	there := map[string]int64{"k-ann": a.Revision, "k-ghost": a.Revision}
	if err := l.beats(n, inv(there)); err != nil {
		t.Fatal(err)
	}
	if l.seats()["r"] != 2 {
		t.Fatal("a seat was freed before its offer could have arrived")
	}
	l.after(control.SettleAfter+time.Second, n)
	l.take(n.connection, events.ToNode)
	if err := l.beats(n, inv(there)); err != nil {
		t.Fatal(err)
	}
	if l.seats()["r"] != 1 {
		t.Errorf("seats %v, bob's connection never came", l.seats())
	}
	if r := one[events.Remove](l, l.take(n.connection, events.ToNode)); r.Key != "k-ghost" {
		t.Errorf("removed %s", r.Key)
	}
}

func TestAThousandWhoWaitLaunchWhatTheyNeed(t *testing.T) {
	l := newLab(t, 50)
	l.Settings.MaxNodes = 100
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			if err := l.joins(someone(fmt.Sprintf("p%d", i), fmt.Sprintf("r%d", i/10))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for range 8 {
		wg.Go(func() {
			if err := l.Capacity(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(l.EC2.Living()); n != 20 {
		t.Errorf("%d nodes of 50 seats for 1000 people in rooms of 10", n)
	}
}

func TestPassesAtTheSameTimeServeEachOnce(t *testing.T) {
	l := newLab(t, 40)
	var people []person
	for i := range 30 {
		people = append(people, someone(fmt.Sprintf("p%d", i), "r"))
		l.joins(people[i])
	}
	l.capacity()
	l.boots(l.EC2.Living()[0], "boot-one")
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if err := l.Capacity(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := l.seats()["r"]; got != 30 {
		t.Errorf("%d seats", got)
	}
	for _, p := range people {
		if !slices.ContainsFunc(l.inbox(p), func(m events.Message) bool { _, ok := m.(events.Ready); return ok }) {
			t.Errorf("%s was not told", p.caller.Identity)
		}
	}
	if n := len(l.EC2.Living()); n != 1 {
		t.Errorf("%d instances", n)
	}
}

// TestALostRoleIsToldAgain: what tells a node of a role is lost, and the next
// inventory shows it.
func TestALostRoleIsToldAgain(t *testing.T) {
	l := newLab(t, 10)
	ann, eve := someone("ann", "r"), someone("eve", "r")
	n, a := l.settles(ann)
	l.join.Role = events.Viewer
	e := l.admit(eve, n)
	l.join.Role = ""
	list := func(roles bool, stage ...string) []events.Recast {
		l.take(n.connection, events.ToNode)
		if err := l.beats(n, &events.Inventory{TakenMs: l.Now().UnixMilli(), Parts: 1, Roles: roles, Rooms: []events.RoomMembers{
			{Room: "r", Members: map[string]int64{"k-ann": a.Revision, "k-eve": e.Revision}, Stage: stage}}}); err != nil {
			t.Fatal(err)
		}
		var told []events.Recast
		for _, m := range l.take(n.connection, events.ToNode) {
			if m, ok := m.(events.Recast); ok {
				told = append(told, m)
			}
		}
		return told
	}
	if told := list(true, "k-ann"); len(told) != 0 {
		t.Errorf("told %+v of what it knows", told)
	}
	if _, err := l.Moderate(t.Context(), control.Deed{Kind: events.Promote, Room: "r", Key: "k-eve"}); err != nil {
		t.Fatal(err)
	}
	if told := list(false); len(told) != 0 {
		t.Errorf("a node that lists no roles is told %+v", told)
	}
	told := list(true, "k-ann")
	if len(told) != 1 || told[0].Key != "k-eve" || told[0].Role != events.Publisher || told[0].Revision != e.Revision || told[0].Generation != n.generation {
		t.Errorf("told %+v", told)
	}
	if told := list(true, "k-ann", "k-eve"); len(told) != 0 {
		t.Errorf("told %+v again", told)
	}
	if _, err := l.Moderate(t.Context(), control.Deed{Kind: events.Demote, Room: "r", Key: "k-ann"}); err != nil {
		t.Fatal(err)
	}
	told = list(true, "k-ann", "k-eve")
	if len(told) != 1 || told[0].Key != "k-ann" || told[0].Role != events.Viewer {
		t.Errorf("told %+v", told)
	}
}
