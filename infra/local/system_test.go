package main_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/infra/local/harness"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
	"github.com/spillway-sfu/spillway/shared/token"
)

// system is one stack for all tests of this file; each uses rooms of its own.
var system *harness.Stack

func TestMain(m *testing.M) {
	var err error
	system, err = harness.Start(context.Background(), "../..", os.Stderr, "IDLE_AFTER=10m", "API_KEY=system-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	system.Stop()
	os.Exit(code)
}

func mint(t *testing.T, room, identity string, change ...func(*token.Claims)) string {
	t.Helper()
	return mintAt(t, system, room, identity, change...)
}

func mintAt(t *testing.T, stack *harness.Stack, room, identity string, change ...func(*token.Claims)) string {
	t.Helper()
	c := token.Claims{Identity: identity, Name: identity, Room: room, Join: true, CanPublish: true, CanSubscribe: true, Expires: time.Now().Add(time.Hour)}
	for _, f := range change {
		f(&c)
	}
	raw, err := stack.Mint(c)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func dial(t *testing.T, accessToken string) *harness.Conn {
	t.Helper()
	return dialAt(t, system, accessToken)
}

func dialAt(t *testing.T, stack *harness.Stack, accessToken string) *harness.Conn {
	t.Helper()
	c, _, err := stack.Dial(t.Context(), accessToken)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// peer is a light peer with the join that offers it.
func peer(t *testing.T, session string) (*lightpeer.Client, events.Join) {
	t.Helper()
	p, err := lightpeer.New(lightpeer.Options{Audio: 1, Video: 2, Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	offer, media, err := p.Offer()
	if err != nil {
		t.Fatal(err)
	}
	return p, events.Join{Header: events.Head(events.ActionJoin), ID: "request-" + session, Session: "session-" + session, Offer: offer, Media: media}
}

// admitted sends a join until its answer comes, by way of waiting and ready
// where no node is there yet.
func admitted(t *testing.T, c *harness.Conn, j events.Join) events.Answer {
	t.Helper()
	if err := c.Send(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case events.Answer:
			return m
		case events.Ready:
			if err := c.Send(t.Context(), j); err != nil {
				t.Fatal(err)
			}
		case events.Waiting:
		default:
			t.Fatalf("got %+v", m)
		}
	}
}

// say sends a string as it is and anything else as JSON.
func say(t *testing.T, c *harness.Conn, body any) {
	t.Helper()
	var err error
	if s, ok := body.(string); ok {
		err = c.Write(t.Context(), websocket.MessageText, []byte(s))
	} else {
		err = c.Send(t.Context(), body)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, c *harness.Conn, code events.Code) events.Error {
	t.Helper()
	m, err := c.Next(t.Context())
	if err != nil {
		t.Fatalf("waiting for %s: %v", code, err)
	}
	e, ok := m.(events.Error)
	if !ok || e.Code != code {
		t.Fatalf("got %+v, want %s", m, code)
	}
	for _, leak := range []string{"goroutine", ".go:", "dynamodb", "DynamoDB", "Exception", "arn:", "panic"} {
		if strings.Contains(e.Text, leak) {
			t.Errorf("%q tells too much", e.Text)
		}
	}
	return e
}

// people returns how many seats of a room are taken.
func people(t *testing.T, room string) int {
	t.Helper()
	var rooms struct {
		Rooms []struct {
			Name         string
			Participants int
		}
	}
	if err := system.Call(t.Context(), "GET", "/v1/rooms", &rooms); err != nil {
		t.Fatal(err)
	}
	for _, r := range rooms.Rooms {
		if r.Name == room {
			return r.Participants
		}
	}
	return 0
}

// eventually asks until the answer is yes.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !yes() {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestMessagesThatMakeNoSense(t *testing.T) {
	c := dial(t, mint(t, "nonsense", "ann"))
	_, join := peer(t, "nonsense")
	badOffer := func(sdp string) events.Join {
		j := join
		j.Offer = events.Pack(sdp)
		return j
	}
	good, err := events.Unpack(join.Offer)
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Repeat("m=video 9 UDP/TLS/RTP/SAVPF 96\r\n", 500)
	for _, c2 := range []struct {
		name string
		body any
		code events.Code
		says string
	}{
		{"malformed JSON", `{"action":"join",`, events.CodeBadJSON, "JSON"},
		{"not an object", `[1,2]`, events.CodeBadJSON, "object"},
		{"no action", `{"v":1}`, events.CodeBadField, "action"},
		{"unknown action", `{"action":"dance","v":1,"id":"x"}`, events.CodeUnknownAction, "dance"},
		{"another version", `{"action":"join","v":99,"id":"x"}`, events.CodeBadVersion, "99"},
		{"wrong type", `{"action":"join","v":1,"id":"x","session":7}`, events.CodeBadField, "session"},
		{"no session", `{"action":"join","v":1,"id":"x"}`, events.CodeBadField, "session"},
		{"a node's message", `{"action":"hello","v":1}`, events.CodeTokenWrongKind, "nodes"},
		{"offer that is no SDP", badOffer("hello"), events.CodeBadOffer, "v=0"},
		{"offer without fingerprint", badOffer(without(good, "a=fingerprint")), events.CodeBadOffer, "fingerprint"},
		{"offer without ICE credentials", badOffer(without(good, "a=ice-pwd")), events.CodeBadOffer, "ICE"},
		{"offer with 500 sections", badOffer(good + sections), events.CodeBadOffer, "sections"},
		{"offer that is not packed", `{"action":"join","v":1,"id":"x","session":"session-x","offer":"%%%","media":{"audio":[],"video":[]}}`, events.CodeBadOffer, ""},
		{"leave before join", events.Leave{Header: events.Head(events.ActionLeave), ID: "x", Session: "session-none"}, events.CodeNotJoined, "session"},
	} {
		t.Run(c2.name, func(t *testing.T) {
			say(t, c, c2.body)
			e := wantError(t, c, c2.code)
			if !strings.Contains(e.Text, c2.says) {
				t.Errorf("%q does not name %q", e.Text, c2.says)
			}
		})
	}
	if n := people(t, "nonsense"); n != 0 {
		t.Errorf("%d seats taken by nonsense", n)
	}
	// And the connection still works.
	p, j := peer(t, "sense")
	a := admitted(t, c, j)
	if err := p.Accept(t.Context(), a.Answer); err != nil {
		t.Error(err)
	}
}

func without(sdp, prefix string) string {
	var b strings.Builder
	for line := range strings.Lines(sdp) {
		if !strings.HasPrefix(line, prefix) {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestFramesThatTheGatewayCloses(t *testing.T) {
	for _, f := range []struct {
		name string
		kind websocket.MessageType
		size int
		code websocket.StatusCode
	}{
		{"40 KB frame", websocket.MessageText, 40 << 10, websocket.StatusMessageTooBig},
		{"200 KB message", websocket.MessageText, 200 << 10, websocket.StatusMessageTooBig},
		{"binary", websocket.MessageBinary, 10, websocket.StatusUnsupportedData},
	} {
		t.Run(f.name, func(t *testing.T) {
			c := dial(t, mint(t, "frames", "ann"))
			_ = c.Write(t.Context(), f.kind, []byte(strings.Repeat(" ", f.size))) // it may be closed before all is written
			_, err := c.Read(t.Context())
			if websocket.CloseStatus(err) != f.code {
				t.Errorf("got %v, want close code %d", err, f.code)
			}
		})
	}
}

func TestAJoinSentTwiceIsOneSeat(t *testing.T) {
	c := dial(t, mint(t, "twice", "ann"))
	p, j := peer(t, "twice")
	first := admitted(t, c, j)
	again := j
	again.ID = "request-again"
	second := admitted(t, c, again)
	if first.Revision != second.Revision || first.Answer != second.Answer {
		t.Error("the second answer is another one")
	}
	if n := people(t, "twice"); n != 1 {
		t.Errorf("%d seats", n)
	}
	if err := p.Accept(t.Context(), second.Answer); err != nil {
		t.Fatal(err)
	}
	if err := p.Send(events.Goodbye{Header: events.Head(events.ActionGoodbye)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the seat is free", func() bool { return people(t, "twice") == 0 })
}

func TestLeaveByTheSocket(t *testing.T) {
	c := dial(t, mint(t, "leave", "ann"))
	_, j := peer(t, "leave")
	admitted(t, c, j)
	if err := c.Send(t.Context(), events.Leave{Header: events.Head(events.ActionLeave), ID: "bye", Session: j.Session}); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Next(t.Context()); err != nil {
		t.Fatal(err)
	} else if done, ok := m.(events.LeaveDone); !ok || done.ID != "bye" {
		t.Fatalf("got %+v", m)
	}
	if n := people(t, "leave"); n != 0 {
		t.Errorf("%d seats", n)
	}
}

func TestASecondTabTakesOver(t *testing.T) {
	accessToken := mint(t, "tabs", "ann")
	closing := make(chan events.Closing, 1)
	p, err := lightpeer.New(lightpeer.Options{Audio: 1, Video: 1, Loopback: true, OnMessage: func(m events.Message) {
		if m, ok := m.(events.Closing); ok {
			closing <- m
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	offer, media, err := p.Offer()
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, accessToken)
	a := admitted(t, c, events.Join{Header: events.Head(events.ActionJoin), ID: "one", Session: "session-one", Offer: offer, Media: media})
	if err := p.Accept(t.Context(), a.Answer); err != nil {
		t.Fatal(err)
	}
	_, j := peer(t, "two")
	b := admitted(t, dial(t, accessToken), j)
	if b.Revision <= a.Revision {
		t.Errorf("revision %d after %d", b.Revision, a.Revision)
	}
	select {
	case m := <-closing:
		if m.Code != events.CodeReplaced {
			t.Errorf("told %s", m.Code)
		}
	case <-time.After(10 * time.Second):
		t.Error("the first tab is not told")
	}
	if n := people(t, "tabs"); n != 1 {
		t.Errorf("%d seats", n)
	}
}

func TestTheHTTPAPI(t *testing.T) {
	var nodes struct {
		Nodes []struct {
			ID, State, Instance string
			Claimed, Free       events.Load
			Rooms               []string
		}
	}
	admitted(t, dial(t, mint(t, "api ö/#%", "ann")), func() events.Join { _, j := peer(t, "api"); return j }())
	if err := system.Call(t.Context(), "GET", "/v1/nodes", &nodes); err != nil {
		t.Fatal(err)
	}
	if len(nodes.Nodes) != 1 || nodes.Nodes[0].Instance == "" || nodes.Nodes[0].Claimed.Kbps == 0 || nodes.Nodes[0].Free.Kbps == 0 {
		t.Errorf("%+v", nodes)
	}
	var one struct {
		Participants int
		People       []struct{ Identity, Node string }
	}
	if err := system.Call(t.Context(), "GET", "/v1/rooms/api%20%C3%B6%2F%23%25", &one); err != nil {
		t.Fatal(err)
	}
	if one.Participants != 1 || len(one.People) != 1 || one.People[0].Identity != "ann" || one.People[0].Node != nodes.Nodes[0].ID {
		t.Errorf("%+v", one)
	}
	for path, status := range map[string]string{"/v1/rooms/none": "404", "/v1/else": "404"} {
		if err := system.Call(t.Context(), "GET", path, &one); err == nil || !strings.Contains(err.Error(), status) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := system.Call(t.Context(), "DELETE", "/v1/rooms", &one); err == nil || !strings.Contains(err.Error(), "405") {
		t.Errorf("DELETE: %v", err)
	}
	other := *system
	other.Key = "wrong"
	if err := other.Call(t.Context(), "GET", "/v1/rooms", &one); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("wrong key: %v", err)
	}
}
