package control

import (
	"slices"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Assign tells nodes which others they are joined to for a room: those of Tell
// after a change of the room's tree. It needs views of them and of their
// neighbours; who cannot be told completely is not told, and asks by its next
// inventory.
func Assign(r room.Room, nodes []fleet.View, spread uint64) []Send {
	var sends []Send
	for _, id := range r.Tell {
		if v := viewOf(nodes, id); v != nil {
			if m, ok := assignment(r, *v, nodes); ok {
				sends = append(sends, Send{To: Sockets(v.Node, spread), Message: m})
			}
		}
	}
	return sends
}

func viewOf(nodes []fleet.View, id room.NodeID) *fleet.View {
	i := slices.IndexFunc(nodes, func(v fleet.View) bool { return v.Node.ID == id })
	if i < 0 {
		return nil
	}
	return &nodes[i]
}

// assignment is what a node is told of a room's pipes. It reports false where a
// neighbour is not known in the life that the room's tree names: then the tree is
// about to change.
func assignment(r room.Room, v fleet.View, nodes []fleet.View) (events.Assignment, bool) {
	m := events.Assignment{Header: events.Head(events.ActionAssignment), Node: string(v.Node.ID), Generation: int64(v.Node.Generation),
		Room: string(r.Name), Epoch: r.Epoch}
	ref := r.NodeRef(v.Node.ID)
	if !v.Node.State.Living() {
		return m, false
	}
	if ref == nil {
		return m, true // it has left the room
	}
	if ref.Generation != v.Node.Generation {
		return m, false
	}
	if ref.Since > 0 {
		m.Epoch = ref.Since
	}
	for _, n := range r.Neighbours(v.Node.ID) {
		peer := viewOf(nodes, n.Node)
		if peer == nil || peer.Node.Generation != n.Generation || peer.Node.PipePort == 0 {
			return m, false
		}
		p := events.PipePeer{Node: string(n.Node), Generation: int64(n.Generation), PipePort: peer.Node.PipePort,
			Fingerprint: peer.Node.Fingerprint, Feeder: ref.Feeder == n.Node}
		for _, a := range peer.Node.Addresses {
			p.Addresses = append(p.Addresses, events.Address{IP: a.IP, Port: a.Port, Scope: events.Scope(a.Scope)})
		}
		m.Peers = append(m.Peers, p)
	}
	return m, true
}

// Unassigned compares what a node says of its rooms' pipes with the rooms' trees,
// and returns the rooms of which it is to be told again, with the node as the
// only one to tell. blocks are those on the node, rooms those that it or the
// blocks name.
func Unassigned(v fleet.View, blocks []fleet.Block, rooms []room.Room, inv events.Inventory) []room.Room {
	has := map[room.Name]int64{}
	for _, r := range inv.Rooms {
		has[room.Name(r.Room)] = r.Epoch
	}
	if inv.Parts == 1 { // else a room that is not in this part may be in another
		for _, b := range blocks {
			if b.Node == v.Node.ID && b.Generation == v.Node.Generation {
				has[b.Room] += 0
			}
		}
	}
	var out []room.Room
	for _, r := range rooms {
		epoch, known := has[r.Name]
		delete(has, r.Name)
		if !known {
			continue
		}
		// A node that has left, or has come again and has no pipes, must have none of
		// before; who never had any need not be told.
		want := r.Epoch
		if ref := r.NodeRef(v.Node.ID); ref != nil && ref.Since > 0 {
			want = ref.Since
		} else if epoch == 0 {
			want = 0
		}
		if epoch < want {
			r.Tell = []room.NodeID{v.Node.ID}
			out = append(out, r)
		}
	}
	// A room that is over has no tree: the node keeps its pipes no longer.
	for _, r := range inv.Rooms {
		if epoch, ok := has[room.Name(r.Room)]; ok && epoch > 0 {
			out = append(out, room.Room{Name: room.Name(r.Room), Epoch: epoch + 1, Tell: []room.NodeID{v.Node.ID}})
		}
	}
	return out
}
