package placement_test

import (
	"testing"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/room"
)

// A new room begins on the fullest node that leaves it room to grow, and on the
// emptiest where none does.
func TestANewRoomBeginsWhereItCanGrow(t *testing.T) {
	nodes := []fleet.View{view("full", 400), view("half", 650), view("empty", 1000)}
	for _, c := range []struct {
		margin int64
		want   room.NodeID
	}{{0, "full"}, {200, "half"}, {500, "empty"}, {5000, "empty"}} {
		q := placement.Ask(room.Load{Kbps: 100, PPS: 1}, 4, nodes, now)
		q.Margin = room.Load{Kbps: c.margin}
		if got := placement.Choose(q); got.Node != c.want || got.Seats != 4 {
			t.Errorf("margin %d: %+v, want %s", c.margin, got, c.want)
		}
	}
}
