package cloud

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
	"github.com/spillway-sfu/spillway/shared/step"
	"github.com/spillway-sfu/spillway/shared/step/steptest"
)

// A meter changes nothing of the store behind it.
func TestStoreBehindAMeter(t *testing.T) {
	steptest.Run(t, func(*testing.T) step.Store { return NewMeter(sim.NewStore()) })
}

var then = time.UnixMilli(1_790_000_000_000)

// The items that every join writes stay within one unit: a full block, and a
// participant with names as long as are allowed for.
func TestItemsOfAJoinStayWithinAUnit(t *testing.T) {
	b := fleet.Block{Room: room.Name(strings.Repeat("r", 64)), Index: int(then.UnixMilli()), Node: "n-abcdefgh", Generation: 12, Seats: fleet.MaxBlockSeats,
		Role: room.Publisher, Load: room.Default().SeatLoad(room.Publisher).Times(fleet.MaxBlockSeats), Members: map[room.Key]room.Revision{}, CreatedAt: then}
	for i := range fleet.MaxBlockSeats {
		b.Members[room.Key(fmt.Sprintf("%016d", i))] = room.Revision(then.UnixMilli())
	}
	i, err := encodeBlock(b)
	if err != nil || itemSize(i) > 1024 {
		t.Errorf("a full block has %d bytes, %v", itemSize(i), err)
	}
	p := room.Participant{Room: b.Room, Key: "0123456789abcdef", Identity: strings.Repeat("i", 100), Name: strings.Repeat("n", 100), Role: room.Publisher,
		Session: strings.Repeat("s", 36), Revision: room.Revision(then.UnixMilli()), Block: b.Index, SeatedAt: then,
		Held: room.Held{Session: strings.Repeat("h", 36), Revision: room.Revision(then.UnixMilli()), Block: b.Index}}
	if i, err = encodeParticipant(p); err != nil || itemSize(i) > 1024 {
		t.Errorf("a participant has %d bytes, %v", itemSize(i), err)
	}
	r := room.New(b.Room, "eu-north-1", room.Default(), then)
	for r.Granted() < 500 {
		r = r.WithBlock(room.BlockRef{Index: r.NextBlock, Node: "n-abcdefgh", Generation: 1, Seats: fleet.MaxBlockSeats, Role: room.Publisher, Full: true})
	}
	if i, err = encodeRoom(r); err != nil || itemSize(i) > 4096 {
		t.Errorf("a room of 500 has %d bytes, %v: reading it takes more than one unit", itemSize(i), err)
	}
}

// What the meter counts, by the rules of the developer guide.
func TestUnits(t *testing.T) {
	store := sim.NewStore()
	meter := NewMeter(store)
	seat := room.Default().SeatLoad(room.Publisher)
	node := fleet.Node{ID: "n-abcdefgh", State: fleet.Ready, Generation: 1, Region: "r", Capacity: seat.Times(100), Available: seat.Times(100)}
	block := fleet.Block{Room: "r", Index: 1, Node: node.ID, Generation: 1, Seats: 4, Members: map[room.Key]room.Revision{}, CreatedAt: then}
	r := room.New("r", "r", room.Default(), then)
	for _, c := range []struct {
		name    string
		changes []control.Change
		want    float64
		fails   bool
	}{
		{"a ready node enters two indexes", []control.Change{control.PutNode{Node: node}}, 3, false},
		{"a condition that fails costs the write", []control.Change{control.PutNode{Node: node, If: 7}}, 1, true},
		{"a claim moves it within one", []control.Change{control.ClaimLoad{Node: node.ID, Generation: 1, Load: seat, At: then}}, 3, false},
		{"a transaction costs twice, its indexes once", []control.Change{
			control.ClaimLoad{Node: node.ID, Generation: 1, Load: seat, At: then}, control.PutRoom{Room: r}, control.PutBlock{Block: block}}, 4 + 3 + 3, false},
		{"a seat moves nothing", []control.Change{control.TakeSeat{Room: "r", Index: 1, Generation: 1, Key: "k", Revision: 5}}, 1, false},
		{"a node that drains leaves the index of candidates", []control.Change{
			control.SetState{Node: node.ID, Generation: 1, From: fleet.Ready, To: fleet.Draining}}, 2, false},
		{"a deleted block leaves its index", []control.Change{control.DropBlock{Room: "r", Index: 1, Node: node.ID, Generation: 1}}, 2, false},
	} {
		ctx, used := step.WithUsage(t.Context())
		if err := meter.Commit(ctx, c.changes); (err != nil) != c.fails {
			t.Fatalf("%s: %v", c.name, err)
		}
		if used.WriteUnits != c.want {
			t.Errorf("%s: %v write units, expected %v", c.name, used.WriteUnits, c.want)
		}
	}
	big := r
	for range 900 {
		big = big.WithBlock(room.BlockRef{Index: big.NextBlock, Node: node.ID, Generation: 1, Seats: 4, Role: room.Publisher})
	}
	if err := meter.Commit(t.Context(), []control.Change{control.PutRoom{Room: big, If: r.Revision}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		consistent bool
		key        step.Key
		want       float64
	}{
		{"a node with no heartbeat", true, step.NodeKey{Node: node.ID}, 2},
		{"half of that", false, step.NodeKey{Node: node.ID}, 1},
		{"a room of more than 4 KB", true, step.RoomKey{Room: "r"}, 2},
		{"what does not exist", false, step.RoomKey{Room: "s"}, 0.5},
	} {
		ctx, used := step.WithUsage(t.Context())
		if _, err := meter.Get(ctx, c.consistent, c.key); err != nil {
			t.Fatal(err)
		}
		if used.ReadUnits != c.want || used.Requests != 1 {
			t.Errorf("%s: %v read units in %d requests, expected %v", c.name, used.ReadUnits, used.Requests, c.want)
		}
	}
}
