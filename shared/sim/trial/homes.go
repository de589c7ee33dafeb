package trial

import (
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
	"github.com/spillway-sfu/spillway/shared/step"
)

// homes is who has how many, and since when there are more than there should be.
type homes struct {
	// strays are seats that their participant's row does not name, doubled are rows
	// that name two, apart are participants with connections to more than one node.
	strays  map[stray]int64
	doubled map[place]int64
	apart   map[place]int64
	// unknown are running machines that the table knows neither as a launch nor as a
	// node.
	unknown map[*machine]int64
}

type stray struct {
	place
	block int
}

// How long a participant may have more than its home: a move, until the old home has
// reported who left it; a seat left behind by a function that died between two
// writes, until an inventory of its node shows that nobody sits there; a
// connection that was replaced, until its node has heard of it. Time in which a node
// cannot be heard does not count.
const (
	movesLast  = 4 * time.Minute
	straysLast = 3 * time.Minute
	apartLasts = 3 * time.Minute
)

// since keeps when something began that is so now, and forgets what is not.
func since[K comparable](kept map[K]int64, now map[K]bool, at int64) map[K]int64 {
	if len(now) == 0 {
		return nil
	}
	next := make(map[K]int64, len(now))
	for k, fresh := range now {
		began, known := kept[k]
		if !known || fresh {
			began = at
		}
		next[k] = began
	}
	return next
}

// look checks that nobody has more seats than one home, or two in a move.
func (h *homes) look(t *trial, c sim.Contents) {
	now := t.clock.now
	strays, doubled, seats := map[stray]bool{}, map[place]bool{}, map[place]int{}
	for key, b := range c.Blocks {
		for k := range b.Members {
			seats[place{string(key.Room), string(k)}]++
		}
	}
	for key, b := range c.Blocks {
		v := fleet.View{Node: c.Nodes[b.Node], Beat: c.Beats[b.Node]}
		unheard := v.Node.Generation != b.Generation || !v.Alive(t.now())
		for k, revision := range b.Members {
			p := c.Participants[step.ParticipantKey{Room: key.Room, Key: k}]
			at := place{string(key.Room), string(k)}
			switch {
			case p.Revision > 0 && p.Block == b.Index: // by this session, or an earlier one that it has not reached
			case p.Held.Revision == revision && p.Held.Block == b.Index:
				doubled[at] = doubled[at] || unheard
			case seats[at] == 1 && t.connectedTo(b.Node, at, revision): // its row names a seat that it did not get
			default:
				strays[stray{at, b.Index}] = unheard
			}
		}
	}
	h.strays, h.doubled = since(h.strays, strays, now), since(h.doubled, doubled, now)
	for s, began := range h.strays {
		if now-began > int64(straysLast) {
			t.fail("block %d of %s has held a seat for %s since %s beside its home", s.block, s.room, s.key, time.Duration(began))
		}
	}
	for at, began := range h.doubled {
		if now-began > int64(movesLast) {
			t.fail("%s has had two homes in %s since %s", at.key, at.room, time.Duration(began))
		}
	}
	h.connections(t)
	h.ledger(t, c)
}

// connectedTo reports whether somebody is connected to a node by a seat.
func (t *trial) connectedTo(id room.NodeID, at place, revision room.Revision) bool {
	n := t.nodeOf(string(id))
	return n != nil && n.seats[at] != nil && n.seats[at].revision == int64(revision)
}

// connections checks that nobody is connected to several nodes for long.
func (h *homes) connections(t *trial) {
	on, apart := map[place]*node{}, map[place]bool{}
	unheard := map[place]bool{}
	for _, m := range t.ec2.machines {
		n := m.process
		if n == nil || n.dead {
			continue
		}
		for at, s := range n.seats {
			if s.tab == nil || !s.tab.on(n) {
				continue
			}
			unheard[at] = unheard[at] || n.hung || n.cut || n.lease <= t.clock.now
			if on[at] != nil && on[at] != n {
				apart[at] = true
			}
			on[at] = n
		}
	}
	for at := range apart {
		apart[at] = unheard[at]
	}
	h.apart = since(h.apart, apart, t.clock.now)
	for at, began := range h.apart {
		if t.clock.now-began > int64(apartLasts) {
			t.fail("%s has been connected to several nodes for %s since %s", at.key, at.room, time.Duration(began))
		}
	}
}

// ledger checks that the bill is instances times time, and notes which instances
// the table does not know.
func (h *homes) ledger(t *trial, c sim.Contents) {
	t.ec2.tick()
	if sum := t.ec2.bill(); sum != t.ec2.spent {
		t.fail("the instances cost %s, the bill grew to %s", sum, t.ec2.spent)
	}
	unknown := map[*machine]bool{}
	for _, m := range t.ec2.machines {
		if m.ended != 0 {
			continue
		}
		_, lands := c.Launches[step.LaunchKey{Region: t.set.Region, ID: m.node}]
		if _, stands := c.Nodes[m.node]; !stands && !lands {
			unknown[m] = false
		}
	}
	h.unknown = since(h.unknown, unknown, t.clock.now)
}

// leaks is called after a sweep that nothing went wrong with: it must have ended
// instances that the table had long not known when it began.
func (h *homes) leaks(t *trial, began time.Time) {
	long := began.Sub(epoch) - control.OrphanAfter - t.weather.ec2Lag
	for m, from := range h.unknown {
		if m.ended == 0 && from < int64(long) && m.launched < int64(long) {
			t.fail("%s is known neither as a launch nor as a node since %s, and still runs", m.id, time.Duration(from))
		}
	}
}
