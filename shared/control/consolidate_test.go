package control

import (
	"strings"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// emptying makes a fleet of two nodes of twenty seats that have been calm for an
// hour, on each a room: two people on n-few, six on n-many.
func emptying(now time.Time) (Emptying, Settings) {
	profile := room.Default()
	seat := profile.SeatLoad(room.Publisher)
	set := Settings{Region: "r", Profile: profile, InstanceType: "c7g.large", NodeCapacity: seat.Times(20), Thrift: Cautious}
	calm := now.Add(-time.Hour)
	e := Emptying{Rooms: map[room.Name]room.Room{}}
	for _, n := range []struct {
		id     room.NodeID
		people int
	}{{"n-few", 2}, {"n-many", 6}} {
		name := room.Name("room of " + n.id)
		node := fleet.Node{ID: n.id, State: fleet.Ready, Generation: 1, Type: "c7g.large", Capacity: set.NodeCapacity, HelloAt: calm, TouchedAt: calm,
			Connections: map[int]string{0: "c-" + string(n.id)}}
		block := fleet.Block{Room: name, Node: n.id, Generation: 1, Seats: n.people, Role: room.Publisher, Load: seat.Times(n.people), Members: map[room.Key]room.Revision{}}
		for i := range n.people {
			block.Members[room.Key(string(n.id)+string(rune('a'+i)))] = room.Revision(0).Next(calm)
		}
		node.Available = node.Capacity.Minus(block.Load)
		e.Nodes = append(e.Nodes, fleet.View{Node: node, Beat: fleet.Beat{Generation: 1, LeaseUntil: now.Add(fleet.LeaseLasts)}})
		e.Blocks = append(e.Blocks, block)
		e.Rooms[name] = room.New(name, "r", profile, calm)
	}
	return e, set
}

func TestConsolidate(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000)
	few := func(e *Emptying) *fleet.Node { return &e.Nodes[0].Node }
	many := func(e *Emptying) *fleet.Node { return &e.Nodes[1].Node }
	join := func(b *fleet.Block, people int) {
		for i := range people {
			b.Members[room.Key("more"+string(rune('a'+i)))] = room.Revision(0).Next(now.Add(-time.Hour))
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Emptying, *Settings)
		want   room.NodeID
	}{
		{"the node that costs most for each of its people", func(*Emptying, *Settings) {}, "n-few"},
		{"off", func(_ *Emptying, s *Settings) { s.Thrift = ThriftOff }, ""},
		{"not set", func(_ *Emptying, s *Settings) { s.Thrift = "" }, ""},
		{"one node", func(e *Emptying, _ *Settings) { e.Nodes = e.Nodes[:1] }, ""},
		{"somebody waits", func(e *Emptying, _ *Settings) { e.Waits = 1 }, ""},
		{"a reservation", func(e *Emptying, _ *Settings) { e.Reserved = 1 }, ""},
		{"a launch is under way", func(e *Emptying, _ *Settings) { e.Launches = []fleet.Launch{{State: fleet.Started}} }, ""},
		{"a launch that has landed is none", func(e *Emptying, _ *Settings) { e.Launches = []fleet.Launch{{State: fleet.Landed}} }, "n-few"},
		{"another drains", func(e *Emptying, _ *Settings) { many(e).State = fleet.Draining }, ""},
		{"a node came up a while ago", func(e *Emptying, _ *Settings) { many(e).HelloAt = now.Add(-9 * time.Minute) }, ""},
		{"which the eager do not mind", func(e *Emptying, s *Settings) { many(e).HelloAt = now.Add(-9 * time.Minute); s.Thrift = Eager }, "n-few"},
		{"enough for this hour", func(e *Emptying, _ *Settings) { e.Emptied = 4 }, ""},
		{"one less", func(e *Emptying, _ *Settings) { e.Emptied = 3 }, "n-few"},
		{"the eager's hour takes more", func(e *Emptying, s *Settings) { e.Emptied, s.Thrift = 59, Eager }, "n-few"},
		{"and is full, too", func(e *Emptying, s *Settings) { e.Emptied, s.Thrift = 60, Eager }, ""},
		{"a node that came up two minutes ago is not the eager's", func(e *Emptying, s *Settings) {
			few(e).HelloAt, many(e).HelloAt, s.Thrift = now.Add(-119*time.Second), now.Add(-119*time.Second), Eager
		}, ""},
		{"seats changed hands a while ago", func(e *Emptying, _ *Settings) { few(e).TouchedAt = now.Add(-9 * time.Minute) }, "n-many"},
		{"somebody has just come", func(e *Emptying, _ *Settings) {
			e.Blocks[0].Members["late"] = room.Revision(0).Next(now.Add(-59 * time.Second))
		}, "n-many"},
		{"whom the eager leave alone as well", func(e *Emptying, s *Settings) {
			e.Blocks[0].Members["late"], s.Thrift = room.Revision(0).Next(now.Add(-59*time.Second)), Eager
		}, "n-many"},
		{"a minute ago is long ago", func(e *Emptying, _ *Settings) {
			e.Blocks[0].Members["late"] = room.Revision(0).Next(now.Add(-time.Minute))
		}, "n-few"},
		{"somebody shares a screen there", func(e *Emptying, _ *Settings) { e.Nodes[0].Beat.Screens = 1 }, "n-many"},
		{"somebody does on each", func(e *Emptying, _ *Settings) { e.Nodes[0].Beat.Screens, e.Nodes[1].Beat.Screens = 1, 1 }, ""},
		{"the eager spare screens if they can", func(e *Emptying, s *Settings) { e.Nodes[0].Beat.Screens, s.Thrift = 1, Eager }, "n-many"},
		{"and empty one with a screen if they cannot", func(e *Emptying, s *Settings) {
			e.Nodes[0].Beat.Screens, e.Nodes[1].Beat.Screens, s.Thrift = 1, 1, Eager
		}, "n-few"},
		{"too many people for seven cents", func(e *Emptying, _ *Settings) { join(&e.Blocks[0], 6); join(&e.Blocks[1], 2) }, ""},
		{"not for the eager", func(e *Emptying, s *Settings) { join(&e.Blocks[0], 6); join(&e.Blocks[1], 2); s.Thrift = Eager }, "n-few"},
		{"the other is full", func(e *Emptying, _ *Settings) {
			many(e).Available = room.Default().SeatLoad(room.Publisher)
		}, "n-many"},
		{"too little would be free", func(e *Emptying, _ *Settings) {
			many(e).Available = room.Default().SeatLoad(room.Publisher).Times(6)
			few(e).TouchedAt = now.Add(-time.Hour)
			many(e).TouchedAt = now
		}, ""},
		{"spare seats would not be there", func(_ *Emptying, s *Settings) { s.SpareSeats = 15 }, ""},
		{"spare seats are there", func(_ *Emptying, s *Settings) { s.SpareSeats = 12 }, "n-few"},
		{"the other is hot", func(e *Emptying, _ *Settings) { e.Nodes[1].Beat.CPUPercent = 90 }, "n-many"},
		{"the other's lease has ended", func(e *Emptying, _ *Settings) { e.Nodes[1].Beat.LeaseUntil = now }, ""},
		{"a room that is not known", func(e *Emptying, _ *Settings) { delete(e.Rooms, "room of n-few") }, "n-many"},
		{"a dearer node", func(e *Emptying, s *Settings) { many(e).Type = "c6gn.2xlarge" }, "n-many"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, set := emptying(now)
			c.change(&e, &set)
			plan := Consolidate(e, now, set)
			if c.want == "" {
				if len(plan.Commits)+len(plan.Sends) > 0 || plan.Decision.Choice != "" {
					t.Fatalf("%+v", plan)
				}
				return
			}
			if len(plan.Commits) == 0 || plan.Commits[0].Changes[0] != (SetState{Node: c.want, Generation: 1, From: fleet.Ready, To: fleet.Draining, At: now}) {
				t.Fatalf("commits %+v, want %s to drain", plan.Commits, c.want)
			}
			if len(plan.Sends) != 1 || plan.Sends[0].Message.(events.MoveAway).Generation != 1 {
				t.Errorf("sends %+v", plan.Sends)
			}
			if d := plan.Decision; d.Choice != ChoiceEmpty || !strings.Contains(d.Why, "saves $0.") || !plan.Notable() {
				t.Errorf("decision %+v", d)
			}
		})
	}
}

// Rooms are put whole: two that would only fit in parts keep their node.
func TestRoomsAreAbsorbedWhole(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000)
	e, set := emptying(now)
	seat := room.Default().SeatLoad(room.Publisher)
	third := e.Nodes[1]
	third.Node.ID = "n-third"
	e.Nodes = append(e.Nodes, third)
	e.Nodes[1].Node.Available, e.Nodes[2].Node.Available = seat.Times(6), seat.Times(6)
	e.Nodes[1].Node.TouchedAt, e.Nodes[2].Node.TouchedAt = now, now
	if plan := Consolidate(e, now, set); len(plan.Commits) == 0 {
		t.Fatalf("two fit onto six: %+v", plan)
	}
	for i := range 5 {
		e.Blocks[0].Members[room.Key("more"+string(rune('a'+i)))] = room.Revision(0).Next(now.Add(-time.Hour))
	}
	if plan := Consolidate(e, now, set); len(plan.Commits) != 0 {
		t.Errorf("seven do not fit onto six: %+v", plan)
	}
}
