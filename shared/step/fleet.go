package step

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// launch asks for an instance and notes the answer; after a refusal it goes on
// with what the note says, in another zone or with another type. A crash before
// the note is mended by the sweep, which asks for the same again.
func (w *World) launch(ctx context.Context, l fleet.Launch) {
	outcome := w.Instances.Launch(ctx, l)
	for attempt := 0; outcome.Refusal == fleet.Throttled && attempt < 3; attempt++ {
		if w.Pause(ctx, time.Duration(500<<attempt+w.Spread()%500)*time.Millisecond) != nil {
			return
		}
		outcome = w.Instances.Launch(ctx, l)
	}
	_, err := run(ctx, w, "launched",
		func(ctx context.Context, _ bool) (control.Landing, error) { return w.landing(ctx, l.ID) },
		func(s control.Landing) (control.Plan, error) {
			return control.Launched(s, outcome, w.Now(), w.Settings), nil
		})
	if err != nil {
		w.Log.Error("note launch", "node", l.ID, "error", err)
	}
}

// maxPasses bounds how often [World.Capacity] begins anew after somebody else
// decided on launches at the same time.
const maxPasses = 5

// Capacity serves those who wait, first come first served, and launches nodes
// for those it cannot serve. Where another pass launched at the same time it
// begins anew, so that what that one launched is counted, and what it did not
// see is not forgotten.
func (w *World) Capacity(ctx context.Context) error {
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
	p := control.Pressure{Demand: items.Demand, Launches: items.Launches}
	landed, err := w.landed(ctx, p.Launches)
	if err != nil {
		return err
	}
	items, err = w.Store.Find(ctx, Waiting{w.Settings.Region})
	if err != nil {
		return err
	}
	slices.SortFunc(items.Waits, func(a, b fleet.Wait) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Key, b.Key))
	})
	for _, wait := range items.Waits {
		served, err := w.serve(ctx, wait, landed)
		if err != nil {
			return err
		}
		if !served {
			p.Waits = append(p.Waits, wait)
		}
	}
	var failed error
	for _, n := range landed {
		failed = errors.Join(failed, w.once(ctx, "served", control.Served(n)))
	}
	if len(p.Waits) == 0 {
		return failed
	}
	if items, err = w.Store.Find(ctx, AllNodes{}); err != nil {
		return err
	}
	p.Nodes = items.Nodes
	ctx, usage := WithUsage(ctx)
	began := w.Now()
	plan := control.Launch(p, w.Now(), w.Settings)
	if err := w.commit(ctx, plan); err != nil {
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

func (w *World) serve(ctx context.Context, wait fleet.Wait, landed []fleet.Node) (bool, error) {
	served := false
	_, err := run(ctx, w, "serve",
		func(ctx context.Context, _ bool) (control.Seating, error) {
			s, err := w.seating(ctx, wait.Room, wait.Key)
			if err != nil || len(landed) == 0 {
				return s, err
			}
			var keys []Key
			for _, n := range landed {
				if !slices.ContainsFunc(s.Candidates, func(v fleet.View) bool { return v.Node.ID == n.ID }) {
					keys = append(keys, NodeKey{n.ID})
				}
			}
			items, err := w.Store.Get(ctx, true, keys...)
			s.Candidates = append(s.Candidates, items.Nodes...)
			return s, err
		},
		func(s control.Seating) (control.Plan, error) {
			plan, ok, err := control.Serve(s, wait, 0, w.Now(), w.Settings)
			served = ok
			return plan, err
		})
	return served, err
}

// Sweep looks at every launch, node and instance once, puts right what is
// wrong, ends what is idle, and serves those who wait. Sweeps may overlap: what
// each does is conditioned on what it saw. One failure does not keep it from
// the rest.
func (w *World) Sweep(ctx context.Context) error {
	instances, err := w.Instances.List(ctx)
	if err != nil {
		return err
	}
	demand, err := w.Store.Find(ctx, Demand{w.Settings.Region})
	if err != nil {
		return err
	}
	nodes, err := w.Store.Find(ctx, AllNodes{})
	if err != nil {
		return err
	}
	var failed error
	for _, l := range demand.Launches {
		noNode := !slices.ContainsFunc(nodes.Nodes, func(v fleet.View) bool { return v.Node.ID == l.ID })
		failed = errors.Join(failed, w.once(ctx, "sweep launch", control.SweepLaunch(l, noNode, w.Now())))
	}
	blind := control.Blind(nodes.Nodes, w.Now())
	for _, v := range nodes.Nodes {
		failed = errors.Join(failed, w.sweepNode(ctx, v, instances, blind))
	}
	known := func(id room.NodeID) bool {
		return slices.ContainsFunc(demand.Launches, func(l fleet.Launch) bool { return l.ID == id }) ||
			slices.ContainsFunc(nodes.Nodes, func(v fleet.View) bool { return v.Node.ID == id })
	}
	failed = errors.Join(failed, w.once(ctx, "sweep instances", control.Orphans(instances, known, w.Now())))
	return errors.Join(failed, w.Capacity(ctx))
}

func (w *World) sweepNode(ctx context.Context, v fleet.View, instances []control.Instance, blind bool) error {
	s := control.NodeSweep{View: v, Blind: blind, Rooms: map[room.Name]room.Room{}}
	for i := range instances {
		if instances[i].Node == v.Node.ID && (s.Instance == nil || s.Instance.Gone) {
			s.Instance = &instances[i]
		}
	}
	if v.Node.State != fleet.Terminating && !v.Node.Empty() || v.Node.State == fleet.Lost || v.Node.Generation > 1 {
		items, err := w.Store.Find(ctx, BlocksOf{v.Node.ID})
		if err != nil {
			return err
		}
		s.Blocks = items.Blocks
		keys := map[room.Name]Key{}
		for _, b := range s.Blocks {
			keys[b.Room] = RoomKey{b.Room}
		}
		for name, key := range keys {
			items, err := w.Store.Get(ctx, true, key)
			if err != nil {
				return err
			}
			if r := first(items.Rooms); r != nil {
				s.Rooms[name] = *r
			}
		}
	}
	return w.once(ctx, "sweep node", control.Sweep(s, w.Now(), w.Settings))
}

// once commits a plan that was decided outside the loop. A conflict means that
// the world has moved on, so that the plan is void and the next sweep decides
// anew.
func (w *World) once(ctx context.Context, name string, plan control.Plan) error {
	ctx, usage := WithUsage(ctx)
	began := w.Now()
	err := w.commit(ctx, plan)
	if errors.Is(err, ErrConflict) {
		w.log(name, 0, began, usage, control.Decision{Choice: "nothing", Why: "the world has moved on"})
		return nil
	}
	if err != nil {
		return err
	}
	w.log(name, 0, began, usage, plan.Decision)
	w.keep(ctx, name, plan)
	return w.tell(ctx, plan)
}
