package main

import (
	"net/http"
	"strings"
	"testing"

	lambda "github.com/aws/aws-lambda-go/events"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/functions/wire"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
	"github.com/spillway-sfu/spillway/shared/token"
)

func (a api) asks(t *testing.T, method, path, query, body string) (int, string) {
	t.Helper()
	r := lambda.APIGatewayV2HTTPRequest{RawPath: path, Body: body, Headers: map[string]string{"authorization": "Bearer key"}}
	r.RequestContext.HTTP.Method = method
	if query != "" {
		r.QueryStringParameters = map[string]string{"barSeconds": query}
	}
	response, err := a.serve(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Body
}

func TestModeratesParticipants(t *testing.T) {
	a, w := office()
	root := token.Root(strings.Repeat("r", token.RootSize))
	a.vault = wire.Hold(wire.Secrets{APIKeys: []string{"key"}, Root: root})
	key := room.Key(root.ParticipantKey("all/hands", "eve/1"))
	profile := room.Default()
	profile.MaxPublishers, profile.MaxParticipants = 1, 2
	load := profile.SeatLoad(room.Viewer).Times(2)
	capacity := profile.SeatLoad(room.Publisher).Times(9)
	r := room.New("all/hands", "eu-north-1", profile, now).WithBlock(room.BlockRef{Index: 0, Node: "n-1", Generation: 1, Seats: 2, Role: room.Viewer})
	rev := room.Revision(7)
	for _, c := range []control.Change{
		control.PutNode{Node: fleet.Node{ID: "n-1", State: fleet.Ready, Generation: 1, Region: "eu-north-1", Capacity: capacity, Available: capacity.Minus(load), Connections: map[int]string{0: "c-n"}}},
		control.PutBeat{Node: "n-1", Beat: fleet.Beat{Generation: 1, Seq: 1, LeaseUntil: now.Add(fleet.LeaseLasts)}},
		control.PutRoom{Room: r},
		control.PutBlock{Block: fleet.Block{Room: "all/hands", Node: "n-1", Generation: 1, Seats: 2, Role: room.Viewer, Load: load, Members: map[room.Key]room.Revision{key: rev}}},
		control.PutParticipant{Participant: room.Participant{Room: "all/hands", Key: key, Identity: "eve/1", Role: room.Viewer, Session: "session-1", Revision: rev, SeatedAt: now}},
	} {
		if err := w.Store.Commit(t.Context(), []control.Change{c}); err != nil {
			t.Fatal(err)
		}
	}
	const eve = "/v1/rooms/all/hands/participants/eve/1"
	for _, c := range []struct {
		method, path, query, body string
		status                    int
		words                     string
	}{
		{"PATCH", eve, "", `{"role":"king"}`, 400, "expected publisher or viewer"},
		{"PATCH", eve, "", `{}`, 400, "nothing to change"},
		{"PATCH", eve, "", `{"mute":["nose"]}`, 400, "not a source"},
		{"PATCH", eve, "", `{"mute":[]}`, 400, "0 entries"},
		{"PATCH", "/v1/rooms/all/hands", "", `{}`, 400, "nothing to change"},
		{"PATCH", "/v1/rooms/all/hands", "", `{"metadata":7}`, 400, "bad_json"},
		{"PATCH", "/v1/rooms/all/hands", "", `{"metadata":"` + strings.Repeat("a", 1025) + `"}`, 400, "at most 1024"},
		{"PATCH", "/v1/rooms/none", "", `{"metadata":"x"}`, 404, "no such room"},
		{"PATCH", eve, "", `{"metadata":"` + strings.Repeat("a", 2049) + `"}`, 400, "at most 2048"},
		{"PATCH", "/v1/rooms/all/hands/participants/bob", "", `{"role":"viewer"}`, 404, "no such participant"},
		{"PATCH", eve, "", `{"role":"publisher","mute":["microphone"]}`, 200, `"identity":"eve/1"`},
		{"DELETE", eve, "-1", ``, 400, "barSeconds"},
		{"DELETE", eve, "60", ``, 200, `"identity":"eve/1"`},
		{"DELETE", "/v1/rooms/all/hands/participants/gus", "", ``, 404, "no such participant"},
		{"DELETE", "/v1/rooms/all/hands/participants/gus", "60", ``, 200, `"identity":"gus"`},
		{"DELETE", "/v1/rooms/none", "", ``, 404, "no such room"},
		{"DELETE", "/v1/rooms/", "", ``, 405, ""},
	} {
		if status, body := a.asks(t, c.method, c.path, c.query, c.body); status != c.status || !strings.Contains(body, c.words) {
			t.Errorf("%s %s %s: %d %s, want %d with %q", c.method, c.path, c.body, status, body, c.status, c.words)
		}
	}
	mail, err := w.Mail.Take("c-n", events.ToNode)
	if err != nil || len(mail) != 3 {
		t.Fatalf("the node was told %v, %v", mail, err)
	}
	if m, ok := mail[0].(events.Recast); !ok || m.Role != events.Publisher || m.Key != string(key) {
		t.Errorf("first %+v", mail[0])
	}
	if m, ok := mail[1].(events.MuteTracks); !ok || len(m.Sources) != 1 {
		t.Errorf("then %+v", mail[1])
	}
	if m, ok := mail[2].(events.Remove); !ok || m.Code != events.CodeRemoved || m.Revision != int64(rev) {
		t.Errorf("then %+v", mail[2])
	}
	items, err := w.Store.Get(t.Context(), true, step.ParticipantKey{Room: "all/hands", Key: key})
	if err != nil || len(items.Participants) != 1 || !items.Participants[0].Barred.Equal(now.Add(60e9)) {
		t.Errorf("%+v, %v", items.Participants, err)
	}
	if status, _ := a.asks(t, http.MethodGet, eve, "", ""); status != 404 {
		t.Errorf("GET of a participant: %d", status)
	}
}

func TestARoomsNameMayLookLikeAPath(t *testing.T) {
	a, w := office()
	root := token.Root(strings.Repeat("r", token.RootSize))
	a.vault = wire.Hold(wire.Secrets{APIKeys: []string{"key"}, Root: root})
	const name, path = "a/participants/b", "/v1/rooms/a/participants/b"
	key := room.Key(root.ParticipantKey(name, "eve"))
	ask := func(method, path string, query map[string]string) (int, string) {
		r := lambda.APIGatewayV2HTTPRequest{RawPath: path, Body: `{"role":"viewer"}`, QueryStringParameters: query, Headers: map[string]string{"authorization": "Bearer key"}}
		r.RequestContext.HTTP.Method = method
		response, err := a.serve(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, response.Body
	}
	for _, c := range []control.Change{
		control.PutRoom{Room: room.New(name, "eu-north-1", room.Default(), now)},
		control.PutParticipant{Participant: room.Participant{Room: name, Key: key, Identity: "eve", Role: room.Viewer, Session: "session-1", Revision: 7, Block: -1, SeatedAt: now}},
	} {
		if err := w.Store.Commit(t.Context(), []control.Change{c}); err != nil {
			t.Fatal(err)
		}
	}
	if status, body := ask("DELETE", path+"/participants/eve", nil); status != 400 || !strings.Contains(body, "identity=") {
		t.Errorf("a path of two meanings: %d %s", status, body)
	}
	if status, body := ask("PATCH", path, map[string]string{"identity": "gus"}); status != 404 || !strings.Contains(body, "no such participant") {
		t.Errorf("somebody else: %d %s", status, body)
	}
	if status, body := ask("DELETE", path, map[string]string{"identity": "eve"}); status != 200 || !strings.Contains(body, `"identity":"eve"`) {
		t.Errorf("the person: %d %s", status, body)
	}
	items, err := w.Store.Get(t.Context(), true, step.ParticipantKey{Room: name, Key: key})
	if err != nil || len(items.Participants) != 1 || items.Participants[0].Removed.IsZero() {
		t.Errorf("%+v, %v", items.Participants, err)
	}
	if status, body := ask("DELETE", path, nil); status != 404 || !strings.Contains(body, "no such participant") {
		t.Errorf("b of a: %d %s", status, body)
	}
	if status, body := ask("DELETE", path, map[string]string{"identity": ""}); status != 200 {
		t.Errorf("the room: %d %s", status, body)
	}
}

// Metadata of a room and of somebody in it is set by the customer's backend, kept, and
// told to the node.
func TestDescribesRoomsAndParticipants(t *testing.T) {
	a, w := office()
	root := token.Root(strings.Repeat("r", token.RootSize))
	a.vault = wire.Hold(wire.Secrets{APIKeys: []string{"key"}, Root: root})
	key := room.Key(root.ParticipantKey("lounge", "eve"))
	for _, c := range []control.Change{
		control.PutNode{Node: fleet.Node{ID: "n-1", State: fleet.Ready, Generation: 1, Region: "eu-north-1", Connections: map[int]string{0: "c-n"}}},
		control.PutBeat{Node: "n-1", Beat: fleet.Beat{Generation: 1, Seq: 1, LeaseUntil: now.Add(fleet.LeaseLasts)}},
		control.PutRoom{Room: room.New("lounge", "eu-north-1", room.Default(), now).WithBlock(room.BlockRef{Index: 0, Node: "n-1", Generation: 1, Seats: 1})},
		control.PutBlock{Block: fleet.Block{Room: "lounge", Node: "n-1", Generation: 1, Seats: 1, Members: map[room.Key]room.Revision{key: 7}}},
		control.PutParticipant{Participant: room.Participant{Room: "lounge", Key: key, Identity: "eve", Role: room.Publisher, Session: "session-1", Revision: 7, SeatedAt: now}},
	} {
		if err := w.Store.Commit(t.Context(), []control.Change{c}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range [][2]string{
		{"/v1/rooms/lounge", `{"metadata":"the \"plans\""}`}, {"/v1/rooms/lounge/participants/eve", `{"metadata":"chair"}`}, {"/v1/rooms/lounge", `{"metadata":""}`},
	} {
		if status, body := a.asks(t, "PATCH", c[0], "", c[1]); status != 200 {
			t.Fatalf("PATCH %s: %d %s", c[0], status, body)
		}
		if c[0] == "/v1/rooms/lounge" && strings.Contains(c[1], "plans") {
			if _, body := a.asks(t, "GET", c[0], "", ""); !strings.Contains(body, `"metadata":"the \"plans\""`) {
				t.Errorf("GET: %s", body)
			}
		}
	}
	mail, err := w.Mail.Take("c-n", events.ToNode)
	if err != nil || len(mail) != 3 {
		t.Fatalf("the node was told %v, %v", mail, err)
	}
	first, last := mail[0].(events.RoomDescribed), mail[2].(events.RoomDescribed)
	if first.Metadata.Text != `the "plans"` || last.Metadata.Text != "" || last.Metadata.Revision <= first.Metadata.Revision {
		t.Errorf("the room is %+v, then %+v", first, last)
	}
	if m := mail[1].(events.DescribeFor); m.Key != string(key) || m.Metadata != "chair" {
		t.Errorf("eve is %+v", m)
	}
	items, err := w.Store.Get(t.Context(), true, step.ParticipantKey{Room: "lounge", Key: key})
	if err != nil || len(items.Participants) != 1 || items.Participants[0].Metadata != "chair" {
		t.Errorf("%+v, %v", items.Participants, err)
	}
}
