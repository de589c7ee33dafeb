package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
	"github.com/spillway-sfu/spillway/shared/step"
)

func TestNoticesAreDeadlines(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000).UTC()
	notice := func(source, kind, detail string) string {
		return `{"source":"` + source + `","detail-type":"` + kind + `","time":"` + now.Format(time.RFC3339) + `","detail":` + detail + `}`
	}
	health := func(start string) string {
		return notice("aws.health", "AWS Health Event", `{"service":"EC2","eventTypeCategory":"scheduledChange","startTime":"`+start+`","affectedEntities":[{"entityValue":"i-1"}]}`)
	}
	for _, c := range []struct {
		name, event string
		within      time.Duration // -1: nothing drains
	}{
		{"a spot notice", notice("aws.ec2", "EC2 Spot Instance Interruption Warning", `{"instance-id":"i-1","instance-action":"terminate"}`), 90 * time.Second},
		{"one of another instance", notice("aws.ec2", "EC2 Spot Instance Interruption Warning", `{"instance-id":"i-2"}`), -1},
		{"a recommendation to rebalance", notice("aws.ec2", "EC2 Instance Rebalance Recommendation", `{"instance-id":"i-1"}`), control.DefaultDrain},
		{"maintenance in four minutes", health(now.Add(4 * time.Minute).Format("Mon, 02 Jan 2006 15:04:05 GMT")), 210 * time.Second},
		{"maintenance in two weeks", health(now.Add(14 * 24 * time.Hour).Format("Mon, 02 Jan 2006 15:04:05 GMT")), control.DefaultDrain},
		{"maintenance at a time that is none", health("soon"), control.DefaultDrain},
		{"an instance's trouble", notice("aws.health", "AWS Health Event", `{"service":"EC2","eventTypeCategory":"issue","affectedEntities":[{"entityValue":"i-1"}]}`), -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := sim.NewWorld(now, control.Settings{Region: "r", Profile: room.Default(), MaxNodes: 5})
			n := fleet.Node{ID: "n-1", State: fleet.Ready, Generation: 1, Instance: "i-1", Region: "r", HelloAt: now}
			if err := w.Store.Commit(t.Context(), []control.Change{control.PutNode{Node: n}}); err != nil {
				t.Fatal(err)
			}
			if err := (waker{w.World, slog.New(slog.NewTextHandler(io.Discard, nil))}).wake(t.Context(), json.RawMessage(c.event)); err != nil {
				t.Fatal(err)
			}
			items, err := w.Store.Get(t.Context(), true, step.NodeKey{Node: "n-1"})
			if err != nil || len(items.Nodes) != 1 {
				t.Fatal(items, err)
			}
			switch got := items.Nodes[0].Node; {
			case c.within < 0 && got.State != fleet.Ready:
				t.Errorf("it is %s", got.State)
			case c.within >= 0 && (got.State != fleet.Draining || got.DrainBy.Sub(now) != c.within):
				t.Errorf("it is %s, within %v", got.State, got.DrainBy.Sub(now))
			}
		})
	}
}

func TestWhatWakesTheFleet(t *testing.T) {
	capacity := `{"source":"spillway","detail-type":"CapacityRequested","detail":{"action":"capacity","v":1,"region":"r"}}`
	ended := `{"source":"aws.ec2","detail-type":"EC2 Instance State-change Notification","detail":{"instance-id":"i-1","state":"terminated"}}`
	for _, c := range []struct {
		name, event string
		launches    int
		forgets     bool
	}{
		{"a request for capacity serves who waits", capacity, 1, false},
		{"the timer sweeps and serves", `{"action":"sweep","v":1}`, 1, true},
		{"an ended instance is swept", ended, 1, true},
		{"another source's event is dropped", `{"source":"spillway","detail-type":"Else","detail":{}}`, 0, false},
		{"another version is dropped", `{"action":"sweep","v":2}`, 0, false},
		{"nonsense is dropped", `[]`, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.UnixMilli(1_790_000_000_000)
			profile := room.Default()
			w := sim.NewWorld(now, control.Settings{Region: "r", Profile: profile, NodeCapacity: profile.SeatLoad(room.Publisher).Times(9), MaxNodes: 5})
			old := fleet.Launch{ID: "n-old", Region: "r", State: fleet.Landed, At: now.Add(-time.Hour), LandedAt: now.Add(-time.Hour)}
			wait := fleet.Wait{Region: "r", Room: "a", Key: "k", Session: "s", Load: profile.SeatLoad(room.Publisher), Since: now, SeenAt: now}
			for _, change := range []control.Change{control.PutLaunch{Launch: old}, control.PutWait{Wait: wait}} {
				if err := w.Store.Commit(t.Context(), []control.Change{change}); err != nil {
					t.Fatal(err)
				}
			}
			before := w.Store.Len()
			if err := (waker{w.World, slog.New(slog.NewTextHandler(io.Discard, nil))}).wake(t.Context(), json.RawMessage(c.event)); err != nil {
				t.Fatal(err)
			}
			if n := len(w.EC2.Living()); n != c.launches {
				t.Errorf("%d launches", n)
			}
			if forgot := w.Store.Len() == before+c.launches-1; forgot != c.forgets {
				t.Errorf("the launch that landed long ago: forgotten is %v", forgot)
			}
		})
	}
}
