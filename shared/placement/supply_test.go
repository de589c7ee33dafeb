package placement_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/price"
	"github.com/spillway-sfu/spillway/shared/room"
)

// TestMissingAgainstTheBestPacking compares with every possible packing.
func TestMissingAgainstTheBestPacking(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := room.Load{Kbps: 100, PPS: 100}
		var needs []placement.Need
		var loads []int64
		for range rapid.IntRange(0, 7).Draw(t, "rooms") {
			seats := rapid.IntRange(1, 10).Draw(t, "seats")
			needs = append(needs, placement.Need{Seat: room.Load{Kbps: 10, PPS: 1}, Seats: seats, Rooms: 1})
			loads = append(loads, int64(seats)*10)
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

func offers(names ...string) []placement.Offer {
	var out []placement.Offer
	for _, name := range names {
		t, err := price.Type(name)
		if err != nil {
			panic(err)
		}
		out = append(out, placement.Offer{Type: t.Name, Capacity: t.Capacity, Hour: t.Hour})
	}
	return out
}

// all the sizes of one price per kbps, and one that is cheaper per kbps.
var all = []string{"c7g.medium", "c7g.large", "c7g.xlarge", "c7g.2xlarge", "c6gn.2xlarge"}

func TestProvide(t *testing.T) {
	seat := room.Load{Kbps: 7000, PPS: 1350}
	one := func(seats, rooms int) []placement.Need {
		return []placement.Need{{Seat: seat, Seats: seats, Rooms: rooms}}
	}
	for _, c := range []struct {
		name     string
		needs    []placement.Need
		types    []string
		bins     []room.Load
		nodes    int
		money    price.Micros
		want     []string
		unserved int
		limit    placement.Limit
	}{
		{name: "nobody", types: all},
		{name: "one person gets the smallest", needs: one(1, 1), types: all, want: []string{"c7g.medium"}},
		{name: "what is coming is enough", needs: one(50, 1), types: all, bins: []room.Load{seat.Times(50)}},
		{name: "what is coming takes one of two rooms", needs: one(50, 2), types: all, bins: []room.Load{seat.Times(60)}, want: []string{"c7g.medium"}},
		{name: "a room stays whole", needs: one(100, 1), types: all, want: []string{"c7g.large"}},
		{name: "the cheaper of large ones", needs: one(440, 1), types: []string{"c8gn.2xlarge", "c6gn.2xlarge"}, want: []string{"c6gn.2xlarge"}},
		// 444 seats fill a c6gn by packets, 156 are left for one c7g.xlarge, or two of the smaller.
		{name: "filled up with what suits the rest", needs: one(600, 1), types: []string{"c6gn.2xlarge", "c7g.xlarge"}, want: []string{"c6gn.2xlarge", "c7g.xlarge"}},
		{name: "a room larger than any node is divided", needs: one(300, 1), types: []string{"c7g.large"}, want: []string{"c7g.large", "c7g.large", "c7g.large"}},
		{name: "the limit of nodes takes larger ones", needs: one(60, 4), types: all, nodes: 1, want: []string{"c6gn.2xlarge"}, limit: placement.NodeLimit},
		{name: "the limit of nodes leaves some unserved", needs: one(100, 3), types: []string{"c7g.large"}, nodes: 2, want: []string{"c7g.large", "c7g.large"}, unserved: 78, limit: placement.NodeLimit},
		{name: "the limit of money", needs: one(100, 3), types: []string{"c7g.large"}, money: 100_000, want: []string{"c7g.large"}, unserved: 189, limit: placement.MoneyLimit},
		{name: "no money at all", needs: one(1, 1), types: all, money: 1, unserved: 1, limit: placement.MoneyLimit},
		{name: "a seat that no type carries", needs: []placement.Need{{Seat: room.Load{Kbps: 6_000_000}, Seats: 1, Rooms: 1}}, types: all, unserved: 1, limit: placement.TypeLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := placement.Shortage{Needs: c.needs, Bins: c.bins, Offers: offers(c.types...), Nodes: 1000, Money: 1 << 40}
			if c.nodes > 0 {
				s.Nodes = c.nodes
			}
			if c.money > 0 {
				s.Money = c.money
			}
			got := placement.Provide(s)
			var names []string
			var sum price.Micros
			for _, i := range got.Launch {
				names = append(names, s.Offers[i].Type)
				sum += s.Offers[i].Hour
			}
			limit := c.limit
			if c.unserved == 0 {
				limit = got.Limit // chosen by a limit that in the end kept nobody out
			}
			slices.Sort(names)
			slices.Sort(c.want)
			if !slices.Equal(names, c.want) || got.Unserved != c.unserved || got.Limit != limit || got.Hour != sum {
				t.Errorf("got %v %+v, want %v with %d unserved by %q", names, got, c.want, c.unserved, c.limit)
			}
		})
	}
}

// TestProvideCarriesAllWithinLimitsAndCheaply holds any answer against what
// must be so, and its price against a bound below which no set can be.
func TestProvideCarriesAllWithinLimitsAndCheaply(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := placement.Shortage{Offers: offers(all...), Nodes: rapid.SampledFrom([]int{3, 1000}).Draw(t, "nodes"),
			Money: price.Micros(rapid.SampledFrom([]int64{500_000, 1 << 40}).Draw(t, "money"))}
		var sum room.Load
		for range rapid.IntRange(1, 4).Draw(t, "sizes") {
			seat := room.Load{Kbps: rapid.Int64Range(500, 9000).Draw(t, "kbps"), PPS: rapid.Int64Range(100, 2000).Draw(t, "pps")}
			n := placement.Need{Seat: seat, Seats: rapid.IntRange(1, 700).Draw(t, "seats"), Rooms: rapid.IntRange(1, 20).Draw(t, "rooms")}
			s.Needs = append(s.Needs, n)
			sum = sum.Plus(seat.Times(n.Seats * n.Rooms))
		}
		got := placement.Provide(s)
		var capacity room.Load
		for _, i := range got.Launch {
			capacity = capacity.Plus(s.Offers[i].Capacity)
		}
		if len(got.Launch) > s.Nodes || got.Hour > s.Money {
			t.Fatalf("%d nodes for %v, at most %d and %v", len(got.Launch), got.Hour, s.Nodes, s.Money)
		}
		if got.Unserved > 0 {
			if got.Limit == placement.NoLimit {
				t.Fatal("somebody is not served and nothing says why")
			}
			return
		}
		if !sum.Fits(capacity) {
			t.Fatalf("%v cannot carry %v", capacity, sum)
		}
		if got.Limit != placement.NoLimit {
			return
		}
		// The cheapest type per kbps and the cheapest per packet, as if they could be
		// bought by the piece. Rooms are kept whole, so those of a little more than
		// half a node's capacity take twice that with any packing.
		bound := max(float64(sum.Kbps)*346_000/5_000_000, float64(sum.PPS)*36_250/75_000)
		if float64(got.Hour) > 2*bound+2*346_000 {
			t.Fatalf("%v an hour where %v is the least thinkable", got.Hour, price.Micros(bound))
		}
	})
}
