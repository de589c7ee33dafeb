package step_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// reports sends a heartbeat with a share of what the node carries as its load.
func (l *lab) reports(n node, percent int64) {
	l.Helper()
	l.seq++
	real := l.Settings.NodeCapacity
	err := l.Heartbeat(l.Context(), control.Caller{Node: n.id, Connection: n.connection}, events.Heartbeat{Header: events.Head(events.ActionHeartbeat),
		Node: string(n.id), Generation: n.generation, Seq: l.seq, Load: events.Load{Kbps: real.Kbps * percent / 100, PPS: real.PPS * percent / 100}})
	if err != nil {
		l.Fatal(err)
	}
}

// minute lets a node report a load for a minute, and sweeps.
func (l *lab) minute(n node, percent int64) fleet.Node {
	l.Helper()
	for range 20 {
		l.Pass(3 * time.Second)
		l.reports(n, percent)
	}
	l.sweep()
	items, err := l.World.Store.Get(l.Context(), true, step.NodeKey{Node: n.id})
	if err != nil {
		l.Fatal(err)
	}
	return items.Nodes[0].Node
}

// TestOvercommitFollowsMeasuredLoad fills a node of ten seats that use a third
// of what they claim: more seats are granted, up to the profile's bound, and no
// more when they use what they claim; nobody is sent away.
func TestOvercommitFollowsMeasuredLoad(t *testing.T) {
	l := newLab(t, 10)
	l.Settings.Profile.MaxOvercommit = 160
	l.joins(someone("p0", "r"))
	n := l.launches()
	for i := range 10 {
		p := someone(fmt.Sprintf("p%d", i), "r")
		l.inbox(p)
		l.admit(p, n)
	}
	real := l.Settings.NodeCapacity
	percent := func(n fleet.Node) int64 { return n.Capacity.Kbps * 100 / real.Kbps }
	if got := percent(l.minute(n, 35)); got != 125 {
		t.Fatalf("%d %% after a minute, growth is bounded to a quarter", got)
	}
	if got := percent(l.minute(n, 35)); got != 150 {
		t.Fatalf("%d %%", got)
	}
	if got := percent(l.minute(n, 35)); got != 160 {
		t.Fatalf("%d %%, the profile allows 160", got)
	}
	for i := range 5 { // without a launch
		l.admit(someone(fmt.Sprintf("q%d", i), "r"), n)
	}
	if got := l.seats()["r"]; got != 15 {
		t.Fatalf("%d seats", got)
	}
	// Hysteresis: a little more or less changes nothing.
	before := l.minute(n, 70).Capacity
	if after := l.minute(n, 72).Capacity; after != before {
		t.Errorf("%v after %v", after, before)
	}
	// Fifteen seats that fill the node to nine tenths: no grants, no eviction.
	hot := l.minute(n, 90)
	if hot.Available.Kbps >= 0 || percent(hot) != 116 {
		t.Errorf("available %v at %d %%", hot.Available, percent(hot))
	}
	if n := len(l.EC2.Living()); n != 1 {
		t.Errorf("%d nodes", n)
	}
}

func TestOvercommitNeedsEvidence(t *testing.T) {
	real := room.Load{Kbps: 1000, PPS: 1000}
	view := func(capacity, granted int64, used int64, samples int) fleet.View {
		c := room.Load{Kbps: capacity, PPS: capacity}
		return fleet.View{Node: fleet.Node{Real: real, Capacity: c, Available: c.Minus(room.Load{Kbps: granted, PPS: granted}), Generation: 1},
			Beat: fleet.Beat{Generation: 1, UsedPermille: used, Samples: samples}}
	}
	for _, c := range []struct {
		name  string
		view  fleet.View
		bound int
		want  int64
	}{
		{"few heartbeats", view(1000, 500, 100, 19), 200, 1000},
		{"little use", view(1000, 500, 100, 20), 200, 1250},
		{"forbidden", view(1000, 500, 100, 20), 100, 1000},
		{"a bound below the present", view(1500, 500, 100, 20), 120, 1200},
		{"a rule that allows none takes it all back", view(1500, 500, 100, 20), 0, 1000},
		{"an empty node has no excess", view(1500, 0, 100, 20), 200, 1000},
		{"never less than real", view(1000, 1000, 950, 20), 200, 1000},
	} {
		if got := control.Overcommit(c.view, c.bound); got.Kbps != c.want {
			t.Errorf("%s: %d, want %d", c.name, got.Kbps, c.want)
		}
	}
}
