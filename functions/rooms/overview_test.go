package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"testing"
	"time"

	lambda "github.com/aws/aws-lambda-go/events"

	"github.com/spillway-sfu/spillway/functions/wire"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
	"github.com/spillway-sfu/spillway/shared/step"
)

var now = time.UnixMilli(1_790_000_000_000).UTC()

func fleetNode(id string, used int64) fleet.Node {
	capacity := room.Load{Kbps: 100_000, PPS: 10_000}
	return fleet.Node{ID: room.NodeID(id), State: fleet.Ready, Generation: 1, Type: "c7g.large", Region: "eu-north-1", HelloAt: now,
		Capacity: capacity, Available: capacity.Minus(room.Load{Kbps: used})}
}

func TestOverviewShowsTheFleetAtAGlance(t *testing.T) {
	store := sim.NewStore()
	r := room.New("standup", "eu-north-1", room.Default(), now).
		WithBlock(room.BlockRef{Index: 0, Node: "n-a", Generation: 1, Seats: 4}).
		WithBlock(room.BlockRef{Index: 1, Node: "n-b", Generation: 1, Seats: 8}).
		WithBlock(room.BlockRef{Index: 2, Node: "n-b", Generation: 1, Seats: 2})
	small := room.New("small", "eu-north-1", room.Default(), now).WithBlock(room.BlockRef{Index: 0, Node: "n-b", Generation: 7, Seats: 1})
	for _, change := range []control.Change{
		control.PutNode{Node: fleetNode("n-b", 7000)}, control.PutNode{Node: fleetNode("n-a", 2000)},
		control.PutBeat{Node: "n-a", Beat: fleet.Beat{Generation: 1, Seq: 1, LeaseUntil: now.Add(time.Second), Load: room.Load{Kbps: 900}, People: 3, CPUPercent: 12,
			Pipes: []fleet.Pipe{{Node: "n-b", Up: true, SendKbps: 700, ReceiveKbps: 20}}}},
		control.PutRoom{Room: small}, control.PutRoom{Room: r},
		control.PutLaunch{Launch: fleet.Launch{ID: "n-c", Region: "eu-north-1", Type: "c7g.large", State: fleet.Asked, Attempt: 1, At: now, Why: "2 wait"}},
		control.PutLaunch{Launch: fleet.Launch{ID: "n-a", Region: "eu-north-1", State: fleet.Landed}},
		control.PutWait{Wait: fleet.Wait{Region: "eu-north-1", Room: "late", Key: "k2", Session: "s", Since: now.Add(-time.Second)}},
		control.PutWait{Wait: fleet.Wait{Region: "eu-north-1", Room: "late", Key: "k1", Session: "s", Since: now.Add(-9 * time.Second)}},
		control.PutRecord{Record: control.Record{Region: "eu-north-1", ID: "1", At: now, Step: "capacity", Choice: "launch 1", Why: "2 wait", Inputs: `{"waiting":2}`}},
		control.PutRecord{Record: control.Record{Region: "eu-north-1", ID: "2", At: now, Step: "capacity", Choice: "refuse", Inputs: `no JSON`}},
	} {
		if err := store.Commit(t.Context(), []control.Change{change}); err != nil {
			t.Fatalf("%T: %v", change, err)
		}
	}
	a := api{world: &step.World{Store: store, Settings: control.Settings{Region: "eu-north-1", MaxNodes: 20}, Now: func() time.Time { return now }}, vault: wire.Hold(wire.Secrets{APIKeys: []string{"key"}}), log: slog.Default()}
	request := lambda.APIGatewayV2HTTPRequest{RawPath: "/v1/overview", Headers: map[string]string{"authorization": "Bearer key"}}
	request.RequestContext.HTTP.Method = http.MethodGet
	response, err := a.serve(t.Context(), request)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%d %s, %v", response.StatusCode, response.Body, err)
	}
	var got overview
	if err := json.Unmarshal([]byte(response.Body), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Nodes) != 2 || got.Nodes[0].ID != "n-a" {
		t.Fatalf("nodes %+v", got.Nodes)
	}
	if n := got.Nodes[0]; !n.Alive || n.Claimed.Kbps != 2000 || n.Free.Kbps != 98_000 || n.Measured.Kbps != 900 || n.People != 3 || n.Seats != 4 || n.RoomCount != 1 ||
		!slices.Equal(n.Pipes, []pipeEnd{{Node: "n-b", Up: true, SendKbps: 700, ReceiveKbps: 20}}) {
		t.Errorf("n-a: %+v", n)
	}
	if n := got.Nodes[1]; n.Seats != 10 || n.RoomCount != 1 {
		t.Errorf("n-b counts blocks of another life, or a room twice: %+v", n)
	}
	if got.RoomsTotal != 2 || got.Rooms[0].Name != "standup" || got.Rooms[0].Seats != 14 || len(got.Rooms[0].On) != 2 || got.Rooms[0].On[1] != (share{"n-b", 10}) {
		t.Errorf("rooms %+v", got.Rooms)
	}
	if len(got.Launches) != 1 || got.Launches[0].ID != "n-c" {
		t.Errorf("launches %+v", got.Launches)
	}
	if len(got.Waiting) != 1 || got.Waiting[0].Count != 2 || !got.Waiting[0].Since.Equal(now.Add(-9*time.Second)) {
		t.Errorf("waiting %+v", got.Waiting)
	}
	if len(got.Decisions) != 2 || got.Decisions[0].Choice != "refuse" || string(got.Decisions[0].Inputs) != "{}" || string(got.Decisions[1].Inputs) != `{"waiting":2}` {
		t.Errorf("decisions %+v", got.Decisions)
	}
}
