package room

import (
	"cmp"
	"slices"
	"time"
)

// A room that grows beyond some hundred blocks, or some dozen nodes, goes on in
// sections: directories of their own, each with its share of the room's seats, its
// blocks and its nodes, and its own revision. What joins and leaves read and write
// stays as small as in a small room, however many sections there are. The room
// itself is the first section; the others are listed in it. The stage is in the
// first section alone, so its limit needs no other. The nodes of all sections are
// one tree, which is then kept apart.

// Bounds of a section: its directory is read in one unit, and all its nodes
// can be looked at.
const (
	// SectionBlocks is how many blocks a section has at most. The stage's count and
	// are not bounded by it.
	SectionBlocks = 400
	// SectionNodes is how many nodes it is on at most, those of the stage excepted.
	SectionNodes = 32
)

// Bounds of a room.
const (
	// MaxSections is how many sections a room has at most, MaxNodes on how many nodes
	// it is: their tree is one item of the store.
	MaxSections = 1000
	MaxNodes    = 8000
	// MaxBlocks is how many blocks the first section has at most, which has the stage.
	MaxBlocks = 30_000
)

// sectionSpan is between the indexes of blocks of one section and of the next.
const sectionSpan = 1_000_000_000_000_000

// SectionOf is the section that a block belongs to, by its index.
func SectionOf(block int) int { return max(block, 0) / sectionSpan }

// SectionRef is a section in a room's directory.
type SectionRef struct {
	Index int
	// Full sections are not tried for a new seat. It is a hint, which sweeps correct.
	Full bool
}

// Tree is the nodes of a room of several sections.
type Tree struct {
	Room  Name
	Nodes []NodeRef
	// Epoch is the room's, and conditions the next write.
	Epoch int64
}

// Clone returns a copy that shares nothing with t.
func (t Tree) Clone() Tree {
	t.Nodes = slices.Clone(t.Nodes)
	return t
}

// Tree returns the room's tree.
func (r Room) Tree() Tree { return Tree{Room: r.Name, Nodes: r.Nodes, Epoch: r.Epoch} }

// Under returns a section with what all sections have in common: the profile of
// the room and its tree.
func (r Room) Under(head Room, t Tree) Room {
	r.Profile, r.Metadata, r.MetadataRevision = head.Profile, head.Metadata, head.MetadataRevision
	if r.Apart {
		r.Nodes, r.Epoch = t.Nodes, t.Epoch
	}
	return r
}

// Stored returns what of the room is stored in its own item.
func (r Room) Stored() Room {
	r.Tell = nil
	if r.Section > 0 {
		r.Metadata, r.MetadataRevision = "", 0
	}
	if r.Apart {
		r.Nodes, r.Epoch = nil, 0
	}
	return r
}

// stageKept is the part of a room's seats that is kept for the stage at most.
const stageKept = 10

// Pool is how many seats of a room's limit a section may be given, or viewers in the
// first: what is left but for what the stage may still need.
func (r Room) Pool() int {
	return r.SeatsLeft - max(min(r.StageLeft(), r.Profile.MaxParticipants/stageKept), 0)
}

// Given is how many seats are in blocks, or may be put there by a section.
func (r Room) Given() int {
	if r.Apart {
		return r.Profile.MaxParticipants - r.SeatsLeft
	}
	return r.Granted()
}

// NewSection returns a further section, without seats, which is not yet in the
// directory. It reports false where there are too many.
func (r Room) NewSection(now time.Time) (Room, bool) {
	index := 1
	for slices.ContainsFunc(r.Sections, func(s SectionRef) bool { return s.Index == index }) {
		index++
	}
	if index > MaxSections {
		return Room{}, false
	}
	s := New(r.Name, r.Region, r.Profile, now)
	s.Section, s.Apart, s.SeatsLeft = index, true, 0
	s.NextBlock += index * sectionSpan
	s.Nodes, s.Epoch = slices.Clone(r.Nodes), r.Epoch
	return s, true
}

// WithSection returns the room after one of its sections, which may be new, was given
// seats; less than none are taken back.
func (r Room) WithSection(index, seats int) Room {
	r = r.Clone()
	if !r.Apart {
		r.Apart = true
		r.Sections = append(r.Sections, SectionRef{})
	}
	if !r.Has(index) {
		r.Sections = append(r.Sections, SectionRef{Index: index})
		slices.SortFunc(r.Sections, func(a, b SectionRef) int { return cmp.Compare(a.Index, b.Index) })
	}
	r.SeatsLeft -= seats
	r.Revision++
	return r
}

// WithoutSection returns the room after a section gave its seats back.
func (r Room) WithoutSection(index, seats int) Room {
	r = r.Clone()
	r.Sections = slices.DeleteFunc(r.Sections, func(s SectionRef) bool { return s.Index == index })
	r.SeatsLeft += seats
	r.Revision++
	return r
}

// Together returns a room with nothing left in it as it was before it had sections.
func (r Room) Together(t Tree) Room {
	r.Apart, r.Sections, r.Nodes, r.Epoch = false, nil, nil, t.Epoch
	return r
}

// WithSectionFull returns the room with sections marked full or open, and whether
// any was not marked so.
func (r Room) WithSectionFull(full bool, indexes ...int) (Room, bool) {
	r = r.Clone()
	changed := false
	for i, s := range r.Sections {
		if s.Full != full && slices.Contains(indexes, s.Index) {
			r.Sections[i].Full, changed = full, true
		}
	}
	if changed {
		r.Revision++
	}
	return r, changed
}

// Open lists the sections that may have a seat for a viewer, those of but excepted.
func (r Room) Open(but map[int]bool) []int {
	var out []int
	for _, s := range r.Sections {
		if !s.Full && !but[s.Index] {
			out = append(out, s.Index)
		}
	}
	return out
}

// Has reports whether a section is one of the room's.
func (r Room) Has(section int) bool {
	return section == 0 || slices.ContainsFunc(r.Sections, func(s SectionRef) bool { return s.Index == section })
}

// Joined returns a room of several sections as if it were one: with the blocks of all,
// the seats that all have left, and its tree.
func (r Room) Joined(sections []Room, t Tree) Room {
	if !r.Apart {
		return r
	}
	r = r.Clone()
	r.Nodes, r.Epoch = t.Nodes, t.Epoch
	for _, s := range sections {
		r.Blocks = append(r.Blocks, s.Blocks...)
		r.SeatsLeft += s.SeatsLeft
	}
	return r
}

// Over reports whether nothing of the room is left but what it was declared as.
func (r Room) Over() bool {
	return len(r.Blocks) == 0 && !slices.ContainsFunc(r.Sections, func(s SectionRef) bool { return s.Index > 0 })
}

// SectionSize is how many blocks and nodes a section of the room has.
func (r Room) SectionSize() (blocks, nodes int) {
	seen := map[NodeID]bool{}
	for _, b := range r.Blocks {
		if b.For(Viewer) {
			blocks++
			seen[b.Node] = true
		}
	}
	return blocks, len(seen)
}

// looked is how many nodes of a tree are looked at besides those concerned.
const looked = 8

// Around lists the nodes to be looked at when a room comes to some nodes or leaves
// them: those, and their neighbours; the nearest to the root that can feed one
// more; and the farthest, one of which may take the place of one that leaves,
// with their feeders. Of a small tree that is all.
func (r Room) Around(ids ...NodeID) []NodeID {
	var out []NodeID
	seen := map[NodeID]bool{}
	add := func(id NodeID) {
		if id != "" && !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	for _, id := range ids {
		add(id)
	}
	if len(r.Nodes) <= 2*SectionNodes {
		for _, n := range r.Nodes {
			add(n.Node)
		}
		return out
	}
	fed := map[NodeID]int{}
	for _, n := range r.Nodes {
		fed[n.Feeder]++
		if slices.Contains(ids, n.Node) {
			add(n.Feeder)
		}
		if slices.Contains(ids, n.Feeder) {
			add(n.Node)
		}
	}
	depths := r.Depths()
	order := make([]int, len(r.Nodes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(depths[a], depths[b]) })
	feeders, leaves := 0, 0
	for _, i := range order {
		if n := r.Nodes[i]; fed[n.Node] < Fanout && feeders < looked {
			add(n.Node)
			feeders++
		}
	}
	for _, i := range slices.Backward(order) {
		if n := r.Nodes[i]; len(ids) > 0 && fed[n.Node] == 0 && leaves < looked/4 {
			add(n.Node)
			add(n.Feeder)
			leaves++
		}
	}
	return out
}
