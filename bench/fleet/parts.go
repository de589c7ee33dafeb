package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
)

// every is how often the fleet is looked at to say where its node-hours go.
const every = 10 * time.Second

// parts is where node-hours go: whole nodes that boot, are empty or drain, and of
// the others, in packets a second, what is used and what is not.
type parts struct {
	boot, idle, drain  float64
	seats, open, pipes float64 // seats that are sat on, and those that are not
	free               float64
	why                map[string]int // refusals, by what was said
}

func (p parts) plus(o parts) parts {
	p.boot, p.idle, p.drain = p.boot+o.boot, p.idle+o.idle, p.drain+o.drain
	p.seats, p.open, p.pipes, p.free = p.seats+o.seats, p.open+o.open, p.pipes+o.pipes, p.free+o.free
	return p
}

// measure looks at the fleet as it is, for the time until the next look.
func (s *spillway) measure(context.Context) parts {
	var p parts
	hours := every.Hours()
	living := map[room.NodeID]bool{}
	for _, id := range s.EC2.Living() {
		living[id] = true
	}
	s.World.Store.Look(func(c sim.Contents) {
		blocks := map[room.NodeID]room.Load{}
		sat := map[room.NodeID]room.Load{}
		for _, b := range c.Blocks {
			blocks[b.Node] = blocks[b.Node].Plus(b.Load)
			sat[b.Node] = sat[b.Node].Plus(s.Settings.Profile.SeatLoad(b.Role).Times(len(b.Members)))
		}
		for id := range living {
			n, known := c.Nodes[id]
			share := func(pps int64) float64 { return hours * float64(pps) / float64(n.Capacity.PPS) }
			switch {
			case !known:
				p.boot += hours
			case n.Empty():
				p.idle += hours
			case n.State == fleet.Draining:
				p.drain += hours
			default:
				p.seats += share(sat[id].PPS)
				p.open += share(blocks[id].PPS - sat[id].PPS)
				p.pipes += share(n.Granted().PPS - blocks[id].PPS)
				p.free += share(n.Available.PPS)
			}
		}
	})
	return p
}

// hours is where the node-hours of a run went, and what the fewest are.
type hours struct {
	trace, thrift string
	fewest        float64
	parts         parts
}

// explain prints where node-hours went, each part divided by the fewest.
func explain(runs []hours) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nWhere node-hours go, divided by the fewest\t\tseats\topen seats\tpipes\tfree\tbooting\tempty\tdraining\n")
	for _, r := range runs {
		p, f := r.parts, r.fewest
		fmt.Fprintf(w, "%s\t%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\n", r.trace, r.thrift, p.seats/f, p.open/f, p.pipes/f, p.free/f, p.boot/f, p.idle/f, p.drain/f)
	}
	for _, r := range runs {
		for _, why := range slices.Sorted(maps.Keys(r.parts.why)) {
			fmt.Fprintf(w, "%s\t%s\trefused %d: %s\n", r.trace, r.thrift, r.parts.why[why], why)
		}
	}
	return w.Flush()
}
