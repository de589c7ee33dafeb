package sfu

import (
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// peerOf is a node's side of somebody's connection.
func (w *world) peerOf(name string) *Peer {
	s := w.SFU
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peers[seat{"room", "key-" + name}]
}

// A node that asks somebody to move says what it found of the network, and the next
// one begins to estimate there and not anew.
func TestTheNewHomeBeginsWithTheOldOnesEstimate(t *testing.T) {
	t.Parallel()
	w, next := newWorld(t), newWorld(t, func(c *Config) { c.Node = "node-2" })
	_, ben := filmed(w)
	ben.until("something is known of his way", func() bool { return w.peerOf("ben").carries() > 0 })
	w.Move("room", []string{"key-ben"}, false)
	var told events.Move
	ben.until("he is asked to move", func() bool {
		var ok bool
		told, ok = last[events.Move](ben)
		return ok
	})
	if told.ReceiveKbps <= 0 {
		t.Fatalf("asked to move without being told what is known: %+v", told)
	}
	next.join("ben", func(o *events.Offer, _ *lightpeer.Options) {
		o.Revision, o.Session, o.From, o.ReceiveKbps = 2, "session-ben-2", "session-ben", told.ReceiveKbps
	})
	// Nobody is there of whom he could be sent anything that is measured.
	if got, want := next.starts("ben"), min(max(told.ReceiveKbps*800, 48_000), 8_000_000); got < want-1000 || got > want+1000 {
		t.Errorf("begins with %d bit/s after %d kbit/s were found, want %d", got, told.ReceiveKbps, want)
	}
}

// starts is where the estimate of somebody's way stands.
func (w *world) starts(name string) int64 {
	p := w.peerOf(name)
	p.egress.mu.Lock()
	defer p.egress.mu.Unlock()
	rate, _ := p.egress.watch.Estimate(w.now())
	return rate
}

// newStart is where an offer that says so many kbit/s begins.
func newStart(t *testing.T, kbps int64) int64 {
	t.Helper()
	p := newPeer(&SFU{epoch: time.Now()}, events.Offer{ReceiveKbps: kbps})
	rate, measured := p.egress.watch.Estimate(0)
	if measured {
		t.Error("what was found elsewhere counts as measured")
	}
	return rate
}

// Offers repeat what a browser says: nobody begins with less than a voice needs, nor
// with more than a home's network carries.
func TestWhatABrowserClaimsOfItsNetworkIsBounded(t *testing.T) {
	t.Parallel()
	const mostSafe = 1<<53 - 1
	for kbps, want := range map[int64]int64{1000: 800_000, 5000: 4_000_000, 100_000: 8_000_000, mostSafe: 8_000_000, 1: 48_000} {
		if got := newStart(t, kbps); got != want {
			t.Errorf("%d kbit/s begin at %d bit/s, want %d", kbps, got, want)
		}
	}
	for _, kbps := range []int64{-1, mostSafe + 1, -1 << 63} {
		p := newPerson(t, "anna", func(o *events.Offer, _ *lightpeer.Options) { o.ReceiveKbps = kbps })
		if p.offer.Validate() == nil {
			t.Errorf("an offer with %d kbit/s is taken", kbps)
		}
	}
}
