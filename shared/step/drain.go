package step

import (
	"context"
	"errors"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Drain takes a node out of service and moves its people elsewhere. why is for
// the log. An unknown node is an [*events.Error] with not_found. It returns how
// many are asked to move.
func (w *World) Drain(ctx context.Context, id room.NodeID, why string) (people int, err error) {
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
			plan := control.Drain(d, why, w.Now())
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

// DrainInstances drains the nodes of instances that their host takes away. Those
// that are no nodes of ours are passed over.
func (w *World) DrainInstances(ctx context.Context, instances []string, why string) error {
	items, err := w.Store.Find(ctx, AllNodes{})
	if err != nil {
		return err
	}
	var failed error
	for _, v := range items.Nodes {
		for _, i := range instances {
			if i == "" || v.Node.Instance != i || !v.Node.State.Living() || v.Node.State == fleet.Draining {
				continue
			}
			_, err := w.Drain(ctx, v.Node.ID, why)
			failed = errors.Join(failed, err)
		}
	}
	return failed
}
