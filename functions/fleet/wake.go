package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/step"
)

// envelope is what an EventBridge event and the timer's message have that tells
// them apart.
type envelope struct {
	Source     string          `json:"source"`
	DetailType string          `json:"detail-type"`
	Detail     json.RawMessage `json:"detail"`
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
		return w.world.DrainInstances(ctx, []string{d.Instance}, e.DetailType)
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
	return w.world.DrainInstances(ctx, instances, "maintenance is scheduled")
}
