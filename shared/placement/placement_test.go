package placement_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/room"
)

var now = time.UnixMilli(1_790_000_000_000)

func view(id string, kbps int64, change ...func(*fleet.View)) fleet.View {
	v := fleet.View{
		Node: fleet.Node{ID: room.NodeID(id), State: fleet.Ready, Generation: 1, Available: room.Load{Kbps: kbps, PPS: 1000}},
		Beat: fleet.Beat{Generation: 1, LeaseUntil: now.Add(time.Second)},
	}
	for _, c := range change {
		c(&v)
	}
	return v
}

func TestChoose(t *testing.T) {
	seat := room.Load{Kbps: 100, PPS: 10}
	dead := func(v *fleet.View) { v.Beat.LeaseUntil = now }
	earlierLife := func(v *fleet.View) { v.Beat.Generation = 0 }
	draining := func(v *fleet.View) { v.Node.State = fleet.Draining }
	fewPackets := func(v *fleet.View) { v.Node.Available.PPS = 15 }
	for _, c := range []struct {
		name       string
		candidates []fleet.View
		seats      int
		avoid      []room.NodeID
		want       string
		wantSeats  int
	}{
		{"none", nil, 1, nil, "", 0},
		{"fullest that fits", []fleet.View{view("a", 900), view("b", 400), view("c", 300)}, 4, nil, "b", 4},
		{"exactly full", []fleet.View{view("a", 400)}, 4, nil, "a", 4},
		{"most where none fits all", []fleet.View{view("a", 100), view("b", 300), view("c", 200)}, 4, nil, "b", 3},
		{"not even one seat", []fleet.View{view("a", 99)}, 1, nil, "", 0},
		{"packets count too", []fleet.View{view("a", 900, fewPackets)}, 4, nil, "a", 1},
		{"an ended lease", []fleet.View{view("a", 400, dead), view("b", 900)}, 4, nil, "b", 4},
		{"a heartbeat of another life", []fleet.View{view("a", 400, earlierLife)}, 4, nil, "", 0},
		{"draining", []fleet.View{view("a", 400, draining)}, 4, nil, "", 0},
		{"avoided", []fleet.View{view("a", 400), view("b", 900)}, 4, []room.NodeID{"a"}, "b", 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, n := placement.Choose(c.candidates, seat, c.seats, c.avoid, now, 0)
			got := ""
			if v != nil {
				got = string(v.Node.ID)
			}
			if got != c.want || n != c.wantSeats {
				t.Errorf("got %q with %d seats, want %q with %d", got, n, c.want, c.wantSeats)
			}
		})
	}
}

func TestSpreadPartsRacersAmongThoseThatFit(t *testing.T) {
	candidates := []fleet.View{view("a", 900), view("b", 400), view("c", 50)}
	seen := map[room.NodeID]int{}
	for spread := range uint64(10) {
		v, _ := placement.Choose(candidates, room.Load{Kbps: 100, PPS: 1}, 4, nil, now, spread)
		seen[v.Node.ID]++
	}
	if seen["a"] != 5 || seen["b"] != 5 {
		t.Errorf("%v", seen)
	}
}

// TestMissingAgainstTheBestPacking compares with every possible packing.
func TestMissingAgainstTheBestPacking(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := room.Load{Kbps: 100, PPS: 100}
		var needs []placement.Need
		var loads []int64
		for i := range rapid.IntRange(0, 7).Draw(t, "rooms") {
			seats := rapid.IntRange(1, 12).Draw(t, "seats")
			needs = append(needs, placement.Need{Room: room.Name(fmt.Sprint(i)), Seat: room.Load{Kbps: 10, PPS: 1}, Seats: seats})
			loads = append(loads, int64(min(seats, 10))*10)
		}
		var coming []room.Load
		var bins []int64
		for range rapid.IntRange(0, 2).Draw(t, "coming") {
			coming = append(coming, capacity)
			bins = append(bins, 100)
		}
		got := placement.Missing(needs, coming, capacity)
		best := fewest(loads, bins, len(bins))
		if got < best {
			t.Fatalf("%d nodes cannot hold it, %d are needed at least", got, best)
		}
		if all := got + len(coming); float64(all) > 11.0/9*float64(best+len(coming))+1 {
			t.Fatalf("%d nodes where %d are enough", got, best)
		}
	})
}

// fewest tries all packings and returns how many bins beyond the given ones the
// best needs.
func fewest(loads, bins []int64, given int) int {
	if len(loads) == 0 {
		return len(bins) - given
	}
	best := 1 << 30
	for i := range bins {
		if bins[i] >= loads[0] {
			bins[i] -= loads[0]
			best = min(best, fewest(loads[1:], bins, given))
			bins[i] += loads[0]
		}
	}
	return min(best, fewest(loads[1:], append(append([]int64(nil), bins...), 100-loads[0]), given))
}

func TestTypesHaveCapacity(t *testing.T) {
	c7g, err := placement.Type("c7g.large")
	if err != nil || !room.Default().SeatLoad(room.Publisher).Times(50).Fits(c7g.Capacity) {
		t.Errorf("%v, %v", c7g, err)
	}
	if _, err := placement.Type("t2.nano"); err == nil {
		t.Error("an unknown type was taken")
	}
}
