package room

import "slices"

// tree is a room's nodes while they are joined anew: everything by a node's
// place in the list, so that a thousand of them are settled in a moment.
type tree struct {
	nodes []NodeRef
	at    map[NodeID]int
	// left is how many further pipes a node can take, children how many nodes it
	// feeds.
	left, children []int
	// depth is how many pipes lie between a node and the root of its tree, root
	// where that is; see measure.
	depth, root []int
	// lost are nodes that are there and can have no pipe.
	lost map[NodeID]bool
}

func (t *tree) add(n NodeRef, pipes int) {
	t.at[n.Node] = len(t.nodes)
	t.nodes = append(t.nodes, n)
	t.left = append(t.left, pipes)
	t.children = append(t.children, 0)
}

// settle mends the tree where nodes have gone, and joins what is not joined.
func (t *tree) settle(gone []NodeRef) {
	orphans := map[NodeID][]int{}
	for i := range t.nodes {
		n := &t.nodes[i]
		if n.Feeder == "" {
			continue
		}
		f, ok := t.at[n.Feeder]
		if !ok || t.lost[n.Feeder] {
			orphans[n.Feeder] = append(orphans[n.Feeder], i)
			n.Feeder = ""
			continue
		}
		t.children[f]++
		t.left[f]--
		t.left[i]--
	}
	for _, g := range gone {
		if len(orphans[g.Node]) > 0 {
			t.replace(t.above(g, gone), orphans[g.Node])
		}
	}
	t.join()
}

// above returns the nearest node above one that has gone, -1 if that was a root.
func (t *tree) above(g NodeRef, gone []NodeRef) int {
	for range gone {
		if i, ok := t.at[g.Feeder]; ok && !t.lost[g.Feeder] {
			return i
		}
		k := slices.IndexFunc(gone, func(o NodeRef) bool { return o.Node == g.Feeder })
		if k < 0 {
			break
		}
		g = gone[k]
	}
	return -1
}

// replace joins the nodes that a node which has gone had fed: to the node above
// it, where that takes them all, else to a leaf, which takes the place of the one
// that has gone. So no more nodes change their feeder than the one had fed, and
// one, and the tree does not become deeper. Where no leaf can feed so many they
// are left to join.
func (t *tree) replace(above int, orphans []int) {
	if above >= 0 && t.children[above]+len(orphans) <= Fanout && t.left[above] >= len(orphans) {
		for _, o := range orphans {
			t.attach(o, above)
		}
		return
	}
	if above < 0 && len(orphans) == 1 {
		return // a root now
	}
	if above >= 0 && (t.children[above] >= Fanout || t.left[above] < 1) {
		return
	}
	leaf := t.leaf(above, orphans)
	if leaf < 0 {
		return
	}
	t.detach(leaf)
	if above >= 0 {
		t.attach(leaf, above)
	}
	for _, o := range orphans {
		if o != leaf {
			t.attach(o, leaf)
		}
	}
}

// leaf returns a node that feeds nobody and can take the place of one that has
// gone: one of the orphans, of which fewer change their feeder then, else the
// deepest. It returns -1 if there is none.
func (t *tree) leaf(above int, orphans []int) int {
	t.measure()
	best, bestOrphan := -1, false
	for i := range t.nodes {
		need, orphan := len(orphans), slices.Contains(orphans, i)
		if orphan {
			need--
		}
		if above >= 0 {
			need++
		}
		left := t.left[i]
		if f, fed := t.at[t.nodes[i].Feeder]; fed {
			if t.left[f] < 0 {
				continue // which was not looked at
			}
			left++ // it leaves its feeder
		}
		if i == above || t.children[i] > 0 || left < need {
			continue
		}
		if best < 0 || orphan && !bestOrphan || orphan == bestOrphan && t.depth[i] > t.depth[best] {
			best, bestOrphan = i, orphan
		}
	}
	return best
}

// join gives every node but one a feeder, as far as there are any with a pipe
// left: the nearest to the first node, and of those the earliest.
func (t *tree) join() {
	t.measure()
	for i := range t.nodes {
		if t.nodes[i].Feeder != "" || t.left[i] < 1 {
			continue
		}
		best := -1
		for f := range t.nodes {
			// Only an earlier tree's nodes may feed: so no two join each other.
			if t.root[f] >= i || t.left[f] < 1 || t.children[f] >= Fanout {
				continue
			}
			if best < 0 || t.depth[f] < t.depth[best] {
				best = f
			}
		}
		if best >= 0 {
			t.attach(i, best)
			t.measure()
		}
	}
}

func (t *tree) attach(i, feeder int) {
	t.nodes[i].Feeder = t.nodes[feeder].Node
	t.children[feeder]++
	t.left[feeder]--
	t.left[i]--
}

func (t *tree) detach(i int) {
	f, ok := t.at[t.nodes[i].Feeder]
	if !ok {
		return
	}
	t.nodes[i].Feeder = ""
	t.children[f]--
	t.left[f]++
	t.left[i]++
}

// measure finds each node's depth and root.
func (t *tree) measure() {
	t.depth, t.root = make([]int, len(t.nodes)), slices.Repeat([]int{-1}, len(t.nodes))
	var way []int
	for i := range t.nodes {
		way = way[:0]
		at := i
		for t.root[at] < 0 {
			way = append(way, at)
			f, fed := t.at[t.nodes[at].Feeder]
			if !fed || len(way) > len(t.nodes) {
				t.root[at], way = at, way[:len(way)-1]
				break
			}
			at = f
		}
		for _, n := range slices.Backward(way) {
			t.root[n], t.depth[n] = t.root[at], t.depth[at]+1
			at = n
		}
	}
}
