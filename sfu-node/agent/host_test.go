package agent

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
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
		a.take(&link{}, []byte(`{"action":"move","v":1,"generation":`+generation+`,"room":"lounge","keys":["k`+generation+`"]}`))
	}
	if len(media.moves) != 1 || media.moves[0] != "lounge/k2" {
		t.Errorf("moved %v", media.moves)
	}
}
