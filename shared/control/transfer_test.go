package control

import (
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// TestNoMoreSeatsComeToTheStageThanItTakes: seats that viewers do not need are
// granted to publishers as far as the stage has room, also where all of a sealed
// block's go.
func TestNoMoreSeatsComeToTheStageThanItTakes(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000)
	profile := room.Default()
	profile.MaxParticipants, profile.MaxPublishers = 6, 2
	r := room.New("r", "here", profile, now).
		WithBlock(room.BlockRef{Index: 1, Node: "old", Generation: 1, Seats: 5, Role: room.Viewer}).
		WithBlock(room.BlockRef{Index: 2, Node: "old", Generation: 1, Seats: 1, Role: room.Publisher})
	s := Seating{Complete: true, Room: &r, Blocks: []fleet.Block{
		{Room: "r", Index: 1, Node: "old", Generation: 1, Seats: 5, Role: room.Viewer, Sealed: true, Members: map[room.Key]room.Revision{"v": 1}},
		{Room: "r", Index: 2, Node: "old", Generation: 1, Seats: 1, Role: room.Publisher, Sealed: true, Members: map[room.Key]room.Revision{"p": 2}}}}
	for role, want := range map[room.Role]int{room.Publisher: 1, room.Viewer: 4} {
		from, err := s.transfer(r, role, now)
		if err != nil || from.seats != want {
			t.Errorf("to a %s: %+v, %v, want %d seats", role, from, err, want)
		}
	}
}
