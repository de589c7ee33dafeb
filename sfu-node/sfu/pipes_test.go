package sfu

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/pipe/pipetest"
)

// spread is some nodes that a room is spread over.
type spread struct {
	t     *testing.T
	nodes []*world
	epoch int64
	roads map[[2]int]*pipetest.Road // instead of straight ways
}

func newSpread(t *testing.T, nodes int, change ...func(*Config)) *spread {
	s := &spread{t: t}
	for i := range nodes {
		s.nodes = append(s.nodes, newWorld(t, append(change, func(c *Config) {
			c.Node = fmt.Sprintf("node-%d", i+1)
			c.Pipes = true
		})...))
	}
	return s
}

// peer is node i as the control plane names it to node j.
func (s *spread) peer(i, j int) events.PipePeer {
	w := s.nodes[i]
	port := w.PipePort()
	if r := s.roads[[2]int{i, j}]; r != nil {
		port = r.A()
	} else if r := s.roads[[2]int{j, i}]; r != nil {
		port = r.B()
	}
	return events.PipePeer{
		Node: w.cfg.Node, Generation: 1, PipePort: port, Fingerprint: w.Fingerprint(),
		Addresses: []events.Address{{IP: "127.0.0.1", Port: w.Port(), Scope: events.PublicScope}},
	}
}

// road puts a road between nodes i and j.
func (s *spread) road(i, j int) *pipetest.Road {
	r := pipetest.New(s.t, s.nodes[i].PipePort(), s.nodes[j].PipePort())
	if s.roads == nil {
		s.roads = map[[2]int]*pipetest.Road{}
	}
	s.roads[[2]int{i, j}] = r
	return r
}

// join joins nodes to each other for a room, each pair with its two indices.
func (s *spread) join(room string, pairs ...[2]int) {
	s.t.Helper()
	s.epoch++
	for i, w := range s.nodes {
		a := events.Assignment{Header: events.Head(events.ActionAssignment), Node: w.cfg.Node, Generation: 1, Room: room, Epoch: s.epoch}
		for _, p := range pairs {
			switch i {
			case p[0]:
				a.Peers = append(a.Peers, s.peer(p[1], i))
			case p[1]:
				a.Peers = append(a.Peers, s.peer(p[0], i))
			}
		}
		if err := a.Validate(); err != nil {
			s.t.Fatal(err)
		}
		w.Assign(a)
	}
}

// knows waits until a person's roster has these participants, and no others, on
// these nodes.
func (p *person) knows(nodes map[string]string) {
	p.t.Helper()
	p.until(fmt.Sprintf("the roster is %v", nodes), func() bool {
		got := p.people()
		if len(got) != len(nodes) {
			return false
		}
		for identity, node := range nodes {
			if got[identity].Node != node || got[identity].Unreachable {
				return false
			}
		}
		return true
	})
}

// people is what a person was told of who is there. The caller holds the lock.
func (p *person) people() map[string]events.Member {
	now := map[string]events.Member{}
	for _, m := range p.messages {
		switch m := m.(type) {
		case events.Snapshot:
			if m.Part == 0 {
				clear(now)
			}
			for _, member := range m.Members {
				now[member.Identity] = member
			}
		case events.Delta:
			for _, member := range m.Changed {
				now[member.Identity] = member
			}
			for _, identity := range m.Gone {
				delete(now, identity)
			}
		}
	}
	return now
}

// sees waits until packets of a publication come, after those that are there.
func (p *person) sees(participant string, source events.Source) {
	p.t.Helper()
	had := -1
	p.until(fmt.Sprintf("%s of %s comes", source, participant), func() bool {
		s, ok := p.carrying(participant, source)
		if !ok {
			return false
		}
		n := 0
		for _, pkt := range p.packets[s.Mid] {
			if len(pkt.CSRC) == 1 && pkt.CSRC[0] == s.CSRC {
				n++
			}
		}
		if had < 0 {
			had = n
		}
		return n >= had+20
	})
}

// Two people on two nodes are in one room: each knows, hears and sees the other.
func TestTwoNodesAreOneRoom(t *testing.T) {
	t.Parallel()
	s := newSpread(t, 2)
	anna := s.nodes[0].join("anna")
	anna.publishes(1, micOn, cameraOn)
	anna.film("q", "h", "f")
	s.join("room", [2]int{0, 1})
	bob := s.nodes[1].join("bob")
	bob.publishes(1, micOn, cameraOn)
	bob.film("q", "h", "f")
	both := map[string]string{"anna": "node-1", "bob": "node-2"}
	anna.knows(both)
	bob.knows(both)
	for _, source := range []events.Source{events.Microphone, events.Camera} {
		bob.sees("anna", source)
		anna.sees("bob", source)
	}
	// Who comes late sees everybody too.
	carl := s.nodes[1].join("carl", viewer)
	carl.sees("anna", events.Camera)
	carl.sees("bob", events.Camera)
	// Both speak, loudly.
	anna.until("bob is named as speaking", func() bool {
		m, ok := last[events.Speakers](anna)
		return ok && len(m.Speakers) == 2
	})
	if err := bob.Close(); err != nil {
		t.Fatal(err)
	}
	anna.knows(map[string]string{"anna": "node-1", "carl": "node-2"})
}

// crossing is what node i sends to node j for the room: packets by publication and
// layer.
func (s *spread) crossing(i, j int) map[string]int64 {
	w := s.nodes[i]
	now := map[string]int64{}
	for _, f := range w.Flows() {
		if f.Peer != s.nodes[j].cfg.Node || !f.Out {
			continue
		}
		name := fmt.Sprintf("%s %s %d", f.Identity, f.Source, f.Layer)
		if _, twice := now[name]; twice {
			s.t.Errorf("%s crosses from node %d to %d twice", name, i+1, j+1)
		}
		now[name] = f.Packets
	}
	return now
}

// crosses waits until exactly this crosses from node i to node j, and flows.
func (s *spread) crosses(i, j int, want ...string) {
	s.t.Helper()
	slices.Sort(want)
	var before, got map[string]int64
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		got = s.crossing(i, j)
		if !slices.Equal(slices.Sorted(maps.Keys(got)), want) {
			before = nil
			continue
		}
		if before == nil {
			before = got
		}
		flows := true
		for name, n := range got {
			flows = flows && n > before[name]+10
		}
		if flows {
			return
		}
	}
	s.t.Fatalf("from node %d to %d cross %v, want %v", i+1, j+1, got, want)
}

// In a chain the middle node, on which nobody is, passes on what its neighbours
// want of each other: each layer once on each pipe, however many receive it, and
// nothing that nobody wants.
func TestEachWantedLayerCrossesOnce(t *testing.T) {
	t.Parallel()
	s := newSpread(t, 3)
	s.join("room", [2]int{0, 1}, [2]int{1, 2})
	anna := s.nodes[0].join("anna")
	anna.publishes(1, micOn, cameraOn)
	anna.film("q", "h", "f")
	bob, carl, dora := s.nodes[2].join("bob", viewer), s.nodes[2].join("carl", viewer), s.nodes[0].join("dora", viewer)
	everybody := map[string]string{"anna": "node-1", "dora": "node-1", "bob": "node-3", "carl": "node-3"}
	for _, p := range []*person{anna, bob, carl, dora} {
		p.knows(everybody)
	}
	wants := func(revision int64, height int, off bool, people ...*person) {
		for _, p := range people {
			p.send(events.Want{Header: events.Head(events.ActionWant), Revision: revision,
				Video: []events.WantedVideo{{Participant: "anna", Source: events.Camera, Height: height, Off: off}}})
		}
	}
	wants(1, 720, false, bob, carl, dora)
	for _, pipe := range [][2]int{{0, 1}, {1, 2}} {
		s.crosses(pipe[0], pipe[1], "anna microphone 2", "anna camera 2")
	}
	bob.sees("anna", events.Camera)
	carl.sees("anna", events.Camera)
	carl.sees("anna", events.Microphone)
	wants(2, 180, false, carl)
	s.crosses(0, 1, "anna microphone 2", "anna camera 2", "anna camera 0")
	s.crosses(1, 2, "anna microphone 2", "anna camera 2", "anna camera 0")
	wants(3, 0, true, bob, carl)
	s.crosses(1, 2, "anna microphone 2")
	s.crosses(0, 1, "anna microphone 2")
	s.crosses(1, 0) // what anna sends never comes back
	s.crosses(2, 1)
	// What was counted in packets is what came: nothing crosses besides.
	var counted int64
	for _, n := range s.crossing(1, 2) {
		counted += n
	}
	if counted > s.nodes[1].Counters().PipedIn.Load() {
		t.Errorf("%d packets of sound left the middle node, %d of everything came in", counted, s.nodes[1].Counters().PipedIn.Load())
	}
	dora.sees("anna", events.Camera)
}
