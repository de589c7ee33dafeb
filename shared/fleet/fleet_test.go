package fleet_test

import (
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

func TestNextIsTheWholeTable(t *testing.T) {
	states := []fleet.State{fleet.Filling, fleet.Ready, fleet.Draining, fleet.Terminating, fleet.Lost}
	causes := []fleet.Cause{fleet.Served, fleet.DrainAsked, fleet.Emptied, fleet.LeaseExpired, fleet.GivenUp}
	want := map[string]fleet.State{
		"filling→served": fleet.Ready, "filling→drain asked": fleet.Draining, "filling→lease expired": fleet.Lost,
		"ready→drain asked": fleet.Draining, "ready→lease expired": fleet.Lost,
		"draining→emptied": fleet.Terminating, "draining→lease expired": fleet.Lost,
		"lost→given up": fleet.Terminating,
	}
	for _, s := range states {
		for _, c := range causes {
			to, err := s.Next(c)
			expected, possible := want[string(s)+"→"+string(c)]
			if possible != (err == nil) || possible && to != expected {
				t.Errorf("%s→%s: %s, %v", s, c, to, err)
			}
		}
	}
}

func TestWhoMayServe(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000)
	v := fleet.View{Node: fleet.Node{State: fleet.Ready, Generation: 2}, Beat: fleet.Beat{Generation: 2, LeaseUntil: now.Add(time.Millisecond)}}
	if !v.Takes(now) {
		t.Error("a ready node with a lease takes people")
	}
	if v.Takes(now.Add(time.Millisecond)) {
		t.Error("the lease is over")
	}
	v.Beat.Generation = 1
	if v.Takes(now) {
		t.Error("the lease is an earlier life's")
	}
	v.Node.HelloAt = now
	if !v.Takes(now) {
		t.Error("its hello gave it a lease, whatever heartbeat is shown")
	}
}

func TestFreeSeats(t *testing.T) {
	b := fleet.Block{Seats: 3, Members: map[room.Key]room.Revision{"a": 1}}
	if b.Free() != 2 {
		t.Error(b.Free())
	}
	b.Sealed = true
	if b.Free() != 0 {
		t.Error("a sealed block has no free seats")
	}
}

func TestBootsEstimateByTheLastOfAType(t *testing.T) {
	var b fleet.Boots
	if got := b.Estimate("a", 25_000); got != 25_000 {
		t.Errorf("%d without any", got)
	}
	before := b.With("a", time.Minute)
	for i := range 8 {
		b = before
		for range i + 1 {
			b = b.With("a", 20*time.Second)
		}
	}
	if got := b.Estimate("a", 1); got != 20_000 {
		t.Errorf("%d: the long one is forgotten", got)
	}
	if got := before.Estimate("a", 1); got != 60_000 {
		t.Errorf("%d: an earlier value was changed", got)
	}
	if got := b.With("b", time.Second).Estimate("a", 1); got != 20_000 || len(b.Types["a"]) != 8 {
		t.Errorf("%d with %d kept", got, len(b.Types["a"]))
	}
}
