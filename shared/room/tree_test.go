package room_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway-sfu/spillway/shared/room"
)

// A room whose blocks come and go on many nodes: its directory names each of
// them once, every node but one has a feeder, no pipes form a circle, and no
// node has more of them than it can take.
func TestNodesOfARoomAreATree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMilli(1_790_000_000_000)
		r := room.New("r", "eu-north-1", room.Default(), at)
		each := rapid.IntRange(2, 12).Draw(t, "pipes a node takes")
		index, lost := 0, map[room.NodeID]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"grant": func(t *rapid.T) {
				id := room.NodeID(fmt.Sprintf("n%02d", rapid.IntRange(0, 29).Draw(t, "node")))
				r = r.WithBlock(room.BlockRef{Index: index, Node: id, Generation: 1, Seats: 1})
				index++
			},
			"return": func(t *rapid.T) {
				if len(r.Blocks) > 0 {
					r = r.WithoutBlock(rapid.SampledFrom(r.Blocks).Draw(t, "block").Index)
				}
			},
			"lose": func(t *rapid.T) {
				lost[room.NodeID(fmt.Sprintf("n%02d", rapid.IntRange(0, 29).Draw(t, "node")))] = true
			},
			"": func(t *rapid.T) {
				before := r
				r = r.SettledWithout(func(id room.NodeID) bool { return lost[id] }, func(id room.NodeID) int {
					if lost[id] {
						return -before.Pipes(id)
					}
					return each - before.Pipes(id)
				}, at)
				tree(t, r, each, lost)
				if changed := !slices.Equal(before.Nodes, r.Nodes); changed != (r.Epoch > before.Epoch) {
					t.Fatalf("changed %v, epoch %d after %d", changed, r.Epoch, before.Epoch)
				}
			},
		})
	})
}

func tree(t *rapid.T, r room.Room, each int, lost map[room.NodeID]bool) {
	on := map[room.NodeID]bool{}
	for _, b := range r.Blocks {
		on[b.Node] = true
	}
	roots := 0
	for _, n := range r.Nodes {
		if !on[n.Node] {
			t.Fatalf("%s is twice there, or has no block: %+v", n.Node, r.Nodes)
		}
		delete(on, n.Node)
		if n.Feeder == "" && !lost[n.Node] {
			roots++
		}
		if lost[n.Node] && r.Pipes(n.Node) > 0 {
			t.Fatalf("%s is lost and has pipes: %+v", n.Node, r.Nodes)
		}
		if p := r.Pipes(n.Node); p > each || p > room.Fanout+1 || p != len(r.Neighbours(n.Node)) {
			t.Fatalf("%s has %d pipes and %d neighbours: %+v", n.Node, p, len(r.Neighbours(n.Node)), r.Nodes)
		}
		id := n.Node
		for range len(r.Nodes) {
			if ref := r.NodeRef(id); ref == nil {
				t.Fatalf("%s is fed by %s, which is not there", n.Node, id)
			} else if ref.Feeder != "" {
				id = ref.Feeder
			}
		}
		if r.NodeRef(id).Feeder != "" {
			t.Fatalf("%s feeds itself: %+v", id, r.Nodes)
		}
	}
	if len(on) > 0 || roots > 1 {
		t.Fatalf("%v are missing, %d roots: %+v", on, roots, r.Nodes)
	}
}

func TestNineNodesAreAStar(t *testing.T) {
	r := room.New("r", "eu-north-1", room.Default(), time.UnixMilli(1))
	for i := range 11 {
		r = r.WithBlock(room.BlockRef{Index: i, Node: room.NodeID(fmt.Sprintf("n%02d", i)), Generation: 1, Seats: 1})
		r = r.Settled(func(room.NodeID) int { return 20 }, time.UnixMilli(2))
	}
	for i, want := range []room.NodeID{"", "n00", "n00", "n00", "n00", "n00", "n00", "n00", "n00", "n01", "n01"} {
		if r.Nodes[i].Feeder != want {
			t.Errorf("%s is fed by %q, not %q", r.Nodes[i].Node, r.Nodes[i].Feeder, want)
		}
	}
}

func TestANodeThatMayTakeNoPipeIsNotJoined(t *testing.T) {
	r := room.New("r", "eu-north-1", room.Default(), time.UnixMilli(1))
	r = r.WithBlock(room.BlockRef{Index: 0, Node: "a", Generation: 1, Seats: 1}).WithBlock(room.BlockRef{Index: 1, Node: "b", Generation: 1, Seats: 1})
	alone := r.Settled(func(room.NodeID) int { return 0 }, time.UnixMilli(2))
	if alone.Pipes("a")+alone.Pipes("b") != 0 {
		t.Errorf("%+v", alone.Nodes)
	}
	if joined := alone.Settled(func(room.NodeID) int { return 1 }, time.UnixMilli(3)); joined.Pipes("a") != 1 || joined.Epoch <= alone.Epoch {
		t.Errorf("%+v", joined)
	}
	again := r.WithBlock(room.BlockRef{Index: 2, Node: "a", Generation: 2, Seats: 1}).Settled(func(room.NodeID) int { return 1 }, time.UnixMilli(4))
	if again.NodeRef("a").Generation != 2 {
		t.Errorf("%+v", again.Nodes)
	}
}
