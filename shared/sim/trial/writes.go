package trial

import (
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
	"github.com/spillway-sfu/spillway/shared/step"
)

// wrote checks writes that are wrong at the moment when they are made, however
// well the books balance afterwards.
func (w *watch) wrote(by *call, changes []control.Change) {
	w.turns.notes(w.t, by, changes)
	for _, change := range changes {
		w.t.store.truth.Look(func(c sim.Contents) {
			switch x := change.(type) {
			case control.ClaimLoad:
				w.placed(c, by, x)
				w.grows(c, by, x.Node, "claims load")
			case control.PutBlock:
				key := step.BlockKey{Room: x.Block.Room, Index: x.Block.Index}
				if w.used[key] {
					w.t.fail("%s makes block %d of %s a second time", by.what, key.Index, key.Room)
				}
				w.used[key] = true
			case control.TakeSeat:
				w.sitsOn(c, by, x)
				if b := c.Blocks[step.BlockKey{Room: x.Room, Index: x.Index}]; b.Generation != x.Generation {
					w.t.fail("%s sits %s down in a block of generation %d, having read one of %d", by.what, x.Key, b.Generation, x.Generation)
				}
			case control.PutLaunch:
				if x.If == "" {
					w.launches(c, x.Launch)
				}
			case control.SetState:
				if x.To == fleet.Lost {
					w.lost(c, x.Node)
				}
				w.changes(c, by, x)
			case control.PutWait, control.DeleteWait:
				w.line(c)
			}
		})
	}
}

// sitsOn: nobody sits down on a node that is drained.
func (w *watch) sitsOn(c sim.Contents, by *call, x control.TakeSeat) {
	b := c.Blocks[step.BlockKey{Room: x.Room, Index: x.Index}]
	if c.Nodes[b.Node].Generation == b.Generation {
		w.grows(c, by, b.Node, "seats "+string(x.Key))
	}
}

// placed: nothing is granted on a node whose lease had ended before the
// function began that grants it.
func (w *watch) placed(c sim.Contents, by *call, claim control.ClaimLoad) {
	v := fleet.View{Node: c.Nodes[claim.Node], Beat: c.Beats[claim.Node]}
	if ended := v.LeaseEnds(); ended.Before(claim.At) {
		w.t.fail("%s grants %v on %s, whose lease ended %s before", by.what, claim.Load, claim.Node, claim.At.Sub(ended))
	}
}

// line notes what everybody who waits needs, with the smallest blocks that rooms
// are given.
func (w *watch) line(c sim.Contents) {
	rooms := map[room.Name]int{}
	for _, wait := range c.Waits {
		rooms[wait.Room]++
	}
	seats := 0
	for _, n := range rooms {
		seats += max(n, 4)
	}
	w.lines = append(w.lines, line{w.t.clock.now, w.t.set.Profile.SeatLoad(room.Publisher).Times(seats)})
	for len(w.lines) > 1 && w.lines[1].at < w.t.clock.now-int64(time.Minute) {
		w.lines = w.lines[1:]
	}
}

// launches: nothing is launched for people for whom one node that is coming
// suffices, as long as they do not avoid any.
func (w *watch) launches(c sim.Contents, l fleet.Launch) {
	if w.t.set.SpareSeats > 0 || w.t.weather.reservations > 0 {
		return // they are launched for as well
	}
	for _, wait := range c.Waits {
		if len(wait.Avoid) > 0 {
			return
		}
	}
	var most room.Load
	for _, line := range w.lines {
		most = room.Load{Kbps: max(most.Kbps, line.load.Kbps), PPS: max(most.PPS, line.load.PPS)}
	}
	for _, other := range c.Launches {
		if other.State != fleet.Landed && other.At.Before(l.At) && most.Times(2).Fits(other.Capacity.Minus(w.t.set.PipeReserve)) {
			w.t.fail("%s is launched for at most %v, and %s is on its way with %v", l.ID, most, other.ID, other.Capacity)
		}
	}
}

// lost: when most nodes have lost their leases together, the fault is the control
// plane's, and none of them that runs is given up.
func (w *watch) lost(c sim.Contents, id room.NodeID) {
	living, ended := 0, 0
	at := fleet.View{Node: c.Nodes[id], Beat: c.Beats[id]}.LeaseEnds()
	for other, n := range c.Nodes {
		if n.State.Living() || other == id {
			living++
			v := fleet.View{Node: n, Beat: c.Beats[other]}
			if !v.Alive(w.t.now()) && v.LeaseEnds().Sub(at).Abs() < 2*fleet.LeaseLasts && w.t.now().Sub(at) < 9*time.Minute {
				ended++
			}
		}
	}
	if n := w.t.nodeOf(string(id)); n != nil && ended >= 3 && ended*2 > living {
		w.t.fail("%s is given up while the leases of %d of %d nodes have ended", id, ended, living)
	}
}
