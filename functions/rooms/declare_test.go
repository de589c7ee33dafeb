package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	lambda "github.com/aws/aws-lambda-go/events"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/functions/wire"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
	"github.com/spillway-sfu/spillway/shared/step"
)

// office is an API on a world in memory.
func office() (api, *sim.World) {
	w := sim.NewWorld(now, control.Settings{Region: "eu-north-1", Profile: room.Default(), MaxNodes: 20})
	return api{world: w.World, vault: wire.Hold(wire.Secrets{APIKeys: []string{"key"}}), log: slog.Default()}, w
}

func (a api) post(t *testing.T, body string) (int, string) {
	t.Helper()
	r := lambda.APIGatewayV2HTTPRequest{RawPath: "/v1/rooms", Body: body, Headers: map[string]string{"authorization": "Bearer key"}}
	r.RequestContext.HTTP.Method = http.MethodPost
	response, err := a.serve(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Body
}

func TestDeclaresARoom(t *testing.T) {
	a, w := office()
	status, body := a.post(t, `{"name":"all hands","preset":"webinar","maxPublishers":4}`)
	var got roomDetail
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK || got.Name != "all hands" || got.MaxParticipants != 1000 || got.MaxPublishers != 4 {
		t.Fatalf("%d %s", status, body)
	}
	items, err := w.Store.Get(t.Context(), true, step.RoomKey{Room: "all hands"})
	if err != nil || len(items.Rooms) != 1 {
		t.Fatalf("%v, %v", items, err)
	}
	webinar, _ := room.Preset("webinar")
	if p := items.Rooms[0].Profile; p.ReceiveKbps != webinar.ReceiveKbps || p.MaxPublishers != 4 || items.Rooms[0].SeatsLeft != 1000 {
		t.Errorf("%+v", items.Rooms[0])
	}
	// Again, with other limits: nobody is in it.
	if status, body := a.post(t, `{"name":"all hands","maxParticipants":7}`); status != http.StatusOK || !strings.Contains(body, `"maxParticipants":7,"maxPublishers":7`) {
		t.Errorf("%d %s", status, body)
	}
}

func TestReservesCapacityForARoom(t *testing.T) {
	a, w := office()
	at := now.Add(time.Hour)
	reserved := func() []fleet.Reservation {
		items, err := w.Store.Get(t.Context(), true, step.ReservationKey{Region: "eu-north-1", Room: "keynote"})
		if err != nil {
			t.Fatal(err)
		}
		return items.Reservations
	}
	body := func(expected int) string {
		return fmt.Sprintf(`{"name":"keynote","preset":"townhall","startAt":%q,"expected":%d}`, at.Format(time.RFC3339), expected)
	}
	if status, answer := a.post(t, body(300)); status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	if r := reserved(); len(r) != 1 || r[0].Seats != 300 || !r[0].StartAt.Equal(at) {
		t.Errorf("%+v", r)
	}
	if status, answer := a.post(t, body(0)); status != http.StatusOK || len(reserved()) != 0 {
		t.Errorf("%d %s, %+v", status, answer, reserved())
	}
}

func TestARoomWithPeopleInItKeepsWhatTheyWerePromised(t *testing.T) {
	a, w := office()
	p := room.Default()
	r := room.New("full", "eu-north-1", p, now).WithBlock(room.BlockRef{Index: 0, Node: "n-a", Generation: 1, Seats: 8, Role: room.Publisher}).
		WithBlock(room.BlockRef{Index: 1, Node: "n-a", Generation: 1, Seats: 4, Role: room.Viewer})
	if err := w.Store.Commit(t.Context(), []control.Change{control.PutRoom{Room: r}}); err != nil {
		t.Fatal(err)
	}
	for body, says := range map[string]string{
		`{"name":"full","maxParticipants":11,"maxPublishers":8}`: "12 seats are granted",
		`{"name":"full","maxPublishers":7}`:                      "8 seats on stage are granted",
		`{"name":"full","receiveKbps":9000}`:                     "when it is empty",
	} {
		if status, answer := a.post(t, body); status != http.StatusBadRequest || !strings.Contains(answer, says) {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
	if status, answer := a.post(t, `{"name":"full","maxParticipants":12,"maxPublishers":8}`); status != http.StatusOK {
		t.Errorf("%d %s", status, answer)
	}
	items, _ := w.Store.Get(t.Context(), true, step.RoomKey{Room: "full"})
	if r := items.Rooms[0]; r.SeatsLeft != 0 || r.StageLeft() != 0 || r.Granted() != 12 {
		t.Errorf("%+v", r)
	}
}

func TestDeclarationsThatMakeNoSense(t *testing.T) {
	a, w := office()
	for body, says := range map[string]string{
		``:                                              "not what is expected",
		`[]`:                                            "not what is expected",
		`{"name":"r"} {}`:                               "goes on",
		`{"name":""}`:                                   "name",
		`{"name":"a\u0007b"}`:                           "control character",
		`{"name":"r","maxPartcipants":5}`:               "maxPartcipants",
		`{"name":"r","preset":"party"}`:                 "meeting",
		`{"name":"r","maxParticipants":0}`:              "maxParticipants",
		`{"name":"r","maxPublishers":501}`:              "maxPublishers",
		`{"name":"r","maxPublishers":-1}`:               "maxPublishers",
		`{"name":"r","audioStreams":17}`:                "audioStreams",
		`{"name":"r","videoStreams":50}`:                "videoStreams",
		`{"name":"r","videoCodecs":["divx"]}`:           "divx",
		`{"name":"r","videoCodecs":[]}`:                 "videoCodecs",
		`{"name":"r","receiveKbps":0}`:                  "receiveKbps",
		`{"name":"r","sendKbps":"a lot"}`:               "sendKbps",
		`{"name":"r","expected":5}`:                     "go together",
		`{"name":"r","startAt":"2026-11-24T10:00:00Z"}`: "go together",
		`{"name":"r","startAt":"2026-11-24T10:00:00Z","expected":501}`:                         "maxParticipants",
		`{"name":"r","keepUntil":"tomorrow"}`:                                                  "not what is expected",
		`{"name":"r","keepUntil":"` + now.Add(-time.Second).Format(time.RFC3339Nano) + `"}`:    "keepUntil",
		`{"name":"r","keepUntil":"` + now.Add(32*24*time.Hour).Format(time.RFC3339Nano) + `"}`: "keepUntil",
	} {
		status, answer := a.post(t, body)
		var e events.Error
		if err := json.Unmarshal([]byte(answer), &e); err != nil || status != http.StatusBadRequest || !strings.Contains(e.Text, says) {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
	if status, answer := a.post(t, `{"name":"`+strings.Repeat("x", maxBody)+`"}`); status != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", status, answer)
	}
	if n := w.Store.Len(); n != 0 {
		t.Errorf("%d items were stored", n)
	}
}
