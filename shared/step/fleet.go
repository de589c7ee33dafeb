package step

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
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

// atOnce is how many who wait are served at a time. Who stands further back
// begins when those before have been served, or cannot be.
const atOnce = 16

// serveAll serves a line in order, some at once, and returns those who are not
// served, in order.
func (w *World) serveAll(ctx context.Context, waits []fleet.Wait, landed []fleet.Node) ([]fleet.Wait, error) {
	var left []fleet.Wait
	for batch := range slices.Chunk(waits, atOnce) {
		served, failed := make([]bool, len(batch)), make([]error, len(batch))
		var each []func()
		for i, wait := range batch {
			each = append(each, func() { served[i], failed[i] = w.serve(ctx, wait, landed) })
		}
		w.atOnce(each)
		if err := errors.Join(failed...); err != nil {
			return nil, err
		}
		for i, wait := range batch {
			if !served[i] {
				left = append(left, wait)
			}
		}
	}
	return left, nil
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
	slices.SortFunc(items.Waits, func(a, b fleet.Wait) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Key, b.Key))
	})
	if p.Waits, err = w.serveAll(ctx, items.Waits, landed); err != nil {
		return err
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

func (w *World) serve(ctx context.Context, wait fleet.Wait, landed []fleet.Node) (bool, error) {
	served := false
	w, err := w.wishing(wait.Wish)
	if err != nil {
		return false, err
	}
	_, err = run(ctx, w, "serve",
		func(ctx context.Context, _ bool) (control.Seating, error) {
			s, err := w.seating(ctx, wait.Room, wait.Key, wait.Role, wait.Avoid)
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
	var told *events.Error
	if errors.As(err, &told) && told.Code == events.CodeBusy {
		return false, nil // others were faster again and again; it keeps its place
	}
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
	keep, ahead := w.sweepAhead(ctx, demand, nodes.Nodes)
	failed := errors.Join(ahead, w.sweepLaunches(ctx, demand.Launches, nodes.Nodes), w.sweepNodes(ctx, nodes.Nodes, instances, keep))
	known := map[room.NodeID]bool{}
	for _, l := range demand.Launches {
		known[l.ID] = true
	}
	for _, v := range nodes.Nodes {
		known[v.Node.ID] = true
	}
	orphans := control.Orphans(instances, func(id room.NodeID) bool { return known[id] }, w.Now())
	failed = errors.Join(failed, w.once(ctx, "sweep instances", orphans))
	replaced, err := w.replace(ctx, demand.Launches, nodes.Nodes)
	if failed = errors.Join(failed, err); !replaced { // one node at a time
		failed = errors.Join(failed, w.consolidate(ctx, demand.Launches, nodes.Nodes))
	}
	return errors.Join(failed, w.line(ctx))
}

func (w *World) sweepLaunches(ctx context.Context, launches []fleet.Launch, nodes []fleet.View) error {
	var failed error
	for _, l := range launches {
		noNode := !slices.ContainsFunc(nodes, func(v fleet.View) bool { return v.Node.ID == l.ID })
		failed = errors.Join(failed, w.once(ctx, "sweep launch", control.SweepLaunch(l, noNode, w.Now())))
	}
	return failed
}

// sweptAtOnce is how many nodes a sweep looks at at a time: with three requests
// for each, a thousand nodes take seconds.
const sweptAtOnce = 32

func (w *World) sweepNodes(ctx context.Context, nodes []fleet.View, instances []control.Instance, keep map[room.NodeID]bool) error {
	of := map[room.NodeID][]control.Instance{}
	for _, i := range instances {
		of[i.Node] = append(of[i.Node], i)
	}
	failed := make([]error, len(nodes))
	var each []func()
	for i, v := range nodes {
		each = append(each, func() {
			failed[i] = w.sweepNode(ctx, control.NodeSweep{View: v, Blind: control.Blind(nodes, v, w.Now()), Kept: keep[v.Node.ID], Surplus: control.Surplus(nodes, v, w.Now())}, of[v.Node.ID])
		})
	}
	for some := range slices.Chunk(each, sweptAtOnce) {
		w.atOnce(some)
	}
	return errors.Join(failed...)
}

func (w *World) sweepNode(ctx context.Context, s control.NodeSweep, instances []control.Instance) error {
	v := s.View
	s.Rooms = map[room.Name]room.Room{}
	for i := range instances {
		if s.Instance == nil || s.Instance.Gone {
			s.Instance = &instances[i]
		}
	}
	if !v.Node.Empty() || !v.Node.State.Takes() || v.Node.Generation > 1 {
		items, err := w.Store.Find(ctx, BlocksOf{v.Node.ID})
		if err != nil {
			return err
		}
		s.Blocks = items.Blocks
		var keys []Key
		for _, b := range s.Blocks {
			keys = append(keys, RoomKey{b.Room})
		}
		if items, err = w.Store.Get(ctx, true, keys...); err != nil {
			return err
		}
		for _, r := range items.Rooms {
			s.Rooms[r.Name] = r
		}
		if s.Peers, err = w.peers(ctx, v.Node.ID, items.Rooms...); err != nil {
			return err
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
	rooms, err := w.commit(ctx, plan)
	if errors.Is(err, ErrConflict) {
		w.log(name, 0, began, usage, control.Decision{Choice: "nothing", Why: "the world has moved on"})
		w.assign(ctx, rooms)
		return nil
	}
	if err != nil {
		return err
	}
	w.log(name, 0, began, usage, plan.Decision)
	w.keep(ctx, name, plan)
	err = w.tell(ctx, plan)
	w.assign(ctx, rooms)
	return err
}
