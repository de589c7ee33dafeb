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
)

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
