package sfu

import (
	"fmt"
	"testing"

	"github.com/spillway-sfu/spillway/events"
)

// spread is some nodes that a room is spread over.
type spread struct {
	t     *testing.T
	nodes []*world
	epoch int64
}

func newSpread(t *testing.T, nodes int) *spread {
	s := &spread{t: t}
	for i := range nodes {
		s.nodes = append(s.nodes, newWorld(t, func(c *Config) {
			c.Node = fmt.Sprintf("node-%d", i+1)
			c.Pipes = true
		}))
	}
	return s
}

// peer is a node as the control plane names it to another.
func (w *world) peer() events.PipePeer {
	return events.PipePeer{
		Node: w.cfg.Node, Generation: 1, PipePort: w.PipePort(), Fingerprint: w.Fingerprint(),
		Addresses: []events.Address{{IP: "127.0.0.1", Port: w.Port(), Scope: events.PublicScope}},
	}
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
				a.Peers = append(a.Peers, s.nodes[p[1]].peer())
			case p[1]:
				a.Peers = append(a.Peers, s.nodes[p[0]].peer())
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
