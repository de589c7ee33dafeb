package agent

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/sfu"
)

// offerFor makes an offer that passes Validate.
func offerFor(key string, revision int64) events.Offer {
	sdp := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n" +
		"a=fingerprint:sha-256 " + strings.TrimSuffix(strings.Repeat("AB:", 32), ":") + "\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n" +
		"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sctp-port:5000\r\n"
	return events.Offer{
		Header: events.Head(events.ActionOffer), Generation: generation, Room: "room",
		Profile: events.Profile{AudioStreams: 3, VideoStreams: 9, ReceiveKbps: 1000, SendKbps: 1000, VideoCodecs: []string{"vp8"}},
		Person:  events.Person{Key: key, Identity: key, Role: events.Publisher},
		Session: "session-1", Revision: revision, ID: "request-1", Offer: events.Pack(sdp), Ticket: "ticket-1",
	}
}

func TestHelloOnEverySlotThenHeartbeatWithInventory(t *testing.T) {
	g := newGateway(t)
	media := &fakeMedia{report: sfu.Report{People: 1, Members: map[string]map[string]int64{"room": {"key": 3}}}}
	run(t, g, media)
	slots := map[int]bool{}
	for range 2 {
		h := take(t, "hello", g.hellos).Message.(events.Hello)
		if h.Node != "node-1" || h.Boot != "boot-123456" || len(h.Addresses) != 1 {
			t.Fatalf("hello %+v", h)
		}
		slots[h.Slot] = true
	}
	if !slots[0] || !slots[1] {
		t.Fatalf("hello on slots %v, expected 0 and 1", slots)
	}
	b := take(t, "heartbeat", g.beats).Message.(events.Heartbeat)
	if b.Generation != generation || b.Seq != 1 || b.People != 1 || b.Rooms != 1 {
		t.Fatalf("heartbeat %+v", b)
	}
	if b.Inventory == nil || b.Inventory.Parts != 1 || b.Inventory.Rooms[0].Members["key"] != 3 {
		t.Fatalf("first heartbeat lists %+v", b.Inventory)
	}
	for want := int64(2); want < 5; want++ {
		if b := take(t, "heartbeat", g.beats).Message.(events.Heartbeat); b.Seq != want || b.Inventory != nil {
			t.Fatalf("heartbeat %d is %+v", want, b)
		}
	}
}

func TestHeartbeatsAlternate(t *testing.T) {
	g := newGateway(t)
	run(t, g, &fakeMedia{})
	take(t, "hello", g.hellos)
	take(t, "hello", g.hellos)
	used := map[*websocket.Conn]bool{}
	for deadline := time.Now().Add(patience); len(used) < 2; {
		if time.Now().After(deadline) {
			t.Fatal("all heartbeats came on one socket")
		}
		used[take(t, "heartbeat", g.beats).conn] = true
	}
}

func TestOfferIsAnswered(t *testing.T) {
	for _, c := range []struct {
		name  string
		media *fakeMedia
		check func(events.Answered) bool
	}{
		{"answer", &fakeMedia{answer: "packed"}, func(a events.Answered) bool { return a.Answer == "packed" && a.Fault == nil }},
		{"bad offer", &fakeMedia{err: events.Errorf(events.CodeBadOffer, "no")}, func(a events.Answered) bool {
			return a.Answer == "" && a.Fault.Code == events.CodeBadOffer && a.Fault.Text == "no"
		}},
		{"unknown failure", &fakeMedia{err: errors.New("secret detail")}, func(a events.Answered) bool {
			return a.Fault.Code == events.CodeInternal && !strings.Contains(a.Fault.Text, "secret")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			run(t, g, c.media)
			take(t, "heartbeat", g.beats)
			o := offerFor("key", 4)
			g.send(0, o)
			a := takeGot[events.Answered](t, g)
			if a.Node != "node-1" || a.Generation != generation || a.Ticket != o.Ticket || a.ID != o.ID || a.Revision != 4 || a.Session != o.Session || a.Key != "key" || a.Room != "room" {
				t.Errorf("answered %+v", a)
			}
			if !c.check(a) {
				t.Errorf("answer %q, fault %+v", a.Answer, a.Fault)
			}
		})
	}
}

func TestStaleOfferAndOtherGenerationAreIgnored(t *testing.T) {
	g := newGateway(t)
	media := &fakeMedia{err: sfu.ErrStale}
	run(t, g, media)
	take(t, "heartbeat", g.beats)
	other := offerFor("other", 1)
	other.Generation = generation - 1
	g.send(0, other)
	g.send(0, offerFor("stale", 1))
	g.send(0, events.Remove{Header: events.Head(events.ActionRemove), Generation: generation - 1, Room: "room", Key: "x", Revision: 1, Code: events.CodeRemoved})
	media.mu.Lock()
	media.absent = true
	media.mu.Unlock()
	// The answer to this one shows that those before it were dealt with.
	g.send(0, events.Remove{Header: events.Head(events.ActionRemove), Generation: generation, Room: "room", Key: "gone", Revision: 9, Code: events.CodeRemoved})
	l := takeGot[events.Left](t, g)
	if l.Key != "gone" || l.Revision != 9 || l.Reason != events.LeftRemoved {
		t.Errorf("left %+v", l)
	}
	media.mu.Lock()
	defer media.mu.Unlock()
	for _, o := range media.joins {
		if o.Person.Key == "other" {
			t.Error("an offer of another generation was taken")
		}
	}
	if len(media.removes) != 1 {
		t.Errorf("removes %v", media.removes)
	}
}

func TestLeaseEndsAndComesBack(t *testing.T) {
	g := newGateway(t)
	g.lease = 200 * time.Millisecond
	g.mute = true
	run(t, g, &fakeMedia{answer: "packed"})
	take(t, "heartbeat", g.beats)
	ask := func() *events.Fault {
		g.send(0, offerFor("key", 1))
		return takeGot[events.Answered](t, g).Fault
	}
	for deadline := time.Now().Add(patience); ; {
		if f := ask(); f != nil {
			if f.Code != events.CodeNodeUnreachable {
				t.Fatalf("without a lease: %+v", f)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("offers are taken though the lease was not renewed")
		}
	}
	g.set(func() { g.mute = false })
	for deadline := time.Now().Add(patience); ask() != nil; {
		if time.Now().After(deadline) {
			t.Fatal("offers are not taken though the lease was renewed")
		}
	}
}

func TestRefusals(t *testing.T) {
	refuse := func(code events.Code) func(*arrival) {
		return func(a *arrival) { a.reply(events.Errorf(code, "no")) }
	}
	for _, c := range []struct {
		name   string
		answer func(*arrival)
		want   error
	}{
		{"fenced", refuse(events.CodeFenced), ErrFenced},
		{"launch given up", refuse(events.CodeLaunchExpired), ErrFenced},
		{"shutdown", func(a *arrival) {
			a.reply(events.Shutdown{Header: events.Head(events.ActionShutdown), Code: events.CodeLaunchExpired})
		}, ErrShutdown},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			g.answer = c.answer
			_, ended, _ := run(t, g, &fakeMedia{})
			if err := take(t, "end of Run", ended); !errors.Is(err, c.want) {
				t.Errorf("Run returned %v, expected %v", err, c.want)
			}
		})
	}
}

func TestFencedLater(t *testing.T) {
	g := newGateway(t)
	_, ended, _ := run(t, g, &fakeMedia{})
	take(t, "heartbeat", g.beats)
	g.send(1, events.Shutdown{Header: events.Head(events.ActionShutdown), Generation: generation - 1, Code: events.CodeNodeGone})
	g.send(1, events.Errorf(events.CodeFenced, "another life"))
	if err := take(t, "end of Run", ended); !errors.Is(err, ErrFenced) {
		t.Errorf("Run returned %v", err)
	}
}

func TestRedial(t *testing.T) {
	g := newGateway(t)
	g.status = http.StatusForbidden
	run(t, g, &fakeMedia{}, func(c *Config) { c.Slots = 1 })
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		g.mu.Lock()
		dials := g.dials
		g.mu.Unlock()
		if dials >= 3 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d dials", dials)
		}
	}
	g.set(func() { g.status = 0 })
	take(t, "hello", g.hellos)
	g.mu.Lock()
	conn := g.sockets[0]
	g.mu.Unlock()
	_ = conn.CloseNow()
	take(t, "hello after the socket broke", g.hellos)
	take(t, "heartbeat after the socket broke", g.beats)
}

// A hello that is answered with the gateway's own error frame, or not at all, is
// said again on another socket.
func TestHelloLost(t *testing.T) {
	g := newGateway(t)
	first := true
	g.answer = func(a *arrival) {
		if first {
			first = false
			_ = a.conn.Write(t.Context(), websocket.MessageText, []byte(`{"message":"Internal server error","connectionId":"x","requestId":"y"}`))
			return
		}
		g.answer = nil
		g.welcome(*a, a.Message.(events.Hello))
	}
	run(t, g, &fakeMedia{}, func(c *Config) { c.Slots, c.WelcomeWithin = 1, 100*time.Millisecond })
	take(t, "hello", g.hellos)
	take(t, "second hello", g.hellos)
	take(t, "heartbeat", g.beats)
}

// The new socket of a slot is welcomed before the old one goes.
func TestRotation(t *testing.T) {
	g := newGateway(t)
	run(t, g, &fakeMedia{}, func(c *Config) { c.Slots, c.Rotate = 1, 300*time.Millisecond })
	old := take(t, "hello", g.hellos)
	fresh := take(t, "hello of the next socket", g.hellos)
	if fresh.conn == old.conn || fresh.Message.(events.Hello).Slot != 0 {
		t.Fatalf("second hello %+v", fresh.Message)
	}
	take(t, "end of the old socket", g.gone)
	for {
		if take(t, "heartbeat on the new socket", g.beats).conn == fresh.conn {
			return
		}
	}
}

// What cannot be sent over one socket goes over the other, and waits when there
// is none.
func TestLeftFindsASocket(t *testing.T) {
	g := newGateway(t)
	a, _, _ := run(t, g, &fakeMedia{})
	take(t, "hello", g.hellos)
	take(t, "hello", g.hellos)
	take(t, "heartbeat", g.beats)
	g.set(func() { g.status = http.StatusServiceUnavailable })
	g.mu.Lock()
	for _, conn := range g.sockets {
		_ = conn.CloseNow()
	}
	g.mu.Unlock()
	take(t, "end of a socket", g.gone)
	take(t, "end of a socket", g.gone)
	for a.linked() > 0 {
		time.Sleep(time.Millisecond)
	}
	a.Left(sfu.Departure{Room: "room", Key: "key", Revision: 5, Reason: events.LeftSilent})
	g.set(func() { g.status = 0 })
	l := takeGot[events.Left](t, g)
	if l.Key != "key" || l.Revision != 5 || l.Reason != events.LeftSilent || l.Generation != generation {
		t.Errorf("left %+v", l)
	}
}

func (a *Agent) linked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, l := range a.links {
		if l != nil {
			n++
		}
	}
	return n
}

func TestTokenIsRenewed(t *testing.T) {
	g := newGateway(t)
	g.set(func() { g.mute = true })
	run(t, g, &fakeMedia{}, func(c *Config) { c.Slots = 1 })
	b := take(t, "heartbeat", g.beats)
	b.reply(events.Renewed{Header: events.Head(events.ActionRenewed), Node: "node-1", Generation: generation,
		Seq: b.Message.(events.Heartbeat).Seq, LeaseMs: 60_000, Token: "second-token", Draining: true})
	// The fault of the offer shows that the message before it was read.
	g.send(0, offerFor("key", 1))
	if f := takeGot[events.Answered](t, g).Fault; f == nil || f.Code != events.CodeNodeGone {
		t.Errorf("a draining node answers with fault %+v", f)
	}
	take(t, "hello", g.hellos)
	g.mu.Lock()
	conn := g.sockets[0]
	g.mu.Unlock()
	_ = conn.CloseNow()
	take(t, "hello", g.hellos)
	g.mu.Lock()
	defer g.mu.Unlock()
	if got := g.tokens[len(g.tokens)-1]; got != "second-token" || g.tokens[0] != "first-token" {
		t.Errorf("tokens %v", g.tokens)
	}
}

func TestDeafSocketIsReplaced(t *testing.T) {
	g := newGateway(t)
	g.mute = true
	run(t, g, &fakeMedia{}, func(c *Config) { c.Slots = 1 })
	old := take(t, "hello", g.hellos)
	if fresh := take(t, "hello on another socket", g.hellos); fresh.conn == old.conn {
		t.Error("hello on the same socket")
	}
}

func TestAloneForLong(t *testing.T) {
	g := newGateway(t)
	g.status = http.StatusForbidden
	media := &fakeMedia{report: sfu.Report{People: 1}}
	_, ended, _ := run(t, g, media, func(c *Config) { c.AloneAfter = time.Millisecond })
	select {
	case err := <-ended:
		t.Fatalf("the node ended with somebody on it: %v", err)
	case <-time.After(3 * defaultBeat / 2):
	}
	media.mu.Lock()
	media.report.People = 0
	media.mu.Unlock()
	if err := take(t, "end of Run", ended); !errors.Is(err, ErrAlone) {
		t.Errorf("Run returned %v", err)
	}
}

// What is queued when the node stops still goes out.
func TestCloseSendsWhatIsQueued(t *testing.T) {
	g := newGateway(t)
	// With one socket, so that what is sent in order arrives in order.
	a, ended, stop := run(t, g, &fakeMedia{}, func(c *Config) { c.Slots = 1 })
	take(t, "heartbeat", g.beats)
	stop()
	if err := take(t, "end of Run", ended); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		a.Left(sfu.Departure{Room: "room", Key: "key", Revision: int64(i + 1), Reason: events.LeftRemoved})
	}
	a.Close(t.Context())
	for i := range 50 {
		if l := takeGot[events.Left](t, g); l.Revision != int64(i+1) {
			t.Fatalf("left number %d has revision %d", i+1, l.Revision)
		}
	}
}
