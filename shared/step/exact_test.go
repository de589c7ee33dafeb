package step_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// TestExactlyTheNodesThatAreNeeded: a thousand join at once. As many nodes are
// launched as carry them, not one more, and when those have come everybody has a
// seat. What is expected is worked out here, from what a node carries.
func TestExactlyTheNodesThatAreNeeded(t *testing.T) {
	profile := room.Default()
	profile.MaxParticipants, profile.MaxPublishers = 2000, 2000
	seat, watch := profile.SeatLoad(room.Publisher), profile.SeatLoad(room.Viewer)
	in := func(rooms int) func(i int) (string, events.Role) {
		return func(i int) (string, events.Role) { return fmt.Sprintf("r%d", i%rooms), events.Publisher }
	}
	for _, c := range []struct {
		name         string
		offers       []placement.Offer
		nodesPerRoom int
		of           func(i int) (string, events.Role)
		want         map[string]int
	}{
		// Each of its nodes keeps room for nine pipes, and takes 150 people besides.
		{"one room on many nodes", []placement.Offer{{Type: "even", Capacity: seat.Times(150).Plus(profile.PipeLoad().Times(room.Fanout + 1))}}, 100, in(1), map[string]int{"even": 7}},
		// A room of 20 people fills a node.
		{"50 rooms, without pipes' reserve", []placement.Offer{{Type: "even", Capacity: seat.Times(20)}}, 1, in(50), map[string]int{"even": 50}},
		// 300 rooms: 100 of four people, 200 of three. 25 seats carry 6 of four, or 8 of three with one seat left:
		// 16 nodes carry 96 rooms of four; the last four and 3 of three fill one; 197 of three fill 25 more.
		{"300 rooms", []placement.Offer{{Type: "even", Capacity: seat.Times(25)}}, 1, in(300), map[string]int{"even": 42}},
		// A room of 20 people and what is kept for pipes: two such rooms do not fit.
		{"pipes are not seats", []placement.Offer{{Type: "even", Capacity: seat.Times(40)}}, 100, in(50), map[string]int{"even": 50}},
		{"and where there is room for them", []placement.Offer{{Type: "even", Capacity: seat.Times(40).Plus(profile.PipeLoad().Times(8))}}, 100, in(50), map[string]int{"even": 25}},
		// Ten rooms of 50 publishers and 50 viewers: each fills a large node to the last.
		{"both roles", []placement.Offer{{Type: "even", Capacity: seat.Times(50).Plus(watch.Times(50))}}, 1,
			func(i int) (string, events.Role) {
				if i%20 < 10 {
					return fmt.Sprintf("r%d", i%10), events.Publisher
				}
				return fmt.Sprintf("r%d", i%10), events.Viewer
			}, map[string]int{"even": 10}},
		// The last hundred go onto what costs half.
		{"types of two sizes", []placement.Offer{{Type: "large", Capacity: seat.Times(300), Hour: 300}, {Type: "small", Capacity: seat.Times(100), Hour: 110}}, 1, in(100),
			map[string]int{"large": 3, "small": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, 1)
			l.Settings.Profile, l.Settings.Offers, l.Settings.NodesPerRoom, l.Settings.MaxNodes = profile, c.offers, c.nodesPerRoom, 1000
			var people []person
			var all sync.WaitGroup
			for i := range 1000 {
				name, role := c.of(i)
				p := someone(fmt.Sprintf("p%d", i), name)
				people = append(people, p)
				all.Go(func() {
					m := l.join
					m.ID, m.Session, m.Role = "join-"+p.session, p.session, role
					if err := l.World.Join(context.Background(), p.caller, m); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			for range 4 {
				all.Go(func() {
					if err := l.Capacity(context.Background()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			l.launched(c.want)
			for _, id := range l.EC2.Living() {
				l.boots(id, "boot-one")
			}
			l.capacity()
			l.launched(c.want)
			seats := 0
			for _, n := range l.seats() {
				seats += n
			}
			for _, p := range people {
				mail := l.inbox(p)
				if !slices.ContainsFunc(mail, func(m events.Message) bool { _, ok := m.(events.Ready); return ok }) {
					t.Fatalf("%s of %s has no seat, with %d: told %v", p.caller.Identity, p.caller.Room, seats, mail)
				}
			}
			if seats != len(people) {
				t.Errorf("%d seats for %d people", seats, len(people))
			}
		})
	}
}

// launched fails where other nodes were launched than wanted, by type.
func (l *lab) launched(want map[string]int) {
	l.Helper()
	got := map[string]int{}
	for _, launch := range l.demand().Launches {
		got[launch.Type]++
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || len(l.EC2.Living()) != sum(want) {
		l.Fatalf("launched %v, %d in all; needed are %v", got, len(l.EC2.Living()), want)
	}
}

func sum(of map[string]int) (n int) {
	for _, x := range of {
		n += x
	}
	return n
}

// demand is what is being launched.
func (l *lab) demand() step.Items {
	l.Helper()
	items, err := l.World.Store.Find(l.Context(), step.Demand{Region: l.Settings.Region})
	if err != nil {
		l.Fatal(err)
	}
	return items
}
