package main_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/infra/local/harness"
	"github.com/spillway-sfu/spillway/shared/token"
)

func TestTokensAreRefusedEachWithItsReason(t *testing.T) {
	valid := mint(t, "tokens", "ann")
	t.Run("at the door", func(t *testing.T) {
		forged, err := token.Mint(system.JoinKeyID, strings.Repeat("x", 40), token.Claims{Identity: "eve", Room: "tokens", Join: true, Expires: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		none := "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + strings.Split(valid, ".")[1] + "."
		for name, raw := range map[string]string{"none at all": "", "not a JWT": "x", "wrong key": forged, "alg none": none, "cut off": valid[:len(valid)-5]} {
			c, status, err := system.Dial(t.Context(), raw)
			if err == nil {
				c.Close()
			}
			if status != 401 {
				t.Errorf("%s: status %d, %v", name, status, err)
			}
		}
	})
	expired := func(c *token.Claims) { c.Expires = time.Now().Add(-time.Minute) }
	later := func(c *token.Claims) { c.NotBefore = time.Now().Add(time.Minute) }
	noJoin := func(c *token.Claims) { c.Join = false }
	viewer := func(c *token.Claims) { c.CanPublish = false }
	_, join := peer(t, "tokens")
	elsewhere, publisher := join, join
	elsewhere.Room = "another room"
	publisher.Role = events.Publisher
	for _, c := range []struct {
		name   string
		token  string
		join   events.Join
		code   events.Code
		hangUp bool
	}{
		{"expired", mint(t, "tokens", "ann", expired), join, events.CodeTokenExpired, true},
		{"not yet valid", mint(t, "tokens", "ann", later), join, events.CodeTokenNotYetValid, true},
		{"without the grant", mint(t, "tokens", "ann", noJoin), join, events.CodeTokenNoPermission, true},
		{"for another room", valid, elsewhere, events.CodeTokenWrongRoom, false},
		{"to watch only", mint(t, "tokens", "ann", viewer), publisher, events.CodeTokenNoPermission, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := dial(t, c.token)
			if err := conn.Send(t.Context(), c.join); err != nil {
				t.Fatal(err)
			}
			if e := wantError(t, conn, c.code); e.ID != c.join.ID {
				t.Errorf("the error names request %q", e.ID)
			}
			if !c.hangUp {
				return
			}
			var closed websocket.CloseError
			if _, err := conn.Read(t.Context()); !errors.As(err, &closed) {
				t.Errorf("the connection stays open: %v", err)
			}
		})
	}
	if n := people(t, "tokens"); n != 0 {
		t.Errorf("%d seats taken with tokens that were refused", n)
	}
}

// A node that is known by its token may still say wrong things.
func TestANodeThatSpeaksForOthers(t *testing.T) {
	admitted(t, dial(t, mint(t, "forge", "ann")), func() events.Join { _, j := peer(t, "forge"); return j }())
	c := dial(t, mint(t, "forge", "eve"))
	left := events.Left{Header: events.Head(events.ActionLeft), Node: "n-x", Generation: 1, Room: "forge", Key: "k", Revision: 1, Reason: events.LeftByItself}
	if err := c.Send(t.Context(), left); err != nil {
		t.Fatal(err)
	}
	wantError(t, c, events.CodeTokenWrongKind)
	if n := people(t, "forge"); n != 1 {
		t.Errorf("%d seats", n)
	}
}

// asNode opens a connection with the token of a node, signed with the stack's
// own root secret.
func asNode(t *testing.T, node string) *harness.Conn {
	t.Helper()
	root, err := system.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := root.MintNode(node, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return dial(t, raw)
}

func TestWhatANodeMayNotSay(t *testing.T) {
	a := admitted(t, dial(t, mint(t, "nodes", "ann")), func() events.Join { _, j := peer(t, "nodes"); return j }())
	answered := events.Answered{Header: events.Head(events.ActionAnswered), Node: a.Node, Generation: 1, Room: "nodes", Key: "nobody",
		Session: a.Session, Revision: a.Revision, ID: a.ID, Ticket: "forged", Answer: a.Answer}
	left := events.Left{Header: events.Head(events.ActionLeft), Node: a.Node, Generation: 7, Room: "nodes", Key: "nobody", Revision: 1, Reason: events.LeftByItself}
	elsewhere := answered
	elsewhere.Node = "n-other"
	c := asNode(t, a.Node)
	for _, m := range []struct {
		name string
		body any
		code events.Code
	}{
		{"an answer for a participant it does not have", answered, events.CodeUnknownParticipant},
		{"a report of another life", left, events.CodeFenced},
		{"in the name of another node", elsewhere, events.CodeTokenWrongKind},
		{"a participant's message", `{"action":"join","v":1}`, events.CodeTokenWrongKind},
		{"nonsense", `{"action":"dance","v":1}`, events.CodeUnknownAction},
	} {
		t.Run(m.name, func(t *testing.T) {
			say(t, c, m.body)
			wantError(t, c, m.code)
		})
	}
	if n := people(t, "nodes"); n != 1 {
		t.Errorf("%d seats", n)
	}

	late := asNode(t, "n-unheard-of")
	hello := events.Hello{Header: events.Head(events.ActionHello), Node: "n-unheard-of", Boot: "boot-late",
		Addresses:   []events.Address{{IP: "127.0.0.1", Port: 9, Scope: events.PublicScope}},
		Fingerprint: strings.Repeat("AA:", 31) + "AA"}
	if err := late.Send(t.Context(), hello); err != nil {
		t.Fatal(err)
	}
	if m, err := late.Next(t.Context()); err != nil {
		t.Fatal(err)
	} else if s, ok := m.(events.Shutdown); !ok || s.Code != events.CodeLaunchExpired {
		t.Errorf("told %+v", m)
	}
}
