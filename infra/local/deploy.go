package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/infra/local/moto"
)

// deploy does what deploying another build of the node does: a further version of
// the launch template, and a fleet function that is told of it. Nodes that run are
// of the earlier version from then on.
func (l *local) deploy(w http.ResponseWriter, r *http.Request) {
	var d struct {
		Version string `json:"version"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8<<10)).Decode(&d); err != nil || d.Version == "" || len(d.Version) > 100 {
		answer(w, http.StatusBadRequest, events.Errorf(events.CodeBadField, "expected a JSON object with a version"))
		return
	}
	template, err := moto.AddTemplateVersion(r.Context(), l.aws, stack, d.Version)
	if err == nil {
		err = l.lambda.Configure("fleet", append(slices.Clone(l.functionEnv()), "SPILLWAY_NODE_VERSION="+d.Version, "SPILLWAY_LAUNCH_TEMPLATE_VERSION="+template))
	}
	if err != nil {
		l.log.Error("deploy", "version", d.Version, "error", err)
		answer(w, http.StatusInternalServerError, events.Errorf(events.CodeInternal, "it could not be deployed; the log says why"))
		return
	}
	answer(w, http.StatusOK, map[string]string{"version": d.Version, "template": template})
}

// sendEvent wakes the fleet function with an event as AWS's own services send them
// over EventBridge: source, detail-type and detail are the body's.
func (l *local) sendEvent(w http.ResponseWriter, r *http.Request) {
	var e struct {
		Source     string          `json:"source"`
		DetailType string          `json:"detail-type"`
		Detail     json.RawMessage `json:"detail"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&e)
	if err != nil || e.Source != events.BusSourceEC2 && e.Source != events.BusSourceHealth || e.DetailType == "" || len(e.Detail) == 0 {
		answer(w, http.StatusBadRequest, events.Errorf(events.CodeBadField, "expected a JSON object with source, which is %s or %s, detail-type and detail", events.BusSourceEC2, events.BusSourceHealth))
		return
	}
	event, err := l.awsEvent(e.Source, e.DetailType, e.Detail)
	if err == nil {
		err = l.wakeFleet(r.Context(), event)
	}
	if err != nil {
		answer(w, http.StatusInternalServerError, events.Errorf(events.CodeInternal, "the event failed; the log of fleet says why"))
		return
	}
	answer(w, http.StatusOK, map[string]bool{"sent": true})
}

// awsEvent is an event of one of AWS's services ("AWS service event metadata",
// EventBridge User Guide).
func (l *local) awsEvent(source, detailType string, detail any) ([]byte, error) {
	now := time.Now().UTC()
	return json.Marshal(map[string]any{
		"version": "0", "id": fmt.Sprintf("local-%d", now.UnixNano()), "detail-type": detailType, "source": source,
		"account": account, "time": now.Format(time.RFC3339), "region": region, "detail": detail,
	})
}
