// Package sim is a world in memory: a store that keeps every condition, and
// what else a step touches. It is the reference that other stores are held
// against, and what simulations run in.
package sim

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// Store keeps everything in maps. Its indexes do not lag. It is safe for
// concurrent use.
type Store struct {
	mu           sync.Mutex
	rooms        map[room.Name]room.Room
	sections     map[step.RoomKey]room.Room
	trees        map[room.Name]room.Tree
	blocks       map[step.BlockKey]fleet.Block
	participants map[step.ParticipantKey]room.Participant
	nodes        map[room.NodeID]fleet.Node
	beats        map[room.NodeID]fleet.Beat
	waits        map[step.WaitKey]fleet.Wait
	launches     map[step.LaunchKey]fleet.Launch
	demands      map[string]fleet.Demand
	bells        map[string]time.Time
	boots        map[string]fleet.Boots
	reservations map[step.ReservationKey]fleet.Reservation
	records      []control.Record
}

var _ step.Store = (*Store)(nil)

// NewStore returns an empty store.
func NewStore() *Store {
	return &Store{
		rooms:        map[room.Name]room.Room{},
		sections:     map[step.RoomKey]room.Room{},
		trees:        map[room.Name]room.Tree{},
		blocks:       map[step.BlockKey]fleet.Block{},
		participants: map[step.ParticipantKey]room.Participant{},
		nodes:        map[room.NodeID]fleet.Node{},
		beats:        map[room.NodeID]fleet.Beat{},
		waits:        map[step.WaitKey]fleet.Wait{},
		launches:     map[step.LaunchKey]fleet.Launch{},
		demands:      map[string]fleet.Demand{},
		bells:        map[string]time.Time{},
		boots:        map[string]fleet.Boots{},
		reservations: map[step.ReservationKey]fleet.Reservation{},
	}
}

// maxRecords bounds the records kept, in place of their time to live.
const maxRecords = 1000

// Len returns how many items there are, demands and records not counted.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.rooms) + len(s.sections) + len(s.trees) + len(s.blocks) + len(s.participants) + len(s.nodes) + len(s.beats) + len(s.waits) + len(s.launches) + len(s.reservations)
}

// Contents is all that a store holds, but records.
type Contents struct {
	Rooms        map[room.Name]room.Room
	Sections     map[step.RoomKey]room.Room
	Trees        map[room.Name]room.Tree
	Blocks       map[step.BlockKey]fleet.Block
	Participants map[step.ParticipantKey]room.Participant
	Nodes        map[room.NodeID]fleet.Node
	Beats        map[room.NodeID]fleet.Beat
	Waits        map[step.WaitKey]fleet.Wait
	Launches     map[step.LaunchKey]fleet.Launch
}

// Look shows all that there is, of one moment. f must neither change nor keep
// it, nor use the store.
func (s *Store) Look(f func(Contents)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(Contents{s.rooms, s.sections, s.trees, s.blocks, s.participants, s.nodes, s.beats, s.waits, s.launches})
}

// Get implements [step.Store]. It is always consistent.
func (s *Store) Get(ctx context.Context, _ bool, keys ...step.Key) (step.Items, error) {
	if err := ctx.Err(); err != nil {
		return step.Items{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out step.Items
	seen := map[step.Key]bool{}
	for _, key := range keys {
		if seen[key] {
			continue
		}
		seen[key] = true
		switch k := key.(type) {
		case step.RoomKey:
			if k.Section > 0 {
				out.Rooms = add(out.Rooms, s.sections, k, room.Room.Clone)
			} else {
				out.Rooms = add(out.Rooms, s.rooms, k.Room, room.Room.Clone)
			}
		case step.TreeKey:
			out.Trees = add(out.Trees, s.trees, k.Room, room.Tree.Clone)
		case step.BlockKey:
			out.Blocks = add(out.Blocks, s.blocks, k, cloneBlock)
		case step.ParticipantKey:
			out.Participants = add(out.Participants, s.participants, k, same)
		case step.NodeKey:
			out.Nodes = append(out.Nodes, s.node(k.Node)...)
		case step.WaitKey:
			out.Waits = add(out.Waits, s.waits, k, same)
		case step.ReservationKey:
			out.Reservations = add(out.Reservations, s.reservations, k, same)
		case step.BootsKey:
			out.Boots = s.boots[k.Region]
		case step.LaunchKey:
			out.Launches = add(out.Launches, s.launches, k, same)
		}
	}
	return out, nil
}

func same[T any](v T) T { return v }

func cloneBlock(b fleet.Block) fleet.Block {
	b.Members = maps.Clone(b.Members)
	return b
}

func cloneNode(n fleet.Node) fleet.Node {
	n.Connections = maps.Clone(n.Connections)
	n.Addresses = slices.Clone(n.Addresses)
	return n
}

func add[K comparable, V any](out []V, from map[K]V, k K, clone func(V) V) []V {
	if v, ok := from[k]; ok {
		return append(out, clone(v))
	}
	return out
}

// Find implements [step.Store].
func (s *Store) Find(ctx context.Context, q step.Query) (step.Items, error) {
	if err := ctx.Err(); err != nil {
		return step.Items{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out step.Items
	switch q := q.(type) {
	case step.Candidates:
		out.Nodes = s.candidates(q)
	case step.AllNodes:
		out.Nodes = s.views(func(fleet.Node) bool { return true })
	case step.BlocksOf:
		for _, b := range s.blocks {
			if b.Node == q.Node {
				out.Blocks = append(out.Blocks, cloneBlock(b))
			}
		}
		slices.SortFunc(out.Blocks, func(a, b fleet.Block) int {
			return cmp.Or(cmp.Compare(a.Room, b.Room), cmp.Compare(a.Index, b.Index))
		})
	case step.NodeOf:
		out.Nodes = s.node(q.Node)
	case step.AllRooms:
		for _, name := range slices.Sorted(maps.Keys(s.rooms)) {
			out.Rooms = append(out.Rooms, s.rooms[name].Clone())
		}
	case step.Waiting:
		for k, w := range s.waits {
			if k.Region == q.Region {
				out.Waits = append(out.Waits, w)
			}
		}
	case step.Records:
		for _, r := range s.records {
			if r.Region == q.Region {
				out.Records = append(out.Records, r)
			}
		}
		slices.SortFunc(out.Records, func(a, b control.Record) int { return cmp.Compare(b.ID, a.ID) })
		out.Records = out.Records[:min(len(out.Records), q.Limit)]
	case step.Reservations:
		out.Reservations = s.reserved(q.Region)
	case step.Demand:
		out.Demand, out.Boots = s.demands[q.Region], s.boots[q.Region]
		for k, l := range s.launches {
			if k.Region == q.Region {
				out.Launches = append(out.Launches, l)
			}
		}
		slices.SortFunc(out.Launches, func(a, b fleet.Launch) int { return cmp.Compare(a.ID, b.ID) })
	}
	return out, nil
}

// node is a node with its heartbeat, if there is one.
func (s *Store) node(id room.NodeID) []fleet.View {
	n, ok := s.nodes[id]
	if !ok {
		return nil
	}
	return []fleet.View{{Node: cloneNode(n), Beat: s.beats[id]}}
}

func (s *Store) candidates(q step.Candidates) []fleet.View {
	type place struct {
		id   room.NodeID
		kbps int64
	}
	var fit []place
	for id, n := range s.nodes {
		if n.Region == q.Region && n.State == fleet.Ready && q.Need.Fits(n.Available) {
			fit = append(fit, place{id, n.Available.Kbps})
		}
	}
	slices.SortFunc(fit, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.kbps, b.kbps), cmp.Compare(a.id, b.id))
	})
	if q.Emptiest {
		slices.Reverse(fit)
	}
	var out []fleet.View
	for _, p := range fit[:min(len(fit), q.Limit)] {
		out = append(out, s.node(p.id)...)
	}
	return out
}

func (s *Store) views(want func(fleet.Node) bool) []fleet.View {
	var out []fleet.View
	for _, id := range slices.Sorted(maps.Keys(s.nodes)) {
		if n := s.nodes[id]; want(n) {
			out = append(out, fleet.View{Node: cloneNode(n), Beat: s.beats[id]})
		}
	}
	return out
}

// Commit implements [step.Store]: all conditions are checked before anything
// changes. As in DynamoDB, a commit may name an item once only.
func (s *Store) Commit(ctx context.Context, changes []control.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		if !s.holds(c) {
			return step.ErrConflict
		}
	}
	for _, c := range changes {
		s.apply(c)
	}
	return nil
}

func (s *Store) reserved(region string) []fleet.Reservation {
	var out []fleet.Reservation
	for k, r := range s.reservations {
		if k.Region == region {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b fleet.Reservation) int { return cmp.Compare(a.Room, b.Room) })
	return out
}
