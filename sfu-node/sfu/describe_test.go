package sfu

import (
	"fmt"
	"testing"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

func describes(o *events.Offer, _ *lightpeer.Options) {
	o.Person.Describes, o.Person.Metadata = true, "from the token"
}

func (p *person) describes(revision int64, metadata string) {
	p.t.Helper()
	p.send(events.Describe{Header: events.Head(events.ActionDescribe), Revision: revision, Metadata: metadata})
}

func (p *person) reads(participant, metadata string) {
	p.t.Helper()
	p.until(fmt.Sprintf("%s is described as %q", participant, metadata), func() bool { return p.people()[participant].Metadata == metadata })
}

// What somebody says of itself reaches everybody on all nodes, in the order in which it
// was said, and stays when the connection is replaced by another on the same node.
func TestMetadataReachesEverybody(t *testing.T) {
	t.Parallel()
	s := newSpread(t, 2)
	anna := s.nodes[0].join("anna", describes)
	s.join("room", [2]int{0, 1})
	bob, carl := s.nodes[1].join("bob"), s.nodes[0].join("carl", viewer)
	for _, p := range []*person{anna, bob, carl} {
		p.reads("anna", "from the token")
	}
	anna.describes(2, `{"hand":"raised"}`)
	anna.describes(1, "late")
	for _, p := range []*person{anna, bob, carl} {
		p.reads("anna", `{"hand":"raised"}`)
	}
	// Whoever comes later reads the same.
	s.nodes[1].join("dan").reads("anna", `{"hand":"raised"}`)
	anna.describes(3, "")
	for _, p := range []*person{anna, bob, carl} {
		p.reads("anna", "")
		p.mu.Lock()
		for _, m := range p.messages {
			if d, ok := m.(events.Delta); ok {
				for _, member := range d.Changed {
					if member.Metadata == "late" {
						t.Errorf("%s reads what was said before what it has", p.offer.Person.Identity)
					}
				}
			}
		}
		p.mu.Unlock()
	}
	anna.describes(4, "again")
	bob.reads("anna", "again")
	fresh := s.nodes[0].join("anna", again, describes)
	fresh.reads("anna", "again")
}

func TestMetadataTakesPermission(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.join("anna", func(o *events.Offer, _ *lightpeer.Options) { o.Person.Metadata = "from the token" })
	anna.describes(1, "better")
	anna.until("the refusal", func() bool {
		m, ok := last[events.Error](anna)
		return ok && m.Code == events.CodeTokenNoPermission
	})
	w.join("ben").reads("anna", "from the token")
}
