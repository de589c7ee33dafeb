package control

import (
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

func TestReplace(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	few := func(r *Replacing) *fleet.Node { return node(r, "n-few") }
	many := func(r *Replacing) *fleet.Node { return node(r, "n-many") }
	for _, c := range []struct {
		name   string
		change func(*Replacing, *Settings)
		want   room.NodeID // empty: none
	}{
		{"all are of an earlier version: the one with the fewest people first", func(*Replacing, *Settings) {}, "n-few"},
		{"all are as they should be", func(r *Replacing, _ *Settings) { few(r).Version, many(r).Version = "new", "new" }, ""},
		{"one is", func(r *Replacing, _ *Settings) { few(r).Version = "new" }, "n-many"},
		{"one of before there were versions", func(r *Replacing, _ *Settings) { few(r).Version, many(r).Version = "", "new" }, "n-few"},
		{"no version is known", func(_ *Replacing, s *Settings) { s.Version = "" }, ""},
		{"it is switched off", func(_ *Replacing, s *Settings) { s.ReplacePerMinute = 0 }, ""},
		{"one drains", func(r *Replacing, _ *Settings) { many(r).State = fleet.Draining }, ""},
		{"one comes up", func(r *Replacing, _ *Settings) { many(r).State = fleet.Filling }, ""},
		{"a launch is under way", func(r *Replacing, _ *Settings) { r.Launches = []fleet.Launch{{State: fleet.Started}} }, ""},
		{"somebody waits", func(r *Replacing, _ *Settings) { r.Waits = 1 }, ""},
		{"the budget is used", func(r *Replacing, _ *Settings) { r.Last, r.Moved = now.Add(-119*time.Second), 20 }, ""},
		{"the budget is there again", func(r *Replacing, _ *Settings) { r.Last, r.Moved = now.Add(-2*time.Minute), 20 }, "n-few"},
		{"the others have no room", func(r *Replacing, _ *Settings) {
			for i := range r.Nodes {
				r.Nodes[i].Node.Available = room.Load{}
			}
		}, ""},
		{"a node without a lease", func(r *Replacing, _ *Settings) {
			for i := range r.Nodes {
				if r.Nodes[i].Node.ID == "n-few" {
					r.Nodes[i].Beat.LeaseUntil = now.Add(-time.Second)
				}
			}
		}, ""},
		{"a room that is not known", func(r *Replacing, _ *Settings) { delete(r.Rooms, "room of n-few") }, "n-many"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, set := emptying(now)
			set.Version, set.ReplacePerMinute = "new", 10
			r := Replacing{Emptying: e}
			for i := range r.Nodes {
				r.Nodes[i].Node.Version = "old"
			}
			c.change(&r, &set)
			plan := Replace(r, now, set)
			if c.want == "" {
				if len(plan.Commits)+len(plan.Sends) > 0 {
					t.Fatalf("%+v", plan)
				}
				return
			}
			want := SetState{Node: c.want, Generation: 1, From: fleet.Ready, To: fleet.Draining, At: now, By: now.Add(DefaultDrain)}
			if len(plan.Commits) == 0 || plan.Commits[0].Changes[0] != want {
				t.Fatalf("commits %+v, want %+v", plan.Commits, want)
			}
			if d := plan.Decision; d.Choice != ChoiceReplace || d.Inputs["people"] == 0 || len(plan.Sends) == 0 || !plan.Notable() {
				t.Errorf("decision %+v, %d sends", d, len(plan.Sends))
			}
		})
	}
}

// A node is launched for the people of the next node to replace when nobody else can
// take them, and only then.
func TestRelieve(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	full := func(r *Replacing) {
		for i := range r.Nodes {
			r.Nodes[i].Node.Available = room.Load{}
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Replacing, *Settings)
		want   bool
	}{
		{"the others have no room", func(*Replacing, *Settings) {}, true},
		{"they have", func(r *Replacing, _ *Settings) { node(r, "n-many").Available = node(r, "n-many").Capacity }, false},
		{"all are as they should be", func(r *Replacing, _ *Settings) { node(r, "n-few").Version, node(r, "n-many").Version = "new", "new" }, false},
		{"an empty one of the present version is there: another would not do either", func(r *Replacing, s *Settings) {
			v := r.Nodes[0]
			v.Node.ID, v.Node.Version, v.Node.Capacity = "n-new", "new", room.Load{Kbps: 1, PPS: 1}
			v.Node.Available = v.Node.Capacity
			r.Nodes = append(r.Nodes, v)
		}, false},
		{"a launch is under way", func(r *Replacing, _ *Settings) { r.Launches = []fleet.Launch{{State: fleet.Started}} }, false},
		{"somebody waits", func(r *Replacing, _ *Settings) { r.Waits = 1 }, false},
		{"it is switched off", func(_ *Replacing, s *Settings) { s.ReplacePerMinute = 0 }, false},
		{"no further node may run", func(_ *Replacing, s *Settings) { s.MaxNodes = 2 }, false},
		{"no node is large enough", func(_ *Replacing, s *Settings) { s.NodeCapacity = room.Load{Kbps: 1, PPS: 1} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, set := emptying(now)
			set.Version, set.ReplacePerMinute, set.MaxNodes = "new", 10, 5
			r := Replacing{Emptying: e}
			for i := range r.Nodes {
				r.Nodes[i].Node.Version = "old"
			}
			full(&r)
			c.change(&r, &set)
			plan := Relieve(r, Pressure{Launches: r.Launches, Nodes: r.Nodes}, now, set)
			if !c.want {
				if len(plan.Commits)+len(plan.Launches) > 0 {
					t.Fatalf("%+v", plan)
				}
				return
			}
			if len(plan.Launches) != 1 || plan.Launches[0].Version != "new" || len(plan.Commits) != 1 || plan.Decision.Inputs["people"] != 2 {
				t.Fatalf("%+v", plan)
			}
		})
	}
}

func node(r *Replacing, id room.NodeID) *fleet.Node {
	for i := range r.Nodes {
		if r.Nodes[i].Node.ID == id {
			return &r.Nodes[i].Node
		}
	}
	return nil
}
