package trial

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// TestAThousandNodes joins a room's thousand nodes and lets each die in turn: how
// deep the tree is, how long a packet is on its way at the measured latency of a pipe,
// how many nodes and people lose what comes from above, and how many are joined
// anew. `go test ./shared/sim/trial -run AThousandNodes -v` prints it.
func TestAThousandNodes(t *testing.T) {
	const nodes, seats = 1000, 1000
	const hop = 55 * time.Microsecond // 0.15 to 0.21 to 0.25 ms over none, one and two pipes
	now := epoch
	roomy := func(room.NodeID) int { return room.Fanout + 1 }
	r := room.New("r", "here", room.Default(), now)
	for i := range nodes {
		r = r.WithBlock(room.BlockRef{Index: i, Node: room.NodeID(fmt.Sprintf("n%04d", i)), Generation: 1, Seats: 1})
		now = now.Add(time.Millisecond)
		r = r.Settled(roomy, now)
	}
	depths := r.Depths()
	deepest := slices.Max(depths)
	if deepest > 4 {
		t.Errorf("a tree of %d nodes is %d deep, expected 4 at most with a fan-out of %d", nodes, deepest, room.Fanout)
	}
	below := map[room.NodeID]int{}
	for _, n := range r.Nodes {
		for at := n.Feeder; at != ""; at = r.NodeRef(at).Feeder {
			below[at]++
		}
	}
	var cut, moved []int
	for i := 0; i < nodes; i += 7 {
		died := r.Nodes[i].Node
		next := r.WithoutBlock(i).Settled(roomy, now.Add(time.Second))
		cut, moved = append(cut, below[died]), append(moved, next.Moved(r))
		if after := slices.Max(next.Depths()); after > deepest {
			t.Errorf("the tree is %d deep once %s is gone, before it was %d", after, died, deepest)
		}
		roots := 0
		for _, n := range next.Nodes {
			if n.Feeder == "" {
				roots++
			}
		}
		if m := next.Moved(r); roots != 1 || m > room.Fanout+1 {
			t.Errorf("%s is gone: %d roots, %d nodes have another feeder", died, roots, m)
		}
	}
	sum := 0
	for _, n := range cut {
		sum += n
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%d nodes, fan-out %d: %d pipes deep, %v from end to end at %v a pipe\n", nodes, room.Fanout, deepest, time.Duration(deepest)*hop, hop)
	fmt.Fprintf(&out, "one node's death: %d people lose their home; mean %.1f, most %d nodes below it are cut off (%d people at most); most %d are joined anew\n",
		seats, float64(sum)/float64(len(cut)), slices.Max(cut), slices.Max(cut)*seats, slices.Max(moved))
	fmt.Fprintf(&out, "joined anew when the node's room takes it for dead: by its people's reports within %v of one another, or at its lease's end, %v after its last heartbeat at most",
		room.LossLasts, fleet.LeaseLasts)
	t.Log(out.String())
}
