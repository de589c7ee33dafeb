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

// TestANodeWithPeopleIsNotIdle: a node that was cut off while its rooms were
// brought elsewhere may still have people when it is back, though nothing is
// granted on it. They are told first, unless it says so for ever.
func TestANodeWithPeopleIsNotIdle(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000)
	for _, state := range []fleet.State{fleet.Ready, fleet.Draining} {
		for _, c := range []struct {
			people int
			ago    time.Duration
			ends   bool
		}{{2, time.Minute, false}, {0, time.Minute, true}, {2, strayLasts + time.Second, true}} {
			v := fleet.View{Node: fleet.Node{ID: "n", State: state, Generation: 3, HelloAt: now.Add(-time.Hour), TouchedAt: now.Add(-c.ago)},
				Beat: fleet.Beat{Generation: 3, People: c.people, LeaseUntil: now.Add(time.Second)}}
			plan := Sweep(NodeSweep{View: v, Instance: &Instance{ID: "i"}, Rooms: map[room.Name]room.Room{}}, now, Settings{IdleAfterMs: 30_000})
			if ends := len(plan.Terminations) > 0; ends != c.ends {
				t.Errorf("a node that is %s, has %d people and was last granted anything %s ago: ended %v, want %v", state, c.people, c.ago, ends, c.ends)
			}
		}
	}
}
