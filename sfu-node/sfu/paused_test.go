package sfu

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// On a way that does not carry even the smallest layer a picture pauses, which its
// receiver is told, and sound goes on; it comes back when the way is wider.
func TestPicturesPauseOnAWayTooNarrow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.join("anna")
	what := lightpeer.Playing{Layers: []string{"q"}, Sound: true}
	anna.publishes(1, what.Tracks()...)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	t.Cleanup(func() { stop(); <-ended })
	go func() {
		defer close(ended)
		_ = anna.Play(ctx, what)
	}()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	link := lightpeer.NewLink(conn, lightpeer.Way{Kbps: 3000}, lightpeer.Way{})
	ben := w.join("ben", func(_ *events.Offer, o *lightpeer.Options) { o.Socket = link })
	ben.flows("anna", 0, 0)
	paused := func() bool { s, ok := ben.carrying("anna", events.Camera); return ok && s.Paused }
	link.Down(lightpeer.Way{Kbps: 90})
	ben.until("the picture pauses", paused)
	heard := func() int { s, _ := ben.carrying("anna", events.Microphone); return len(ben.packets[s.Mid]) }
	ben.mu.Lock()
	before := heard()
	ben.mu.Unlock()
	ben.until("sound goes on", func() bool { return heard() > before+20 })
	link.Down(lightpeer.Way{Kbps: 3000})
	began := time.Now()
	ben.until("the picture is back", func() bool { return !paused() })
	t.Logf("back after %v", time.Since(began))
	ben.flows("anna", 0, 0)
}
