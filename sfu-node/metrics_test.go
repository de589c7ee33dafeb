package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/sfu"
)

func TestMetricsAreServedOnLoopback(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	media, err := sfu.New(sfu.Config{Node: "n", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer media.Close(t.Context(), events.CodeNodeGone)
	address, err := metricsAddress("0")
	if err != nil || !strings.HasPrefix(address, "127.0.0.1:") {
		t.Fatalf("%q, %v", address, err)
	}
	stop, err := serveMetrics(address, media, log)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	at := regexp.MustCompile(`address=(\S+)`).FindStringSubmatch(out.String())
	if at == nil {
		t.Fatalf("the log does not say where: %s", out.String())
	}
	response, err := http.Get("http://" + at[1] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), "spillway_people 0\n") {
		t.Errorf("%d %s, %v", response.StatusCode, body, err)
	}
	flows, err := http.Get("http://" + at[1] + "/flows")
	if err != nil {
		t.Fatal(err)
	}
	defer flows.Body.Close()
	if body, err := io.ReadAll(flows.Body); err != nil || flows.StatusCode != http.StatusOK || strings.TrimSpace(string(body)) != "[]" {
		t.Errorf("flows: %d %s, %v", flows.StatusCode, body, err)
	}
	elsewhere := httptest.NewRecorder()
	counts(media, log).ServeHTTP(elsewhere, httptest.NewRequest(http.MethodGet, "/flows", nil)) // from 192.0.2.1
	if elsewhere.Code != http.StatusForbidden {
		t.Errorf("another machine reads names: %d %s", elsewhere.Code, elsewhere.Body)
	}
	if _, err := serveMetrics(at[1], media, log); err == nil {
		t.Error("a port that is taken is no error")
	}
}
