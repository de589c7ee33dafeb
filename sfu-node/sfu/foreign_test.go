package sfu

import (
	"testing"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// Who did not offer the codec of a picture is told so, keeps its streams for others, and
// sees it once it comes in another codec.
func TestWhoCannotDecodeIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.join("anna"), w.join("ben")
	eve := w.join("eve", viewer, func(o *events.Offer, _ *lightpeer.Options) { o.Profile.VideoStreams = 1 })
	anna.publishes(1, cameraOn)
	eve.until("anna", func() bool { _, ok := eve.carrying("anna", events.Camera); return ok })
	// These peers offer VP8 only.
	p, _ := w.peer(seat{"room", "key-anna"})
	p.pubs[events.Camera].codec.Store(uint32(codecAV1))
	eve.until("to be told", func() bool { s, ok := eve.carrying("anna", events.Camera); return ok && s.Undecodable })
	ben.publishes(1, cameraOn)
	eve.until("ben in her place", func() bool { s, ok := eve.carrying("ben", events.Camera); return ok && !s.Undecodable })
	ben.film("q")
	eve.until("ben's picture", func() bool { s, ok := eve.carrying("ben", events.Camera); return ok && len(eve.packets[s.Mid]) > 5 })
	eve.send(events.Want{Header: events.Head(events.ActionWant), Revision: 1, Video: []events.WantedVideo{{Participant: "anna", Source: events.Camera, Height: 180, Pinned: true}}})
	eve.until("to be told again, since she asks", func() bool { s, ok := eve.carrying("anna", events.Camera); return ok && s.Undecodable })
	p.pubs[events.Camera].codec.Store(uint32(codecVP8))
	eve.until("to be told otherwise", func() bool { s, ok := eve.carrying("anna", events.Camera); return ok && !s.Undecodable })
	before := 0
	eve.until("a count", func() bool {
		s, _ := eve.carrying("anna", events.Camera)
		before = len(eve.packets[s.Mid])
		return true
	})
	anna.film("q")
	eve.until("the picture", func() bool {
		s, ok := eve.carrying("anna", events.Camera)
		return ok && len(eve.packets[s.Mid]) > before+5
	})
	if n := w.Counters().Dropped(DropCodec); n != 0 {
		t.Errorf("%d packets were to go to who cannot decode them", n)
	}
}
