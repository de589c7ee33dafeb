package trial

import (
	"errors"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
	"github.com/spillway-sfu/spillway/shared/step"
)

// watch checks the invariants.
type watch struct {
	t    *trial
	seen int // version of the store that was checked last
	// full is when a room last had no seat free, free since when a ready node has
	// had room for a publisher without a break.
	full map[room.Name]int64
	free map[room.NodeID]time.Time
	// lines are the loads that waited a while ago and since.
	lines []line
	// used are the blocks that there have been.
	used map[step.BlockKey]bool
	// widest is on how many nodes a room was at most.
	widest int
	// open is since when a block has had a seat on which somebody may sit down.
	open map[step.BlockKey]time.Time
	// drained is when a node was taken out of service, emptied how many were for
	// thrift.
	drained map[room.NodeID]int64
	emptied int
	turns   turns
	homes   homes
}

// line is what everybody who waits needs at a time.
type line struct {
	at   int64
	load room.Load
}

func newWatch(t *trial) *watch {
	return &watch{t: t, full: map[room.Name]int64{}, free: map[room.NodeID]time.Time{}, used: map[step.BlockKey]bool{},
		open: map[step.BlockKey]time.Time{}, drained: map[room.NodeID]int64{}}
}

// look checks what must hold after every step.
func (w *watch) look() {
	if w.t.store.version == w.seen {
		return
	}
	w.seen = w.t.store.version
	w.t.store.truth.Look(func(c sim.Contents) {
		w.books(c)
		w.homes.look(w.t, c)
	})
}

// books must balance on both sides at all times.
func (w *watch) books(c sim.Contents) {
	held := map[room.NodeID]room.Load{}
	people := map[room.Name]*seated{}
	for key, b := range c.Blocks {
		n, ok := c.Nodes[b.Node]
		if ok && n.Generation == b.Generation {
			held[b.Node] = held[b.Node].Plus(b.Load)
			if n.State == fleet.Terminating {
				w.t.fail("%s is being ended with block %d of %s on it", n.ID, b.Index, b.Room)
			}
		}
		if people[b.Room] == nil {
			people[b.Room] = &seated{all: map[room.Key]int{}, stage: map[room.Key]int{}}
		}
		people[b.Room].add(b)
		if len(b.Members) > b.Seats {
			w.t.fail("block %d of %s has %d members on %d seats", b.Index, b.Room, len(b.Members), b.Seats)
		}
		r, ok := c.Rooms[key.Room]
		if !ok {
			w.t.fail("block %d is of no room: %s", b.Index, b.Room)
		} else if ref := r.Ref(key.Index); ref == nil || ref.Node != b.Node || ref.Generation != b.Generation || ref.Seats != b.Seats {
			w.t.fail("the directory of %s has %+v for block %+v", b.Room, ref, b)
		}
	}
	w.trees(c, held)
	w.openings(c)
	for _, n := range c.Nodes {
		if sum := n.Available.Plus(held[n.ID]); sum != n.Capacity && n.State.Living() {
			w.t.fail("%s: %v available and %v in blocks and pipes are not its capacity %v", n.ID, n.Available, held[n.ID], n.Capacity)
		}
		if n.Available.Kbps < 0 || n.Available.PPS < 0 {
			w.t.fail("%s is above its capacity: %v are left", n.ID, n.Available)
		}
		w.room(n, c.Beats[n.ID])
	}
	for _, r := range c.Rooms {
		for _, ref := range r.Blocks {
			b, ok := c.Blocks[step.BlockKey{Room: r.Name, Index: ref.Index}]
			switch {
			case !ok:
				w.t.fail("the directory of %s has block %d, which is not there", r.Name, ref.Index)
			case b.Seats != ref.Seats || b.Role != ref.Role:
				w.t.fail("the directory of %s says %d seats for %ss of block %d, which has %d for %ss", r.Name, ref.Seats, ref.Role, ref.Index, b.Seats, b.Role)
			}
		}
		if r.SeatsLeft+r.Granted() != r.Profile.MaxParticipants {
			w.t.fail("%s: %d seats left and %d granted are not its limit %d", r.Name, r.SeatsLeft, r.Granted(), r.Profile.MaxParticipants)
		}
		w.limits(r, people[r.Name])
	}
}

// room notes since when a node has had room.
func (w *watch) room(n fleet.Node, b fleet.Beat) {
	_, had := w.free[n.ID]
	has := n.State == fleet.Ready && fleet.View{Node: n, Beat: b}.Opens(w.t.now()) && w.t.set.Need(w.t.set.Profile, room.Publisher).Fits(n.Available)
	switch {
	case has && !had:
		w.free[n.ID] = w.t.now()
	case had && !has:
		delete(w.free, n.ID)
	}
}

// served is called after a sweep that nothing went wrong with: nobody may still
// wait who waited before it, for whom a node had room all the time.
func (w *watch) served(began time.Time) {
	w.homes.leaks(w.t, began)
	w.t.store.truth.Look(func(c sim.Contents) {
		for _, wait := range c.Waits {
			if !wait.Since.Before(began) || w.t.now().Sub(wait.SeenAt) > fleet.WaitLasts {
				continue
			}
			if r, ok := c.Rooms[wait.Room]; ok && len(r.Blocks) > 0 {
				w.seatIn(c, r, wait, began)
				continue // its own nodes decide
			}
			for id, since := range w.free {
				v := fleet.View{Node: c.Nodes[id], Beat: c.Beats[id]}
				if since.Before(began.Add(-control.IndexLags)) && v.Opens(w.t.now()) && !slices.Contains(wait.Avoid, id) {
					w.t.fail("%s waits for %s since %s, and %s has had room since %s", wait.Key, wait.Room, wait.Since, id, since)
				}
			}
		}
	})
}

// refused is called with what a call told its caller.
func (w *watch) refused(c *conn, by *call, err error) {
	var told *events.Error
	if !errors.As(err, &told) || told.Code != events.CodeRoomFull {
		return
	}
	name := c.caller.Room
	w.t.store.truth.Look(func(contents sim.Contents) {
		r, ok := contents.Rooms[name]
		if !ok || r.SeatsLeft > 0 {
			return // its node is full, not the room
		}
		people := 0
		for _, b := range contents.Blocks {
			if b.Room == name {
				people += len(b.Members)
			}
		}
		if people < r.Profile.MaxParticipants && w.full[name] < by.ends-int64(10*time.Second) {
			w.t.note("room_full is told while %d of %d seats are taken", people, r.Profile.MaxParticipants)
		}
	})
}

// terminated is called when the control plane ends a machine: nobody may be on
// it, unless it is cut off.
func (w *watch) terminated(m *machine, x control.Termination) {
	n := m.process
	if n == nil || n.dead || n.hung || n.cut || n.generation == 0 || n.lease <= w.t.clock.now {
		return
	}
	for _, p := range n.tabs() {
		if needs := p.node == n && p.phase != over || p.kept != nil && p.kept.node == n && p.phase != settling; needs && !w.superseded(p) {
			w.t.fail("%s is ended (%s) with %s on it", m.id, x.Why, p.label)
		}
	}
}

// superseded reports whether another tab of the same participant came later, or
// the control plane knows of a later session.
func (w *watch) superseded(p *person) bool {
	items, err := w.t.store.truth.Get(w.t.ctx(), true, step.ParticipantKey{Room: p.caller.Room, Key: p.caller.Key})
	if err != nil || len(items.Participants) == 0 {
		return err == nil
	}
	now := items.Participants[0].Session
	return now != p.session && (p.kept == nil || now != p.kept.session)
}

// dead reports whether there are nodes without a lease.
func (w *watch) dead() (dead bool) {
	w.t.store.truth.Look(func(c sim.Contents) {
		for id, n := range c.Nodes {
			dead = dead || !(fleet.View{Node: n, Beat: c.Beats[id]}).Alive(w.t.now())
		}
	})
	return dead
}

// settled is called a while after the last fault: who wants in is in, and what
// the table says is so.
func (w *watch) settled() {
	w.t.store.truth.Look(func(c sim.Contents) {
		seated := map[place]*person{}
		for _, p := range w.t.people {
			switch p.phase {
			case outside, over:
			case joined:
				seated[place{string(p.caller.Room), string(p.caller.Key)}] = p
				w.seat(c, p)
			default:
				w.t.fail("%s is still %s, long after the last fault", p.label, p.phase)
			}
		}
		for _, b := range c.Blocks {
			for key, revision := range b.Members {
				p := seated[place{string(b.Room), string(key)}]
				if p == nil || room.Revision(p.holds()) != revision {
					w.t.fail("block %d of %s holds a seat for %s with revision %d, who is not there", b.Index, b.Room, key, revision)
				}
			}
			if len(b.Members) == 0 {
				w.t.fail("block %d of %s is held for nobody", b.Index, b.Room)
			}
		}
		w.assigned(c)
		for _, wait := range c.Waits {
			w.t.fail("%s still waits for %s", wait.Key, wait.Room)
		}
	})
}

// seat checks that somebody who is in sits in one block of the right node.
func (w *watch) seat(c sim.Contents, p *person) {
	found := 0
	for _, b := range c.Blocks {
		if _, ok := b.Members[p.caller.Key]; b.Room == p.caller.Room && ok {
			found++
			if string(b.Node) != p.node.id || int64(b.Generation) != p.node.generation {
				w.t.fail("%s is on %s and has its seat on %s", p.label, p.node.id, b.Node)
			}
			// Who has left the stage is told at once, and may keep its seat until another is free.
			cast := c.Participants[step.ParticipantKey{Room: p.caller.Room, Key: p.caller.Key}].Cast
			if s := p.node.seat(p.place(), p.session); s != nil && (s.role == events.Viewer) != b.For(room.Viewer) && (s.role != events.Viewer || cast != room.Viewer) {
				w.t.fail("%s is %s to its node and has a seat for a %s", p.label, s.role, b.Role)
			}
		}
	}
	if found != 1 {
		w.t.fail("%s is in %s with %d seats", p.label, p.caller.Room, found)
	}
}

// empty is called when everybody has long left.
func (w *watch) empty() {
	if n := w.t.ec2.living(); n > 0 {
		w.t.fail("%d instances still run", n)
	}
	w.t.store.truth.Look(func(c sim.Contents) {
		// A participant without a seat costs nothing and has a time to live.
		if len(c.Rooms)+len(c.Blocks)+len(c.Nodes)+len(c.Beats)+len(c.Waits)+len(c.Launches) > 0 {
			w.t.fail("when everybody has left there are: rooms %v, blocks %v, nodes %v, waits %v, launches %v", c.Rooms, c.Blocks, c.Nodes, c.Waits, c.Launches)
		}
	})
}
