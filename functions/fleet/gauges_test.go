package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
)

func TestTheFleetAtAGlance(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000)
	full := room.Load{Kbps: 1000, PPS: 100}
	nodes := []fleet.View{
		{Node: fleet.Node{ID: "a", State: fleet.Ready, Type: "c7g.large", Capacity: full, Available: room.Load{Kbps: 400, PPS: 40}}, Beat: fleet.Beat{People: 3, Load: room.Load{Kbps: 250},
			LossPermille: 20, Rooms: 2, Pipes: []fleet.Pipe{{SendKbps: 70}, {SendKbps: 5, ReceiveKbps: 900}}}},
		{Node: fleet.Node{ID: "b", State: fleet.Draining, Type: "c7g.large", Capacity: full, Available: full}, Beat: fleet.Beat{People: 1}},
		{Node: fleet.Node{ID: "c", State: fleet.Lost, Capacity: full, Available: full}},
	}
	g := measure(nodes, []fleet.Wait{{Since: now.Add(-time.Minute)}, {Since: now.Add(-time.Second)}}, now)
	want := gauges{ready: 1, draining: 1, other: 1, people: 4, rooms: 2, lost: 60, piped: 75, waiting: 2, claimed: 600, measured: 250, capacity: 3000, oldest: time.Minute, hour: 2*72_500 + 3*5_000}
	if g != want {
		t.Errorf("got %+v, want %+v", g, want)
	}
	if loss := g.loss(); loss != 1.5 || (gauges{}).loss() != 0 {
		t.Errorf("%v %% are lost, want 1.5", loss)
	}
	old := now.Add(-time.Hour)
	n := leaked([]control.Instance{{Node: "a", LaunchedAt: old}, {Node: "l", LaunchedAt: old}, {Node: "x", LaunchedAt: old},
		{Node: "y", LaunchedAt: now}, {Node: "z", LaunchedAt: old, Gone: true}}, nodes, []fleet.Launch{{ID: "l"}}, now)
	if n != 1 {
		t.Errorf("%d leaked instances, want 1", n)
	}
}

func TestAnIdleFleetLogsNoMetrics(t *testing.T) {
	w := sim.NewWorld(time.UnixMilli(1_790_000_000_000), control.Settings{Region: "r", Profile: room.Default()})
	var log bytes.Buffer
	wake := waker{w.World, slog.New(slog.NewJSONHandler(&log, nil))}
	if err := wake.gauge(t.Context()); err != nil || log.Len() > 0 {
		t.Errorf("an idle fleet logs %s, %v", log.String(), err)
	}
	wait := fleet.Wait{Region: "r", Room: "a", Key: "k", Session: "s", Since: w.Now(), SeenAt: w.Now()}
	if err := w.Store.Commit(t.Context(), []control.Change{control.PutWait{Wait: wait}}); err != nil {
		t.Fatal(err)
	}
	var line struct {
		Msg     string `json:"msg"`
		Waiting int    `json:"waiting"`
	}
	if err := wake.gauge(t.Context()); err != nil || json.Unmarshal(log.Bytes(), &line) != nil || line.Msg != "fleet" || line.Waiting != 1 {
		t.Errorf("who waits is not told: %s, %v", log.String(), err)
	}
}
