package main

import (
	"math/rand/v2"
	"time"

	"github.com/spillway-sfu/spillway/shared/room"
)

// rival is a simple model of how others place: people go to the node of their
// room while it has room there, a further node is chosen by pick, and one is
// launched where none fits. Unlike the real thing it loses no seat to blocks and
// sees everything at once, which is to its advantage.
type rival struct {
	name string
	// pick chooses among nodes that fit.
	pick func(r *rand.Rand, free []room.Load, fit []int) int
	// whole reserves a room's largest size when it opens.
	whole bool
}

var rivals = []rival{
	{name: "least-loaded", pick: func(_ *rand.Rand, free []room.Load, fit []int) int {
		best := fit[0]
		for _, i := range fit {
			if free[i].Kbps > free[best].Kbps {
				best = i
			}
		}
		return best
	}},
	{name: "fixed-size", whole: true, pick: func(_ *rand.Rand, free []room.Load, fit []int) int {
		best := fit[0]
		for _, i := range fit {
			if free[i].Kbps < free[best].Kbps {
				best = i
			}
		}
		return best
	}},
	{name: "random", pick: func(r *rand.Rand, _ []room.Load, fit []int) int { return fit[r.IntN(len(fit))] }},
}

// model is the fleet of a rival while a trace runs.
type model struct {
	rival
	trace    trace
	profile  room.Profile
	capacity room.Load
	random   *rand.Rand

	free       []room.Load
	up         []bool
	emptySince []time.Duration
	home       map[string][]int // room → its nodes
	people     map[string]int   // room → people
	seat       map[string]int   // person, or room, → node
}

// take takes load for a room on a node, a new one if need be.
func (m *model) take(name string, load room.Load, now time.Duration) int {
	for _, i := range m.home[name] {
		if m.up[i] && load.Fits(m.free[i]) {
			m.free[i] = m.free[i].Minus(load)
			return i
		}
	}
	var fit []int
	for i := range m.free {
		if m.up[i] && load.Fits(m.free[i]) {
			fit = append(fit, i)
		}
	}
	at := len(m.free)
	if len(fit) > 0 {
		at = m.pick(m.random, m.free, fit)
	} else {
		m.free, m.up, m.emptySince = append(m.free, m.capacity), append(m.up, true), append(m.emptySince, now)
	}
	m.home[name] = append(m.home[name], at)
	m.free[at] = m.free[at].Minus(load)
	return at
}

func (m *model) change(c change, now time.Duration) {
	load, name := m.profile.SeatLoad(roleOf(c.who)), c.who.room
	whole := reservation(m.trace, m.profile, m.capacity)
	switch {
	case m.whole && c.goes:
		if m.people[name]--; m.people[name] == 0 {
			m.free[m.seat[name]] = m.free[m.seat[name]].Plus(whole)
			delete(m.home, name)
		}
	case m.whole:
		if m.people[name]++; m.people[name] == 1 {
			m.seat[name] = m.take(name, whole, now)
		}
	case c.goes:
		m.free[m.seat[c.who.person]] = m.free[m.seat[c.who.person]].Plus(load)
	default:
		m.seat[c.who.person] = m.take(name, load, now)
	}
}

// sweep ends nodes that have been empty for long enough, and counts the others.
func (m *model) sweep(now, idle time.Duration) int {
	n := 0
	for i := range m.free {
		if m.free[i] != m.capacity {
			m.emptySince[i] = now
		} else if now-m.emptySince[i] > idle {
			m.up[i] = false
		}
		if m.up[i] {
			n++
		}
	}
	return n
}

func (p rival) run(t trace, profile room.Profile, capacity room.Load, idle time.Duration) outcome {
	m := model{rival: p, trace: t, profile: profile, capacity: capacity, random: rand.New(rand.NewPCG(1, 1)),
		home: map[string][]int{}, people: map[string]int{}, seat: map[string]int{}}
	var out outcome
	changes := t.changes()
	for now, n := time.Duration(0), 0; len(changes) > 0 || n > 0; now += time.Second {
		for len(changes) > 0 && changes[0].at <= now {
			m.change(changes[0], now)
			changes = changes[1:]
		}
		n = m.sweep(now, idle)
		out.most = max(out.most, n)
		out.nodeHours += float64(n) / 3600
	}
	return out
}

func roleOf(v visit) room.Role {
	if v.viewer {
		return room.Viewer
	}
	return room.Publisher
}

// reservation is what a room of fixed size takes: its largest size, as far as a
// node goes.
func reservation(t trace, profile room.Profile, capacity room.Load) room.Load {
	seat := profile.SeatLoad(room.Publisher)
	return seat.Times(min(t.largest, seat.Into(capacity)))
}

// bound is the clairvoyant lower bound: for each second, the fewest nodes that
// could carry the seats of whoever is present, if people could be cut to size
// and moved for nothing.
func bound(t trace, profile room.Profile, capacity room.Load) float64 {
	var sum room.Load
	hours := 0.0
	changes := t.changes()
	for now := time.Duration(0); len(changes) > 0; now += time.Second {
		for len(changes) > 0 && changes[0].at <= now {
			load := profile.SeatLoad(roleOf(changes[0].who))
			if changes[0].goes {
				sum = sum.Minus(load)
			} else {
				sum = sum.Plus(load)
			}
			changes = changes[1:]
		}
		n := max((sum.Kbps+capacity.Kbps-1)/capacity.Kbps, (sum.PPS+capacity.PPS-1)/capacity.PPS)
		hours += float64(n) / 3600
	}
	return hours
}
