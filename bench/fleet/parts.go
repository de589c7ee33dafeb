package main

import (
	"context"
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
