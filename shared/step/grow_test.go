package step_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// newWideLab is a world whose rooms may be on several nodes of so many seats
// each.
func newWideLab(t *testing.T, nodeSeats, nodesPerRoom int) *lab {
	l := newLab(t, nodeSeats)
	l.Settings.NodesPerRoom = nodesPerRoom
	l.Settings.PipeReserve = l.Settings.Profile.PipeLoad().Times(nodesPerRoom - 1)
	l.Settings.NodeCapacity = l.Settings.NodeCapacity.Plus(l.Settings.PipeReserve)
	return l
}

// crowds seats people in one room until every one has its answer, launching
// nodes as they are needed.
func (l *lab) crowds(people int) map[string]events.Answer {
	l.Helper()
	answers := map[string]events.Answer{}
	var nodes []node
	for i := range people {
		p := someone(fmt.Sprintf("p%d", i), "r")
		answers[p.caller.Identity] = l.comesIn(p, &nodes)
	}
	return answers
}

// comesIn seats somebody, whatever has to be launched for that.
func (l *lab) comesIn(p person, nodes *[]node) events.Answer {
	l.Helper()
	if err := l.joins(p); err != nil {
		l.Fatalf("%s: %v", p.caller.Identity, err)
	}
	for _, m := range l.inbox(p) {
		if _, waits := m.(events.Waiting); waits {
			*nodes = append(*nodes, l.launches())
			l.inbox(p)
			if err := l.joins(p); err != nil {
				l.Fatal(err)
			}
		}
	}
	for _, n := range *nodes {
		l.answers(n)
	}
	answer := one[events.Answer](l, l.inbox(p))
	l.after(time.Second, *nodes...)
	return answer
}

func (l *lab) room(name room.Name) *room.Room {
	l.Helper()
	items, err := l.World.Store.Get(l.Context(), true, step.RoomKey{Room: name})
	if err != nil {
		l.Fatal(err)
	}
	if len(items.Rooms) == 0 {
		return nil
	}
	return &items.Rooms[0]
}

func TestARoomGrowsOntoFurtherNodesAndLeavesThem(t *testing.T) {
	l := newWideLab(t, 3, 4)
	answers := l.crowds(12)
	on := map[string]int{}
	for _, a := range answers {
		on[a.Node]++
	}
	r := l.room("r")
	if len(on) != 4 || len(r.Nodes) != 4 || l.seats()["r"] != 12 {
		t.Fatalf("%v are on %v; directory %+v", l.seats(), on, r.Nodes)
	}
	for i, n := range r.Nodes {
		if on[string(n.Node)] != 3 || (n.Feeder == "") != (i == 0) {
			t.Errorf("%d people on %+v", on[string(n.Node)], n)
		}
	}
	l.refused(l.joins(someone("p12", "r")), events.CodeRoomFull)

	// The first node, which feeds the others, is left first.
	for _, n := range r.Nodes {
		before := l.room("r").Epoch
		for i := range 12 {
			p := someone(fmt.Sprintf("p%d", i), "r")
			a := answers[p.caller.Identity]
			if a.Node != string(n.Node) {
				continue
			}
			if err := l.left(node{id: n.Node, connection: "c", generation: 1}, p, a.Revision); err != nil {
				t.Fatal(err)
			}
			l.seats() // the books balance after each
		}
		now := l.room("r")
		if now == nil {
			break
		}
		roots := 0
		for _, left := range now.Nodes {
			if left.Feeder == "" {
				roots++
			}
		}
		if now.NodeRef(n.Node) != nil || roots != 1 || now.Epoch <= before {
			t.Errorf("after %s left: %+v, epoch %d after %d", n.Node, now.Nodes, now.Epoch, before)
		}
	}
	if r := l.room("r"); r != nil {
		t.Errorf("the room is still there: %+v", r)
	}
	items, err := l.World.Store.Find(t.Context(), step.AllNodes{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range items.Nodes {
		if !v.Node.Empty() {
			t.Errorf("%s has %v of %v", v.Node.ID, v.Node.Available, v.Node.Capacity)
		}
	}
}

// Rooms of a few people share a node, and grow by turns beyond it: each goes on onto
// further nodes, joined to those it has, and nobody is told that a room is full
// before it has as many people as it may have.
func TestSmallRoomsSpillOverAndAreNotRefused(t *testing.T) {
	const rooms, people, seats = 3, 8, 6
	l := newWideLab(t, seats, 4)
	l.Settings.Profile.MaxParticipants = people
	var nodes []node
	for i := range people {
		for r := range rooms {
			l.comesIn(someone(fmt.Sprintf("p%d-%d", r, i), fmt.Sprintf("r%d", r)), &nodes)
		}
	}
	spread := 0
	for r := range rooms {
		name := room.Name(fmt.Sprintf("r%d", r))
		if got := l.seats()[name]; got != people {
			t.Errorf("%d are in %s", got, name)
		}
		on, roots := l.room(name).Nodes, 0
		for _, n := range on {
			if n.Feeder == "" {
				roots++
			} else if l.room(name).NodeRef(n.Feeder) == nil {
				t.Errorf("%s: %s is joined to %s, where the room is not", name, n.Node, n.Feeder)
			}
		}
		if roots != 1 {
			t.Errorf("%s is in %d parts: %+v", name, roots, on)
		}
		if len(on) > 1 {
			spread++
		}
		l.refused(l.joins(someone("late-"+string(name), string(name))), events.CodeRoomFull)
	}
	if spread == 0 {
		t.Error("no room is on more than one node")
	}
}

func TestADeadNodesPipesAreGivenBack(t *testing.T) {
	l := newWideLab(t, 2, 3)
	answers := l.crowds(6)
	dead := l.room("r").Nodes[0].Node
	var living []node
	for _, n := range l.room("r").Nodes[1:] {
		living = append(living, node{id: n.Node, connection: "c-" + string(n.Node), generation: 1})
	}
	for range 3 + control.CutOffAfter/(fleet.HeartbeatEvery*3) {
		l.after(fleet.HeartbeatEvery*3, living...)
		l.sweep()
		l.seats()
	}
	r := l.room("r")
	if r.NodeRef(dead) != nil || len(r.Nodes) != 2 || r.Pipes(r.Nodes[0].Node) != 1 {
		t.Errorf("%+v without %s", r.Nodes, dead)
	}
	for _, n := range living {
		for i := range 6 {
			p := someone(fmt.Sprintf("p%d", i), "r")
			if a := answers[p.caller.Identity]; a.Node == string(n.id) {
				if err := l.left(n, p, a.Revision); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if l.room("r") != nil || len(l.seats()) != 0 {
		t.Errorf("%v are left", l.seats())
	}
}

func TestARoomMayAvoidANodeByGrowing(t *testing.T) {
	l := newWideLab(t, 5, 2)
	ann, bob := someone("ann", "r"), someone("bob", "r")
	n, _ := l.settles(ann)
	l.admit(bob, n)
	elsewhere := l.join
	elsewhere.ID, elsewhere.Session, elsewhere.Avoid = "again", "session-ann-2", []string{string(n.id)}
	if err := l.World.Join(t.Context(), ann.caller, elsewhere); err != nil {
		t.Fatal(err)
	}
	one[events.Waiting](l, l.inbox(ann))
	m := l.launches()
	l.inbox(ann)
	if err := l.World.Join(t.Context(), ann.caller, elsewhere); err != nil {
		t.Fatal(err)
	}
	l.answers(m)
	if a := one[events.Answer](l, l.inbox(ann)); a.Node != string(m.id) {
		t.Errorf("on %s", a.Node)
	}
	if r := l.room("r"); l.seats()["r"] != 2 || r.Pipes(n.id) != 1 || r.Pipes(m.id) != 1 {
		t.Errorf("%+v", r)
	}
}
