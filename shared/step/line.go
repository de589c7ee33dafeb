package step

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
)

// maxPasses bounds how often [World.Capacity] begins anew after somebody else
// decided on launches at the same time.
const maxPasses = 5

// secondLook is how long after its beginning a pass looks again: longer than the
// time for which nobody else may ask for one, with room for clocks that differ.
const secondLook = control.RingEvery + 250*time.Millisecond

// Capacity serves those who wait, first come first served, and launches nodes
// for those it cannot serve. Who got in line less than [control.RingEvery] after
// somebody else did could not ask for a pass of its own, so this one looks again
// when that time is over.
func (w *World) Capacity(ctx context.Context) error {
	began := w.Now()
	if err := w.line(ctx); err != nil {
		return err
	}
	if err := w.Pause(ctx, max(began.Add(secondLook).Sub(w.Now()), 0)); err != nil {
		return err
	}
	items, err := w.Store.Find(ctx, Waiting{w.Settings.Region})
	if err != nil || len(items.Waits) == 0 {
		return err
	}
	return w.line(ctx)
}

// line makes a pass over the line. Where another pass launched at the same time
// it begins anew, so that what that one launched is counted, and what it did not
// see is not forgotten.
func (w *World) line(ctx context.Context) error {
	for range maxPasses {
		err := w.pass(ctx)
		if !errors.Is(err, ErrConflict) {
			return err
		}
		if err := w.Pause(ctx, time.Duration(w.Spread()%50)*time.Millisecond); err != nil {
			return err
		}
	}
	return nil // those who were faster have seen what this one saw
}

func (w *World) pass(ctx context.Context) error {
	items, err := w.Store.Find(ctx, Demand{w.Settings.Region})
	if err != nil {
		return err
	}
	p := control.Pressure{Demand: items.Demand, Boots: items.Boots, Launches: items.Launches}
	landed, err := w.landed(ctx, p.Launches)
	if err != nil {
		return err
	}
	items, err = w.Store.Find(ctx, Waiting{w.Settings.Region})
	if err != nil {
		return err
	}
	slices.SortFunc(items.Waits, inLine)
	waits := items.Waits
	if len(waits) > 0 {
		if items, err = w.Store.Find(ctx, AllNodes{}); err != nil {
			return err
		}
		p.Nodes = items.Nodes
	}
	if p.Waits, err = w.serveAll(ctx, waits, landed, p.Nodes); err != nil {
		return err
	}
	var failed error
	for _, n := range landed {
		failed = errors.Join(failed, w.once(ctx, "served", control.Served(n)))
	}
	if len(p.Waits) == 0 {
		return failed
	}
	ctx, usage := WithUsage(ctx)
	began := w.Now()
	plan := control.Launch(p, w.Now(), w.Settings)
	if _, err := w.commit(ctx, plan); err != nil {
		return err
	}
	w.log("launch", 0, began, usage, plan.Decision)
	if err := errors.Join(failed, w.tell(ctx, plan)); err != nil || len(plan.Launches) == 0 {
		return err
	}
	return w.inform(ctx, p.Waits)
}

// inform tells those of waits who are still in line what EC2 has answered: that
// their node is more than a wish, or that none can be had.
func (w *World) inform(ctx context.Context, waits []fleet.Wait) error {
	items, err := w.Store.Find(ctx, Waiting{w.Settings.Region})
	if err != nil {
		return err
	}
	still := map[string]bool{}
	for _, wait := range items.Waits {
		still[wait.Session] = true
	}
	waits = slices.DeleteFunc(slices.Clone(waits), func(wait fleet.Wait) bool { return !still[wait.Session] })
	if items, err = w.Store.Find(ctx, Demand{w.Settings.Region}); err != nil || len(waits) == 0 {
		return err
	}
	return w.once(ctx, "inform", control.Inform(waits, items.Launches, w.Now(), w.Settings))
}

// landed returns the nodes of launches that landed a moment ago and are still
// filling. The index does not show them yet.
func (w *World) landed(ctx context.Context, launches []fleet.Launch) ([]fleet.Node, error) {
	var keys []Key
	for _, l := range launches {
		if l.State == fleet.Landed {
			keys = append(keys, NodeKey{l.ID})
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	items, err := w.Store.Get(ctx, true, keys...)
	var nodes []fleet.Node
	for _, v := range items.Nodes {
		if v.Node.State == fleet.Filling {
			nodes = append(nodes, v.Node)
		}
	}
	return nodes, err
}
