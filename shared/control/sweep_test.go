package control

import (
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// TestASweepLeavesBlocksThatHaveMovedOn: the index of a dead node's blocks may
// show one that has been brought along to another node, with its people.
func TestASweepLeavesBlocksThatHaveMovedOn(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000)
	lost := fleet.View{Node: fleet.Node{ID: "lost", State: fleet.Lost, Generation: 1, HelloAt: now.Add(-time.Hour)},
		Beat: fleet.Beat{Generation: 1, LeaseUntil: now.Add(-time.Minute)}}
	there := fleet.Block{Room: "r", Index: 1, Node: "lost", Generation: 1, Seats: 4, Members: map[room.Key]room.Revision{"a": 7}}
	moved := fleet.Block{Room: "s", Index: 2, Node: "well", Generation: 1, Seats: 4, Members: map[room.Key]room.Revision{"b": 8}}
	plan := Sweep(NodeSweep{View: lost, Blocks: []fleet.Block{there, moved}, Rooms: map[room.Name]room.Room{}}, now, Settings{})
	dropped := map[int]bool{}
	for _, c := range plan.Commits {
		for _, change := range c.Changes {
			switch x := change.(type) {
			case DropBlock:
				dropped[x.Index] = true
			case DeleteParticipant:
				if x.Key == "b" {
					t.Errorf("somebody who sits on another node is forgotten")
				}
			}
		}
	}
	if !dropped[1] || dropped[2] {
		t.Errorf("blocks %v are dropped, want the one on the lost node and no other", dropped)
	}
}
