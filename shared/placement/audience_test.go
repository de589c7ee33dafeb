package placement_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/price"
	"github.com/spillway-sfu/spillway/shared/room"
)

func hallOf(t *testing.T, viewers int, types ...string) placement.Hall {
	t.Helper()
	profile, err := room.Preset("townhall")
	if err != nil {
		t.Fatal(err)
	}
	profile.MaxParticipants, profile.MaxPublishers = viewers+8, 8
	a := placement.Audience{Profile: profile, Viewers: viewers, Publishers: 8, Zones: 3, BlockSeats: 24}
	for _, name := range types {
		typ, err := price.Type(name)
		if err != nil {
			t.Fatal(err)
		}
		a.Offers = append(a.Offers, placement.Offer{Type: name, Capacity: typ.Capacity, Hour: typ.Hour})
	}
	h, err := placement.Seat(a)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Whatever the type of the nodes, everybody has a seat, no node feeds too many
// and the tree is as shallow as its fan-out allows.
func TestAnAudienceIsSeatedOnAShallowTree(t *testing.T) {
	for _, c := range []struct {
		typ     string
		viewers int
		depth   int
	}{
		{"c7g.medium", 10_000, 4}, // a small node feeds four
		{"c7g.large", 10_000, 2},
		{"c7g.large", 100_000, 4},
		{"c7g.2xlarge", 100_000, 3},
	} {
		h := hallOf(t, c.viewers, c.typ)
		people, nodes := 0, 0
		for _, l := range h.Levels {
			people += l.People
			nodes += l.Nodes
		}
		if people != c.viewers+8 || h.Pipes != nodes-1 || h.MostPipes > room.Fanout+1 || len(h.Levels) != c.depth+1 || h.DeathDepth > c.depth || h.DeathFeeders > room.Fanout+1 {
			t.Errorf("%d on %s: %+v", c.viewers, c.typ, h)
		}
		typ, _ := price.Type(c.typ)
		if h.InstanceHour != typ.Hour*price.Micros(nodes) {
			t.Errorf("%d nodes cost %v", nodes, h.InstanceHour)
		}
	}
}

func TestAnAudienceThatNoNodeCarriesIsRefused(t *testing.T) {
	_, err := placement.Seat(placement.Audience{Profile: room.Default(), Viewers: 1, Publishers: 1, Zones: 1, BlockSeats: 1,
		Offers: []placement.Offer{{Type: "tiny", Capacity: room.Load{Kbps: 10, PPS: 10}}}})
	if err == nil {
		t.Error("a seat was found on a node that carries none")
	}
}

// A thousand nodes of one room, on the type that is launched by default: each
// dies once with all others alive, then half of them one after the other, with
// others in their place.
func TestAThousandNodesOutliveTheirNeighbours(t *testing.T) {
	typ, err := price.Type("c7g.large")
	if err != nil {
		t.Fatal(err)
	}
	profile := room.Default()
	pipe := profile.PipeLoad()
	r := room.New("r", "eu-north-1", profile, time.UnixMilli(1))
	grow := func(r room.Room, i int) room.Room {
		return r.WithBlock(room.BlockRef{Index: i, Node: room.NodeID(fmt.Sprintf("n%04d", i)), Generation: 1, Seats: 1})
	}
	// A node keeps room for so many pipes once it has one.
	two := grow(grow(r, 0), 1).Settled(func(room.NodeID) int { return 1 }, time.UnixMilli(1))
	each := pipe.Into(two.PipeReserve("n0001", typ.Capacity).Plus(pipe))
	settle := func(r room.Room) room.Room {
		have := r.AllPipes()
		return r.Settled(func(id room.NodeID) int { return each - have[id] }, time.UnixMilli(2))
	}
	for i := range 1000 {
		r = settle(grow(r, i))
	}
	depths := r.Depths()
	sum := 0
	for _, d := range depths {
		sum += d
	}
	depth := slices.Max(depths)
	t.Logf("1000 nodes with at most %d pipes of %d kbps each: depth %d, %.2f in the mean", each, pipe.Kbps, depth, float64(sum)/1000)
	if depth != 4 {
		t.Errorf("depth %d", depth)
	}
	worst, moved, deepest := 0, 0, 0
	for i := range 1000 {
		after := settle(r.WithoutBlock(i))
		n := after.Moved(r)
		worst, moved, deepest = max(worst, n), moved+n, max(deepest, slices.Max(after.Depths()))
	}
	t.Logf("one death: at most %d nodes change their feeder, %.2f in the mean; depth at most %d after it", worst, float64(moved)/1000, deepest)
	if worst > room.Fanout+1 || deepest > depth {
		t.Errorf("at most %d change, depth %d", worst, deepest)
	}
	draw := rand.New(rand.NewPCG(1, 2))
	for i := 1000; i < 1500; i++ {
		gone := r.Blocks[draw.IntN(len(r.Blocks))].Index
		r = settle(r.WithoutBlock(gone))
		r = settle(grow(r, i))
		deepest = max(deepest, slices.Max(r.Depths()))
	}
	if roots := len(r.Nodes) - len(r.AllPipes()); roots > 0 {
		t.Errorf("%d nodes have no pipe", roots)
	}
	t.Logf("500 deaths, each followed by a new node: depth at most %d", deepest)
	if deepest > depth+1 {
		t.Errorf("depth %d", deepest)
	}
}
