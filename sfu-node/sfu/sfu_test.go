package sfu

import (
	"slices"
	"testing"

	"github.com/pion/rtp"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
)

// Two publishers and a viewer: everybody gets the others, nobody itself.
func TestEverybodyReceivesTheOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben, vera := w.join("anna"), w.join("ben"), w.join("vera", viewer)
	for _, p := range []*person{anna, ben} {
		p.publishes(1, micOn, cameraOn)
		p.film("q", "h", "f")
	}
	for _, c := range []struct {
		who  *person
		sees []string
	}{{anna, []string{"ben"}}, {ben, []string{"anna"}}, {vera, []string{"anna", "ben"}}} {
		c.who.until("media of the others", func() bool {
			for _, other := range c.sees {
				sound, ok := c.who.carrying(other, events.Microphone)
				picture, ok2 := c.who.carrying(other, events.Camera)
				if !ok || !ok2 || len(c.who.packets[sound.Mid]) < 10 || len(c.who.packets[picture.Mid]) < 10 {
					return false
				}
			}
			return true
		})
		c.who.mu.Lock()
		m, _ := last[events.Streams](c.who)
		if len(m.Streams) != 2*len(c.sees) {
			t.Errorf("%s has streams %+v, expected two each of %v", c.who.offer.Person.Identity, m.Streams, c.sees)
		}
		for _, packets := range c.who.packets {
			checkUnbroken(t, packets)
		}
		c.who.mu.Unlock()
	}
}

// inOrder sorts packets by sequence number: those of two layers may overtake
// each other at a switch. It leaves the last ones out, between which others may
// still be under way.
func inOrder(packets []*rtp.Packet) []*rtp.Packet {
	if len(packets) == 0 {
		return nil
	}
	first := packets[0].SequenceNumber - 1000
	sorted := slices.Clone(packets)
	slices.SortStableFunc(sorted, func(a, b *rtp.Packet) int {
		return int(a.SequenceNumber-first) - int(b.SequenceNumber-first)
	})
	return sorted[:max(1, len(sorted)-4)]
}

// checkUnbroken checks that sequence numbers rise by one and that timestamps and
// picture ids never fall.
func checkUnbroken(t *testing.T, packets []*rtp.Packet) {
	t.Helper()
	checkRun(t, inOrder(packets))
}

// checkRun is checkUnbroken for packets that are in order.
func checkRun(t *testing.T, packets []*rtp.Packet) {
	t.Helper()
	for i := 1; i < len(packets); i++ {
		a, b := packets[i-1], packets[i]
		if b.SequenceNumber-a.SequenceNumber != 1 {
			t.Fatalf("sequence number %d follows %d", b.SequenceNumber, a.SequenceNumber)
		}
		if int32(b.Timestamp-a.Timestamp) < 0 {
			t.Fatalf("timestamp %d follows %d", b.Timestamp, a.Timestamp)
		}
		va, ok := layer.ParseVP8(a.Payload)
		vb, ok2 := layer.ParseVP8(b.Payload)
		if !ok || !ok2 || !va.HasPictureID() || !vb.HasPictureID() {
			continue
		}
		step := (vb.PictureID - va.PictureID) & 0x7fff
		if same := a.Timestamp == b.Timestamp; same != (step == 0) || step > 1 {
			t.Fatalf("picture %d at %d follows %d at %d", vb.PictureID, b.Timestamp, va.PictureID, a.Timestamp)
		}
	}
}
