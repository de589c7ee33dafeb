package trial

import (
	"slices"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
)

// trees checks the pipes of rooms that are on several nodes, and adds what they
// take from each node to what it holds.
func (w *watch) trees(c sim.Contents, held map[room.NodeID]room.Load) {
	for _, r := range c.Rooms {
		w.widest = max(w.widest, len(r.Nodes))
		on := map[room.NodeID]room.Generation{}
		for _, b := range r.Blocks {
			on[b.Node] = max(on[b.Node], b.Generation)
		}
		for _, n := range r.Nodes {
			if on[n.Node] != n.Generation {
				w.t.fail("%s has %+v among its nodes, and no block there", r.Name, n)
			}
			if at, ok := c.Nodes[n.Node]; ok && at.Generation == n.Generation {
				held[n.Node] = held[n.Node].Plus(r.Profile.PipeLoad().Times(r.Pipes(n.Node)))
			}
			if r.Pipes(n.Node) > room.Fanout+1 || n.Feeder != "" && r.NodeRef(n.Feeder) == nil {
				w.t.fail("%s has %+v with %d pipes among %+v", r.Name, n, r.Pipes(n.Node), r.Nodes)
			}
		}
		if len(on) != len(r.Nodes) {
			w.t.fail("%s is on %v, its directory says %+v", r.Name, on, r.Nodes)
		}
		if depths := r.Depths(); len(depths) > 0 && slices.Max(depths) >= len(depths) {
			w.t.fail("the pipes of %s are a circle: %+v", r.Name, r.Nodes)
		}
	}
}

// assigned checks, when all is quiet, that every node knows its pipes.
func (w *watch) assigned(c sim.Contents) {
	for _, m := range w.t.ec2.machines {
		n := m.process
		if n == nil || n.dead {
			continue
		}
		for _, r := range c.Rooms {
			ref := r.NodeRef(room.NodeID(n.id))
			if ref == nil || int64(ref.Generation) != n.generation {
				if a := n.pipes[string(r.Name)]; len(a.Peers) > 0 {
					w.t.fail("%s has left %s and has pipes to %v", n.id, r.Name, a.Peers)
				}
				continue
			}
			a := n.pipes[string(r.Name)]
			if a.Epoch != ref.Since && ref.Since > 0 || len(a.Peers) != r.Pipes(ref.Node) {
				w.t.fail("%s has pipes of %s to %v as of epoch %d, the directory says %+v", n.id, r.Name, a.Peers, a.Epoch, r.Nodes)
			}
			for _, p := range r.Neighbours(ref.Node) {
				if !slices.ContainsFunc(a.Peers, func(q events.PipePeer) bool {
					return q.Node == string(p.Node) && q.Generation == int64(p.Generation) && q.Feeder == (ref.Feeder == p.Node)
				}) {
					w.t.fail("%s has no pipe to %s for %s", n.id, p.Node, r.Name)
				}
			}
		}
		for name, a := range n.pipes {
			if _, ok := c.Rooms[room.Name(name)]; !ok && len(a.Peers) > 0 {
				w.t.fail("%s has pipes of %s, which is over", n.id, name)
			}
		}
	}
}
