package agent

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
)

// metadata is an instance metadata service that answers as EC2's does.
func metadata(t *testing.T, spot, maintenance string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("PUT "+hostTokenPath, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, "token")
	})
	answer := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "token":
				w.WriteHeader(http.StatusUnauthorized)
			case body == "":
				w.WriteHeader(http.StatusNotFound)
			default:
				fmt.Fprint(w, body)
			}
		}
	}
	mux.HandleFunc("GET "+hostSpotPath, answer(spot))
	mux.HandleFunc("GET "+hostMaintenancePath, answer(maintenance))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestWhatTheHostSays(t *testing.T) {
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	soon := now.Add(2 * time.Minute)
	event := func(state, at string) string {
		return fmt.Sprintf(`[{"NotBefore":%q,"Code":"system-reboot","EventId":"e-1","State":%q}]`, at, state)
	}
	for _, c := range []struct {
		name, spot, maintenance string
		want                    time.Time
		fails                   bool
	}{
		{"nothing", "", "", time.Time{}, false},
		{"an empty list", "", "[]", time.Time{}, false},
		{"a spot notice", `{"action":"terminate","time":"2026-11-24T08:02:00Z"}`, "", soon, false},
		{"maintenance soon", "", event("active", "24 Nov 2026 08:02:00 GMT"), soon, false},
		{"maintenance in two weeks", "", event("active", "8 Dec 2026 08:02:00 GMT"), time.Time{}, false},
		{"maintenance that is over", "", event("completed", "24 Nov 2026 08:02:00 GMT"), time.Time{}, false},
		{"no JSON", "oops", "", time.Time{}, true},
		{"a time that is none", "", event("active", "soon"), time.Time{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := host{url: metadata(t, c.spot, c.maintenance)}
			got, err := h.ends(t.Context(), now)
			if !got.Equal(c.want) || (err != nil) != c.fails {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestASpotNoticeIsInTheNextHeartbeatAndAllAfterIt(t *testing.T) {
	at := time.Now().Add(2 * time.Minute).Truncate(time.Second).UTC()
	url := metadata(t, fmt.Sprintf(`{"action":"terminate","time":%q}`, at.Format(time.RFC3339)), "")
	a := New(Config{URL: "ws://nowhere.invalid", Node: "n", Log: quietLog(t), Host: url, HostEvery: time.Millisecond}, &fakeMedia{})
	defer a.Close(t.Context())
	a.watchHost() // returns when it was told
	if !a.ends.Equal(at) {
		t.Fatalf("told %v, want %v", a.ends, at)
	}
	select {
	case <-a.beat:
	default:
		t.Error("no heartbeat is wanted at once")
	}
}

func TestMoveAwayReachesTheMedia(t *testing.T) {
	media := &fakeMedia{}
	a := New(Config{URL: "ws://nowhere.invalid", Node: "n", Log: quietLog(t)}, media)
	defer a.Close(t.Context())
	a.lease.generation = 2
	for _, generation := range []string{"1", "2"} { // the first is for an earlier life
		a.take(&link{}, []byte(`{"action":"move","v":1,"generation":`+generation+`,"room":"lounge","keys":["k`+generation+`"],"press":true}`))
	}
	if len(media.moves) != 1 || media.moves[0] != "lounge/k2/true" {
		t.Errorf("moved %v", media.moves)
	}
}

func TestDeedsReachTheMedia(t *testing.T) {
	media := &fakeMedia{}
	a := New(Config{URL: "ws://nowhere.invalid", Node: "n", Log: quietLog(t)}, media)
	defer a.Close(t.Context())
	a.lease.generation = 2
	for _, m := range []events.Message{
		events.Recast{Header: events.Head(events.ActionRole), Generation: 1, Room: "lounge", Key: "k1", Revision: 5, Role: events.Viewer},
		events.Recast{Header: events.Head(events.ActionRole), Generation: 2, Room: "lounge", Key: "k1", Revision: 5, Role: events.Viewer},
		events.MuteTracks{Header: events.Head(events.ActionMute), Generation: 2, Room: "lounge", Key: "k2", Sources: []events.Source{events.Camera}},
		events.Moderated{Header: events.Head(events.ActionModerated), Generation: 2, Room: "lounge", By: "k3", ID: "7"},
		events.End{Header: events.Head(events.ActionEnd), Generation: 2, Room: "lounge", Code: events.CodeRoomEnded},
	} {
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		a.take(&link{}, raw)
	}
	want := []string{"recast lounge k1 5 viewer\n", "mute lounge k2 [camera]\n", "moderated lounge k3 7\n", "end lounge room_ended\n"}
	if !slices.Equal(media.deeds, want) {
		t.Errorf("done %q, want %q", media.deeds, want)
	}
}

func TestWhatAParticipantWantsIsAskedInTheNodesName(t *testing.T) {
	g := newGateway(t)
	a, _, _ := run(t, g, &fakeMedia{})
	take(t, "a heartbeat", g.beats) // so it has a generation
	a.Moderate(events.ModerateFor{Header: events.Head(events.ActionModerate), Room: "lounge", By: "k3", ID: "7", Deed: events.Promote, Participant: "eve"})
	if m := takeGot[events.ModerateFor](t, g); m.Node != "node-1" || m.Generation != a.generation() || m.Participant != "eve" {
		t.Errorf("asked %+v", m)
	}
}

func TestAssignmentsReachTheMedia(t *testing.T) {
	media := &fakeMedia{}
	a := New(Config{URL: "ws://nowhere.invalid", Node: "n-1", Log: quietLog(t)}, media)
	defer a.Close(t.Context())
	a.lease.generation = 2
	for i, to := range []string{`"n-1","generation":1`, `"n-2","generation":2`, `"n-1","generation":2`} { // only the last is for us
		a.take(&link{}, fmt.Appendf(nil, `{"action":"assignment","v":1,"node":%s,"room":"lounge","epoch":%d,"peers":[]}`, to, i))
	}
	if len(media.assigns) != 1 || media.assigns[0].Room != "lounge" || media.assigns[0].Epoch != 2 {
		t.Errorf("assigned %v", media.assigns)
	}
}
