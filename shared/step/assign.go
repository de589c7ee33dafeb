package step

import (
	"context"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// assign tells nodes of rooms' trees that have changed. What is lost of it is
// sent again when the node's inventory shows that it is missing.
func (w *World) assign(ctx context.Context, rooms []room.Room) {
	for _, r := range rooms {
		if len(r.Tell) == 0 {
			continue
		}
		var keys []Key
		seen := map[room.NodeID]bool{}
		add := func(id room.NodeID) {
			if !seen[id] {
				seen[id] = true
				keys = append(keys, NodeKey{id})
			}
		}
		for _, id := range r.Tell {
			add(id)
			for _, n := range r.Neighbours(id) {
				add(n.Node)
			}
		}
		items, err := w.Store.Get(ctx, true, keys...)
		if err != nil {
			w.Log.Error("read the nodes of a room to tell them of its pipes", "room", r.Name, "error", err)
			continue
		}
		sends := control.Assign(r, items.Nodes, w.Spread())
		w.Log.Debug("assign", "room", r.Name, "epoch", r.Epoch, "told", len(sends), "of", len(r.Tell))
		for _, s := range sends {
			if err := w.send(ctx, s); err != nil {
				w.Log.Error("tell a node of its pipes", "room", r.Name, "error", err)
			}
		}
	}
}

// reassign tells a node again of the pipes that its inventory shows it does not
// know of.
func (w *World) reassign(ctx context.Context, v fleet.View, blocks []fleet.Block, inv events.Inventory) error {
	var keys []Key
	seen := map[room.Name]bool{}
	add := func(name room.Name) {
		if !seen[name] {
			seen[name] = true
			keys = append(keys, RoomKey{Room: name})
		}
	}
	for _, r := range inv.Rooms {
		add(room.Name(r.Room))
	}
	for _, b := range blocks {
		add(b.Room)
	}
	if len(keys) == 0 {
		return nil
	}
	// Consistently: a room that is not found is taken to be over.
	rooms, _, err := w.whole(ctx, keys)
	if err != nil {
		return err
	}
	w.assign(ctx, control.Unassigned(v, blocks, rooms, inv))
	for _, s := range control.Undescribed(v, rooms, inv) {
		if err := w.send(ctx, s); err != nil {
			w.Log.Error("tell a node of a room's metadata", "node", v.Node.ID, "error", err)
		}
	}
	return nil
}

// changed lists the rooms whose nodes are to be told once a commit is made.
func changed(c control.Commit) []room.Room {
	var out []room.Room
	for _, change := range c.Changes {
		if p, ok := change.(control.PutRoom); ok && len(p.Room.Tell) > 0 {
			out = append(out, p.Room)
		}
	}
	return out
}
