package step

import (
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
	replaced, err := w.replace(ctx, demand, nodes.Nodes)
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
			keys = append(keys, RoomKey{b.Room, room.SectionOf(b.Index)})
		}
		rooms, heads, err := w.whole(ctx, keys)
		if err != nil {
			return err
		}
		s.Heads = heads
		for _, r := range rooms {
			s.Rooms[r.Name] = r
		}
		if s.Peers, err = w.peers(ctx, v.Node.ID, rooms...); err != nil {
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
