package main_test

import (
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/infra/local/harness"
	"github.com/spillway-sfu/spillway/shared/token"
)

// expired is a token whose time is over, of whoever it was for.
func expired(c *token.Claims) { c.Expires = time.Now().Add(-2 * time.Hour) }

// dialWith opens a connection with a token and a resume ticket.
func dialWith(t *testing.T, accessToken, ticket string) *harness.Conn {
	t.Helper()
	c, _, err := system.DialWith(t.Context(), accessToken, ticket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestAnExpiredTokenAndItsTicketLetBackIn(t *testing.T) {
	const room = "resumed"
	_, first := peer(t, "resumed-1")
	a := admitted(t, dial(t, mint(t, room, "ann")), first)
	other := admitted(t, dial(t, mint(t, "resumed-too", "ann")), func() events.Join { _, j := peer(t, "resumed-other"); return j }())
	late := mint(t, room, "ann", expired)

	_, back := peer(t, "resumed-2")
	for what, c := range map[string]struct{ token, ticket string }{
		"no ticket":                   {late, ""},
		"nonsense":                    {late, "AAAA"},
		"a forged one":                {late, a.Resume[:len(a.Resume)-2] + "AA"},
		"another room's":              {late, other.Resume},
		"another identity's":          {mint(t, room, "bob", expired), a.Resume},
		"the ticket for another room": {mint(t, "resumed-too", "bob", expired), a.Resume},
	} {
		t.Run(what, func(t *testing.T) {
			c := dialWith(t, c.token, c.ticket)
			if err := c.Send(t.Context(), back); err != nil {
				t.Fatal(err)
			}
			wantError(t, c, events.CodeTokenExpired)
		})
	}

	c := dialWith(t, late, a.Resume)
	second := admitted(t, c, back)
	if second.Revision <= a.Revision || second.Resume == "" || second.Identity != "ann" {
		t.Errorf("answered %+v", second)
	}
	if err := c.Send(t.Context(), events.Renew{Header: events.Head(events.ActionRenew), ID: "renew-1", Session: back.Session}); err != nil {
		t.Fatal(err)
	}
	m, err := c.Next(t.Context())
	if r, ok := m.(events.Resume); err != nil || !ok || r.Resume == "" || r.ID != "renew-1" {
		t.Errorf("renewed %+v, %v", m, err)
	}

	// A ticket alone is nothing, and one of a session that was taken over neither.
	_, tab := peer(t, "resumed-tab")
	admitted(t, dial(t, mint(t, room, "ann")), tab)
	_, third := peer(t, "resumed-3")
	c = dialWith(t, late, second.Resume)
	if err := c.Send(t.Context(), third); err != nil {
		t.Fatal(err)
	}
	wantError(t, c, events.CodeReplaced)
}

func TestARemovedPersonsTicketIsVoid(t *testing.T) {
	const room = "resumed-removed"
	_, first := peer(t, "removed-1")
	a := admitted(t, dial(t, mint(t, room, "eve")), first)
	if err := system.Call(t.Context(), "DELETE", "/v1/rooms/"+room+"/participants/eve", &struct{}{}); err != nil {
		t.Fatal(err)
	}
	_, back := peer(t, "removed-2")
	c := dialWith(t, mint(t, room, "eve", expired), a.Resume)
	if err := c.Send(t.Context(), back); err != nil {
		t.Fatal(err)
	}
	wantError(t, c, events.CodeRemoved)
}
