package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/shared/token"
)

// api answers as the deployment's HTTP API does.
func api(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers := map[string]string{
			"GET /v1/rooms":     `{"rooms":[{"name":"a/b","createdAt":"2026-01-01T00:00:00Z","participants":3,"maxParticipants":50,"seats":8,"nodes":["n-1"]}]}`,
			"GET /v1/rooms/a/b": `{"name":"a/b","people":[{"identity":"ann","name":"Ann","role":"publisher","joinedAt":"2026-01-01T00:00:00Z","node":"n-1"}]}`,
			"GET /v1/nodes": `{"nodes":[{"id":"n-1","state":"ready","type":"c7g.large","zone":"z","capacity":{"kbps":900000,"pps":1},"claimed":{"kbps":100000,"pps":1},
				"free":{"kbps":800000,"pps":1},"measured":{"kbps":20000,"pps":1},"cpuPercent":7,"participants":3,"seats":8,"rooms":["a/b"],"alive":true,"since":"2026-01-01T00:00:00Z"}]}`,
			"GET /v1/overview":         `{"decisions":[{"id":"1","at":"2026-01-01T12:00:00Z","step":"sweep node","choice":"terminate n-1","why":"idle for 5m","inputs":{}}]}`,
			"POST /v1/nodes/n-1/drain": `{"node":"n-1","people":7,"by":"2026-01-01T12:00:00Z"}`,
		}
		body, found := answers[r.Method+" "+r.URL.Path]
		switch {
		case r.Header.Get("Authorization") != "Bearer key":
			w.WriteHeader(http.StatusUnauthorized)
			body = `{"code":"unauthorized","text":"an API key is needed"}`
		case !found:
			w.WriteHeader(http.StatusNotFound)
			body = `{"code":"not_found","text":"no such room"}`
		}
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return server
}

func TestCommands(t *testing.T) {
	t.Setenv("SPILLWAY_API_URL", api(t).URL)
	t.Setenv("SPILLWAY_API_KEY", "key")
	for _, c := range []struct{ args, shows string }{
		{"rooms", "a/b   3       50    8              n-1"},
		{"rooms a/b", "ann       Ann   publisher  n-1"},
		{"nodes", "n-1   ready  c7g.large  z     yes    3       1      100.0 Mbps  20.0 Mbps  800.0 Mbps  900.0 Mbps  7%"},
		{"drain n-1", "n-1 takes nobody new; 7 people"},
		{"drain n-1 --within 5m", "n-1 takes nobody new; 7 people"},
		{"why", "12:00:00 sweep node: terminate n-1\nidle for 5m"},
		{"cost", "all              3       $0.0775     $0.81"},
		{"cost --estimate", "idle"},
		{"completion", "rooms nodes drain token why cost completion"},
		{"--help", "Usage: spillway <command>"},
		{"", "Usage: spillway <command>"},
	} {
		var out bytes.Buffer
		if err := run(t.Context(), strings.Fields(c.args), &out); err != nil || !strings.Contains(out.String(), c.shows) {
			t.Errorf("spillway %s: %v\n%s", c.args, err, out.String())
		}
	}
	for _, args := range []string{"rooms", "rooms a/b", "nodes", "drain n-1", "why", "cost", "cost --estimate"} {
		var out bytes.Buffer
		if err := run(t.Context(), append(strings.Fields(args), "--json"), &out); err != nil || !json.Valid(out.Bytes()) {
			t.Errorf("spillway %s --json: %v\n%s", args, err, out.String())
		}
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	server := api(t)
	for _, c := range []struct{ url, key, args, says string }{
		{"", "", "rooms", "SPILLWAY_API_URL"},
		{server.URL, "other", "rooms", "unauthorized: an API key is needed"},
		{server.URL, "key", "rooms none", "no such room"},
		{server.URL + "/elsewhere", "key", "nodes", "not_found"},
		{"http://127.0.0.1:1", "key", "rooms", "refused"},
		{server.URL, "key", "destroy", "unexpected argument destroy"},
		{server.URL, "key", "token a ann", "--join-keys"},
		{server.URL, "key", "token a ann --join-keys {}", "there are none"},
		{server.URL, "key", "token a ann --life -1h --join-keys " + joinKeys, "--life"},
	} {
		t.Setenv("SPILLWAY_API_URL", c.url)
		t.Setenv("SPILLWAY_API_KEY", c.key)
		var out bytes.Buffer
		if err := run(t.Context(), strings.Fields(c.args), &out); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("spillway %s: %v does not say %q", c.args, err, c.says)
		}
	}
}

const joinKeys = `{"key1":"0123456789012345678901234567890123456789"}`

func TestTokensAreTaken(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"token", "lounge", "ann", "--viewer", "--join-keys", joinKeys}, &out); err != nil {
		t.Fatal(err)
	}
	keys, err := token.ParseKeys([]byte(joinKeys))
	if err != nil {
		t.Fatal(err)
	}
	c, err := keys.Verify(strings.TrimSpace(out.String()), time.Now())
	if err != nil || c.Room != "lounge" || c.Identity != "ann" || c.CanPublish {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestIdleCostsNextToNothing(t *testing.T) {
	var sum float64
	for _, l := range idle() {
		sum += l.Micros.Dollars()
	}
	if sum <= 0 || sum > 0.10 {
		t.Errorf("an idle month costs $%.4f", sum)
	}
	for _, l := range loads {
		lines, err := l.bill()
		if err != nil || len(lines) != 4 {
			t.Errorf("%s: %v, %v", l.name, lines, err)
		}
		if egress := lines[0].Micros.Dollars(); egress < 0 {
			t.Errorf("%s: egress $%.2f", l.name, egress)
		}
	}
}
