package step

import (
	"context"
	"errors"
	"slices"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// errElsewhere says that a decision is to be made from another part of the room.
var errElsewhere = errors.New("look elsewhere in the room")

// maxMoves bounds how often that may be.
const maxMoves = 40

// search is a look for a seat in a room of several sections: one after the other
// until one has it. The zero value is about the room's first look.
type search struct {
	spread uint64
	// tried are the sections that had none.
	tried []int
	// own asks for the section of the participant's seat, whatever its role is to be.
	own bool
	// wide asks for all of a section, whether somebody can sit down there or not.
	wide bool
}

// decided notes that a section was full, so that the next look is at another.
func (q *search) decided(s control.Seating, err error) error {
	if errors.Is(err, control.ErrNarrow) {
		q.wide = true
		return errElsewhere
	}
	if s.Room == nil || !errors.Is(err, control.ErrSectionFull) {
		return err
	}
	tried := s.Room.Section
	if s.Squeezed {
		tried += squeezed
	}
	q.tried = append(q.tried, tried)
	return errElsewhere
}

func (q *search) been(section int) bool { return slices.Contains(q.tried, section) }

// choose puts the section that is to be looked at into a snapshot which has the
// room itself: for the stage the first, else the one in which the participant has
// its seat, or one that may have a seat, or a new one. When the room has no seats
// left to give, it is one that has.
func (w *World) choose(ctx context.Context, s *control.Seating, role room.Role, q *search) error {
	head := *s.Room
	s.Tried = q.tried
	s.Narrow = !q.own && !q.wide && (head.Apart || q.been(0))
	sits := s.Participant != nil && s.Participant.Revision > 0 && s.Participant.Removed.IsZero()
	own := -1
	if sits {
		own = room.SectionOf(s.Participant.Block)
	}
	switch {
	case own >= 0 && head.Has(own) && !q.been(own) && (q.own || role == room.Viewer):
		err := w.enter(ctx, s, head, own)
		if errors.Is(err, errEnded) {
			q.tried = append(q.tried, own)
			return w.choose(ctx, s, role, q)
		}
		return err
	case role != room.Viewer, !head.Apart && !q.been(0):
		return w.enter(ctx, s, head, 0)
	}
	but := map[int]bool{}
	for _, k := range q.tried {
		but[k] = true
	}
	if open := head.Open(but); len(open) > 0 {
		k := open[aside(q.spread)%uint64(len(open))]
		err := w.enter(ctx, s, head, k)
		if errors.Is(err, errEnded) {
			q.tried = append(q.tried, k)
			return w.choose(ctx, s, role, q)
		}
		return err
	}
	if head.Pool() > 0 {
		if fresh, ok := head.NewSection(w.Now()); ok {
			return w.found(ctx, s, head, fresh)
		}
	}
	return w.squeeze(ctx, s, head, q)
}

// errEnded says that a section is no more that was there a moment ago.
var errEnded = errors.New("the section has ended")

// aside makes another number of one that is used for something else, too.
func aside(spread uint64) uint64 { return spread * 0x9e3779b97f4a7c15 >> 20 }

// enter goes on with one of the sections.
func (w *World) enter(ctx context.Context, s *control.Seating, head room.Room, section int) error {
	if !head.Apart {
		return nil
	}
	var keys []Key
	if !s.Narrow {
		keys = append(keys, TreeKey{head.Name})
	}
	if section > 0 {
		keys = append(keys, RoomKey{head.Name, section})
	}
	if len(keys) == 0 {
		return nil
	}
	items, err := w.Store.Get(ctx, true, keys...)
	if err != nil {
		return err
	}
	tree := treeOf(items.Trees, head.Name)
	planted := head.Under(head, tree)
	if section == 0 {
		s.Room = &planted
		return nil
	}
	if len(items.Rooms) == 0 {
		return errEnded
	}
	at := items.Rooms[0].Under(head, tree)
	s.Head, s.Room = &planted, &at
	return nil
}

// found goes on with a section that is to be made.
func (w *World) found(ctx context.Context, s *control.Seating, head, fresh room.Room) error {
	s.Head, s.Fresh = &head, true
	if head.Apart && !s.Narrow {
		items, err := w.Store.Get(ctx, true, TreeKey{head.Name})
		if err != nil {
			return err
		}
		fresh = fresh.Under(head, treeOf(items.Trees, head.Name))
	}
	s.Room = &fresh
	return nil
}

// squeeze goes on with a section that was taken for full and has seats left, or that
// blocks may have, the room having none left to give.
func (w *World) squeeze(ctx context.Context, s *control.Seating, head room.Room, q *search) error {
	s.Squeezed, s.Last = true, true
	var keys []Key
	for _, ref := range head.Sections {
		if ref.Index > 0 {
			keys = append(keys, RoomKey{head.Name, ref.Index})
		}
	}
	if len(keys) == 0 {
		return w.enter(ctx, s, head, 0)
	}
	items, err := w.Store.Get(ctx, true, keys...)
	if err != nil {
		return err
	}
	var may []int
	for _, r := range append(items.Rooms, head) {
		open := slices.ContainsFunc(r.Blocks, func(b room.BlockRef) bool { return b.For(room.Viewer) && !b.Full })
		if !q.been(squeezed+r.Section) && (open || r.Section > 0 && r.SeatsLeft > 0) {
			may = append(may, r.Section)
		}
	}
	if len(may) == 0 {
		return w.enter(ctx, s, head, 0)
	}
	s.Last = len(may) == 1
	k := may[aside(q.spread)%uint64(len(may))]
	err = w.enter(ctx, s, head, k)
	if errors.Is(err, errEnded) {
		q.tried = append(q.tried, squeezed+k)
		return w.squeeze(ctx, s, head, q)
	}
	return err
}

// squeezed is added to the number of a section that was tried beyond its bounds.
const squeezed = room.MaxSections + 1

func treeOf(trees []room.Tree, name room.Name) room.Tree {
	i := slices.IndexFunc(trees, func(t room.Tree) bool { return t.Room == name })
	if i < 0 {
		return room.Tree{Room: name}
	}
	return trees[i]
}

// contentsOf names what of a room a complete snapshot needs: all its blocks and
// nodes; of a large one those blocks that may have a seat, the newest, which show
// whether there is a crowd, those that the participant sits in, and what else the
// room has on that node; and, beside the section's nodes, those that may feed
// another.
func contentsOf(s control.Seating) []Key {
	r := *s.Room
	var mine []int
	if p := s.Participant; p != nil {
		mine = append(mine, p.Block)
		if p.Held.Revision > 0 && p.Held.Block != p.Block {
			mine = append(mine, p.Held.Block)
		}
	}
	on := map[room.NodeID]bool{}
	for _, b := range r.Blocks {
		on[b.Node] = on[b.Node] || slices.Contains(mine, b.Index)
	}
	var keys []Key
	nodes := map[room.NodeID]bool{}
	var mineOn []room.NodeID
	for i, b := range r.Blocks {
		wanted := !r.Apart || !b.Full || on[b.Node] || i >= len(r.Blocks)-newest
		if wanted {
			keys = append(keys, BlockKey{r.Name, b.Index})
		}
		if s.Narrow && !wanted {
			continue
		}
		if !nodes[b.Node] {
			nodes[b.Node] = true
			keys = append(keys, NodeKey{b.Node})
			if on[b.Node] {
				mineOn = append(mineOn, b.Node)
			}
		}
	}
	if !r.Apart && !s.Fresh {
		return keys
	}
	for _, index := range mine {
		if room.SectionOf(index) != r.Section {
			keys = append(keys, BlockKey{r.Name, index})
		}
	}
	if s.Narrow {
		return keys
	}
	for _, id := range r.Around(mineOn...) {
		if !nodes[id] {
			nodes[id] = true
			keys = append(keys, NodeKey{id})
		}
	}
	return keys
}

// newest is how many of a large room's latest blocks are looked at.
const newest = 8

// homesOf reads the nodes of blocks that were read and are not on any node that was:
// those in which the participant sits in another section.
func (w *World) homesOf(ctx context.Context, items *Items) error {
	var keys []Key
	for _, b := range items.Blocks {
		if !slices.ContainsFunc(items.Nodes, func(v fleet.View) bool { return v.Node.ID == b.Node }) {
			keys = append(keys, NodeKey{b.Node})
		}
	}
	if len(keys) == 0 {
		return nil
	}
	more, err := w.Store.Get(ctx, true, keys...)
	items.Nodes = append(items.Nodes, more.Nodes...)
	return err
}

// whole reads rooms, each with its tree, and the rooms of those that are further
// sections, consistently. There is one of each name.
func (w *World) whole(ctx context.Context, keys []Key) (rooms []room.Room, heads map[room.Name]room.Room, err error) {
	heads = map[room.Name]room.Room{}
	want := slices.Clone(keys)
	sections := map[room.Name]int{}
	for _, k := range keys {
		if k, ok := k.(RoomKey); ok && k.Section > 0 {
			want = append(want, RoomKey{Room: k.Room})
			sections[k.Room] = k.Section
		}
	}
	if len(want) == 0 {
		return nil, heads, nil
	}
	items, err := w.Store.Get(ctx, true, want...)
	if err != nil {
		return nil, nil, err
	}
	var apart []Key
	for _, r := range items.Rooms {
		if r.Apart && r.Section == 0 {
			apart = append(apart, TreeKey{r.Name})
		}
	}
	var trees []room.Tree
	if len(apart) > 0 {
		found, err := w.Store.Get(ctx, true, apart...)
		if err != nil {
			return nil, nil, err
		}
		trees = found.Trees
	}
	for _, r := range items.Rooms {
		if r.Section == 0 {
			heads[r.Name] = r.Under(r, treeOf(trees, r.Name))
		}
	}
	for _, r := range items.Rooms {
		head, known := heads[r.Name]
		switch {
		case r.Section != sections[r.Name]:
		case r.Section == 0:
			rooms = append(rooms, head)
		case known:
			rooms = append(rooms, r.Under(head, treeOf(trees, r.Name)))
		}
	}
	return rooms, heads, nil
}

// glanceLarge is the cheap snapshot of a room of several sections: one that may have
// a seat, one of its open blocks and that block's node.
func (w *World) glanceLarge(ctx context.Context, head room.Room, spread uint64) (control.Seating, error) {
	s := control.Seating{Room: &head}
	open := head.Open(nil)
	if len(open) == 0 {
		return s, nil // which is not enough, and so a complete one follows
	}
	if k := open[aside(spread)%uint64(len(open))]; k > 0 {
		items, err := w.Store.Get(ctx, false, RoomKey{head.Name, k})
		if err != nil || len(items.Rooms) == 0 {
			return s, err
		}
		at := items.Rooms[0].Under(head, room.Tree{})
		s.Head, s.Room = &head, &at
	}
	refs := slices.DeleteFunc(slices.Clone(s.Room.Blocks), func(b room.BlockRef) bool { return b.Full || !b.For(room.Viewer) })
	if len(refs) == 0 {
		return s, nil
	}
	b := refs[spread%uint64(len(refs))]
	var block, node Items
	var failed, late error
	w.atOnce([]func(){
		func() { block, failed = w.Store.Get(ctx, false, BlockKey{head.Name, b.Index}) },
		func() { node, late = w.Store.Find(ctx, NodeOf{b.Node}) },
	})
	s.Blocks, s.Nodes = block.Blocks, node.Nodes
	return s, errors.Join(failed, late)
}

// sectionOf puts the section in which a seat is freed in the place of the room,
// with what it takes to take a block, or a seat, out of it: where none goes the
// tree need not be read.
func (w *World) sectionOf(ctx context.Context, s *control.Seating, section int) error {
	if s.Room == nil || !s.Room.Apart {
		return nil
	}
	head := *s.Room
	goes := head.SeatsLeft < 0 || head.StageLeft() < 0 || slices.ContainsFunc(s.Blocks, func(b fleet.Block) bool { return len(b.Members) <= 1 })
	if section > 0 {
		items, err := w.Store.Get(ctx, true, RoomKey{head.Name, section})
		if err != nil {
			return err
		}
		if len(items.Rooms) == 0 { // it has ended, and with it the block
			s.Room = nil
			return nil
		}
		at := items.Rooms[0].Under(head, room.Tree{})
		goes = goes || at.SeatsLeft < 0
		s.Head, s.Room = &head, &at
	}
	if !goes {
		return nil
	}
	items, err := w.Store.Get(ctx, true, TreeKey{head.Name})
	tree := treeOf(items.Trees, head.Name)
	planted := s.Room.Under(head, tree)
	s.Room = &planted
	return err
}

// Joined reads the sections of a room, which it returns as if it were one.
func (w *World) Joined(ctx context.Context, r room.Room) (room.Room, error) {
	if !r.Apart {
		return r, nil
	}
	keys := []Key{TreeKey{r.Name}}
	for _, s := range r.Sections {
		if s.Index > 0 {
			keys = append(keys, RoomKey{r.Name, s.Index})
		}
	}
	items, err := w.Store.Get(ctx, false, keys...)
	return r.Joined(items.Rooms, treeOf(items.Trees, r.Name)), err
}
