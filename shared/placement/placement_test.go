package placement_test

import (
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/room"
)

var now = time.UnixMilli(1_790_000_000_000)

func view(id string, kbps int64, change ...func(*fleet.View)) fleet.View {
	v := fleet.View{
		Node: fleet.Node{ID: room.NodeID(id), State: fleet.Ready, Generation: 1, Connections: map[int]string{0: "c"}, Available: room.Load{Kbps: kbps, PPS: 1000}},
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
	negative := func(v *fleet.View) { v.Node.Available = room.Load{Kbps: 500, PPS: -1} }
	zone := func(z string) func(*fleet.View) { return func(v *fleet.View) { v.Node.Zone = z } }
	home := func(ids ...room.NodeID) func(*placement.Question) {
		return func(q *placement.Question) { q.Home = ids }
	}
	in := func(zones ...string) func(*placement.Question) {
		return func(q *placement.Question) { q.Zones = zones }
	}
	avoid := func(ids ...room.NodeID) func(*placement.Question) {
		return func(q *placement.Question) { q.Avoid = ids }
	}
	for _, c := range []struct {
		name       string
		candidates []fleet.View
		seats      int
		ask        func(*placement.Question)
		want       string
		wantSeats  int
		rank       placement.Rank
	}{
		{"none", nil, 1, nil, "", 0, placement.Unfit},
		{"fullest that fits", []fleet.View{view("a", 900), view("b", 400), view("c", 300)}, 4, nil, "b", 4, placement.ZoneAll},
		{"exactly full", []fleet.View{view("a", 400)}, 4, nil, "a", 4, placement.ZoneAll},
		{"most where none fits all", []fleet.View{view("a", 100), view("b", 300), view("c", 200)}, 4, nil, "b", 3, placement.ZoneSome},
		{"not even one seat", []fleet.View{view("a", 99)}, 1, nil, "", 0, placement.Unfit},
		{"a negative rest", []fleet.View{view("a", 0, negative)}, 1, nil, "", 0, placement.Unfit},
		{"packets count too", []fleet.View{view("a", 900, fewPackets)}, 4, nil, "a", 1, placement.ZoneSome},
		{"an ended lease", []fleet.View{view("a", 400, dead), view("b", 900)}, 4, nil, "b", 4, placement.ZoneAll},
		{"a heartbeat of another life", []fleet.View{view("a", 400, earlierLife)}, 4, nil, "", 0, placement.Unfit},
		{"draining", []fleet.View{view("a", 400, draining)}, 4, nil, "", 0, placement.Unfit},
		{"avoided", []fleet.View{view("a", 400), view("b", 900)}, 4, avoid("a"), "b", 4, placement.ZoneAll},
		{"same room first", []fleet.View{view("a", 400), view("b", 900)}, 4, home("b"), "b", 4, placement.HomeAll},
		{"same room, though only some fit", []fleet.View{view("a", 400), view("b", 100)}, 4, home("b"), "b", 1, placement.HomeSome},
		{"same room, full", []fleet.View{view("a", 400), view("b", 99)}, 4, home("b"), "a", 4, placement.ZoneAll},
		{"same zone first", []fleet.View{view("a", 400, zone("x")), view("b", 900, zone("y"))}, 4, in("y"), "b", 4, placement.ZoneAll},
		{"another zone before a part", []fleet.View{view("a", 400, zone("x")), view("b", 300, zone("y"))}, 4, in("y"), "a", 4, placement.FarAll},
		{"a part in the zone before one elsewhere", []fleet.View{view("a", 300, zone("x")), view("b", 200, zone("y"))}, 4, in("y"), "b", 2, placement.ZoneSome},
		{"a part elsewhere", []fleet.View{view("a", 300, zone("x"))}, 4, in("y"), "a", 3, placement.FarSome},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := placement.Ask(seat, c.seats, c.candidates, now)
			if c.ask != nil {
				c.ask(&q)
			}
			got := placement.Choose(q)
			if string(got.Node) != c.want || got.Seats != c.wantSeats || got.Rank != c.rank {
				t.Errorf("got %+v, want %q with %d seats by %q", got, c.want, c.wantSeats, c.rank)
			}
		})
	}
}

func TestSpreadPartsRacersAmongThoseThatFit(t *testing.T) {
	q := placement.Ask(room.Load{Kbps: 100, PPS: 1}, 4, []fleet.View{view("a", 900), view("b", 400), view("c", 50)}, now)
	seen := map[room.NodeID]int{}
	for spread := range uint64(10) {
		q.Spread = spread
		seen[placement.Choose(q).Node]++
	}
	if seen["a"] != 5 || seen["b"] != 5 {
		t.Errorf("%v", seen)
	}
}
