package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/spillway-sfu/spillway/sfu-node/sfu"
)

// serveMetrics serves GET /metrics for Prometheus, if an address is given, and to this
// machine alone, because rooms and participants are named there, GET /flows: what
// goes over pipes, as a JSON list of [sfu.FlowCount]. The returned function ends it.
func serveMetrics(address string, media *sfu.SFU, log *slog.Logger) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve metrics: %w", err)
	}
	server := &http.Server{Handler: counts(media, log), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	log.Info("metrics are served", "address", listener.Addr().String())
	return func() { _ = server.Close() }, nil
}

// counts serves what a node has counted.
func counts(media *sfu.SFU, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		if err := media.WriteMetrics(w); err != nil {
			log.Debug("metrics were not taken", "error", err)
		}
	})
	mux.HandleFunc("GET /flows", func(w http.ResponseWriter, r *http.Request) {
		if from, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !from.Addr().Unmap().IsLoopback() {
			http.Error(w, "only this machine may read the names of rooms", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(media.Flows()); err != nil {
			log.Debug("flows were not taken", "error", err)
		}
	})
	return mux
}
