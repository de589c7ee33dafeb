package sfu

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// few makes more than three viewers of a room too many to be listed.
func few(c *Config) { c.ListedViewers = 3 }

// small is a viewer who costs a test little.
func small(o *events.Offer, l *lightpeer.Options) {
	viewer(o, l)
	l.Audio, l.Video = 1, 1
}

// watch lets viewers join, whose names begin with this.
func (w *world) watch(name string, n int) []*person {
	w.t.Helper()
	var all []*person
	for i := range n {
		all = append(all, w.join(fmt.Sprint(name, i), small))
	}
	return all
}

// audience is what a person was last told of it. The caller holds the lock.
func (p *person) audience() (viewers, here int) {
	for _, m := range p.messages {
		switch m := m.(type) {
		case events.Snapshot:
			viewers, here = m.Viewers, m.ViewersHere
		case events.Delta:
			viewers, here = m.Viewers, m.ViewersHere
		}
	}
	return viewers, here
}

// lists waits until a person's roster has these people and no others, and it was
// told of so many viewers, of whom so many are on its own node.
func (p *person) lists(viewers, here int, people ...string) {
	p.t.Helper()
	slices.Sort(people)
	p.until(fmt.Sprintf("the roster is %v with %d viewers, %d of them here", people, viewers, here), func() bool {
		all, near := p.audience()
		return all == viewers && near == here && slices.Equal(slices.Sorted(maps.Keys(p.people())), people)
	})
}

// Viewers are listed while they are few. Then everybody has the stage, itself and
// their number; and all of them again when enough have gone.
func TestALargeAudienceIsCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, few)
	anna := w.join("anna")
	viewers := w.watch("v", 3)
	for _, p := range append(viewers, anna) {
		p.lists(3, 3, "anna", "v0", "v1", "v2")
	}
	viewers = append(viewers, w.watch("late", 2)...)
	for _, p := range viewers {
		p.lists(5, 5, "anna", p.offer.Person.Identity)
	}
	anna.lists(5, 5, "anna")
	bob := w.join("bob")
	for _, p := range viewers {
		p.lists(5, 5, "anna", "bob", p.offer.Person.Identity)
	}
	bob.lists(5, 5, "anna", "bob")
	anna.lists(5, 5, "anna", "bob")
	anna.mu.Lock()
	checkNumbers(t, anna.messages)
	anna.mu.Unlock()
	// At three they stay unlisted, at two they are few again.
	for i, p := range viewers[2:] {
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if i < 2 {
			anna.lists(4-i, 4-i, "anna", "bob")
		}
	}
	for _, p := range []*person{anna, bob, viewers[0], viewers[1]} {
		p.lists(2, 2, "anna", "bob", "v0", "v1")
	}
}

// Who leaves the stage of a large room is gone for the others but not for itself,
// and who comes onto it is there for all.
func TestTheStageOfALargeRoomChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, few)
	anna, bob := w.join("anna"), w.join("bob")
	viewers := w.watch("v", 4)
	anna.lists(4, 4, "anna", "bob")
	w.Recast("room", "key-v0", 1, events.Publisher)
	for _, p := range []*person{anna, bob, viewers[0]} {
		p.lists(3, 3, "anna", "bob", "v0")
	}
	viewers[1].lists(3, 3, "anna", "bob", "v0", "v1")
	viewers[0].until("to be on stage", func() bool { return viewers[0].people()["v0"].Role == events.Publisher })
	w.Recast("room", "key-bob", 1, events.Viewer)
	anna.lists(4, 4, "anna", "v0")
	bob.lists(4, 4, "anna", "bob", "v0")
	bob.until("to know that it watches", func() bool { return bob.people()["bob"].Role == events.Viewer })
	// Another one leaves: numbers are without a gap for who got a snapshot in between.
	w.Recast("room", "key-v0", 1, events.Viewer)
	bob.lists(5, 5, "anna", "bob")
	for _, p := range []*person{anna, bob} {
		p.mu.Lock()
		checkNumbers(t, p.messages)
		p.mu.Unlock()
	}
}

// viewersKnown are the viewers of other nodes whom a node knows by name.
func (w *world) viewersKnown() (names []string) {
	w.mu.Lock()
	room := w.rooms["room"]
	w.mu.Unlock()
	room.mu.Lock()
	defer room.mu.Unlock()
	for identity, rem := range room.remotes {
		if rem.best.Role == events.Viewer {
			names = append(names, identity)
		}
	}
	return names
}

// A room's audience is one over its nodes: each has the same numbers, and names
// only while they are few. A node that comes late, and one that was cut off, have
// them too.
func TestAnAudienceOverNodesIsCounted(t *testing.T) {
	t.Parallel()
	s := newSpread(t, 3, few)
	road := s.road(1, 2)
	s.join("room", [2]int{0, 1})
	anna, bob := s.nodes[0].join("anna"), s.nodes[1].join("bob")
	here, there := s.nodes[0].watch("here", 2), s.nodes[1].watch("there", 1)
	for _, p := range append(here, anna) {
		p.lists(3, 2, "anna", "bob", "here0", "here1", "there0")
	}
	there[0].lists(3, 1, "anna", "bob", "here0", "here1", "there0")
	// Neither side has too many by itself: the room has.
	there = append(there, s.nodes[1].watch("more", 1)...)
	anna.lists(4, 2, "anna", "bob")
	bob.lists(4, 2, "anna", "bob")
	there[1].lists(4, 2, "anna", "bob", "more0")
	// Now one has.
	there = append(there, s.nodes[1].watch("crowd", 3)...)
	anna.lists(7, 2, "anna", "bob")
	here[0].lists(7, 2, "anna", "bob", "here0")
	waitFor(t, "the first node knows no viewer of the second by name", func() bool { return len(s.nodes[0].viewersKnown()) == 0 })
	// The third node comes late, and hears of the first over the second.
	s.join("room", [2]int{0, 1}, [2]int{1, 2})
	carl := s.nodes[2].join("carl")
	far := s.nodes[2].watch("far", 2)
	carl.lists(9, 2, "anna", "bob", "carl")
	far[1].lists(9, 2, "anna", "bob", "carl", "far1")
	anna.lists(9, 2, "anna", "bob", "carl")
	if names := s.nodes[2].viewersKnown(); len(names) > 0 {
		t.Errorf("the third node knows %v by name", names)
	}
	// Somebody leaves while the third is cut off. Then all is as it was, but for that.
	road.Cut()
	carl.until("anna is unreachable", func() bool { return carl.people()["anna"].Unreachable })
	if err := there[4].Close(); err != nil {
		t.Fatal(err)
	}
	anna.lists(8, 2, "anna", "bob", "carl")
	carl.until("still the number from before", func() bool { n, _ := carl.audience(); return n == 9 })
	road.Heal()
	carl.lists(8, 2, "anna", "bob", "carl")
	carl.until("anna is back", func() bool { return !carl.people()["anna"].Unreachable })
	// A few are left: they are listed again, everywhere.
	for _, p := range append(there[:4:4], far...) {
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	everybody := []string{"anna", "bob", "carl", "here0", "here1"}
	anna.lists(2, 2, slices.Clone(everybody)...)
	here[0].lists(2, 2, slices.Clone(everybody)...)
	carl.lists(2, 0, slices.Clone(everybody)...)
	for _, p := range []*person{anna, bob, carl} {
		p.mu.Lock()
		checkNumbers(t, p.messages)
		p.mu.Unlock()
	}
}

// When a node is lost for long, its viewers are not counted any more.
func TestViewersOfALostNodeAreForgotten(t *testing.T) {
	t.Parallel()
	s := newSpread(t, 2, few, func(c *Config) { c.KeepLost = time.Second })
	road := s.road(0, 1)
	s.join("room", [2]int{0, 1})
	anna, bob := s.nodes[0].join("anna"), s.nodes[1].join("bob")
	s.nodes[1].watch("v", 4)
	anna.lists(4, 0, "anna", "bob")
	road.Cut()
	anna.until("bob is unreachable", func() bool { return anna.people()["bob"].Unreachable })
	anna.lists(0, 0, "anna")
	bob.lists(4, 4, "bob")
	road.Heal()
	anna.lists(4, 0, "anna", "bob")
}

// A crowd of viewers costs each member a message a second and not one for each.
func TestACrowdOfViewersIsToldInBatches(t *testing.T) {
	t.Parallel()
	r := crowd(2, func(i int) string { return fmt.Sprint("p", i) })
	come := func(i int) {
		name := fmt.Sprint("v", i)
		r.members[name] = newPeer(r.sfu, events.Offer{Person: events.Person{Identity: name, Role: events.Viewer}})
		r.roll.change(name)
	}
	for i := range events.MaxListedViewers + 1 {
		come(i)
	}
	r.takeStock()
	if told := r.roll.flush(r, 0); !r.audience.unlisted || len(told) > 0 {
		t.Fatalf("a hundred and one are listed in %d messages", len(told))
	}
	var messages [][]byte
	for i := range 1000 - events.MaxListedViewers - 1 { // one each 10 ms
		come(events.MaxListedViewers + 1 + i)
		r.takeStock()
		if now := time.Duration(i) * 10 * time.Millisecond; r.roll.due(r.audience, now) {
			messages = append(messages, r.roll.flush(r, now)...)
		}
	}
	if len(messages) < 7 || len(messages) > 10 {
		t.Errorf("%d messages of 899 viewers in 9 s", len(messages))
	}
	for _, raw := range messages {
		if len(raw) > 100 {
			t.Errorf("%d bytes: %.200s", len(raw), raw)
		}
	}
	if all := r.audience.all; all != 1000 {
		t.Errorf("%d viewers", all)
	}
}
