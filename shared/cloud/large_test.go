package cloud_test

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/cloud"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// stands makes a room that is on so many nodes, each with a block of people in it, as
// it would have become, and returns its changes: what the store would hold.
func (h *hall) stands(nodes int) []control.Change {
	profile, now := h.Settings.Profile, h.Now()
	head := room.New(hallName, h.Settings.Region, profile, now)
	r := head
	blocks := map[room.NodeID]room.Load{}
	var changes, sections []control.Change
	add := func(node room.NodeID, role room.Role, seats, from int) {
		ref := room.BlockRef{Index: r.NextBlock, Node: node, Generation: 1, Seats: seats, Role: role, Full: true}
		b := fleet.Block{Room: hallName, Index: ref.Index, Node: node, Generation: 1, Seats: seats, Role: role, Load: profile.SeatLoad(role).Times(seats),
			Members: map[room.Key]room.Revision{}, CreatedAt: now.Add(-time.Hour)}
		for i := range seats {
			b.Members[watcher(from+i).Key] = room.Revision(now.Add(-time.Hour).UnixMilli())
		}
		r = r.WithBlock(ref)
		blocks[node] = blocks[node].Plus(b.Load)
		changes = append(changes, control.PutBlock{Block: b})
	}
	settle := func() {
		have := r.AllPipes()
		r = r.Settled(func(id room.NodeID) int { return room.Fanout + 1 - have[id] }, now)
		if r.Section == 0 {
			head = r
		} else {
			r.SeatsLeft = 0
			sections = append(sections, control.PutRoom{Room: r})
			head = head.WithSection(r.Section, r.Granted())
			head.Nodes, head.Epoch = r.Nodes, r.Epoch
		}
		head, _ = head.WithSectionFull(true, r.Section)
	}
	add(hallNode(0), room.Publisher, 8, 0)
	for i := 1; i < nodes; i++ {
		if i%room.SectionNodes == 0 {
			settle()
			r, _ = head.NewSection(now)
		}
		add(hallNode(i), room.Viewer, fleet.MaxBlockSeats, i*fleet.MaxBlockSeats)
	}
	settle()
	head, _ = head.WithSectionFull(true, 0)
	pipes := head.AllPipes()
	for _, c := range h.builds(0, nodes, 0) {
		if p, ok := c.(control.PutNode); ok {
			p.Node.Available = p.Node.Available.Minus(blocks[p.Node.ID]).Minus(profile.PipeLoad().Times(pipes[p.Node.ID]))
			c = p
		}
		changes = append(changes, c)
	}
	return append(append(changes, sections...), control.PutRoom{Room: head}, control.PutTree{Tree: head.Tree()})
}

// TestALargeRoom: on a room that is on 1,500 nodes, the memory store holds what
// happens against what it may cost, as a meter counts it: a join costs what it does
// in a small room.
func TestALargeRoom(t *testing.T) {
	h := newHall(t, 1500, fleet.MaxBlockSeats, 1_000_000)
	const nodes = 1470
	h.must(h.Store.Commit(t.Context(), h.stands(nodes)))
	h.World.World.Store = &counting{Store: cloud.NewMeter(h.Store)}
	s, n := h.audits("as it stands")
	depth := slices.Max(room.Room{Nodes: s.tree.Nodes}.Depths())
	t.Logf("%d people on %d nodes in %d sections, %d deep", n, len(s.tree.Nodes), 1+len(s.sections), depth)
	if n != 8+(nodes-1)*fleet.MaxBlockSeats || len(s.tree.Nodes) != nodes || len(s.sections) < 45 || depth != 4 {
		t.Errorf("%d people on %d nodes in %d sections, %d deep", n, len(s.tree.Nodes), 1+len(s.sections), depth)
	}
	h.must(h.Store.Commit(t.Context(), h.builds(nodes, h.nodes, 80)))
	h.warm()
	h.crowd(1000)
	h.ends(s)
	t.Logf("largest, in bytes: %v; message %d", h.largest, h.posted)
	if h.largest["room"] > 4096 || h.largest["section"] > 4096 || h.largest["tree"] > 64<<10 || h.posted > 32<<10 {
		t.Errorf("too large: %v, a message of %d bytes", h.largest, h.posted)
	}
}

// counting adds up what a store behind it takes.
type counting struct {
	step.Store
	mu   sync.Mutex
	used step.Usage
}

func (c *counting) add(u *step.Usage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used.Requests += u.Requests
	c.used.ReadUnits += u.ReadUnits
	c.used.WriteUnits += u.WriteUnits
}

func (c *counting) Get(ctx context.Context, consistent bool, keys ...step.Key) (step.Items, error) {
	ctx, u := step.WithUsage(ctx)
	defer c.add(u)
	return c.Store.Get(ctx, consistent, keys...)
}

func (c *counting) Find(ctx context.Context, q step.Query) (step.Items, error) {
	ctx, u := step.WithUsage(ctx)
	defer c.add(u)
	return c.Store.Find(ctx, q)
}

func (c *counting) Commit(ctx context.Context, changes []control.Change) error {
	ctx, u := step.WithUsage(ctx)
	defer c.add(u)
	return c.Store.Commit(ctx, changes)
}

// takes returns what f takes of the store.
func (h *hall) takes(f func()) usage {
	c := h.World.World.Store.(*counting)
	c.mu.Lock()
	before := usage{c.used.Requests, c.used.ReadUnits, c.used.WriteUnits}
	c.mu.Unlock()
	f()
	c.mu.Lock()
	defer c.mu.Unlock()
	return usage{c.used.Requests - before.requests, c.used.ReadUnits - before.read, c.used.WriteUnits - before.write}
}

type usage struct {
	requests    int
	read, write float64
}

// warm measures joins into blocks that have seats, and those that grant one.
func (h *hall) warm() {
	h.Helper()
	var all []usage
	for i := range 60 {
		all = append(all, h.takes(func() { h.must(h.comes(watcher(100_000 + i))) }))
		h.Pass(3 * time.Second) // so that it is no crowd
	}
	slices.SortFunc(all, func(a, b usage) int { return cmp.Compare(a.read+a.write, b.read+b.write) })
	warm, dear := all[len(all)/2], all[len(all)-1]
	h.Logf("a join takes %+v in the middle, %+v at most", warm, dear)
	if warm.read > 2 || warm.write > 2 || dear.read > 500 || dear.write > 150 {
		h.Error("too many")
	}
}

// crowd lets people come at once.
func (h *hall) crowd(people int) {
	h.Helper()
	_, before := h.audits("before a crowd")
	var all sync.WaitGroup
	var mu sync.Mutex
	said := map[events.Code]int{}
	used := h.takes(func() {
		for i := range people {
			all.Go(func() {
				c := watcher(500_000 + i)
				for range 5 {
					err := h.World.World.Join(h.Context(), c, events.Join{Header: events.Head(events.ActionJoin), ID: "join", Session: "session-" + c.Identity, Offer: "offer"})
					if err == nil {
						return
					}
					mu.Lock()
					said[coded(err)]++
					mu.Unlock()
				}
			})
		}
		all.Wait()
	})
	_, n := h.audits("after a crowd")
	h.Logf("a crowd of %d takes %.2f read and %.2f write units each; said: %v", people, used.read/float64(people), used.write/float64(people), said)
	if n != before+people {
		h.Errorf("%d sit there, %d before a crowd of %d", n, before, people)
	}
}

// ends lets nodes of the room die and drain, one near the root among them, and
// sweeps.
func (h *hall) ends(s stored) {
	h.Helper()
	_, before := h.audits("before nodes end")
	var near room.NodeID // of further sections, the one that feeds the most
	for pipes, most := (room.Room{Nodes: s.tree.Nodes}).AllPipes(), 0; most == 0; {
		for _, n := range s.tree.Nodes {
			if n.Section > 0 && pipes[n.Node] > most {
				near, most = n.Node, pipes[n.Node]
			}
		}
	}
	far := s.tree.Nodes[len(s.tree.Nodes)-100].Node
	_, err := h.Drain(h.Context(), far, time.Time{}, "test")
	h.must(err)
	h.dies(near)
	back := 0
	for _, b := range s.blocks {
		for key := range b.Members {
			if b.Node == near || b.Node == far {
				c := control.Caller{Connection: "Z" + string(key), Room: hallName, Key: key, Identity: string(key)}
				p := room.Participant{Room: hallName, Key: key, Identity: c.Identity, Role: room.Viewer, Session: "before", Revision: b.Members[key], Block: b.Index, SeatedAt: h.Now()}
				h.must(h.World.World.Store.Commit(h.Context(), []control.Change{control.PutParticipant{Participant: p}}))
				h.must(h.joins(c, 2))
				back++
			}
		}
	}
	used := h.takes(func() { h.must(h.Sweep(h.Context())) })
	after, n := h.audits("after nodes have ended")
	h.Logf("%d came back; a sweep of %d nodes takes %.0f read and %.0f write units", back, h.nodes, used.read, used.write)
	if n != before || back != 2*fleet.MaxBlockSeats {
		h.Errorf("%d sit there, %d did; %d came back", n, before, back)
	}
	for _, ref := range after.tree.Nodes {
		if ref.Node == near || ref.Node == far || ref.Feeder == near {
			h.Errorf("the tree has %+v", ref)
		}
	}
}
