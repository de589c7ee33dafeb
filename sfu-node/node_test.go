package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// controlPlane welcomes a node, renews its lease, hands it one offer, and
// collects what it reports.
type controlPlane struct {
	offer    events.Offer
	answered chan events.Answered
	left     chan events.Left
	after    func(send func(events.Message), m events.Answered) // may be nil
}

func (c *controlPlane) serve(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		send := func(m events.Message) {
			raw, err := json.Marshal(m)
			if err != nil {
				t.Error(err)
			}
			_ = conn.Write(r.Context(), websocket.MessageText, raw)
		}
		for {
			_, raw, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			m, err := events.Decode(events.FromNode, raw)
			if err != nil {
				t.Errorf("the node sent %s: %v", raw, err)
				return
			}
			switch m := m.(type) {
			case events.Hello:
				send(events.Welcome{Header: events.Head(events.ActionWelcome), Node: m.Node, Boot: m.Boot, Slot: m.Slot, Generation: 1, HeartbeatMs: 500, LeaseMs: 5000})
				if m.Slot == 0 {
					send(c.offer)
				}
			case events.Heartbeat:
				send(events.Renewed{Header: events.Head(events.ActionRenewed), Node: m.Node, Generation: 1, Seq: m.Seq, LeaseMs: 5000})
			case events.Answered:
				c.answered <- m
				if c.after != nil {
					c.after(send, m)
				}
			case events.Left:
				c.left <- m
			}
		}
	}))
	t.Cleanup(server.Close)
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

// A whole life: hello, an offer, a connected participant, and the end, of which
// the participant and the control plane are told.
func TestNode(t *testing.T) {
	shutdown := func(send func(events.Message)) {
		send(events.Shutdown{Header: events.Head(events.ActionShutdown), Generation: 1, Code: events.CodeNodeGone})
	}
	for _, c := range []struct {
		name string
		end  func(stop context.CancelFunc, send func(events.Message))
	}{
		{"by a signal", func(stop context.CancelFunc, _ func(events.Message)) { stop() }},
		{"by the control plane", func(_ context.CancelFunc, send func(events.Message)) { shutdown(send) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			closing := make(chan events.Closing, 1)
			here := make(chan struct{}, 10)
			client, err := lightpeer.New(lightpeer.Options{Loopback: true, Audio: 1, Video: 1, OnMessage: func(m events.Message) {
				switch m := m.(type) {
				case events.Closing:
					closing <- m
				case events.Snapshot:
					here <- struct{}{}
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = client.Close() })
			sends := make(chan func(events.Message), 10)
			cp := &controlPlane{answered: make(chan events.Answered, 10), left: make(chan events.Left, 10),
				after: func(send func(events.Message), _ events.Answered) { sends <- send }}
			offer, sections, err := client.Offer()
			if err != nil {
				t.Fatal(err)
			}
			cp.offer = events.Offer{Header: events.Head(events.ActionOffer), Generation: 1, Room: "room",
				Profile: events.Profile{AudioStreams: 1, VideoStreams: 1, ReceiveKbps: 1000, SendKbps: 1000, VideoCodecs: []string{"vp8"}},
				Person:  events.Person{Key: "key", Identity: "anna", Role: events.Publisher}, Session: "session-1", Revision: 1,
				ID: "1", Offer: offer, Media: sections, Ticket: "ticket"}
			if err := cp.offer.Validate(); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithTimeout(t.Context(), 2*patience)
			defer stop()
			ended := make(chan error, 1)
			go func() {
				ended <- run(ctx, config{url: cp.serve(t), node: "node-1", token: "token",
					addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, level: slog.LevelError})
			}()
			answered := within(t, "answer", cp.answered)
			if answered.Fault != nil {
				t.Fatalf("fault %+v", answered.Fault)
			}
			if err := client.Accept(ctx, answered.Answer); err != nil {
				t.Fatal(err)
			}
			within(t, "snapshot", here)
			began := time.Now()
			c.end(stop, <-sends)
			if m := within(t, "closing", closing); m.Code != events.CodeNodeGone {
				t.Errorf("closing %+v", m)
			}
			if l := within(t, "left", cp.left); l.Key != "key" || l.Revision != 1 {
				t.Errorf("left %+v", l)
			}
			if err := within(t, "end", ended); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > stopWithin {
				t.Errorf("the end took %v", took)
			}
		})
	}
}

func within[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: never came", what)
	}
	panic("unreachable")
}
