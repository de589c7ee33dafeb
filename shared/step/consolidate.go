package step

import (
	"context"
	"errors"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// recordsRead is how many of the latest decisions are looked through for nodes
// that were emptied: those of an hour, unless the fleet is so busy that none is
// emptied in any case.
const recordsRead = 100

// consolidate empties a node that the others can do without. How many were
// emptied lately is read off the decisions that are kept.
func (w *World) consolidate(ctx context.Context, launches []fleet.Launch, nodes []fleet.View) error {
	e := control.Emptying{Nodes: nodes, Launches: launches}
	if !e.Idle(w.Now(), w.Settings) {
		return nil
	}
	waiting, err := w.Store.Find(ctx, Waiting{w.Settings.Region})
	reserved, failed := w.Store.Find(ctx, Reservations{w.Settings.Region})
	records, late := w.Store.Find(ctx, Records{w.Settings.Region, recordsRead})
	if err := errors.Join(err, failed, late); err != nil {
		return err
	}
	e.Waits, e.Reserved = len(waiting.Waits), len(reserved.Reservations)
	for _, r := range records.Records {
		if r.Choice == control.ChoiceEmpty && w.Now().Sub(r.At) < time.Hour {
			e.Emptied++
		}
	}
	if !e.Idle(w.Now(), w.Settings) {
		return nil
	}
	if err := w.contents(ctx, e.Candidates(w.Now()), &e); err != nil {
		return err
	}
	return w.once(ctx, "consolidate", control.Consolidate(e, w.Now(), w.Settings))
}

// contents reads what is on some nodes.
func (w *World) contents(ctx context.Context, of []fleet.View, e *control.Emptying) error {
	var keys []Key
	for _, v := range of {
		items, err := w.Store.Find(ctx, BlocksOf{v.Node.ID})
		if err != nil {
			return err
		}
		e.Blocks = append(e.Blocks, items.Blocks...)
		for _, b := range items.Blocks {
			keys = append(keys, RoomKey{Room: b.Room})
		}
	}
	rooms, _, err := w.whole(ctx, keys)
	if err != nil {
		return err
	}
	e.Rooms = map[room.Name]room.Room{}
	for _, r := range rooms {
		e.Rooms[r.Name] = r
	}
	return nil
}
