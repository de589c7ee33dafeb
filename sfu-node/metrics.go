package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spillway-sfu/spillway/sfu-node/sfu"
)

// serveMetrics serves GET /metrics for Prometheus, if an address is given. The
// returned function ends it.
func serveMetrics(address string, media *sfu.SFU, log *slog.Logger) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		if err := media.WriteMetrics(w); err != nil {
			log.Debug("metrics were not taken", "error", err)
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	log.Info("metrics are served", "address", listener.Addr().String())
	return func() { _ = server.Close() }, nil
}
