package control

import (
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

func TestAnEmptyNodeEndsSoonWhereOthersHaveRoom(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000)
	node := func(id string, available int64) fleet.View {
		return fleet.View{Node: fleet.Node{ID: room.NodeID(id), State: fleet.Ready, Generation: 1, HelloAt: now, TouchedAt: now.Add(-61 * time.Second),
			Connections: map[int]string{0: "c"}, Capacity: room.Load{Kbps: 100, PPS: 100}, Available: room.Load{Kbps: available, PPS: available}}}
	}
	for _, c := range []struct {
		name    string
		others  []fleet.View
		surplus bool
	}{
		{"alone", nil, false},
		{"another is half full", []fleet.View{node("a", 50)}, true},
		{"another is fuller than that", []fleet.View{node("a", 49)}, false},
		{"another is empty, and stays", []fleet.View{node("a", 100)}, true},
		{"another is empty, and is the one that goes", []fleet.View{node("z", 100)}, false},
	} {
		of := node("m", 100)
		if got := Surplus(append(c.others, of), of, now); got != c.surplus {
			t.Errorf("%s: %v", c.name, got)
		}
		s := NodeSweep{View: of, Surplus: c.surplus, Instance: &Instance{}}
		if ends := len(Sweep(s, now, Settings{IdleAfterMs: time.Hour.Milliseconds()}).Terminations) > 0; ends != c.surplus {
			t.Errorf("%s: it ends: %v", c.name, ends)
		}
		s.View.Node.TouchedAt = now.Add(-59 * time.Second)
		if len(Sweep(s, now, Settings{IdleAfterMs: time.Hour.Milliseconds()}).Terminations) > 0 {
			t.Errorf("%s: it ends within a minute", c.name)
		}
	}
}

// As many seats stay open in a block as people came to it within two minutes.
func TestOpenSeatsAreGivenBack(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000)
	profile := room.Default()
	seat := profile.SeatLoad(room.Publisher)
	for _, c := range []struct {
		name   string
		age    time.Duration
		recent int
		sealed bool
		left   int // seats; 0 is as many as before
	}{
		{"calm", 3 * time.Minute, 0, false, 2},
		{"one has just come", 3 * time.Minute, 1, false, 3},
		{"both have", 3 * time.Minute, 2, false, 4},
		{"young", 59 * time.Second, 0, false, 0},
		{"sealed", 3 * time.Minute, 0, true, 0},
	} {
		b := fleet.Block{Room: "r", Index: 1, Node: "n", Generation: 1, Seats: 5, Role: room.Publisher, Load: seat.Times(5), Sealed: c.sealed,
			CreatedAt: now.Add(-c.age), Members: map[room.Key]room.Revision{}}
		for i := range 2 {
			came := now.Add(-time.Hour)
			if i < c.recent {
				came = now.Add(-119 * time.Second)
			}
			b.Members[room.Key(rune('a'+i))] = room.Revision(0).Next(came)
		}
		r := room.New("r", "r", profile, now).WithBlock(room.BlockRef{Index: 1, Node: "n", Generation: 1, Seats: 5, Role: room.Publisher})
		n := fleet.Node{ID: "n", State: fleet.Ready, Generation: 1, Capacity: seat.Times(9), Available: seat.Times(4)}
		s := NodeSweep{View: fleet.View{Node: n, Beat: fleet.Beat{Generation: 1, LeaseUntil: now.Add(time.Second)}},
			Blocks: []fleet.Block{b}, Rooms: map[room.Name]room.Room{"r": r}}
		commits := s.trim(now)
		if c.left == 0 {
			if len(commits) > 0 {
				t.Errorf("%s: %+v", c.name, commits)
			}
			continue
		}
		if len(commits) != 1 {
			t.Fatalf("%s: %d commits", c.name, len(commits))
		}
		for _, change := range commits[0].Changes {
			switch x := change.(type) {
			case ShrinkBlock:
				if x.Block.Seats != c.left || x.From != 5 || x.Block.Load != seat.Times(c.left) {
					t.Errorf("%s: %+v", c.name, x)
				}
			case ReturnLoad:
				if x.Load != seat.Times(5-c.left) {
					t.Errorf("%s: %+v", c.name, x)
				}
			case PutRoom:
				if x.Room.SeatsLeft != r.SeatsLeft+5-c.left || x.If != r.Revision || x.Room.Ref(1).Full != (c.left == 2) {
					t.Errorf("%s: %+v", c.name, x)
				}
			default:
				t.Errorf("%s: %T", c.name, x)
			}
		}
	}
}
