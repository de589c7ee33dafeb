package room

import (
	"slices"
	"strings"
	"time"
)

// NodeRef is a node that a room is on, in one of its lives. A room's nodes are a
// tree: each is joined to its feeder by one pipe, so that a stream crosses every
// pipe once and in one direction.
type NodeRef struct {
	Node       NodeID
	Generation Generation
	// Feeder is the node that this one is joined to; empty for the root, and for
	// one that could be joined to none: it is joined as soon as that is possible.
	Feeder NodeID
	// Since is the room's epoch at which the node's pipes last changed, and so that
	// of what it was told of them; 0 if it never had any.
	Since int64 `json:",omitempty"`
	// Section is the section of the room that the node belongs to.
	Section int `json:",omitempty"`
}

// Fanout bounds how many nodes one node feeds for one room. Up to nine nodes are
// a star.
const Fanout = 8

// Spare returns how many further pipes of a room a node can take, on top of
// those it has; 0 where it must not take any, and less for one that was not looked
// at, whose pipes must stay.
type Spare func(NodeID) int

// Neighbours returns the nodes that a node is joined to by a pipe.
func (r Room) Neighbours(id NodeID) []NodeRef {
	var out []NodeRef
	var feeder NodeID
	if ref := r.NodeRef(id); ref != nil {
		feeder = ref.Feeder
	}
	for _, n := range r.Nodes {
		if n.Feeder == id || n.Node == feeder {
			out = append(out, n)
		}
	}
	return out
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
// others, and those whose feeder has gone are joined to another one. Nodes of other
// sections are as they were, but for that. The epoch
// grows if anything changed, also over the end of a room and a later one of the
// same name.
func (r Room) Settled(spare Spare, now time.Time) Room {
	return r.SettledWithout(nil, spare, now)
}

// SettledWithout is [Room.Settled] where some nodes are lost: they stay in the
// directory while the room has blocks there, without any pipe, and those that they
// fed are joined to others.
func (r Room) SettledWithout(lost func(NodeID) bool, spare Spare, now time.Time) Room {
	r = r.Clone()
	before := r.Nodes
	on := map[NodeID]Generation{}
	var order []NodeID
	for _, b := range r.Blocks {
		if _, ok := on[b.Node]; !ok {
			order = append(order, b.Node)
		}
		on[b.Node] = max(on[b.Node], b.Generation)
	}
	had := pipes(before)
	t := &tree{at: map[NodeID]int{}, lost: map[NodeID]bool{}}
	var gone []NodeRef
	for _, n := range before {
		if n.Section == r.Section && (on[n.Node] == 0 || on[n.Node] != n.Generation) {
			gone = append(gone, n)
			continue
		}
		if lost != nil && lost(n.Node) {
			gone, t.lost[n.Node] = append(gone, n), true
			n.Feeder = ""
			t.add(n, 0)
			continue
		}
		t.add(n, spare(n.Node)+had[n.Node])
	}
	for _, id := range order {
		if _, known := t.at[id]; !known {
			t.add(NodeRef{Node: id, Generation: on[id], Section: r.Section}, spare(id))
		}
	}
	t.settle(gone)
	r.Nodes = t.nodes
	if !slices.Equal(before, r.Nodes) {
		r.Epoch = max(r.Epoch+1, now.UnixMilli())
		r.mark(before)
	}
	return r
}

// mark notes which nodes have other pipes than before: they are to be told.
func (r *Room) mark(before []NodeRef) {
	was, is := links(before), links(r.Nodes)
	for i, n := range r.Nodes {
		if !slices.Equal(was[n.life()], is[n.life()]) {
			r.Nodes[i].Since = r.Epoch
			r.Tell = append(r.Tell, n.Node)
		}
	}
	there := map[NodeID]bool{}
	for _, n := range r.Nodes {
		there[n.Node] = true
	}
	for _, n := range before {
		if len(was[n.life()]) > 0 && !there[n.Node] {
			r.Tell = append(r.Tell, n.Node)
		}
	}
}

// life is one life of a node.
type life struct {
	node       NodeID
	generation Generation
}

func (n NodeRef) life() life { return life{n.Node, n.Generation} }

// link is a pipe, as one of its ends sees it.
type link struct {
	peer   life
	feeder bool
}

// links lists the pipes of each node.
func links(nodes []NodeRef) map[life][]link {
	at := map[NodeID]life{}
	for _, n := range nodes {
		at[n.Node] = n.life()
	}
	out := map[life][]link{}
	for _, n := range nodes {
		if f, ok := at[n.Feeder]; ok {
			out[n.life()] = append(out[n.life()], link{f, true})
			out[f] = append(out[f], link{n.life(), false})
		}
	}
	for l := range out {
		slices.SortFunc(out[l], func(a, b link) int { return strings.Compare(string(a.peer.node), string(b.peer.node)) })
	}
	return out
}

// AllPipes counts the room's pipes of each node that has any.
func (r Room) AllPipes() map[NodeID]int { return pipes(r.Nodes) }

// Moved returns how many nodes have another feeder than in the room as it was
// before.
func (r Room) Moved(before Room) int {
	was := map[NodeID]NodeID{}
	for _, n := range before.Nodes {
		was[n.Node] = n.Feeder
	}
	moved := 0
	for _, n := range r.Nodes {
		if f, known := was[n.Node]; known && f != n.Feeder {
			moved++
		}
	}
	return moved
}

func pipes(nodes []NodeRef) map[NodeID]int {
	n := map[NodeID]int{}
	for _, ref := range nodes {
		if ref.Feeder != "" {
			n[ref.Node]++
			n[ref.Feeder]++
		}
	}
	return n
}

// Depths returns how many pipes lie between each node and the root of its tree,
// in the order of Nodes.
func (r Room) Depths() []int {
	t := &tree{at: map[NodeID]int{}}
	for _, n := range r.Nodes {
		t.add(n, 0)
	}
	t.measure()
	return t.depth
}
