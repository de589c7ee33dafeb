package sfu

import (
	"testing"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// again makes a second session of anna that goes on from the first.
func again(o *events.Offer, _ *lightpeer.Options) {
	o.Revision, o.Session, o.From = 3, "session-again", "session-anna"
}

// filmed makes anna film, and ben see and hear her.
func filmed(w *world) (anna, ben *person) {
	anna, ben = w.join("anna"), w.join("ben")
	anna.publishes(1, micOn, cameraOn)
	anna.film("q", "h")
	ben.flows("anna", 0, 0)
	return anna, ben
}

// flows waits until more than the given numbers of packets of a person's camera
// and microphone have come, and returns how many have.
func (p *person) flows(name string, video, audio int) (int, int) {
	p.t.Helper()
	count := func(source events.Source) int {
		s, _ := p.carrying(name, source)
		return len(p.packets[s.Mid])
	}
	var v, a int
	p.until("media of "+name, func() bool {
		v, a = count(events.Camera), count(events.Microphone)
		return v > video+10 && a > audio+10
	})
	return v, a
}

// inherited reports whether the new incarnations are what receivers have.
func inherited(w *world) bool {
	s := w.SFU
	s.mu.Lock()
	room := s.rooms["room"]
	s.mu.Unlock()
	room.mu.Lock()
	defer room.mu.Unlock()
	p := room.members["anna"]
	for _, source := range []events.Source{events.Microphone, events.Camera} {
		if pub := p.pubs[source]; p.session != "session-again" || !pub.listed.Load() || pub.prior != nil || len(pub.all()) != 1 {
			return false
		}
	}
	return true
}

func TestReceiversDoNotNoticeAPublishersNewConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old, ben := filmed(w)
	ben.mu.Lock()
	before, _ := ben.carrying("anna", events.Camera)
	ben.mu.Unlock()
	fresh := w.join("anna", again)
	if got := w.Report(); got.People != 2 || got.Members["room"]["key-anna"] != 3 {
		t.Errorf("two connections of one seat are counted as %+v", got)
	}
	fresh.publishes(1, micOn, cameraOn)
	fresh.film("q", "h")
	ben.until("the new incarnations", func() bool { return inherited(w) })
	old.send(events.Goodbye{Header: events.Head(events.ActionGoodbye)})
	<-old.Closed()
	ben.mu.Lock()
	have := len(ben.packets[before.Mid])
	ben.mu.Unlock()
	ben.flows("anna", have, 0)

	ben.mu.Lock()
	defer ben.mu.Unlock()
	for _, m := range ben.messages {
		switch m := m.(type) {
		case events.Streams:
			for _, s := range m.Streams {
				if s.Source == events.Camera && s.Participant == "anna" && (s.CSRC != before.CSRC || s.Timestamp != before.Timestamp) {
					t.Errorf("the map changed from %+v to %+v", before, s)
				}
			}
		case events.Delta:
			if len(m.Gone) > 0 {
				t.Errorf("%v left", m.Gone)
			}
			for _, x := range m.Changed {
				if x.Identity == "anna" && m.Seq > 3 && len(x.Tracks) != 2 {
					t.Errorf("anna is told to publish %v", x.Tracks)
				}
			}
		}
	}
	contiguous(t, ben, before)
	heardOnce(t, ben, "anna")
	for _, p := range []*person{old, fresh} {
		notHerself(t, p)
	}
	select {
	case d := <-w.left:
		t.Errorf("anna is reported to have left: %+v", d)
	default:
	}
}

// heardOnce checks that no map says that two streams carry the same of somebody. The
// caller holds the lock.
func heardOnce(t *testing.T, p *person, of string) {
	t.Helper()
	for _, m := range p.messages {
		streams, _ := m.(events.Streams)
		carried := map[events.Source]int{}
		for _, s := range streams.Streams {
			if s.Participant == of {
				carried[s.Source]++
			}
		}
		for source, n := range carried {
			if n > 1 {
				t.Errorf("%s of %s is on %d streams at a time", source, of, n)
			}
		}
	}
}

// notHerself checks that somebody who is alone to publish was sent nothing.
func notHerself(t *testing.T, p *person) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.messages {
		if streams, ok := m.(events.Streams); ok && len(streams.Streams) > 0 {
			t.Errorf("%s is to receive herself: %+v", p.offer.Session, streams.Streams)
		}
	}
	for mid, packets := range p.packets {
		for _, packet := range packets {
			if len(packet.Payload) > 0 { // probes are padding
				t.Fatalf("%s was sent %+v on %s", p.offer.Session, packet.Header, mid)
			}
		}
	}
}

// contiguous checks that what came on a stream is one run of numbers, of one
// source, that never goes back in time.
func contiguous(t *testing.T, p *person, s events.Stream) {
	t.Helper()
	packets := p.packets[s.Mid]
	seen := map[uint16]bool{}
	for i, packet := range packets {
		seen[packet.SequenceNumber] = true
		if packet.CSRC[0] != s.CSRC {
			t.Fatalf("packet %d names source %d, want %d", i, packet.CSRC[0], s.CSRC)
		}
		if i > 0 && int32(packet.Timestamp-packets[i-1].Timestamp) < 0 && int16(packet.SequenceNumber-packets[i-1].SequenceNumber) > 0 {
			t.Fatalf("packet %d goes back from %d to %d", i, packets[i-1].Timestamp, packet.Timestamp)
		}
	}
	first, last := packets[0].SequenceNumber, packets[len(packets)-1].SequenceNumber
	if missing := int(last-first) + 1 - len(seen); missing > 2 {
		t.Errorf("%d of %d numbers are missing", missing, last-first)
	}
}

func TestANewConnectionThatComesToNothingChangesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		fail func(*world, *person)
	}{
		{"before it publishes", func(_ *world, p *person) {}},
		{"after it was taken over", func(w *world, p *person) {
			p.publishes(1, micOn, cameraOn)
			p.film("q", "h")
			p.until("the new incarnations", func() bool { return inherited(w) })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			old, ben := filmed(w)
			fresh := w.join("anna", again)
			c.fail(w, fresh)
			fresh.send(events.Goodbye{Header: events.Head(events.ActionGoodbye)})
			<-fresh.Closed()
			ben.until("the old connection has the seat", func() bool { return w.Report().Members["room"]["key-anna"] == 3 && !inherited(w) })
			ben.mu.Lock()
			v, a := 0, 0
			for source, n := range map[events.Source]*int{events.Camera: &v, events.Microphone: &a} {
				s, _ := ben.carrying("anna", source)
				*n = len(ben.packets[s.Mid])
			}
			ben.mu.Unlock()
			ben.flows("anna", v, a)
			select {
			case d := <-w.left:
				t.Errorf("reported: %+v", d)
			default:
			}
			old.send(events.Goodbye{Header: events.Head(events.ActionGoodbye)})
			if d := w.gone(); d != (Departure{"room", "key-anna", 3, events.LeftByItself}) {
				t.Errorf("left %+v", d)
			}
		})
	}
}
