package step_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// assigned returns the latest assignment that each node of the room was sent
// since it last looked.
func (l *lab) assigned(nodes ...node) map[room.NodeID]events.Assignment {
	l.Helper()
	out := map[room.NodeID]events.Assignment{}
	for _, n := range nodes {
		for _, m := range l.take(n.connection, events.ToNode) {
			a, ok := m.(events.Assignment)
			if !ok {
				continue
			}
			if err := a.Validate(); err != nil {
				l.Error(err)
			}
			if a.Node != string(n.id) || a.Generation != n.generation || a.Room != "r" {
				l.Errorf("%s got %+v", n.id, a)
			}
			if a.Epoch >= out[n.id].Epoch {
				out[n.id] = a
			}
		}
	}
	return out
}

// agrees fails where what a node was told is not what the room's tree says.
func (l *lab) agrees(r *room.Room, told map[room.NodeID]events.Assignment, nodes ...node) {
	l.Helper()
	for _, n := range nodes {
		ref, a := r.NodeRef(n.id), told[n.id]
		want := map[string]bool{}
		for _, p := range r.Neighbours(n.id) {
			want[string(p.Node)] = true
		}
		if ref == nil || a.Epoch != ref.Since || len(a.Peers) != len(want) {
			l.Errorf("%s was told %+v, the directory says %+v", n.id, a, ref)
			continue
		}
		for _, p := range a.Peers {
			if !want[p.Node] || p.Feeder != (string(ref.Feeder) == p.Node) || p.PipePort != l.hello.PipePort || p.Fingerprint != l.hello.Fingerprint ||
				len(p.Addresses) != len(l.hello.Addresses) || p.Addresses[0] != l.hello.Addresses[0] {
				l.Errorf("%s was told of %+v", n.id, p)
			}
		}
	}
}

func nodesOf(r *room.Room) []node {
	var out []node
	for _, n := range r.Nodes {
		out = append(out, node{id: n.Node, connection: fmt.Sprintf("c-%s-boot-one", n.Node), generation: int64(n.Generation)})
	}
	return out
}

func TestNodesAreToldWhichOthersTheyAreJoinedTo(t *testing.T) {
	l := newWideLab(t, 2, 4)
	told := map[room.NodeID]events.Assignment{}
	l.heard = func(n node, m events.Message) {
		if a, ok := m.(events.Assignment); ok {
			told[n.id] = a
		}
	}
	answers := l.crowds(8)
	r := l.room("r")
	nodes := nodesOf(r)
	l.heard = nil
	for id, a := range l.assigned(nodes...) {
		told[id] = a
	}
	if len(nodes) != 4 {
		t.Fatalf("%+v", r.Nodes)
	}
	l.agrees(r, told, nodes...)

	// The root is left: another node takes its place, and all who were fed by it
	// are told, as is the one that has left.
	root := nodes[0]
	for i := range 8 {
		p := someone(fmt.Sprintf("p%d", i), "r")
		if a := answers[p.caller.Identity]; a.Node == string(root.id) {
			if err := l.left(root, p, a.Revision); err != nil {
				t.Fatal(err)
			}
		}
	}
	after := l.assigned(nodes...)
	r = l.room("r")
	if a, ok := after[root.id]; !ok || len(a.Peers) > 0 || a.Epoch != r.Epoch {
		t.Errorf("the node that has left was told %+v", a)
	}
	l.agrees(r, after, nodes[1:]...)
}

func TestALostAssignmentIsSentAgain(t *testing.T) {
	l := newWideLab(t, 2, 2)
	l.crowds(4)
	r := l.room("r")
	nodes := nodesOf(r)
	l.assigned(nodes...) // lost, as far as the nodes are concerned
	lists := func(n node, epoch int64) map[room.NodeID]events.Assignment {
		inv := &events.Inventory{TakenMs: l.Now().UnixMilli(), Parts: 1, Rooms: events.List[events.RoomMembers]{{Room: "r", Members: map[string]int64{}, Epoch: epoch}}}
		if epoch < 0 {
			inv.Rooms = nil
		}
		if err := l.beats(n, inv); err != nil {
			t.Fatal(err)
		}
		return l.assigned(n)
	}
	for _, epoch := range []int64{-1, 0, r.NodeRef(nodes[1].id).Since - 1} {
		l.agrees(r, lists(nodes[1], epoch), nodes[1])
	}
	if again := lists(nodes[1], r.NodeRef(nodes[1].id).Since); len(again) > 0 {
		t.Errorf("told again what it knows: %+v", again)
	}
	l.after(time.Second, nodes...)

	// A node that still has pipes of a room that is over, or that has left it, is
	// told so; one that never had any is not.
	other := someone("else", "elsewhere")
	if err := l.joins(other); err != nil {
		t.Fatal(err)
	}
	n := l.launches()
	l.assigned(n)
	if a := lists(n, 5)[n.id]; a.Epoch <= 5 || len(a.Peers) > 0 {
		t.Errorf("of a room that it has left it was told %+v", a)
	}
	if again := lists(n, 0); len(again) > 0 {
		t.Errorf("told of a room that it has no pipes of: %+v", again)
	}
}

func TestARoomDoesNotGrowOntoNodesWithoutPipes(t *testing.T) {
	l := newWideLab(t, 2, 4)
	l.hello.PipePort = 0
	l.crowds(2)
	l.refused(l.joins(someone("late", "r")), events.CodeRoomFull)
}

func TestTheRootsDeathMovesItsChildrenOnly(t *testing.T) {
	l := newWideLab(t, 1, 6)
	l.crowds(6)
	before := l.room("r")
	nodes := nodesOf(before)
	l.assigned(nodes...)
	for l.node(nodes[0]).Node.State != fleet.Lost {
		l.after(fleet.HeartbeatEvery*3, nodes[1:]...)
		l.sweep()
	}
	// As soon as it is given up, those that it fed are joined to others, though its
	// people may still come back for their seats.
	if r := l.room("r"); r.NodeRef(nodes[0].id) == nil || r.Pipes(nodes[0].id) != 0 || r.Pipes(nodes[1].id) == 0 {
		t.Fatalf("given up: %+v", r.Nodes)
	}
	l.seats()
	l.agrees(l.room("r"), l.assigned(nodes[1:]...), nodes[1:]...)
	epoch := l.room("r").Epoch
	for range 3 + fleet.NoShowAfter/(fleet.HeartbeatEvery*3) {
		l.after(fleet.HeartbeatEvery*3, nodes[1:]...)
		l.sweep()
	}
	r := l.room("r")
	if told := l.assigned(nodes[1:]...); len(told) != 0 || r.NodeRef(nodes[1].id).Since > epoch {
		t.Errorf("the end of its blocks changed pipes again: %+v", told)
	}
	if r.NodeRef(nodes[0].id) != nil || len(r.Nodes) != 5 {
		t.Fatalf("%+v", r.Nodes)
	}
	if moved := r.Moved(*before); moved != 5 {
		t.Errorf("%d nodes changed their feeder, expected the five that the root fed", moved)
	}
}
