package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/step"
)

// envelope is what an EventBridge event and the timer's message have that tells
// them apart.
type envelope struct {
	Source     string          `json:"source"`
	DetailType string          `json:"detail-type"`
	Time       time.Time       `json:"time"`
	Detail     json.RawMessage `json:"detail"`
}

// spotNotice is how long a spot instance has from the moment of its notice.
const spotNotice = 2 * time.Minute

// ends is when the machine of a notice is taken away; the zero time is not known: a
// recommendation to rebalance names none.
func (e envelope) ends() time.Time {
	if e.DetailType != events.DetailSpotNotice || e.Time.IsZero() {
		return time.Time{}
	}
	return e.Time.Add(spotNotice)
}

type waker struct {
	world *step.World
	log   *slog.Logger
}

// wake handles one event. An event that is not understood is logged and
// dropped, because delivering it again would not help; a failure is returned,
// so that it is delivered again.
func (w waker) wake(ctx context.Context, raw json.RawMessage) error {
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		w.log.Error("event dropped", "error", err)
		return nil
	}
	switch {
	case e.Source == events.BusSourceEC2 && e.DetailType == events.DetailEC2State:
		return w.world.Sweep(ctx)
	case e.Source == events.BusSourceEC2 && (e.DetailType == events.DetailSpotNotice || e.DetailType == events.DetailRebalance):
		var d struct {
			Instance string `json:"instance-id"`
		}
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			w.log.Error("event dropped", "detailType", e.DetailType, "error", err)
			return nil
		}
		return w.world.DrainInstances(ctx, []string{d.Instance}, e.ends(), e.DetailType)
	case e.Source == events.BusSourceHealth:
		return w.maintenance(ctx, e)
	case e.Source == events.BusSource && e.DetailType == events.DetailCapacity:
		raw = e.Detail
	}
	message, err := events.Decode(events.FromBus, raw)
	if err != nil {
		w.log.Error("event dropped", "source", e.Source, "detailType", e.DetailType, "error", err)
		return nil
	}
	switch message.(type) {
	case events.Sweep:
		return errors.Join(w.world.Sweep(ctx), w.gauge(ctx))
	default: // CapacityRequested, the only other one
		return w.world.Capacity(ctx)
	}
}

// maintenance drains the instances that a scheduled change of AWS Health names.
// Its other events are no business of ours.
func (w waker) maintenance(ctx context.Context, e envelope) error {
	var d struct {
		Service  string `json:"service"`
		Category string `json:"eventTypeCategory"`
		Start    string `json:"startTime"`
		Entities []struct {
			Value string `json:"entityValue"`
		} `json:"affectedEntities"`
	}
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		w.log.Error("event dropped", "detailType", e.DetailType, "error", err)
		return nil
	}
	if d.Service != "EC2" || d.Category != "scheduledChange" {
		return nil
	}
	var instances []string
	for _, entity := range d.Entities {
		instances = append(instances, entity.Value)
	}
	start, err := time.Parse(time.RFC1123, d.Start)
	if err != nil {
		w.log.Warn("maintenance without a time that can be read", "startTime", d.Start)
	}
	return w.world.DrainInstances(ctx, instances, start, "maintenance is scheduled")
}
