package room

import (
	"slices"
	"time"
)

// NodeRef is a node that a room is on, in one of its lives. A room's nodes are a
// tree: each is joined to its feeder by one pipe, so that a stream crosses every
// pipe once and in one direction.
type NodeRef struct {
	Node       NodeID
	Generation Generation
	// Feeder is the node that this one is joined to; empty for the first, and for
	// one that could be joined to none: it is joined as soon as that is possible.
	Feeder NodeID
}

// Fanout bounds how many nodes one node feeds for one room. Up to nine nodes are
// a star.
const Fanout = 8

// Spare returns how many further pipes of a room a node can take, on top of
// those it has; 0 where it must not take any.
type Spare func(NodeID) int

// Neighbours returns the nodes that a node is joined to by a pipe.
func (r Room) Neighbours(id NodeID) []NodeRef {
	var out []NodeRef
	for _, n := range r.Nodes {
		if n.Feeder == id || r.feeds(n.Node, id) {
			out = append(out, n)
		}
	}
	return out
}

func (r Room) feeds(feeder, id NodeID) bool {
	n := r.NodeRef(id)
	return n != nil && n.Feeder == feeder
}

// NodeRef returns the directory's entry of a node, nil if the room is not there.
func (r *Room) NodeRef(id NodeID) *NodeRef {
	i := slices.IndexFunc(r.Nodes, func(n NodeRef) bool { return n.Node == id })
	if i < 0 {
		return nil
	}
	return &r.Nodes[i]
}

// Pipes returns how many pipes of the room a node has an end of.
func (r Room) Pipes(id NodeID) int {
	n := 0
	for _, ref := range r.Nodes {
		if ref.Feeder != "" && (ref.Node == id || ref.Feeder == id) {
			n++
		}
	}
	return n
}

// Settled returns the room with its nodes brought in step with its blocks: nodes
// without a block, or in another life, are gone, new ones are joined to the
// others, and those whose feeder has gone are joined to another one. The epoch
// grows if anything changed, also over the end of a room and a later one of the
// same name.
func (r Room) Settled(spare Spare, now time.Time) Room {
	r = r.Clone()
	before := slices.Clone(r.Nodes)
	on := map[NodeID]Generation{}
	var order []NodeID
	for _, b := range r.Blocks {
		if _, ok := on[b.Node]; !ok {
			order = append(order, b.Node)
		}
		on[b.Node] = max(on[b.Node], b.Generation)
	}
	r.Nodes = slices.DeleteFunc(r.Nodes, func(n NodeRef) bool { return on[n.Node] == 0 || on[n.Node] != n.Generation })
	for i, n := range r.Nodes {
		if n.Feeder != "" && r.NodeRef(n.Feeder) == nil {
			r.Nodes[i].Feeder = ""
		}
	}
	for _, id := range order {
		if r.NodeRef(id) == nil {
			r.Nodes = append(r.Nodes, NodeRef{Node: id, Generation: on[id]})
		}
	}
	was := Room{Nodes: before}
	left := func(id NodeID) int {
		had := 0
		if ref := was.NodeRef(id); ref != nil && ref.Generation == on[id] {
			had = was.Pipes(id)
		}
		return spare(id) + had - r.Pipes(id)
	}
	r.join(left)
	if !slices.Equal(before, r.Nodes) {
		r.Epoch = max(r.Epoch+1, now.UnixMilli())
	}
	return r
}

// join gives every node but one a feeder, as far as there are any with a pipe
// left: the nearest to the first node, and of those the earliest.
func (r *Room) join(left Spare) {
	for i := range r.Nodes {
		n := &r.Nodes[i]
		if n.Feeder != "" || left(n.Node) < 1 {
			continue
		}
		best, depth := NodeID(""), 0
		for _, f := range r.Nodes {
			d, root := r.depth(f.Node)
			// Only an earlier tree's nodes may feed: so no two join each other.
			if root == n.Node || r.at(root) > i || left(f.Node) < 1 || r.children(f.Node) >= Fanout {
				continue
			}
			if best == "" || d < depth {
				best, depth = f.Node, d
			}
		}
		n.Feeder = best
	}
}

func (r *Room) at(id NodeID) int {
	return slices.IndexFunc(r.Nodes, func(n NodeRef) bool { return n.Node == id })
}

func (r *Room) children(id NodeID) int {
	n := 0
	for _, ref := range r.Nodes {
		if ref.Feeder == id {
			n++
		}
	}
	return n
}

// depth returns how many pipes lie between a node and the root of its tree.
func (r *Room) depth(id NodeID) (int, NodeID) {
	d := 0
	for ref := r.NodeRef(id); ref != nil && ref.Feeder != "" && d < len(r.Nodes); ref = r.NodeRef(id) {
		id = ref.Feeder
		d++
	}
	return d, id
}
