package main

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/spillway-sfu/spillway/events"
)

// hosts stand for the instance metadata service of every instance's host: what it
// is told to say of an instance, that instance is told (EC2 User Guide, "Instance
// metadata categories"). It may be used by several goroutines.
type hosts struct {
	mu    sync.Mutex
	takes map[string]taking
}

// taking is that an instance will be taken away.
type taking struct {
	// Why is "spot" or "maintenance".
	Why  string    `json:"why"`
	Ends time.Time `json:"ends"`
}

const hostToken = "local" // whoever is on this machine may ask

// take has the host of an instance say that it will be taken away.
func (h *hosts) take(w http.ResponseWriter, r *http.Request) {
	var t taking
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8<<10)).Decode(&t)
	if err != nil || t.Why != "spot" && t.Why != "maintenance" || t.Ends.IsZero() {
		answer(w, http.StatusBadRequest, events.Errorf(events.CodeBadField, "expected a JSON object with why, which is spot or maintenance, and ends, a time"))
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.takes == nil {
		h.takes = map[string]taking{}
	}
	h.takes[r.PathValue("instance")] = t
	answer(w, http.StatusOK, t)
}

// token answers PUT /latest/api/token.
func (h *hosts) token(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(hostToken)) }

func (h *hosts) spot(w http.ResponseWriter, r *http.Request) {
	t, ok := h.of(w, r, "spot")
	if ok {
		answer(w, http.StatusOK, map[string]any{"action": "terminate", "time": t.Ends.UTC().Format(time.RFC3339)})
	}
}

func (h *hosts) maintenance(w http.ResponseWriter, r *http.Request) {
	t, ok := h.of(w, r, "maintenance")
	if ok {
		answer(w, http.StatusOK, []map[string]string{{"NotBefore": t.Ends.UTC().Format("2 Jan 2006 15:04:05 MST"), "State": "active"}})
	}
}

// of returns what is to be said to an instance, or answers that there is nothing.
func (h *hosts) of(w http.ResponseWriter, r *http.Request, why string) (taking, bool) {
	if r.Header.Get("X-Aws-Ec2-Metadata-Token") != hostToken {
		w.WriteHeader(http.StatusUnauthorized)
		return taking{}, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t, ok := h.takes[r.PathValue("instance")]
	if !ok || t.Why != why {
		w.WriteHeader(http.StatusNotFound)
		return taking{}, false
	}
	return t, true
}

// routes are those of the metadata service, one for each instance, below a path,
// and how it is told what to say.
func (h *hosts) routes(mux *http.ServeMux, below string) {
	of := below + "{instance}"
	mux.Handle("POST "+of, here(h.take))
	mux.Handle("PUT "+of+"/latest/api/token", here(h.token))
	mux.Handle("GET "+of+"/latest/meta-data/spot/instance-action", here(h.spot))
	mux.Handle("GET "+of+"/latest/meta-data/events/maintenance/scheduled", here(h.maintenance))
}
