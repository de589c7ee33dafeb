package sfu

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// What is of no use is stopped after a while, the smallest layer never, and goes on
// the moment somebody is to have it.
func TestUseOfLayers(t *testing.T) {
	t.Parallel()
	b := newBench(events.Camera)
	pub, s := b.pub, b.receiver(&discard{}, codecVP8)
	for i := range pub.flows {
		pub.flows[i] = layer.Flow{Live: true, Height: 180 << i}
	}
	want := func(now time.Duration, changed bool, stopped ...bool) {
		t.Helper()
		if got := pub.judge(now); got != changed || !slices.Equal(pub.usage.stopped[:], stopped) {
			t.Errorf("at %v changed %v, stopped %v; expected %v, %v", now, got, pub.usage.stopped, changed, stopped)
		}
	}
	s.target = 1
	want(time.Second, false, false, false, false)
	want(time.Second+unusedFor-1, false, false, false, false)
	want(time.Second+unusedFor, true, false, false, true)
	// Now it does not flow, but it would.
	pub.flows[2].Live = false
	want(20*time.Second, false, false, false, true)
	s.target = 2
	want(21*time.Second, true, false, false, false)
	if !pub.usage.pending(2, 21*time.Second+resumeFor-1) || pub.usage.pending(2, 21*time.Second+resumeFor) {
		t.Error("what was asked for again does not count as flowing for a while")
	}
	// Another node's wish counts as a stream's.
	pub.flows[2].Live = true
	s.target = layer.None
	pub.connect(1, nil)
	want(22*time.Second, false, false, false, false)
	want(22*time.Second+unusedFor, true, false, false, true)
}

// A publisher is told, and told in time.
func TestPublishersAreToldWhatIsOfUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.join("anna"), w.join("ben")
	what := lightpeer.Playing{Layers: []string{"q", "h", "f"}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	t.Cleanup(func() { stop(); <-ended })
	anna.publishes(1, what.Tracks()...)
	go func() {
		defer close(ended)
		_ = anna.Play(ctx, what)
	}()
	ben.wants(1, true, events.WantedVideo{Participant: "anna", Source: events.Camera, Height: 90})
	rids := func() []string {
		m, ok := last[events.Layers](anna)
		if !ok || len(m.Sources) == 0 {
			return nil
		}
		return m.Sources[0].Rids
	}
	anna.until("only the smallest is of use", func() bool { return slices.Equal(rids(), []string{"q"}) })
	if anna.Camera("f").Active() || !anna.Camera("q").Active() {
		t.Error("the client does not act on what it is told")
	}
	asked := time.Now()
	ben.wants(2, true, events.WantedVideo{Participant: "anna", Source: events.Camera, Height: 360})
	anna.until("the largest is of use again", func() bool { return slices.Contains(rids(), "f") || anna.Camera("f").Active() })
	// First it is found out whether the way carries it: 0.3 s, up to 6 s where the
	// machine is busy.
	t.Logf("the publisher was told after %v", time.Since(asked))
	ben.until("the large picture", func() bool {
		s, ok := ben.carrying("anna", events.Camera)
		packets := ben.packets[s.Mid]
		return ok && slices.ContainsFunc(packets, func(p *rtp.Packet) bool {
			v, ok := layer.ParseVP8(p.Payload)
			return ok && v.Key && v.Height == 360
		})
	})
}
