package step

import (
	"context"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Hello takes a node's hello on one of its sockets.
func (w *World) Hello(ctx context.Context, c control.Caller, m events.Hello) error {
	_, err := run(ctx, w, "hello",
		func(ctx context.Context, _ bool) (control.Landing, error) { return w.landing(ctx, c.Node) },
		func(s control.Landing) (control.Plan, error) { return control.Hello(s, c.Connection, m, w.Now()), nil })
	return err
}

func (w *World) landing(ctx context.Context, id room.NodeID) (control.Landing, error) {
	items, err := w.Store.Get(ctx, true, NodeKey{id}, LaunchKey{w.Settings.Region, id}, BootsKey{w.Settings.Region})
	s := control.Landing{Launch: first(items.Launches), Boots: items.Boots}
	if v := first(items.Nodes); v != nil {
		s.Node = &v.Node
	}
	return s, err
}

// view reads a node and its heartbeat; a node that does not exist is the zero
// view, which every fence refuses.
func (w *World) view(ctx context.Context, id room.NodeID, consistent bool) (fleet.View, error) {
	items, err := w.Store.Get(ctx, consistent, NodeKey{id})
	if v := first(items.Nodes); v != nil {
		return *v, err
	}
	return fleet.View{}, err
}

// fenced reads a node cheaply, and once more consistently before it is refused.
func (w *World) fenced(ctx context.Context, id room.NodeID, generation int64, complete bool) (fleet.View, error) {
	v, err := w.view(ctx, id, complete)
	if err != nil || complete || control.Fence(v, room.Generation(generation)) == nil {
		return v, err
	}
	return w.view(ctx, id, true)
}

// Closed takes the end of a node's socket.
func (w *World) Closed(ctx context.Context, c control.Caller) error {
	_, err := run(ctx, w, "closed",
		func(ctx context.Context, _ bool) (*fleet.Node, error) {
			v, err := w.view(ctx, c.Node, true)
			return &v.Node, err
		},
		func(n *fleet.Node) (control.Plan, error) { return control.Closed(n, c.Connection), nil })
	return err
}

// renewal is a new token for a node of whose own half the life is over, else
// empty. A node that gets none has the other half to ask again.
func (w *World) renewal(c control.Caller) string {
	if w.NodeToken == nil || c.RenewAt.IsZero() || w.Now().Before(c.RenewAt) {
		return ""
	}
	token, err := w.NodeToken(c.Node, w.Now())
	if err != nil {
		w.Log.Error("renew node token", "node", c.Node, "error", err)
		return ""
	}
	return token
}

// Heartbeat renews a node's lease, and puts right what its inventory shows.
func (w *World) Heartbeat(ctx context.Context, c control.Caller, m events.Heartbeat) error {
	var v fleet.View
	_, err := run(ctx, w, "heartbeat",
		func(ctx context.Context, complete bool) (fleet.View, error) {
			var err error
			v, err = w.fenced(ctx, c.Node, m.Generation, complete)
			return v, err
		},
		func(v fleet.View) (control.Plan, error) {
			return control.Heartbeat(v, c.Connection, m, w.renewal(c), w.Now())
		})
	if err != nil {
		return err
	}
	if err := w.drainInTime(ctx, v.Node, m); err != nil {
		return err
	}
	if m.Inventory == nil {
		return nil
	}
	return w.reconcile(ctx, v, *m.Inventory)
}

// drainInTime drains a node whose heartbeat says that its machine will be taken
// away, and presses people to go from one whose deadline has passed: sweeps come once
// a minute, which may be too late.
func (w *World) drainInTime(ctx context.Context, n fleet.Node, m events.Heartbeat) error {
	if m.EndsMs > 0 {
		if by := w.Settings.DrainBy(w.Now(), time.UnixMilli(m.EndsMs)); inService(n, by) {
			_, err := w.Drain(ctx, n.ID, by, "its host takes the machine away")
			return err
		}
	}
	if !n.Presses(w.Now()) || m.People == 0 {
		return nil
	}
	_, err := w.Drain(ctx, n.ID, n.DrainBy, "the deadline has passed")
	return err
}

func (w *World) reconcile(ctx context.Context, v fleet.View, inv events.Inventory) error {
	var missing []control.Member
	var on []fleet.Block
	_, err := run(ctx, w, "inventory",
		func(ctx context.Context, _ bool) ([]fleet.Block, error) {
			items, err := w.Store.Find(ctx, BlocksOf{v.Node.ID})
			return items.Blocks, err
		},
		func(blocks []fleet.Block) (control.Plan, error) {
			on = blocks
			var strays []control.Send
			missing, strays = control.Reconcile(v, blocks, inv, w.Now())
			if len(missing)+len(strays) == 0 {
				return control.Plan{}, nil
			}
			return control.Plan{Sends: strays, Decision: control.Decision{Choice: "repair", Why: "table and node disagree",
				Inputs: map[string]any{"node": v.Node.ID, "missing": len(missing), "strays": len(strays)}}}, nil
		})
	for _, m := range missing {
		if err != nil {
			break
		}
		_, err = run(ctx, w, "missing",
			func(ctx context.Context, _ bool) (control.Seating, error) {
				return w.seatingOf(ctx, m.Room, m.Key, m.Block)
			},
			func(s control.Seating) (control.Plan, error) { return control.Missing(s, m, w.Now()), nil })
	}
	for _, m := range control.Miscast(v, on, inv) {
		if err != nil {
			break
		}
		_, err = run(ctx, w, "role",
			func(ctx context.Context, _ bool) (control.Seating, error) {
				return w.seatingOf(ctx, m.Room, m.Key, m.Block)
			},
			func(s control.Seating) (control.Plan, error) { return control.Recast(s, v, m), nil })
	}
	if err != nil {
		return err
	}
	return w.reassign(ctx, v, on, inv)
}

// seatingOf is what freeing a seat needs: participant, room, block, and node where
// that gets something back, read consistently. Block -1 means the participant's own, the
// held one too.
func (w *World) seatingOf(ctx context.Context, name room.Name, key room.Key, block int) (control.Seating, error) {
	items, err := w.Store.Get(ctx, true, RoomKey{Room: name}, ParticipantKey{name, key})
	if err != nil {
		return control.Seating{}, err
	}
	s := control.Seating{Room: first(items.Rooms), Participant: first(items.Participants)}
	keys := []Key{BlockKey{name, block}}
	section := room.SectionOf(block)
	if block < 0 {
		if s.Participant == nil {
			return s, nil
		}
		keys = []Key{BlockKey{name, s.Participant.Block}}
		section = room.SectionOf(s.Participant.Block)
		if h := s.Participant.Held; h.Revision > 0 {
			keys = append(keys, BlockKey{name, h.Block})
		}
	}
	if items, err = w.Store.Get(ctx, true, keys...); err != nil || len(items.Blocks) == 0 {
		return s, err
	}
	s.Blocks = items.Blocks
	if err := w.sectionOf(ctx, &s, section); err != nil {
		return s, err
	}
	keys = keys[:0]
	for _, b := range s.Blocks {
		if s.Stays(b) {
			continue
		}
		keys = append(keys, NodeKey{b.Node})
		if s.Room != nil && len(b.Members) <= 1 { // the block goes, and with it perhaps pipes
			for _, id := range s.Room.Around(b.Node) {
				keys = append(keys, NodeKey{id})
			}
		}
	}
	if len(keys) > 0 {
		items, err = w.Store.Get(ctx, true, keys...)
		s.Nodes = items.Nodes
	}
	return s, err
}

// peers reads the other nodes of rooms that are on several, consistently.
func (w *World) peers(ctx context.Context, id room.NodeID, rooms ...room.Room) ([]fleet.View, error) {
	var keys []Key
	for _, r := range rooms {
		if len(r.Nodes) == 0 {
			continue
		}
		for _, n := range r.Around(id) {
			if n != id {
				keys = append(keys, NodeKey{n})
			}
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	items, err := w.Store.Get(ctx, true, keys...)
	return items.Nodes, err
}

type departure struct {
	seating control.Seating
	from    fleet.View
}

func (w *World) departure(ctx context.Context, id room.NodeID, generation int64, name room.Name, key room.Key, complete bool) (departure, error) {
	v, err := w.fenced(ctx, id, generation, complete)
	if err != nil {
		return departure{}, err
	}
	s, err := w.seatingOf(ctx, name, key, -1)
	return departure{s, v}, err
}

// Left gives back the seat of somebody who left a node.
func (w *World) Left(ctx context.Context, c control.Caller, m events.Left) error {
	_, err := run(ctx, w, "left",
		func(ctx context.Context, complete bool) (departure, error) {
			return w.departure(ctx, c.Node, m.Generation, room.Name(m.Room), room.Key(m.Key), complete)
		},
		func(d departure) (control.Plan, error) { return control.Left(d.seating, d.from, m, w.Now()) })
	return err
}

// Answered passes a node's answer on. Without a fault it reads nothing but the
// node, to fence it.
func (w *World) Answered(ctx context.Context, c control.Caller, m events.Answered) error {
	var t control.Ticket
	if err := w.Tickets.OpenTicket(m.Ticket, &t); err != nil {
		return events.Errorf(events.CodeUnknownParticipant, "the ticket is not one of ours")
	}
	_, err := run(ctx, w, "answered",
		func(ctx context.Context, complete bool) (departure, error) {
			if m.Fault != nil {
				return w.departure(ctx, c.Node, m.Generation, t.Room, t.Key, complete)
			}
			v, err := w.fenced(ctx, c.Node, m.Generation, complete)
			return departure{from: v}, err
		},
		func(d departure) (control.Plan, error) { return control.Answered(d.seating, d.from, m, t, w.Now()) })
	return err
}
