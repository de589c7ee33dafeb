package step_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// isServed reports whether somebody who waited was told that its seat is there.
func (l *lab) isServed(p person) bool {
	l.Helper()
	return slices.ContainsFunc(l.inbox(p), func(m events.Message) bool { _, ok := m.(events.Ready); return ok })
}

// TestTheFirstInLineAreServed lets forty wait for ten seats of one room: the first
// ten get them, and nobody else.
func TestTheFirstInLineAreServed(t *testing.T) {
	l := newLab(t, 10)
	l.Settings.MaxNodes = 1
	l.joins(someone("p-first", "r0"))
	l.capacity()
	people := []person{someone("p-first", "r0")}
	for i := range 39 {
		l.Pass(time.Millisecond)
		people = append(people, someone(fmt.Sprintf("p%02d", i), "r0"))
		l.joins(people[i+1])
	}
	l.boots(l.EC2.Living()[0], "boot-one")
	l.capacity()
	for i, p := range people {
		if served := l.isServed(p); served != (i < 10) {
			t.Errorf("number %d in line: served is %v", i, served)
		}
	}
	if got := l.seats()["r0"]; got != 10 {
		t.Errorf("%d seats of 10", got)
	}
}

// TestNobodyIsOvertaken lets people of many rooms and both roles wait for less than
// they need, in many shapes. Whoever is served later than somebody who is not needs
// less than that one did: otherwise its seat was the other's.
func TestNobodyIsOvertaken(t *testing.T) {
	for seed := range uint64(60) {
		dice := rand.New(rand.NewPCG(seed, 3))
		l := newLab(t, 6+dice.IntN(30))
		nodes := 1 + dice.IntN(3)
		rooms := 1 + dice.IntN(30)
		viewer := dice.IntN(3) == 0
		var people []person
		for i := range 30 + dice.IntN(90) {
			p := someone(fmt.Sprintf("p%03d", i), fmt.Sprintf("r%d", dice.IntN(rooms)))
			p.caller.MayPublish = !viewer || dice.IntN(2) == 0
			people = append(people, p)
			l.Pass(time.Millisecond)
			l.join.Role = ""
			if err := l.joins(p); err != nil {
				t.Fatal(err)
			}
		}
		l.Settings.MaxNodes = 1000 // nobody is turned away
		for i := range nodes {
			l.arrives(fmt.Sprintf("n-%d", i))
		}
		l.capacity()
		served := make([]bool, len(people))
		for i, p := range people {
			served[i] = l.isServed(p)
		}
		if seed == 14 {

		}
		l.overtaken(seed, people, served)
	}
}

// arrives puts a ready node into the world, with whatever its capacity is.
func (l *lab) arrives(id string) {
	l.Helper()
	n := fleet.Node{ID: room.NodeID(id), State: fleet.Ready, Generation: 1, Region: l.Settings.Region, HelloAt: l.Now(), TouchedAt: l.Now(), Real: l.Settings.NodeCapacity,
		Capacity: l.Settings.NodeCapacity, Available: l.Settings.NodeCapacity, Connections: map[int]string{0: "c-" + id}}
	err := l.World.Store.Commit(l.Context(), []control.Change{control.PutNode{Node: n},
		control.PutBeat{Node: n.ID, Beat: fleet.Beat{Generation: 1, Seq: 1, LeaseUntil: l.Now().Add(time.Hour)}}})
	if err != nil {
		l.Fatal(err)
	}
}

// overtaken fails where somebody was served in whose place somebody before, who was
// not, could have been: a seat that is no smaller, on a node that the other's room
// is on or may be on.
func (l *lab) overtaken(seed uint64, people []person, served []bool) {
	l.Helper()
	nodes, err := l.World.Store.Find(l.Context(), step.AllNodes{})
	if err != nil {
		l.Fatal(err)
	}
	on, at := map[room.Name]map[room.NodeID]bool{}, map[room.Key]room.NodeID{}
	for _, v := range nodes.Nodes {
		items, err := l.World.Store.Find(l.Context(), step.BlocksOf{Node: v.Node.ID})
		if err != nil {
			l.Fatal(err)
		}
		for _, b := range items.Blocks {
			if on[b.Room] == nil {
				on[b.Room] = map[room.NodeID]bool{}
			}
			on[b.Room][b.Node] = true
			for key := range b.Members {
				at[key] = b.Node
			}
		}
	}
	for i, early := range people {
		for j := i + 1; j < len(people) && !served[i]; j++ {
			late := people[j]
			home := on[early.caller.Room]
			if served[j] && (late.caller.MayPublish || !early.caller.MayPublish) && (home == nil || home[at[late.caller.Key]]) {
				l.Fatalf("seed %d: %s (%s) was served before %s (%s), who came first", seed, late.session, late.caller.Room, early.session, early.caller.Room)
			}
		}
	}
	if !slices.Contains(served, true) {
		l.Fatalf("seed %d: nobody was served", seed)
	}
}

// widest notes how many changes a commit has at most, and how many there are.
type widest struct {
	step.Store
	most, commits int
}

func (s *widest) Commit(ctx context.Context, changes []control.Change) error {
	s.most, s.commits = max(s.most, len(changes)), s.commits+1
	return s.Store.Commit(ctx, changes)
}

// TestACrowdThatWaitsIsSeatedTogether: 300 people of one room are seated in few
// transactions, none of which is larger than DynamoDB takes, with not a seat more
// than they need where there is not one more.
func TestACrowdThatWaitsIsSeatedTogether(t *testing.T) {
	l := newLab(t, 300)
	var people []person
	for i := range 300 {
		people = append(people, someone(fmt.Sprintf("p%03d", i), "r"))
		l.joins(people[i])
	}
	l.arrives("n-0")
	store := &widest{Store: l.World.World.Store}
	l.World.World.Store = store
	l.World.World.AtOnce = func(each []func()) { // so that the count is the same each time
		for _, f := range each {
			f()
		}
	}
	l.capacity()
	for _, p := range people {
		if !l.isServed(p) {
			t.Fatalf("%s is not served", p.caller.Identity)
		}
	}
	if store.most > 100 || store.most < 2*control.MaxTogether {
		t.Errorf("%d changes in a transaction", store.most)
	}
	// Of 192 seats granted at once, the first 33 are taken in the same transaction;
	// the others take two writes each.
	if store.commits > 2*300 {
		t.Errorf("%d commits for 300 people", store.commits)
	}
	if got := l.seats()["r"]; got != 300 {
		t.Errorf("%d seats of 300", got)
	}
}

// TestWhoAvoidsANodeKeepsNobodyFromIt: somebody who cannot use what is free has not
// been overtaken by who can.
func TestWhoAvoidsANodeKeepsNobodyFromIt(t *testing.T) {
	l := newLab(t, 1)
	ann, bob := someone("ann", "r"), someone("bob", "s")
	l.join.Avoid = []string{"n-0"}
	l.joins(ann)
	l.join.Avoid = nil
	l.Pass(time.Millisecond)
	l.joins(bob)
	l.arrives("n-0")
	l.capacity()
	if l.isServed(ann) || !l.isServed(bob) {
		t.Error("the free seat did not go to the one who can use it")
	}
}
