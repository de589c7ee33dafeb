package trial

import (
	"fmt"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
)

// populate plans what the people of a world do, each by dice of their own.
func (t *trial) populate() {
	w := t.weather
	plan := func(do func()) func() {
		return func() {
			if !t.calm {
				do()
			}
		}
	}
	for i := range w.people {
		d := &dice{seed: mix(t.cfg.Seed, name("plan"), uint64(i))}
		key := fmt.Sprintf("p%d", i)
		in := fmt.Sprintf("room-%d", d.below(w.rooms))
		absent := t.cfg.Absent[i]
		p := t.someone(key, key, in)
		tab := t.someone(key+"'s second tab", key, in)
		if unit(mix(t.cfg.Seed, name("role"), uint64(i))) < w.viewers {
			p.wants, tab.wants = events.Viewer, events.Viewer
		}
		if absent {
			continue
		}
		at := d.between(0, w.arrivals)
		for range 1 + d.below(4) {
			t.after(at, plan(p.join))
			stay := d.between(w.stays/5, 2*w.stays)
			switch {
			case d.chance(w.vanish):
				t.after(at+stay, plan(p.vanish))
			case d.chance(w.giveUp):
				t.after(at+d.between(0, 20*time.Second), plan(p.leave))
			case d.chance(0.85):
				t.after(at+stay, plan(p.leave))
			}
			if d.chance(w.takeover) {
				begin := at + d.between(0, stay)
				t.after(begin, plan(tab.join))
				if d.chance(0.7) {
					t.after(begin+d.between(time.Second, stay), plan(tab.leave))
				}
			}
			at += stay + d.between(time.Second, 2*w.stays)
		}
	}
}

// disturb plans what happens to nodes and to the gateway.
func (t *trial) disturb() {
	w, plan := t.weather, t.plan
	plan("a node's machine dies", w.crashes, func(d *dice) {
		if n := t.victim(d); n != nil {
			t.note("%s's machine dies", n.id)
			n.die()
			if d.chance(0.6) {
				t.ec2.end(n.machine)
			}
		}
	})
	plan("a node's process dies and starts again", w.reboots, func(d *dice) {
		if n := t.victim(d); n != nil {
			t.note("%s's process dies", n.id)
			n.die()
			t.after(d.between(time.Second, 20*time.Second), func() { t.ec2.boot(n.machine) })
		}
	})
	plan("a node hangs", w.hangs, func(d *dice) {
		if n := t.victim(d); n != nil {
			n.hang(d.between(2*time.Second, 3*time.Minute))
		}
	})
	plan("a node is cut off", w.cuts, func(d *dice) {
		if n := t.victim(d); n != nil {
			n.isolate(d.between(5*time.Second, 4*time.Minute))
		}
	})
	plan("the gateway is down", w.outages, func(d *dice) { t.gateway.outage(d.between(time.Second, 3*time.Minute)) })
	plan("EC2 has nothing", w.droughts, func(d *dice) {
		t.ec2.drought = true
		t.after(d.between(10*time.Second, 4*time.Minute), func() { t.ec2.drought = false })
	})
}

// victim is any running node.
func (t *trial) victim(d *dice) *node {
	var alive []*node
	for _, m := range t.ec2.machines {
		if m.ended == 0 && m.process != nil && !m.process.dead {
			alive = append(alive, m.process)
		}
	}
	if len(alive) == 0 {
		return nil
	}
	return alive[d.below(len(alive))]
}

// hang stops a process for a while; its people notice, and it may go on.
func (n *node) hang(d time.Duration) {
	n.t.note("%s hangs for %s", n.id, d)
	n.hung = true
	var lost []*seat
	for _, tab := range n.tabs() {
		tab.silence(n)
		lost = append(lost, n.seats[tab.place()])
	}
	n.t.after(d, func() {
		n.hung = false
		n.flush()
		for _, tab := range n.tabs() {
			tab.recovers(n)
		}
	})
	n.t.after(d+silentAfter, func() {
		for _, s := range lost {
			if s.tab != nil && !s.tab.on(n) {
				n.leave(s, events.LeftSilent)
			}
		}
	})
}

// isolate cuts a node off from the gateway; its people stay connected.
func (n *node) isolate(d time.Duration) {
	n.t.note("%s is cut off for %s", n.id, d)
	n.cut = true
	for slot := range slots {
		n.drop(slot)
	}
	n.t.after(d, func() {
		n.cut = false
		for slot := range slots {
			n.dial(slot, 0)
		}
	})
}

// settleWithin is how long after the last fault everything must be in order, and
// doubtsWithin where nodes are dead that the control plane may suspect itself of.
const (
	settleWithin = 8 * time.Minute
	doubtsWithin = 15 * time.Minute
	// movesWithin is how long a move may take, a launch for it included.
	movesWithin = 2 * time.Minute
	// repairsWithin is how long a node's inventory may take to put right what is left
	// of a move.
	repairsWithin = control.SettleAfter + listEvery + 30*time.Second
)

// moving reports whether somebody changes its home, or did a while ago, so that its
// old seat may not have been given back: one in another block of the same node is by
// the next inventory.
func (t *trial) moving() bool {
	return slices.ContainsFunc(t.people, func(p *person) bool {
		return p.kept != nil || p.phase == joined && t.clock.now-p.entered < int64(repairsWithin)
	})
}

// settle ends the faults. Whoever wants in must get in, then everybody leaves,
// and everything must be given back.
func (t *trial) settle() {
	if t.failure != nil {
		return
	}
	t.calm = true
	t.note("the faults are over")
	t.gateway.down, t.ec2.drought = false, false
	for _, m := range t.ec2.machines {
		if n := m.process; n != nil {
			n.hung, n.cut = false, false
			for slot := range slots {
				n.dial(slot, 0)
			}
		}
	}
	t.pass(settleWithin)
	if t.watch.dead() {
		t.pass(doubtsWithin - settleWithin)
	}
	t.set.Thrift = control.ThriftOff // whoever is moved for it has time to arrive
	t.pass(movesWithin)
	for range 12 { // a drain may have moved somebody a moment ago
		if t.moving() {
			t.pass(repairsWithin / 6)
		}
	}
	t.watch.settled()
	t.set.SpareSeats = 0
	for _, p := range t.people {
		p.leave()
	}
	t.pass(time.Duration(t.set.IdleAfterMs)*time.Millisecond + 12*time.Minute)
	t.watch.empty()
}
