// Package steptest holds the contract of [step.Store] as tests, to be run on
// every store there is.
package steptest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// Run holds a store against the contract. make returns an empty store each
// time; names of rooms, nodes and regions do not repeat between tests, so it may
// also return the same one.
func Run(t *testing.T, make func(t *testing.T) step.Store) {
	t.Helper()
	for name, test := range map[string]func(*suite){
		"rooms":        (*suite).rooms,
		"sections":     (*suite).sections,
		"node of":      (*suite).nodeOf,
		"participants": (*suite).participants,
		"seats":        (*suite).seats,
		"blocks":       (*suite).blocks,
		"shrinking":    (*suite).shrinking,
		"leaving":      (*suite).leaving,
		"moving":       (*suite).moving,
		"nodes":        (*suite).nodes,
		"states":       (*suite).states,
		"beats":        (*suite).beats,
		"waits":        (*suite).waits,
		"launches":     (*suite).launches,
		"bell":         (*suite).bell,
		"reservations": (*suite).reservations,
		"capacity":     (*suite).capacity,
		"candidates":   (*suite).candidates,
		"records":      (*suite).records,
		"together":     (*suite).together,
		"racers":       (*suite).racers,
		"seat racers":  (*suite).seatRacers,
	} {
		t.Run(name, func(t *testing.T) {
			test(&suite{T: t, store: make(t), ctx: t.Context(), tag: fmt.Sprintf("%d", time.Now().UnixNano())})
		})
	}
}

type suite struct {
	*testing.T
	store step.Store
	ctx   context.Context
	// tag makes names of this test its own.
	tag string
}

var now = time.UnixMilli(1_790_000_000_123).UTC()

// does commits changes that must be made.
func (s *suite) does(what string, changes ...control.Change) {
	s.Helper()
	if err := s.store.Commit(s.ctx, changes); err != nil {
		s.Fatalf("%s: %v", what, err)
	}
}

// conflicts commits changes whose condition does not hold.
func (s *suite) conflicts(what string, changes ...control.Change) {
	s.Helper()
	if err := s.store.Commit(s.ctx, changes); !errors.Is(err, step.ErrConflict) {
		s.Fatalf("%s: got %v, want a conflict", what, err)
	}
}

func (s *suite) get(keys ...step.Key) step.Items {
	s.Helper()
	items, err := s.store.Get(s.ctx, true, keys...)
	if err != nil {
		s.Fatal(err)
	}
	return items
}

func (s *suite) find(q step.Query) step.Items {
	s.Helper()
	items, err := s.store.Find(s.ctx, q)
	if err != nil {
		s.Fatal(err)
	}
	return items
}

// same compares what was stored with what comes back. Times are stored to the
// millisecond at least, and compared as instants.
func (s *suite) same(what string, want, got any) {
	s.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0)); d != "" {
		s.Fatalf("%s differs (-want +got):\n%s", what, d)
	}
}

func (s *suite) room() room.Room {
	r := room.New(room.Name("room # "+s.tag), "r-"+s.tag, room.Default(), now)
	r.Revision = 1
	return r.WithBlock(room.BlockRef{Index: 0, Node: s.nodeID(0), Generation: 1, Seats: 4})
}

func (s *suite) nodeID(i int) room.NodeID { return room.NodeID(fmt.Sprintf("n-%s-%d", s.tag, i)) }

func (s *suite) block(index, seats int, members map[room.Key]room.Revision) fleet.Block {
	return fleet.Block{Room: room.Name("room # " + s.tag), Index: index, Node: s.nodeID(0), Generation: 1, Seats: seats,
		Load: room.Load{Kbps: 4000, PPS: 400}, Members: members, CreatedAt: now}
}

func (s *suite) node(i int, available room.Load) fleet.Node {
	return fleet.Node{ID: s.nodeID(i), State: fleet.Ready, Generation: 1, Boot: "boot-1", Instance: "i-1", Type: "c7g.large", Region: "r-" + s.tag,
		Capacity: room.Load{Kbps: 10_000, PPS: 1000}, Available: available, Connections: map[int]string{0: "c0", 2: "c2="},
		Addresses: []fleet.Address{{IP: "192.0.2.1", Port: 7882, Scope: "public"}}, HelloAt: now, TouchedAt: now}
}

func (s *suite) rooms() {
	r := s.room()
	s.conflicts("write of a room that is not there", control.PutRoom{Room: r, If: 1})
	s.does("create", control.PutRoom{Room: r})
	s.conflicts("create again", control.PutRoom{Room: r})
	s.same("room", []room.Room{r}, s.get(step.RoomKey{Room: r.Name}).Rooms)
	s.same("room asked for twice", []room.Room{r}, s.get(step.RoomKey{Room: r.Name}, step.RoomKey{Room: r.Name}).Rooms)
	next := r.WithFull(0, true)
	s.conflicts("write on another revision", control.PutRoom{Room: next, If: r.Revision - 1})
	s.does("write", control.PutRoom{Room: next, If: r.Revision})
	s.same("room", []room.Room{next}, s.get(step.RoomKey{Room: r.Name}).Rooms)
	found := 0
	for _, other := range s.find(step.AllRooms{}).Rooms {
		if other.Name == r.Name {
			found++
			s.same("room by index", next, other)
		}
	}
	s.same("times found", 1, found)
	s.conflicts("delete on another revision", control.DeleteRoom{Name: r.Name, If: r.Revision})
	s.does("delete", control.DeleteRoom{Name: r.Name, If: next.Revision})
	s.conflicts("delete again", control.DeleteRoom{Name: r.Name, If: next.Revision})
	s.same("rooms", 0, len(s.get(step.RoomKey{Room: r.Name}).Rooms))
}

func (s *suite) participants() {
	p := room.Participant{Room: room.Name("room # " + s.tag), Key: "k1", Identity: "Zoë", Name: "Zoë 🎈", Role: room.Publisher,
		Session: "session-1", Revision: 1_790_000_000_123, Block: 3, SeatedAt: now}
	key := step.ParticipantKey{Room: p.Room, Key: p.Key}
	s.conflicts("update of nobody", control.PutParticipant{Participant: p, If: 7})
	s.does("create", control.PutParticipant{Participant: p})
	s.conflicts("create again", control.PutParticipant{Participant: p})
	s.same("participant", []room.Participant{p}, s.get(key).Participants)
	later := p
	later.Session, later.Revision = "session-2", p.Revision+1
	s.does("take over", control.PutParticipant{Participant: later, If: p.Revision})
	s.conflicts("late write of the first session", control.PutParticipant{Participant: p, If: p.Revision})
	s.conflicts("late delete of the first session", control.DeleteParticipant{Room: p.Room, Key: p.Key, If: p.Revision})
	s.does("delete", control.DeleteParticipant{Room: p.Room, Key: p.Key, If: later.Revision})
	s.conflicts("delete again", control.DeleteParticipant{Room: p.Room, Key: p.Key, If: later.Revision})
	s.same("participants", 0, len(s.get(key).Participants))
}

func (s *suite) seats() {
	b := s.block(0, 2, map[room.Key]room.Revision{"a": 10})
	take := func(k room.Key, rev room.Revision) control.Change {
		return control.TakeSeat{Room: b.Room, Index: 0, Generation: 1, Key: k, Revision: rev}
	}
	release := func(k room.Key, rev room.Revision) control.Change {
		return control.ReleaseSeat{Room: b.Room, Index: 0, Key: k, Revision: rev}
	}
	s.conflicts("seat in no block", take("b", 20))
	s.does("create", control.PutBlock{Block: b})
	s.conflicts("create again", control.PutBlock{Block: b})
	s.conflicts("seat in another generation", control.TakeSeat{Room: b.Room, Index: 0, Generation: 2, Key: "b", Revision: 20})
	s.does("second seat", take("b", 20))
	s.does("second seat again", take("b", 20))
	s.conflicts("third seat of two", take("c", 30))
	s.does("later session on its own seat in a full block", take("a", 11))
	s.conflicts("earlier session on that seat", take("a", 10))
	s.conflicts("release by the earlier session", release("a", 10))
	s.conflicts("release by somebody without a seat", release("c", 30))
	s.same("members", map[room.Key]room.Revision{"a": 11, "b": 20}, s.get(step.BlockKey{Room: b.Room, Index: 0}).Blocks[0].Members)
	s.does("release", release("a", 11))
	s.conflicts("release again", release("a", 11))
	s.does("seat that became free", take("c", 30))

	sealed := s.block(1, 4, map[room.Key]room.Revision{"a": 1})
	sealed.Sealed = true
	s.does("create sealed", control.PutBlock{Block: sealed})
	s.conflicts("seat in a sealed block", control.TakeSeat{Room: b.Room, Index: 1, Generation: 1, Key: "b", Revision: 2})
	s.same("sealed block", []fleet.Block{sealed}, s.get(step.BlockKey{Room: b.Room, Index: 1}).Blocks)
}

func (s *suite) blocks() {
	del := func(index int, g room.Generation, member room.Key, rev room.Revision) control.Change {
		return control.DeleteBlock{Room: s.block(0, 0, nil).Room, Index: index, Node: s.nodeID(0), Generation: g, Member: member, If: rev}
	}
	two := s.block(0, 4, map[room.Key]room.Revision{"a": 1, "b": 2})
	one := s.block(1, 4, map[room.Key]room.Revision{"a": 1})
	none := s.block(2, 4, nil)
	for _, b := range []fleet.Block{two, one, none} {
		s.does("create", control.PutBlock{Block: b})
	}
	s.same("blocks of the node", []fleet.Block{two, one, none}, s.find(step.BlocksOf{Node: two.Node}).Blocks)
	s.conflicts("delete with two members", del(0, 1, "a", 1))
	s.conflicts("delete with another's last member", del(1, 1, "b", 1))
	s.conflicts("delete with a later session in it", del(1, 1, "a", 2))
	s.conflicts("delete as if empty", del(1, 1, "", 0))
	s.conflicts("delete of another generation", del(1, 2, "a", 1))
	s.does("delete with its last member", del(1, 1, "a", 1))
	s.conflicts("delete again", del(1, 1, "a", 1))
	s.does("delete empty", del(2, 1, "", 0))
	s.conflicts("delete on another node", control.DeleteBlock{Room: two.Room, Index: 0, Node: s.nodeID(1), Generation: 1, Member: "a", If: 1})
	s.conflicts("drop another generation", control.DropBlock{Room: two.Room, Index: 0, Node: two.Node, Generation: 2})
	s.conflicts("drop on another node", control.DropBlock{Room: two.Room, Index: 0, Node: s.nodeID(1), Generation: 1})
	s.does("drop with members", control.DropBlock{Room: two.Room, Index: 0, Node: two.Node, Generation: 1})
	s.same("blocks left", 0, len(s.find(step.BlocksOf{Node: two.Node}).Blocks))
}

func (s *suite) shrinking() {
	b := s.block(0, 6, map[room.Key]room.Revision{"a": 1, "b": 2})
	b.Role, b.Load = room.Viewer, room.Load{Kbps: 600, PPS: 60}
	s.does("create", control.PutBlock{Block: b})
	to := func(seats int, from int, g room.Generation) control.Change {
		after := b
		after.Seats, after.Generation, after.Members = seats, g, nil
		after.Load = room.Load{Kbps: int64(seats) * 100, PPS: int64(seats) * 10}
		return control.ShrinkBlock{Block: after, From: from}
	}
	s.conflicts("shrink below its members", to(1, 6, 1))
	s.conflicts("shrink from another size", to(4, 5, 1))
	s.conflicts("shrink in another generation", to(4, 6, 2))
	s.does("shrink", to(3, 6, 1))
	s.conflicts("shrink again", to(3, 6, 1))
	b.Seats, b.Load = 3, room.Load{Kbps: 300, PPS: 30}
	key := step.BlockKey{Room: b.Room, Index: 0}
	s.same("shrunk", []fleet.Block{b}, s.get(key).Blocks)
	take := func(k room.Key) control.Change {
		return control.TakeSeat{Room: b.Room, Index: 0, Generation: 1, Key: k, Revision: 9}
	}
	s.does("take the last seat", take("c"))
	s.conflicts("take a seat that is gone", take("d"))
	sealed := b
	sealed.Index, sealed.Sealed, sealed.Seats = 1, true, 6
	s.does("create sealed", control.PutBlock{Block: sealed})
	after := sealed
	after.Sealed, after.Seats, after.Members = false, 3, nil
	s.does("shrink a sealed block", control.ShrinkBlock{Block: after, From: 6})
	s.conflicts("sit down in it", control.TakeSeat{Room: b.Room, Index: 1, Generation: 1, Key: "d", Revision: 9})
	after.Node = s.nodeID(1)
	s.conflicts("shrink on another node", control.ShrinkBlock{Block: after, From: 3})

	n := s.node(0, room.Load{Kbps: 100, PPS: 1000})
	s.does("create", control.PutNode{Node: n})
	s.does("claim kbps and give packets back", control.ClaimLoad{Node: n.ID, Generation: 1, Load: room.Load{Kbps: 100, PPS: -50}, At: now})
	s.same("available", room.Load{PPS: 1050}, s.get(step.NodeKey{Node: n.ID}).Nodes[0].Node.Available)
	s.conflicts("claim more than there is and give packets back", control.ClaimLoad{Node: n.ID, Generation: 1, Load: room.Load{Kbps: 1, PPS: -50}, At: now})
}

func (s *suite) moving() {
	b := s.block(0, 4, map[room.Key]room.Revision{"a": 1, "b": 2})
	b.Role, b.Load = room.Viewer, room.Load{Kbps: 600, PPS: 60}
	key := step.BlockKey{Room: b.Room, Index: 0}
	s.does("create", control.PutBlock{Block: b})
	seal := control.SealBlock{Room: b.Room, Index: 0, Node: b.Node, Generation: 1}
	other := seal
	other.Node = s.nodeID(1)
	s.conflicts("seal on another node", other)
	other = seal
	other.Generation = 2
	s.conflicts("seal in another generation", other)
	s.does("seal", seal)
	s.does("seal again", seal)
	s.conflicts("sit down in a sealed block", control.TakeSeat{Room: b.Room, Index: 0, Generation: 1, Key: "c", Revision: 9})
	b.Sealed = true
	s.same("sealed", []fleet.Block{b}, s.get(key).Blocks)

	to := b
	to.Node, to.Generation, to.MovedAt, to.Members, to.Sealed = s.nodeID(1), 1, now, nil, false
	s.conflicts("move from another node", control.MoveBlock{Block: to, From: s.nodeID(2), If: 1})
	s.conflicts("move from another generation", control.MoveBlock{Block: to, From: b.Node, If: 2})
	shrunk := to
	shrunk.Seats = 3
	s.conflicts("move with another size", control.MoveBlock{Block: shrunk, From: b.Node, If: 1})
	s.does("release a seat of it", control.ReleaseSeat{Room: b.Room, Index: 0, Key: "b", Revision: 2})
	move := control.MoveBlock{Block: to, From: b.Node, If: 1}
	s.does("move", move)
	s.conflicts("move again", move)
	to.Members = map[room.Key]room.Revision{"a": 1}
	s.same("moved with who sits in it", []fleet.Block{to}, s.get(key).Blocks)
	s.same("blocks of the old node", 0, len(s.find(step.BlocksOf{Node: b.Node}).Blocks))
	s.same("blocks of the new node", []fleet.Block{to}, s.find(step.BlocksOf{Node: to.Node}).Blocks)
	s.conflicts("seal where it was", seal)
	s.does("sit down in it", control.TakeSeat{Room: b.Room, Index: 0, Generation: 1, Key: "c", Revision: 9})
}

func (s *suite) nodes() {
	n := s.node(0, room.Load{Kbps: 10_000, PPS: 1000})
	key := step.NodeKey{Node: n.ID}
	claim := func(g room.Generation, kbps, pps int64) control.Change {
		return control.ClaimLoad{Node: n.ID, Generation: g, Load: room.Load{Kbps: kbps, PPS: pps}, At: now.Add(time.Second)}
	}
	s.conflicts("claim on no node", claim(1, 1, 1))
	s.conflicts("instance of no node", control.SetInstance{Node: n.ID, Instance: "i-2"})
	s.does("create", control.PutNode{Node: n})
	s.conflicts("create again", control.PutNode{Node: n})
	s.same("node", []fleet.View{{Node: n}}, s.get(key).Nodes)
	s.does("claim", claim(1, 6000, 600))
	s.conflicts("claim more kbps than are left", claim(1, 4001, 1))
	s.conflicts("claim more packets than are left", claim(1, 1, 401))
	s.conflicts("claim in another generation", claim(2, 1, 1))
	s.does("claim the rest", claim(1, 4000, 400))
	s.conflicts("return to another generation", control.ReturnLoad{Node: n.ID, Generation: 2, Load: room.Load{Kbps: 1, PPS: 1}, At: now})
	s.does("return", control.ReturnLoad{Node: n.ID, Generation: 1, Load: room.Load{Kbps: 6000, PPS: 600}, At: now.Add(2 * time.Second)})
	got := s.get(key).Nodes[0].Node
	s.same("available", room.Load{Kbps: 6000, PPS: 600}, got.Available)
	s.same("touched", now.Add(2*time.Second), got.TouchedAt)

	s.conflicts("socket of another generation", control.SetConnection{Node: n.ID, Generation: 2, Slot: 1, Connection: "x"})
	s.does("socket", control.SetConnection{Node: n.ID, Generation: 1, Slot: 1, Connection: "c1"})
	s.does("socket replaced", control.SetConnection{Node: n.ID, Generation: 1, Slot: 0, Connection: "c9"})
	s.conflicts("end of a socket that was replaced", control.ClearConnection{Node: n.ID, Generation: 1, Slot: 0, Connection: "c0"})
	s.conflicts("end of a socket of another generation", control.ClearConnection{Node: n.ID, Generation: 2, Slot: 2, Connection: "c2="})
	s.conflicts("end of a socket that is not there", control.ClearConnection{Node: n.ID, Generation: 1, Slot: 3, Connection: "c3"})
	s.conflicts("end of a socket of no node", control.ClearConnection{Node: "n-none", Generation: 1, Slot: 0, Connection: "c0"})
	s.does("end of a socket", control.ClearConnection{Node: n.ID, Generation: 1, Slot: 2, Connection: "c2="})
	s.does("instance", control.SetInstance{Node: n.ID, Instance: "i-2"})
	got = s.get(key).Nodes[0].Node
	s.same("sockets", map[int]string{0: "c9", 1: "c1"}, got.Connections)
	s.same("instance", "i-2", got.Instance)

	reborn := got
	reborn.Generation, reborn.Boot = 2, "boot-2"
	s.does("next generation", control.PutNode{Node: reborn, If: 1})
	s.conflicts("write of the generation before", control.PutNode{Node: got, If: 1})
	s.conflicts("claim in the generation before", claim(1, 1, 1))
}

func (s *suite) states() {
	n := s.node(0, room.Load{Kbps: 9000, PPS: 1000})
	n.State = fleet.Filling
	set := func(from, to fleet.State, empty bool) control.Change {
		return control.SetState{Node: n.ID, Generation: 1, From: from, To: to, IfEmpty: empty}
	}
	s.does("create", control.PutNode{Node: n})
	s.same("candidates while filling", 0, len(s.find(step.Candidates{Region: n.Region, Limit: 5}).Nodes))
	s.conflicts("from a state it is not in", set(fleet.Ready, fleet.Draining, false))
	s.does("ready", set(fleet.Filling, fleet.Ready, false))
	s.same("candidates when ready", 1, len(s.find(step.Candidates{Region: n.Region, Limit: 5}).Nodes))
	s.conflicts("drain as empty what is not", set(fleet.Ready, fleet.Draining, true))
	s.does("return", control.ReturnLoad{Node: n.ID, Generation: 1, Load: room.Load{Kbps: 1000}, At: now})
	s.does("drain what is empty", set(fleet.Ready, fleet.Draining, true))
	s.deadlines(n)
	s.same("candidates when draining", 0, len(s.find(step.Candidates{Region: n.Region, Limit: 5}).Nodes))
	s.conflicts("claim on a draining node", control.ClaimLoad{Node: n.ID, Generation: 1, Load: room.Load{Kbps: 1, PPS: 1}, At: now})
	s.does("beat", control.PutBeat{Node: n.ID, Beat: fleet.Beat{Generation: 1, Seq: 1}})
	s.conflicts("delete in another state", control.DeleteNode{Node: n.ID, Generation: 1, State: fleet.Ready})
	s.does("delete", control.DeleteNode{Node: n.ID, Generation: 1, State: fleet.Draining})
	s.same("nodes", 0, len(s.get(step.NodeKey{Node: n.ID}).Nodes))
	s.does("create anew", control.PutNode{Node: n})
	s.same("heartbeat of the one before", fleet.Beat{}, s.get(step.NodeKey{Node: n.ID}).Nodes[0].Beat)
}

// deadlines brings the deadline of a node forward that drains without one.
func (s *suite) deadlines(n fleet.Node) {
	hasten := func(g room.Generation, after time.Duration) control.Change {
		return control.Hasten{Node: n.ID, Generation: g, By: now.Add(after)}
	}
	by := func() time.Duration {
		return s.get(step.NodeKey{Node: n.ID}).Nodes[0].Node.DrainBy.Sub(now)
	}
	s.same("no deadline", time.Time{}, s.get(step.NodeKey{Node: n.ID}).Nodes[0].Node.DrainBy)
	s.conflicts("deadline in another generation", hasten(2, time.Hour))
	s.does("a first deadline", hasten(1, time.Hour))
	s.conflicts("the same deadline", hasten(1, time.Hour))
	s.conflicts("a later deadline", hasten(1, 2*time.Hour))
	s.does("an earlier deadline", hasten(1, time.Minute))
	s.same("deadline", time.Minute, by())
	other := s.node(1, room.Load{Kbps: 1000, PPS: 100})
	s.does("create another", control.PutNode{Node: other})
	s.conflicts("deadline of one that does not drain", control.Hasten{Node: other.ID, Generation: 1, By: now})
	s.does("drain with a deadline", control.SetState{Node: other.ID, Generation: 1, From: fleet.Ready, To: fleet.Draining, At: now, By: now.Add(time.Hour)})
	got := s.get(step.NodeKey{Node: other.ID}).Nodes[0].Node
	s.same("since", true, got.DrainAt.Equal(now))
	s.same("until", time.Hour, got.DrainBy.Sub(now))
	got.Generation, got.State = 2, fleet.Draining
	s.does("a restart while it drains", control.PutNode{Node: got, If: 1})
	s.same("still until", time.Hour, s.get(step.NodeKey{Node: other.ID}).Nodes[0].Node.DrainBy.Sub(now))
	s.does("delete the other", control.DeleteNode{Node: other.ID, Generation: 2, State: fleet.Draining})
}
