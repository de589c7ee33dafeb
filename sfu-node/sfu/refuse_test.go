package sfu

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// Whatever comes as an offer, even what the contract would have refused before,
// is refused with a code, and the node goes on.
func TestBadOffers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := newPerson(t, "anna")
	sdp, err := events.Unpack(good.offer.Offer)
	if err != nil {
		t.Fatal(err)
	}
	without := func(prefix string) string {
		var kept []string
		for line := range strings.Lines(sdp) {
			if !strings.HasPrefix(line, prefix) {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
	section := func(i int) string {
		return fmt.Sprintf("m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:x%d\r\na=recvonly\r\na=rtpmap:96 VP8/90000\r\n", i)
	}
	many := strings.Builder{}
	many.WriteString(sdp)
	for i := range 500 {
		many.WriteString(section(i))
	}
	for _, c := range []struct{ name, sdp string }{
		{"empty", ""},
		{"garbage", "\x00\xff\x01garbage"},
		{"begins well", "v=0\r\n"},
		{"no sections", "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"},
		{"no fingerprint", without("a=fingerprint")},
		{"a fingerprint that is none", strings.ReplaceAll(sdp, "sha-256 ", "sha-256 ZZ")},
		{"no credentials", without("a=ice-")},
		{"no mids", without("a=mid")},
		{"500 sections", many.String()},
		{"payload types that are none", strings.ReplaceAll(sdp, "a=rtpmap:96", "a=rtpmap:999999")},
		{"twice", sdp + sdp},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := good.offer
			o.Offer = events.Pack(c.sdp)
			_, err := w.Join(t.Context(), o, nil)
			var coded *events.Error
			if !errors.As(err, &coded) || coded.Code != events.CodeBadOffer {
				// Those that the contract refuses need not fail here as well.
				if o.Validate() == nil || err != nil {
					t.Errorf("join: %v", err)
				}
			}
		})
	}
	if p := w.join("ben"); !p.isHere() {
		t.Error("the node does not serve any more")
	}
}

// isHere waits until the person is in its own roster.
func (p *person) isHere() bool {
	p.t.Helper()
	p.until("the roster", func() bool { return p.roster()[p.offer.Person.Identity] })
	return true
}

// Offers with lines missing, doubled, swapped or cut are answered or refused,
// and leave nothing behind.
func TestMutatedOffers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := newPerson(t, "anna", func(_ *events.Offer, o *lightpeer.Options) { o.Audio, o.Video = 1, 1 })
	sdp, err := events.Unpack(p.offer.Offer)
	if err != nil {
		t.Fatal(err)
	}
	const seed = 4
	r := rand.New(rand.NewPCG(seed, seed))
	answered := 0
	for n := range 120 {
		lines := strings.SplitAfter(sdp, "\r\n")
		for range 1 + r.IntN(4) {
			i, k := r.IntN(len(lines)), r.IntN(len(lines))
			switch r.IntN(5) {
			case 0:
				lines[i] = ""
			case 1:
				lines[i] += lines[k]
			case 2:
				lines[i], lines[k] = lines[k], lines[i]
			case 3:
				lines[i] = lines[i][:r.IntN(len(lines[i])+1)]
			case 4:
				lines[i] = strings.ReplaceAll(lines[i], ":", ":9")
			}
		}
		o := p.offer
		o.Revision, o.Offer = int64(n+1), events.Pack(strings.Join(lines, ""))
		_, err := w.Join(t.Context(), o, nil)
		var coded *events.Error
		switch {
		case err == nil:
			answered++
		case !errors.As(err, &coded):
			t.Errorf("seed %d, offer %d: an error without a code: %v", seed, n, err)
		case coded.Code != events.CodeBadOffer:
			t.Errorf("seed %d, offer %d: %v", seed, n, err)
		}
	}
	t.Logf("%d of 120 were answered", answered)
	if got := w.Report().People; got > 1 {
		t.Errorf("%d people in one seat", got)
	}
}

func TestBadMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.join("anna"), w.join("ben")
	for _, c := range []struct {
		name, raw string
		want      events.Code
	}{
		{"not JSON", "hello", events.CodeBadJSON},
		{"an array", "[1,2]", events.CodeBadJSON},
		{"no action", `{"v":1}`, events.CodeBadField},
		{"unknown action", `{"action":"dance","v":1}`, events.CodeUnknownAction},
		{"an action of another border", `{"action":"heartbeat","v":1}`, events.CodeUnknownAction},
		{"another version", `{"action":"ping","v":2,"n":1}`, events.CodeBadVersion},
		{"wrong type", `{"action":"ping","v":1,"n":"one"}`, events.CodeBadField},
		{"unknown source", `{"action":"tracks","v":1,"revision":1,"tracks":[{"source":"smell"}]}`, events.CodeBadField},
		{"too large", `{"action":"ping","v":1,"n":1,"x":"` + strings.Repeat("x", events.MaxChannel) + `"}`, events.CodeTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			anna.mu.Lock()
			before := len(anna.messages)
			anna.mu.Unlock()
			if err := anna.SendRaw([]byte(c.raw)); err != nil {
				t.Fatal(err)
			}
			anna.until("an error", func() bool {
				for _, m := range anna.messages[before:] {
					if e, ok := m.(events.Error); ok && e.Code == c.want {
						return true
					}
				}
				return false
			})
		})
	}
	anna.send(events.Ping{Header: events.Head(events.ActionPing), N: 42})
	anna.until("pong", func() bool { m, ok := last[events.Pong](anna); return ok && m.N == 42 })
	ben.send(events.Ping{Header: events.Head(events.ActionPing), N: 43})
	ben.until("pong", func() bool { m, ok := last[events.Pong](ben); return ok && m.N == 43 })
	ben.mu.Lock()
	defer ben.mu.Unlock()
	if e, ok := last[events.Error](ben); ok {
		t.Errorf("ben got %v, which was anna's", e)
	}
}

func TestFlood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.join("anna"), w.join("ben")
	anna.isHere()
	for n := range 3 * floodBurst {
		_ = anna.Send(events.Ping{Header: events.Head(events.ActionPing), N: int64(n)})
	}
	anna.until("an error and the end", func() bool {
		e, ok := last[events.Error](anna)
		c, ok2 := last[events.Closing](anna)
		return ok && ok2 && e.Code == events.CodeBusy && c.Code == events.CodeBusy
	})
	if d := w.gone(); d.Key != "key-anna" {
		t.Errorf("left %+v", d)
	}
	ben.isHere()
	ben.send(events.Ping{Header: events.Head(events.ActionPing), N: 7})
	ben.until("pong", func() bool { m, ok := last[events.Pong](ben); return ok && m.N == 7 })
}

// What viewers send goes nowhere.
func TestViewersDoNotPublish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	vera, ben := w.join("vera", viewer), w.join("ben")
	ben.isHere()
	vera.publishes(1, micOn, cameraOn)
	vera.until("a refusal", func() bool {
		e, ok := last[events.Error](vera)
		return ok && e.Code == events.CodeTokenNoPermission
	})
	vera.film("q", "h", "f")
	waitFor(t, "packets are dropped", func() bool { return w.Counters().Dropped(DropViewer) > 20 })
	ben.mu.Lock()
	defer ben.mu.Unlock()
	if len(ben.packets) > 0 {
		t.Error("ben receives what a viewer sends")
	}
}

// A token may allow some sources only.
func TestSourcesThatTheTokenDoesNotAllow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.join("anna", func(o *events.Offer, _ *lightpeer.Options) { o.Person.Sources = []events.Source{events.Microphone} })
	ben := w.join("ben")
	ben.isHere()
	anna.publishes(1, micOn, cameraOn)
	anna.until("a refusal", func() bool {
		e, ok := last[events.Error](anna)
		return ok && e.Code == events.CodeTokenNoPermission
	})
	anna.film("q", "h", "f")
	anna.publishes(2, micOn)
	waitFor(t, "packets are dropped", func() bool { return w.Counters().Dropped(DropViewer) > 20 })
	ben.until("sound", func() bool {
		s, ok := ben.carrying("anna", events.Microphone)
		return ok && len(ben.packets[s.Mid]) > 10
	})
	ben.mu.Lock()
	defer ben.mu.Unlock()
	if _, ok := ben.carrying("anna", events.Camera); ok {
		t.Error("ben sees a camera that the token does not allow")
	}
}

// Media of a source that is not published goes nowhere either.
func TestUnlistedSourcesAreNotForwarded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.join("anna"), w.join("ben")
	anna.publishes(1, micOn)
	anna.film("q")
	ben.until("sound", func() bool {
		s, ok := ben.carrying("anna", events.Microphone)
		return ok && len(ben.packets[s.Mid]) > 10
	})
	if w.Counters().Dropped(DropUnlisted) == 0 {
		t.Error("no packet of the unlisted camera was dropped")
	}
	ben.mu.Lock()
	defer ben.mu.Unlock()
	if s, ok := ben.carrying("anna", events.Camera); ok || len(ben.packets) != 1 {
		t.Errorf("ben receives %+v on %d streams", s, len(ben.packets))
	}
}
