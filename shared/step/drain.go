package step

import (
	"context"
	"errors"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Drain takes a node out of service and moves its people elsewhere, by a deadline
// at which they are made to go; zero is none. why is for the log. An unknown node is
// an [*events.Error] with not_found. It returns how many are asked to move.
func (w *World) Drain(ctx context.Context, id room.NodeID, by time.Time, why string) (people int, err error) {
	_, err = run(ctx, w, "drain",
		func(ctx context.Context, _ bool) (control.Drained, error) {
			v, err := w.view(ctx, id, true)
			if err != nil {
				return control.Drained{}, err
			}
			items, err := w.Store.Find(ctx, BlocksOf{id})
			return control.Drained{View: v, Blocks: items.Blocks}, err
		},
		func(d control.Drained) (control.Plan, error) {
			if d.View.Node.ID == "" {
				return control.Plan{}, events.Errorf(events.CodeNotFound, "no such node")
			}
			plan := control.Drain(d, by, why, w.Now())
			people = 0
			for _, s := range plan.Sends {
				if m, ok := s.Message.(events.MoveAway); ok {
					people += len(m.Keys)
				}
			}
			return plan, nil
		})
	return people, err
}

// DrainInstances drains the nodes of instances that their host takes away, at ends
// if that is known. Those that are no nodes of ours are passed over, as are those
// that drain in time already.
func (w *World) DrainInstances(ctx context.Context, instances []string, ends time.Time, why string) error {
	by := w.Settings.DrainBy(w.Now(), ends)
	items, err := w.Store.Find(ctx, AllNodes{})
	if err != nil {
		return err
	}
	var failed error
	for _, v := range items.Nodes {
		for _, i := range instances {
			if i == "" || v.Node.Instance != i || !inService(v.Node, by) {
				continue
			}
			_, err := w.Drain(ctx, v.Node.ID, by, why)
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// inService reports whether a node may have people on it for longer than by.
func inService(n fleet.Node, by time.Time) bool {
	return n.State.Takes() || n.State == fleet.Draining && (n.DrainBy.IsZero() || by.Before(n.DrainBy))
}
