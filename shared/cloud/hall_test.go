package cloud_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
	"github.com/spillway-sfu/spillway/shared/step"
)

// hall is one room with very many people, on nodes that are rows only.
type hall struct {
	*testing.T
	*sim.World
	nodes int
	// people are those who have come to a room of small sections.
	people int
	// tight says that the room has no seats left to give, so that its sections may
	// pass their bounds.
	tight bool
	// largest are the largest items that were seen, by kind.
	largest map[string]int
	mu      sync.Mutex
	posted  int // bytes of the largest message
	seq     int64
}

const hallName = room.Name("all-hands")

// newHall returns a world with a room that takes so many, and nodes of so many viewers
// each beside their pipes.
func newHall(t *testing.T, nodes, nodeSeats, seats int) *hall {
	t.Helper()
	profile, err := room.Preset("townhall")
	if err != nil {
		t.Fatal(err)
	}
	profile.MaxParticipants, profile.MaxPublishers = seats, min(profile.MaxPublishers, seats/10)
	keep := profile.PipeLoad().Times(room.Fanout + 1)
	set := control.Settings{Region: "eu-north-1", Profile: profile, InstanceType: "c7g.large", NodesPerRoom: room.MaxNodes, PipeReserve: keep,
		NodeCapacity: profile.SeatLoad(room.Viewer).Times(nodeSeats).Plus(keep), MaxNodes: 2 * nodes, IdleAfterMs: time.Hour.Milliseconds(), BootMs: 25_000}
	h := &hall{T: t, World: sim.NewWorld(time.UnixMilli(1_790_000_000_000), set), nodes: nodes, largest: map[string]int{}}
	h.World.World.Push = h
	return h
}

// Post implements [step.Push]: it keeps how large the largest message was.
func (h *hall) Post(_ context.Context, _ string, data []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.posted = max(h.posted, len(data))
	return nil
}

func (h *hall) Close(context.Context, string) error { return nil }

func hallNode(i int) room.NodeID { return room.NodeID(fmt.Sprintf("n-%08d", i)) }

// builds makes nodes, as they are when they have said hello, of which each carries
// more viewers than is usual.
func (h *hall) builds(from, to, more int) []control.Change {
	var changes []control.Change
	carries := h.Settings.NodeCapacity.Plus(h.Settings.Profile.SeatLoad(room.Viewer).Times(more))
	for i := from; i < to; i++ {
		n := fleet.Node{ID: hallNode(i), State: fleet.Ready, Generation: 1, Boot: "boot-0123456789", Instance: "i-0123456789abcdef0", Type: "c7g.large", Region: "eu-north-1", Zone: fmt.Sprintf("eu-north-1%c", 'a'+i%3),
			Capacity: carries, Available: carries, Connections: map[int]string{0: fmt.Sprintf("Zabcdefgh%05d=", i), 1: fmt.Sprintf("Zijklmnop%05d=", i)},
			Addresses: []fleet.Address{{IP: "203.0.113.77", Port: 7882, Scope: "public"}, {IP: "10.0.123.45", Port: 7882, Scope: "private"}, {IP: "2001:db8:1234:5678::1", Port: 7882, Scope: "public"}},
			PipePort:  7883, Fingerprint: strings.Repeat("ab:", 31) + "ab", Build: "v1.2.3", HelloAt: h.Now(), TouchedAt: h.Now()}
		changes = append(changes, control.PutNode{Node: n},
			control.PutBeat{Node: n.ID, Beat: fleet.Beat{Generation: 1, Seq: 1, LeaseUntil: h.Now().Add(time.Hour)}})
	}
	return changes
}

func watcher(i int) control.Caller {
	who := fmt.Sprintf("user-%07d", i)
	return control.Caller{Connection: "Z" + who, Room: hallName, Key: room.Key(fmt.Sprintf("k%015d", i)), Identity: who, Name: "Somebody " + who}
}

func speaker(i int) control.Caller {
	c := watcher(i)
	c.MayPublish = true
	return c
}

// joins seats somebody; a second session of a
// participant is another one.
func (h *hall) joins(c control.Caller, session int) error {
	return h.World.World.Join(h.Context(), c, events.Join{Header: events.Head(events.ActionJoin), ID: "join", Session: fmt.Sprintf("session-%s-%d", c.Identity, session), Offer: "offer"})
}

// stored is what a store holds of the room.
type stored struct {
	head     room.Room
	sections []room.Room
	tree     room.Tree
	blocks   map[int]fleet.Block
	nodes    map[room.NodeID]fleet.View
}

func (h *hall) stored() stored {
	h.Helper()
	s := stored{blocks: map[int]fleet.Block{}, nodes: map[room.NodeID]fleet.View{}}
	get := func(keys ...step.Key) step.Items {
		items, err := h.World.World.Store.Get(h.Context(), true, keys...)
		if err != nil {
			h.Fatal(err)
		}
		return items
	}
	first := get(step.RoomKey{Room: hallName}, step.TreeKey{Room: hallName})
	if len(first.Rooms) == 0 {
		return s
	}
	s.head = first.Rooms[0]
	s.tree = s.head.Tree()
	if s.head.Apart {
		s.tree = first.Trees[0]
	}
	var keys []step.Key
	for _, ref := range s.head.Sections {
		if ref.Index > 0 {
			keys = append(keys, step.RoomKey{Room: hallName, Section: ref.Index})
		}
	}
	if len(keys) > 0 {
		s.sections = get(keys...).Rooms
	}
	keys = nil
	for _, r := range append(slices.Clone(s.sections), s.head) {
		for _, b := range r.Blocks {
			keys = append(keys, step.BlockKey{Room: hallName, Index: b.Index})
		}
	}
	for _, b := range get(keys...).Blocks {
		s.blocks[b.Index] = b
	}
	keys = nil
	for i := range h.nodes {
		keys = append(keys, step.NodeKey{Node: hallNode(i)})
	}
	for _, v := range get(keys...).Nodes {
		s.nodes[v.Node.ID] = v
	}
	return s
}

// audits holds what is stored against what must be so at any time, and returns how
// many sit in the room.
func (h *hall) audits(when string) (s stored, people int) {
	h.Helper()
	s = h.stored()
	seats := s.head.SeatsLeft
	on := map[room.NodeID]int{} // node → section
	loads := map[room.NodeID]room.Load{}
	sits := map[room.Key]bool{}
	rooms := append(slices.Clone(s.sections), s.head)
	for _, r := range rooms {
		if r.Section > 0 {
			seats += r.SeatsLeft
		}
		seats += r.Granted()
		blocks, nodes := r.SectionSize()
		most := room.SectionNodes
		if h.Settings.SectionNodes > 0 {
			most = h.Settings.SectionNodes
		}
		if blocks > room.SectionBlocks*5/4 || nodes > most && !h.tight {
			h.Errorf("%s: section %d has %d blocks on %d nodes", when, r.Section, blocks, nodes)
		}
		for _, ref := range r.Blocks {
			b := s.blocks[ref.Index]
			if b.Node != ref.Node || b.Seats != ref.Seats || b.Generation != ref.Generation || len(b.Members) > b.Seats || room.SectionOf(ref.Index) != r.Section {
				h.Errorf("%s: block %+v is listed as %+v in section %d", when, b, ref, r.Section)
			}
			if at, known := on[b.Node]; known && at != r.Section {
				h.Errorf("%s: %s is in sections %d and %d", when, b.Node, at, r.Section)
			}
			on[b.Node] = r.Section
			loads[b.Node] = loads[b.Node].Plus(b.Load)
			for key := range b.Members {
				if sits[key] {
					h.Errorf("%s: %s sits twice", when, key)
				}
				sits[key] = true
			}
		}
	}
	if s.head.Name != "" && seats != s.head.Profile.MaxParticipants {
		h.Errorf("%s: %d seats are accounted for, the room has %d", when, seats, s.head.Profile.MaxParticipants)
	}
	h.books(when, s, on, loads)
	h.measures(s, rooms)
	return s, len(sits)
}

// books holds the tree against the blocks, and every node's load against both.
func (h *hall) books(when string, s stored, on map[room.NodeID]int, loads map[room.NodeID]room.Load) {
	h.Helper()
	r := room.Room{Nodes: s.tree.Nodes}
	if len(r.Nodes) != len(on) {
		h.Errorf("%s: the tree has %d nodes, the room is on %d", when, len(r.Nodes), len(on))
	}
	roots, pipes := 0, r.AllPipes()
	for _, n := range r.Nodes {
		if section, known := on[n.Node]; !known || section != n.Section {
			h.Errorf("%s: the tree has %+v, which is of section %d", when, n, section)
		}
		if n.Feeder == "" {
			roots++
		}
		if pipes[n.Node] > room.Fanout+1 {
			h.Errorf("%s: %s has %d pipes", when, n.Node, pipes[n.Node])
		}
	}
	if len(r.Nodes) > 0 && roots != 1 {
		h.Errorf("%s: the tree has %d roots", when, roots)
	}
	for id, v := range s.nodes {
		if !v.Node.State.Living() {
			continue
		}
		if sum := v.Node.Available.Plus(loads[id]).Plus(s.head.Profile.PipeLoad().Times(pipes[id])); sum != v.Node.Capacity && s.head.Name != "" {
			h.Errorf("%s: %s: available %v, blocks %v and %d pipes make %v of %v", when, id, v.Node.Available, loads[id], pipes[id], sum, v.Node.Capacity)
		}
	}
}

// measures keeps the sizes of the largest items, as they lie in the table.
func (h *hall) measures(s stored, rooms []room.Room) {
	for _, r := range rooms {
		kind := "section"
		if r.Section == 0 {
			kind = "room"
		}
		doc, _ := json.Marshal(r.Profile)
		h.largest[kind] = max(h.largest[kind], len(r.Pack())+len(doc)+400)
	}
	h.largest["tree"] = max(h.largest["tree"], len(room.Room{Nodes: s.tree.Nodes}.Pack()))
}

// comes seats somebody for the first time; the error is of a refusal.
func (h *hall) comes(c control.Caller) error {
	return h.joins(c, 1)
}

func (h *hall) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *hall) leaves(c control.Caller, session int) error {
	return h.World.World.Leave(h.Context(), c, events.Leave{Header: events.Head(events.ActionLeave), ID: "leave", Session: fmt.Sprintf("session-%s-%d", c.Identity, session)})
}

// at is the node and the section in which somebody sits.
func (s stored) at(c control.Caller) (room.NodeID, int) {
	for _, b := range s.blocks {
		if _, sits := b.Members[c.Key]; sits {
			return b.Node, room.SectionOf(b.Index)
		}
	}
	return "", -1
}

// dies ends the lease of a node.
func (h *hall) dies(id room.NodeID) {
	h.Helper()
	h.seq++
	h.must(h.World.World.Store.Commit(h.Context(), []control.Change{control.PutBeat{Node: id, Beat: fleet.Beat{Generation: 1, Seq: 1 + h.seq, LeaseUntil: h.Now().Add(-time.Second)}}}))
}

func coded(err error) events.Code {
	var e *events.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
