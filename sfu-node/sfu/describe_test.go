package sfu

import (
	"fmt"
	"strings"
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

func (p *person) readsOfTheRoom(want string) {
	p.t.Helper()
	p.until(fmt.Sprintf("the room is described as %q", want), func() bool {
		now := ""
		for _, m := range p.messages {
			switch m := m.(type) {
			case events.Snapshot:
				if m.Part == 0 {
					now = m.RoomMetadata
				}
			case events.Delta:
				if m.RoomMetadata != nil {
					now = *m.RoomMetadata
				}
			}
		}
		return now == want
	})
}

// What is said of a room reaches everybody on all of its nodes whichever of them is told
// first, and whoever comes later; an older word changes nothing.
func TestRoomMetadataReachesEverybody(t *testing.T) {
	t.Parallel()
	s := newSpread(t, 2)
	about := func(text string, revision int64) func(*events.Offer, *lightpeer.Options) {
		return func(o *events.Offer, _ *lightpeer.Options) {
			o.RoomMetadata = &events.RoomMetadata{Text: text, Revision: revision}
		}
	}
	anna := s.nodes[0].join("anna", about("plans", 5))
	s.join("room", [2]int{0, 1})
	bob := s.nodes[1].join("bob") // whose node has not been told
	anna.readsOfTheRoom("plans")
	bob.readsOfTheRoom("plans")
	// As long as it may be, in characters that are written in six: the roster still fits.
	long := strings.Repeat("\x01", events.MaxRoomMetadata)
	s.nodes[1].DescribeRoom("room", events.RoomMetadata{Text: long, Revision: 7})
	for _, p := range []*person{anna, bob} {
		p.readsOfTheRoom(long)
	}
	s.nodes[0].join("carl", about("plans", 5)).readsOfTheRoom(long)
	s.nodes[0].DescribeRoom("room", events.RoomMetadata{Text: "late", Revision: 6})
	s.nodes[0].DescribeRoom("room", events.RoomMetadata{Text: "", Revision: 8})
	for _, p := range []*person{anna, bob} {
		p.readsOfTheRoom("")
		p.mu.Lock()
		for _, m := range p.messages {
			if d, ok := m.(events.Delta); ok && d.RoomMetadata != nil && *d.RoomMetadata == "late" {
				t.Errorf("%s reads what is older", p.offer.Person.Identity)
			}
		}
		p.mu.Unlock()
	}
	for _, n := range s.nodes {
		if at := n.Report().Described["room"]; at != 8 {
			t.Errorf("a node knows revision %d", at)
		}
	}
	s.nodes[0].DescribeRoom("nowhere", events.RoomMetadata{Text: "x", Revision: 1}) // nobody is there
}

// What somebody else says of a participant stands until it says something itself; of the
// room, and of others, only an administrator may say anything, and not too often.
func TestOthersDescribe(t *testing.T) {
	t.Parallel()
	asked := make(chan events.ModerateFor, 100)
	w := newWorld(t, func(c *Config) { c.Moderate = func(m events.ModerateFor) { asked <- m } })
	anna, bob := w.join("anna", describes), w.join("bob", func(o *events.Offer, _ *lightpeer.Options) { o.Person.Admin = true })
	anna.describes(3, "mine")
	bob.reads("anna", "mine")
	w.Describe("room", "key-anna", "theirs")
	for _, p := range []*person{anna, bob} {
		p.reads("anna", "theirs")
	}
	anna.describes(3, "late")
	anna.describes(4, "mine again")
	bob.reads("anna", "mine again")

	say := func(p *person, id string) {
		p.send(events.Moderate{Header: events.Head(events.ActionModerate), ID: id, Deed: events.SetMetadata, Metadata: "plans"})
	}
	say(anna, "a")
	anna.until("a refusal", func() bool {
		e, ok := last[events.Error](anna)
		return ok && e.ID == "a" && e.Code == events.CodeTokenNoPermission
	})
	for i := range describeBurst + 2 {
		say(bob, fmt.Sprint(i))
	}
	for range describeBurst {
		if m := <-asked; m.Deed != events.SetMetadata || m.Metadata != "plans" || m.Participant != "" || m.By != "key-bob" {
			t.Errorf("asked %+v", m)
		}
	}
	bob.until("a refusal", func() bool {
		e, ok := last[events.Error](bob)
		return ok && e.Code == events.CodeRateLimited && e.RetryAfterMs > 0
	})
}
