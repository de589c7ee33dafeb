package trial

import (
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
	"github.com/spillway-sfu/spillway/shared/step"
)

// seated counts the seats of everybody in a room, and those on its stage.
type seated struct{ all, stage map[room.Key]int }

func (s *seated) add(b fleet.Block) {
	for key := range b.Members {
		s.all[key]++
		if b.For(room.Publisher) {
			s.stage[key]++
		}
	}
}

// limits: never more people are in a room, or on its stage, than it takes, whoever
// is promoted or changes its home. Whoever moves has two seats for a moment and
// counts once.
func (w *watch) limits(r room.Room, s *seated) {
	if s == nil {
		s = &seated{}
	}
	switch {
	case len(s.all) > r.Profile.MaxParticipants:
		w.t.fail("%s: %d people are in, its limit is %d", r.Name, len(s.all), r.Profile.MaxParticipants)
	case len(s.stage) > r.Profile.MaxPublishers:
		w.t.fail("%s: %d people are on stage, its limit is %d", r.Name, len(s.stage), r.Profile.MaxPublishers)
	}
	if len(s.all) >= r.Profile.MaxParticipants {
		w.full[r.Name] = w.t.clock.now
	}
}

// openings notes since when blocks have had seats for anybody who comes.
func (w *watch) openings(c sim.Contents) {
	for key := range w.open {
		if _, ok := c.Blocks[key]; !ok {
			delete(w.open, key)
		}
	}
	for key, b := range c.Blocks {
		v := fleet.View{Node: c.Nodes[b.Node], Beat: c.Beats[b.Node]}
		r := c.Rooms[b.Room]
		has := b.Free() > 0 && v.Node.Generation == b.Generation && v.Opens(w.t.now()) && !slices.Contains(r.Shunned(w.t.now()), b.Node)
		_, had := w.open[key]
		switch {
		case has && !had:
			w.open[key] = w.t.now()
		case had && !has:
			delete(w.open, key)
		}
	}
}

// seatIn: nobody waits for a room that has had a seat for it all the time.
func (w *watch) seatIn(c sim.Contents, r room.Room, wait fleet.Wait, began time.Time) {
	for _, ref := range r.Blocks {
		since, open := w.open[step.BlockKey{Room: r.Name, Index: ref.Index}]
		if open && ref.For(wait.Role) && since.Before(began.Add(-control.IndexLags)) && !slices.Contains(wait.Avoid, ref.Node) {
			w.t.fail("%s waits for %s since %s, and block %d there has had a seat since %s", wait.Key, wait.Room, wait.Since, ref.Index, since)
		}
	}
}

// holds is the revision that the node of somebody who is in has of it.
func (p *person) holds() int64 {
	if p.node != nil {
		if s := p.node.seat(p.place(), p.session); s != nil {
			return s.revision
		}
	}
	return p.revision
}

// hear is how long a function may not have known that a node is drained: what it
// read may have been read a moment before.
const hear = 2 * time.Second

// grows: a node that is drained is given nothing by whoever began later.
func (w *watch) grows(c sim.Contents, by *call, id room.NodeID, what string) {
	at, drained := w.drained[id]
	if drained && c.Nodes[id].State == fleet.Draining && by.began > at+int64(hear) {
		w.t.fail("%s %s on %s, which is drained since %s", by.what, what, id, epoch.Add(time.Duration(at)))
	}
}

// changes notes when a node is taken out of service. Where nobody asked for that, it is
// for thrift, and nobody may have come to it a moment ago.
func (w *watch) changes(c sim.Contents, by *call, x control.SetState) {
	if x.To != fleet.Draining {
		return
	}
	w.drained[x.Node] = w.t.clock.now
	if by.kind != "sweep" || x.IfEmpty {
		return
	}
	w.emptied++
	for _, b := range c.Blocks {
		for key, revision := range b.Members {
			age := w.t.now().Sub(revision.Time())
			if b.Node == x.Node && age < control.SettlesIn && age > control.IndexLags {
				w.t.fail("%s is emptied for thrift, and %s came %s ago", x.Node, key, age)
			}
		}
	}
}
