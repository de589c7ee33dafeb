package sfu

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// crowd makes a room of n members without connections.
func crowd(n int, name func(int) string) *Room {
	s := &SFU{cfg: Config{Node: "node-1", ListedViewers: events.MaxListedViewers}, epoch: time.Now()}
	r := &Room{sfu: s, name: "room", members: map[string]*Peer{}, roll: newRoll()}
	for i := range n {
		p := newPeer(s, events.Offer{Person: events.Person{Identity: name(i), Name: strings.Repeat("n", i%events.MaxName), Role: events.Publisher,
			Metadata: strings.Repeat("\"", i%events.MaxMetadata)}})
		p.joined = time.Unix(1000, 0)
		r.members[name(i)] = p
		r.arrivals = append(r.arrivals, p)
	}
	return r
}

func TestSnapshotParts(t *testing.T) {
	t.Parallel()
	long := func(i int) string { return fmt.Sprintf("%s%05d", strings.Repeat("\\", events.MaxName-5), i) }
	short := func(i int) string { return fmt.Sprint("p", i) }
	for _, c := range []struct {
		n    int
		name func(int) string
	}{{0, short}, {1, short}, {50, short}, {1000, short}, {300, long}} {
		r := crowd(c.n, c.name)
		r.roll.seq = 17
		messages := r.roll.snapshot(r, "me")
		var got []string
		for i, raw := range messages {
			m, err := events.Decode(events.ToSDK, raw)
			if err != nil {
				t.Fatalf("part %d of %d bytes: %v", i, len(raw), err)
			}
			s := m.(events.Snapshot)
			if s.Part != i || s.Parts != len(messages) || s.Seq != 17 || s.Self != "me" || s.Room != "room" {
				t.Fatalf("part %d says %d of %d, seq %d", i, s.Part, s.Parts, s.Seq)
			}
			for _, x := range s.Members {
				got = append(got, x.Identity)
			}
		}
		if len(got) != c.n || c.n > 0 && !slices.Equal(got, names(c.n, c.name)) {
			t.Errorf("%d members: the snapshot has %d", c.n, len(got))
		}
	}
}

func names(n int, name func(int) string) []string {
	var all []string
	for i := range n {
		all = append(all, name(i))
	}
	return all
}

func TestDeltas(t *testing.T) {
	t.Parallel()
	name := func(i int) string { return fmt.Sprintf("%s%05d", strings.Repeat("é", 50), i) }
	r := crowd(200, name)
	for i := range 200 {
		r.roll.change(name(i))
	}
	for i := range 150 {
		name := fmt.Sprintf("gone-%s-%d", strings.Repeat("\"", 100), i)
		r.roll.listed[name] = true
		r.roll.remove(name)
	}
	r.roll.remove("nobody has been told of this one")
	if !r.roll.due(r.audience, 0) {
		t.Fatal("the first change is not due at once")
	}
	changed, gone := 0, 0
	for i, raw := range r.roll.flush(r, 0) {
		m, err := events.Decode(events.ToSDK, raw)
		if err != nil {
			t.Fatalf("delta of %d bytes: %v", len(raw), err)
		}
		d := m.(events.Delta)
		if d.Seq != int64(i+1) {
			t.Fatalf("delta %d has number %d", i+1, d.Seq)
		}
		changed += len(d.Changed)
		gone += len(d.Gone)
	}
	if changed != 200 || gone != 150 {
		t.Errorf("%d changed, %d gone", changed, gone)
	}
	if r.roll.dirty() {
		t.Error("told changes are told again")
	}
	r.roll.change(name(1))
	if r.roll.due(r.audience, rosterEvery-1) {
		t.Error("a change is told at once though another was just told")
	}
	if !r.roll.due(r.audience, rosterEvery) {
		t.Error("a change is not told in time")
	}
	r.roll.remove(name(1))
	delete(r.members, name(1))
	messages := r.roll.flush(r, rosterEvery)
	var d events.Delta
	if len(messages) != 1 || json.Unmarshal(messages[0], &d) != nil || len(d.Changed) != 0 || !slices.Equal(d.Gone, []string{name(1)}) {
		t.Errorf("who came and went: %s", messages)
	}
}

// The roster that a member puts together from snapshot and deltas is the room's,
// and the deltas are numbered without gaps from the snapshot on.
func TestRosterOverTheChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	small := func(_ *events.Offer, o *lightpeer.Options) { o.Audio, o.Video = 1, 1 }
	anna := w.join("anna", small)
	others := []*person{w.join("ben", small), w.join("carl", small, viewer), w.join("dora", small)}
	others[0].publishes(1, micOn, cameraOn)
	anna.until("everybody", func() bool { return len(anna.roster()) == 4 })
	anna.until("ben's tracks", func() bool { return len(anna.tracksOf("ben")) == 2 })
	others[2].send(events.Goodbye{Header: events.Head(events.ActionGoodbye)})
	others[0].publishes(2, micOn)
	anna.until("dora is gone", func() bool { return len(anna.roster()) == 3 })
	anna.until("ben's camera is off", func() bool { return len(anna.tracksOf("ben")) == 1 })
	anna.mu.Lock()
	checkNumbers(t, anna.messages)
	before := len(anna.messages)
	anna.mu.Unlock()
	anna.send(events.Resync{Header: events.Head(events.ActionResync)})
	anna.until("the roster again", func() bool {
		return slices.ContainsFunc(anna.messages[before:], func(m events.Message) bool {
			s, ok := m.(events.Snapshot)
			return ok && len(s.Members) == 3 && s.Self == "anna"
		})
	})
	if got := others[1].roleOf("carl"); got != events.Viewer {
		t.Errorf("carl is %q", got)
	}
}

func checkNumbers(t *testing.T, messages []events.Message) {
	t.Helper()
	var seq int64
	for _, m := range messages {
		switch m := m.(type) {
		case events.Snapshot:
			seq = m.Seq
		case events.Delta:
			if m.Seq != seq+1 {
				t.Errorf("delta %d follows %d", m.Seq, seq)
			}
			seq = m.Seq
		}
	}
}

// memberNow is somebody as the newest message shows it. The caller holds the lock.
func (p *person) memberNow(identity string) (found events.Member) {
	for _, m := range p.messages {
		var list []events.Member
		switch m := m.(type) {
		case events.Snapshot:
			list = m.Members
		case events.Delta:
			list = m.Changed
		}
		for _, x := range list {
			if x.Identity == identity {
				found = x
			}
		}
	}
	return found
}

func (p *person) tracksOf(identity string) []events.Track { return p.memberNow(identity).Tracks }

func (p *person) roleOf(identity string) events.Role {
	p.until(identity+" is here", func() bool { return p.roster()[identity] })
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.memberNow(identity).Role
}

func TestPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name            string
		streams, chosen string
		want            string
	}{
		{"nothing", "", "", ""},
		{"fill", "...", "ab", "ab."},
		{"keep", "ab.", "ba", "ab."},
		{"keep and fill", "ab.", "bc", "cb."},
		{"take away", "abc", "b", ".b."},
		{"all others", "abc", "xyz", "xyz"},
		{"more than streams", "ab", "xyz", "xy"},
		{"swap one", "abc", "cdb", "dbc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := []rune(strings.ReplaceAll(c.streams, ".", "\x00"))
			out := string(place(got, []rune(c.chosen)))
			if out = strings.ReplaceAll(out, "\x00", "."); out != c.want {
				t.Errorf("%q and %q give %q, expected %q", c.streams, c.chosen, out, c.want)
			}
		})
	}
}
