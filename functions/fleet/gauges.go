package main

import (
	"context"
	"errors"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/price"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// leakedAfter is how old an instance that nobody knows must be to count as
// leaked: EC2 shows instances late, and orphans are ended by the sweep.
const leakedAfter = 10 * time.Minute

// gauge logs the fleet at a glance, in one line that metrics are read from. With
// nothing there it logs nothing, and then nothing is billed either.
func (w waker) gauge(ctx context.Context) error {
	nodes, err := w.world.Store.Find(ctx, step.AllNodes{})
	waits, err2 := w.world.Store.Find(ctx, step.Waiting{Region: w.world.Settings.Region})
	demand, err3 := w.world.Store.Find(ctx, step.Demand{Region: w.world.Settings.Region})
	instances, err4 := w.world.Instances.List(ctx)
	if err := errors.Join(err, err2, err3, err4); err != nil {
		return err
	}
	g := measure(nodes.Nodes, waits.Waits, w.world.Now())
	g.leaked = leaked(instances, nodes.Nodes, demand.Launches, w.world.Now())
	if len(nodes.Nodes) == 0 && g.waiting == 0 && g.leaked == 0 {
		return nil
	}
	w.log.Info("fleet", "nodesReady", g.ready, "nodesDraining", g.draining, "nodesOther", g.other, "people", g.people, "rooms", g.rooms,
		"claimedKbps", g.claimed, "measuredKbps", g.measured, "capacityKbps", g.capacity,
		"pipesKbps", g.piped, "lossPercent", g.loss(), "waiting", g.waiting, "oldestWaitMs", g.oldest.Milliseconds(), "dollarsPerHour", g.hour.Dollars(), "leaked", g.leaked)
	return nil
}

type gauges struct {
	ready, draining, other, people, waiting, leaked int
	claimed, measured, capacity, piped              int64 // kbps
	lost                                            int   // thousandths, times people
	rooms                                           int   // a room counts on each node that it is on
	oldest                                          time.Duration
	hour                                            price.Micros // of instances and their addresses
}

func measure(nodes []fleet.View, waits []fleet.Wait, now time.Time) gauges {
	g := gauges{waiting: len(waits)}
	for _, v := range nodes {
		switch v.Node.State {
		case fleet.Ready:
			g.ready++
		case fleet.Draining:
			g.draining++
		default:
			g.other++
		}
		g.people += v.Beat.People
		g.rooms += v.Beat.Rooms
		g.lost += v.Beat.LossPermille * v.Beat.People
		for _, p := range v.Beat.Pipes {
			g.piped += p.SendKbps
		}
		g.claimed += v.Node.Capacity.Minus(v.Node.Available).Kbps
		g.measured += v.Beat.Load.Kbps
		g.capacity += v.Node.Capacity.Kbps
		g.hour += price.PublicAddressHour
		if typ, err := price.Type(v.Node.Type); err == nil {
			g.hour += typ.Hour
		}
	}
	for _, wait := range waits {
		g.oldest = max(g.oldest, now.Sub(wait.Since))
	}
	return g
}

// loss is what receivers report as lost, in percent, each of them alike.
func (g gauges) loss() float64 {
	if g.people == 0 {
		return 0
	}
	return float64(g.lost) / float64(g.people) / 10
}

// leaked counts the instances that belong to no node and no launch.
func leaked(instances []control.Instance, nodes []fleet.View, launches []fleet.Launch, now time.Time) int {
	known := map[room.NodeID]bool{}
	for _, v := range nodes {
		known[v.Node.ID] = true
	}
	for _, l := range launches {
		known[l.ID] = true
	}
	n := 0
	for _, i := range instances {
		if !i.Gone && !known[i.Node] && now.Sub(i.LaunchedAt) > leakedAfter {
			n++
		}
	}
	return n
}
