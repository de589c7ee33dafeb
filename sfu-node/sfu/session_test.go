package sfu

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// gone waits for the next departure.
func (w *world) gone() Departure {
	w.t.Helper()
	select {
	case d := <-w.left:
		return d
	case <-time.After(patience):
		w.t.Fatal("nobody left")
	}
	panic("unreachable")
}

func TestOfferIsIdempotent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := newPerson(t, "anna")
	p.offer.Revision = 5
	first, err := w.Join(t.Context(), p.offer, nil)
	if err != nil {
		t.Fatal(err)
	}
	refuse := events.Errorf(events.CodeNodeGone, "draining")
	if again, err := w.Join(t.Context(), p.offer, refuse); err != nil || again != first {
		t.Errorf("the same offer again: another answer, %v", err)
	}
	lower := p.offer
	lower.Revision = 4
	if _, err := w.Join(t.Context(), lower, nil); !errors.Is(err, ErrStale) {
		t.Errorf("a lower revision: %v", err)
	}
	other := newPerson(t, "ben")
	if _, err := w.Join(t.Context(), other.offer, refuse); err != error(refuse) {
		t.Errorf("somebody new though refused: %v", err)
	}
	if got := w.Report(); got.People != 1 || got.Members["room"]["key-anna"] != 5 {
		t.Errorf("the node carries %+v", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Accept(ctx, first); err != nil {
		t.Error(err)
	}
}

func TestHigherRevisionReplaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old, ben := w.join("anna"), w.join("ben")
	old.publishes(1, cameraOn)
	ben.until("the camera", func() bool { _, ok := ben.carrying("anna", events.Camera); return ok })
	bad := old.offer
	bad.Revision, bad.Offer = 2, events.Pack("v=0\r\nnonsense")
	if _, err := w.Join(t.Context(), bad, nil); err == nil {
		t.Fatal("nonsense is answered")
	}
	if got := w.Report().Members["room"]["key-anna"]; got != 1 {
		t.Fatalf("a bad offer leaves revision %d", got)
	}
	fresh := w.join("anna", func(o *events.Offer, _ *lightpeer.Options) { o.Revision, o.Session = 3, "session-again" })
	old.until("closing", func() bool {
		m, ok := last[events.Closing](old)
		return ok && m.Code == events.CodeReplaced
	})
	<-old.Closed()
	fresh.publishes(1, cameraOn)
	fresh.film("q")
	ben.until("the camera of the new session", func() bool {
		s, ok := ben.carrying("anna", events.Camera)
		got := ben.packets[s.Mid]
		return ok && len(got) > 0 && got[len(got)-1].CSRC[0] == s.CSRC
	})
	select {
	case d := <-w.left:
		t.Errorf("a replaced session is reported: %+v", d)
	default:
	}
	fresh.mu.Lock()
	defer fresh.mu.Unlock()
	if _, ok := fresh.carrying("anna", events.Camera); ok {
		t.Error("anna receives herself")
	}
}

func TestHowSessionsEnd(t *testing.T) {
	t.Parallel()
	remove := func(revision int64) func(*world, *person) {
		return func(w *world, p *person) { w.Remove("room", "key-anna", revision, events.CodeRemoved) }
	}
	press := func(keys ...string) func(*world, *person) {
		return func(w *world, _ *person) { w.Move("room", keys, true) }
	}
	for _, c := range []struct {
		name    string
		end     func(*world, *person)
		reason  events.LeftReason
		closing events.Code
	}{
		{"goodbye", func(_ *world, p *person) { p.send(events.Goodbye{Header: events.Head(events.ActionGoodbye)}) }, events.LeftByItself, ""},
		{"connection closed", func(_ *world, p *person) { _ = p.Close() }, events.LeftByItself, ""},
		{"removed", remove(1), events.LeftRemoved, events.CodeRemoved},
		{"removed with a later revision", remove(9), events.LeftRemoved, events.CodeRemoved},
		{"pressed to move", press("key-anna", "key-nobody"), events.LeftRemoved, events.CodeNodeGone},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			anna, ben := w.join("anna"), w.join("ben")
			ben.until("anna is here", func() bool { return ben.roster()["anna"] })
			c.end(w, anna)
			if d := w.gone(); d != (Departure{"room", "key-anna", 1, c.reason}) {
				t.Errorf("left %+v", d)
			}
			if c.closing != "" {
				anna.until("closing", func() bool {
					m, ok := last[events.Closing](anna)
					return ok && m.Code == c.closing
				})
			}
			ben.until("anna is gone", func() bool { return !ben.roster()["anna"] })
			if got := w.Report(); got.People != 1 {
				t.Errorf("the node carries %+v", got)
			}
		})
	}
}

// roster is who is in the room by the messages so far. The caller holds the lock.
func (p *person) roster() map[string]bool {
	here := map[string]bool{}
	for _, m := range p.messages {
		switch m := m.(type) {
		case events.Snapshot:
			if m.Part == 0 {
				clear(here)
			}
			for _, x := range m.Members {
				here[x.Identity] = true
			}
		case events.Delta:
			for _, x := range m.Changed {
				here[x.Identity] = true
			}
			for _, x := range m.Gone {
				delete(here, x)
			}
		}
	}
	return here
}

func TestRemoveLeavesLaterSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.join("anna", func(o *events.Offer, _ *lightpeer.Options) { o.Revision = 7 })
	if w.Remove("room", "key-anna", 6, events.CodeRemoved) {
		t.Error("a participant that is here counts as absent")
	}
	if !w.Remove("room", "key-nobody", 6, events.CodeRemoved) {
		t.Error("nobody counts as present")
	}
	if got := w.Report(); got.People != 1 {
		t.Errorf("the node carries %+v", got)
	}
}

func TestNeverConnected(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.ConnectWithin = 50 * time.Millisecond })
	p := newPerson(t, "anna")
	if _, err := w.Join(t.Context(), p.offer, nil); err != nil {
		t.Fatal(err)
	}
	if d := w.gone(); d.Reason != events.LeftNoConnect {
		t.Errorf("left %+v", d)
	}
	// The seat is free: the same session may come again.
	if _, err := w.Join(t.Context(), p.offer, nil); err != nil {
		t.Error(err)
	}
}

// plug is a socket that can be pulled out.
type plug struct {
	net.PacketConn
	out atomic.Bool
}

func newPlug(t *testing.T) *plug {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &plug{PacketConn: conn}
}

func (p *plug) WriteTo(b []byte, to net.Addr) (int, error) {
	if p.out.Load() {
		return len(b), nil
	}
	return p.PacketConn.WriteTo(b, to)
}

// Who shows no sign of life gets no video after a while, and is gone after a
// longer one; who comes back in between goes on.
func TestSilence(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.QuietAfter, c.GoneAfter = 300*time.Millisecond, 1500*time.Millisecond })
	cable := newPlug(t)
	anna := w.join("anna")
	ben := w.join("ben", func(_ *events.Offer, o *lightpeer.Options) { o.Socket = cable })
	keepAlive(t, ben)
	anna.publishes(1, cameraOn)
	anna.film("q", "h", "f")
	var s events.Stream
	ben.until("the camera", func() bool {
		var ok bool
		s, ok = ben.carrying("anna", events.Camera)
		return ok && len(ben.packets[s.Mid]) > 5
	})
	cable.out.Store(true)
	waitFor(t, "video is withheld", func() bool { return w.Counters().Dropped(DropQuiet) > 5 })
	cable.out.Store(false)
	ben.mu.Lock()
	had := len(ben.packets[s.Mid])
	ben.mu.Unlock()
	ben.until("the camera again", func() bool { return len(ben.packets[s.Mid]) > had+10 })
	ben.mu.Lock()
	checkUnbroken(t, ben.packets[s.Mid])
	ben.mu.Unlock()

	cable.out.Store(true)
	if d := w.gone(); d.Key != "key-ben" || d.Reason != events.LeftSilent {
		t.Errorf("left %+v", d)
	}
	cable.out.Store(false)
}

// keepAlive pings often, as browsers' media and consent checks would.
func keepAlive(t *testing.T, p *person) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	t.Cleanup(func() { stop(); <-ended })
	go func() {
		defer close(ended)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-p.Closed():
				return
			case <-tick.C:
				_ = p.Send(events.Ping{Header: events.Head(events.ActionPing), N: 1})
			}
		}
	}()
}

func TestCloseTellsEverybody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	people := []*person{w.join("anna"), w.join("ben")}
	for _, p := range people {
		p.until("the roster", func() bool { return p.roster()[p.offer.Person.Identity] })
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := time.Now()
	if err := w.Close(ctx, events.CodeNodeGone); err != nil {
		t.Fatal(err)
	}
	t.Logf("closed in %v", time.Since(began))
	for _, p := range people {
		p.until("closing", func() bool {
			m, ok := last[events.Closing](p)
			return ok && m.Code == events.CodeNodeGone
		})
		if d := w.gone(); d.Reason != events.LeftRemoved {
			t.Errorf("left %+v", d)
		}
	}
	late := newPerson(t, "late")
	_, err := w.Join(ctx, late.offer, nil)
	var coded *events.Error
	if !errors.As(err, &coded) || coded.Code != events.CodeNodeGone {
		t.Errorf("join after the end: %v", err)
	}
}
