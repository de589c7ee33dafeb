package trial

import (
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
)

// turns is who waited, and who took seats.
type turns struct {
	// waits are by session, as they last got in line.
	waits map[string]fleet.Wait
	// served are those whom a function has seated out of the line, as they stood in it
	// then: they may be in it again, by a message that was late.
	served map[*call][]fleet.Wait
	// taken are the functions that took seats of a room, and when.
	taken map[room.Name][]taking
}

type taking struct {
	at int64
	by *call
}

// notes keeps what is needed to tell in whose turn somebody is seated.
func (o *turns) notes(t *trial, by *call, changes []control.Change) {
	if o.waits == nil {
		o.waits, o.taken, o.served = map[string]fleet.Wait{}, map[room.Name][]taking{}, map[*call][]fleet.Wait{}
	}
	if served := seatedBy(changes, o.waits); len(served) > 0 {
		o.served[by] = append(o.served[by], served...)
	}
	for _, change := range changes {
		switch x := change.(type) {
		case control.PutWait:
			o.waits[x.Wait.Session] = x.Wait
		case control.TakeSeat:
			o.taken[x.Room] = append(o.taken[x.Room], taking{t.clock.now, by})
		case control.PutBlock:
			o.taken[x.Block.Room] = append(o.taken[x.Block.Room], taking{t.clock.now, by})
		}
	}
}

// alone reports whether nobody but one function took seats of a room since it began.
func (o *turns) alone(by *call, in room.Name) bool {
	for _, x := range o.taken[in] {
		if x.by != by && x.at >= by.began {
			return false
		}
	}
	return true
}

// inTurn is called when a pass over those who wait has ended and nothing went wrong
// with it: nobody is in line still who came before somebody whom it has seated in
// the same room and role, unless others took seats there meanwhile. Who continues a
// session or avoids a node does not count: it may need another seat, or have one.
func (w *watch) inTurn(by *call) {
	began := epoch.Add(time.Duration(by.began))
	w.t.store.truth.Look(func(c sim.Contents) {
		for _, served := range w.turns.served[by] {
			for _, wait := range c.Waits {
				before := wait.Since.Before(served.Since) && wait.SeenAt.Before(began) && w.t.now().Sub(wait.SeenAt) < fleet.WaitLasts
				if before && wait.Room == served.Room && wait.Role == served.Role && wait.Plain() && w.turns.alone(by, wait.Room) {
					w.t.fail("%s seats %s, in line for %s since %s, and %s still waits, who has since %s", by.what, served.Key, served.Room, served.Since, wait.Key, wait.Since)
				}
			}
		}
	})
	delete(w.turns.served, by)
}

// seatedBy returns who waited and left the line to be seated, and would have taken
// any seat.
func seatedBy(changes []control.Change, waits map[string]fleet.Wait) (out []fleet.Wait) {
	in := map[string]bool{}
	for _, change := range changes {
		switch x := change.(type) {
		case control.PutParticipant:
			in[x.Participant.Session] = true
		case control.DeleteWait:
			if w, known := waits[x.If]; known && in[x.If] && w.Plain() {
				out = append(out, w)
			}
		}
	}
	return out
}
