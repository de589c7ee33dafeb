package step_test

import (
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// opened is what a resume ticket says.
func (l *lab) opened(sealed string) control.Resume {
	l.Helper()
	var t control.Resume
	if err := l.Tickets.OpenTicket(sealed, &t); err != nil {
		l.Fatalf("%q: %v", sealed, err)
	}
	return t
}

// late is a person as it comes back with an expired token, under another
// session, and the ticket of an earlier one.
func late(p person, session, ticket string) person {
	p.session = session
	p.caller.Resume, p.caller.Late = ticket, true
	return p
}

func TestAnAnswerCarriesATicketOfItsSession(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	_, a := l.settles(ann)
	ticket := l.opened(a.Resume)
	for _, c := range []struct {
		what  string
		key   room.Key
		after time.Duration
		want  bool
	}{
		{"at once", ann.caller.Key, 0, true},
		{"by a clock that is behind", ann.caller.Key, -5 * time.Second, true},
		{"after almost a day", ann.caller.Key, 24*time.Hour - time.Second, true},
		{"after a day", ann.caller.Key, 24 * time.Hour, false},
		{"before it was given", ann.caller.Key, -time.Hour, false},
		{"for another participant, or another room", "k-bob", 0, false},
	} {
		if got := ticket.Fits(c.key, l.Now().Add(c.after)); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
	if ticket.Session != ann.session {
		t.Errorf("ticket of %q", ticket.Session)
	}
	if (control.Resume{Key: ann.caller.Key, Session: "session-x", AtMs: l.Now().UnixMilli()}).Fits(ann.caller.Key, l.Now()) {
		t.Error("what was sealed for another use passes for a resume ticket")
	}
}

func TestWhoseTokenHasExpiredComesBackByItsTicket(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	n, first := l.settles(ann)
	l.after(2*time.Hour, n)
	second := l.admit(late(ann, "session-two", ann.session), n)
	if second.Revision <= first.Revision || l.opened(second.Resume).Session != "session-two" {
		t.Errorf("answered %+v", second)
	}
	// It was not answered: the next try has the same ticket, and one later that of
	// the second session.
	l.admit(late(ann, "session-three", ann.session), n)
	l.admit(late(ann, "session-three", "session-two"), n) // a retry of the third
	l.refused(l.joins(late(ann, "session-four", ann.session)), events.CodeReplaced)
	last := l.admit(late(ann, "session-five", "session-three"), n)
	if got := l.seats()["r"]; got != 1 {
		t.Errorf("%d seats", got)
	}
	// Forgotten, because it was silent for long: it may come back all the same.
	if err := l.left(n, person{caller: ann.caller}, last.Revision); err != nil {
		t.Fatal(err)
	}
	l.after(time.Hour, n)
	if err := l.joins(late(ann, "session-six", "session-five")); err != nil {
		t.Errorf("who was forgotten: %v", err)
	}
}

func TestATicketOfAHeldSessionIsGood(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	n, _ := l.settles(ann)
	m := l.join
	m.ID, m.Session, m.From = "join-two", "session-two", ann.session
	if err := l.World.Join(t.Context(), ann.caller, m); err != nil {
		t.Fatal(err)
	}
	l.take(n.connection, events.ToNode)
	// The second came to nothing; a third continues the first, which is still there.
	m.ID, m.Session = "join-three", "session-three"
	if err := l.World.Join(t.Context(), late(ann, "", ann.session).caller, m); err != nil {
		t.Errorf("a third session: %v", err)
	}
}

func TestATicketIsWorthNothingAfterATakeover(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	n, _ := l.settles(ann)
	tab := ann
	tab.session, tab.caller.Connection = "session-second-tab", "c-second-tab"
	l.admit(tab, n)
	l.refused(l.joins(late(ann, "session-back", ann.session)), events.CodeReplaced)
	// With a token that is valid the first takes over again, as ever, and the other's
	// ticket is worth nothing.
	again := ann
	again.session, again.caller.Resume = "session-again", ann.session
	l.admit(again, n)
	l.refused(l.joins(late(tab, "session-tab-back", tab.session)), events.CodeReplaced)
	l.admit(late(ann, "session-later", ann.session), n) // the answer to "again" may have been lost
}

func TestARemovedParticipantsTicketIsVoid(t *testing.T) {
	for _, bar := range []time.Duration{0, time.Hour} {
		l := newLab(t, 10)
		ann := someone("ann", "r")
		n, _ := l.settles(ann)
		l.admit(someone("bob", "r"), n)
		if _, err := l.Moderate(t.Context(), control.Deed{Kind: events.RemoveDeed, Room: "r", Key: ann.caller.Key, BarFor: bar}); err != nil {
			t.Fatal(err)
		}
		for _, wait := range []time.Duration{0, 2 * time.Hour, 21 * time.Hour} {
			l.after(wait, n)
			l.refused(l.joins(late(ann, "session-back", ann.session)), events.CodeRemoved)
		}
		if got := l.seats()["r"]; got != 1 {
			t.Errorf("%d seats", got)
		}
	}
}

// Somebody can be kept out who is away at that moment, or waits for a node.
func TestWhoIsAwayIsBarredToo(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	n, a := l.settles(ann)
	if err := l.left(n, ann, a.Revision); err != nil {
		t.Fatal(err)
	}
	deed := control.Deed{Kind: events.RemoveDeed, Room: "r", Key: ann.caller.Key, Identity: "ann"}
	_, err := l.Moderate(t.Context(), deed)
	l.refused(err, events.CodeNotFound)
	deed.BarFor = time.Minute
	if _, err := l.Moderate(t.Context(), deed); err != nil {
		t.Fatal(err)
	}
	l.refused(l.joins(ann), events.CodeRemoved)
	l.after(2*time.Minute, n)
	l.refused(l.joins(late(ann, "session-back", ann.session)), events.CodeRemoved)
	l.admit(person{ann.caller, "session-new"}, n) // with a new token

	cas := someone("cas", "elsewhere")
	for i := range 9 { // the node is full then
		l.admit(someone(string(rune('k'+i)), "r"), n)
	}
	back := late(cas, "session-cas-2", cas.session)
	if err := l.joins(back); err != nil {
		t.Fatal(err)
	}
	one[events.Waiting](l, l.inbox(cas))
	if _, err := l.Moderate(t.Context(), control.Deed{Kind: events.RemoveDeed, Room: "elsewhere", Key: cas.caller.Key}); err != nil {
		t.Fatal(err)
	}
	l.refused(l.joins(late(cas, "session-cas-3", cas.session)), events.CodeRemoved)
}

func TestTheEndOfARoomVoidsTickets(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	n, a := l.settles(ann)
	if _, err := l.Moderate(t.Context(), control.Deed{Kind: events.EndRoom, Room: "r"}); err != nil {
		t.Fatal(err)
	}
	err := l.World.Left(t.Context(), callerOf(n), events.Left{Header: events.Head(events.ActionLeft), Node: string(n.id), Generation: n.generation,
		Room: "r", Key: string(ann.caller.Key), Revision: a.Revision, Reason: events.LeftEnded})
	if err != nil {
		t.Fatal(err)
	}
	if got := l.seats(); len(got) != 0 {
		t.Errorf("seats %v", got)
	}
	l.refused(l.joins(late(ann, "session-back", ann.session)), events.CodeRemoved)
	l.admit(person{ann.caller, "session-new"}, n)
}

func TestATicketIsRenewedForWhoHasItsSeat(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	n, a := l.settles(ann)
	renew := func(session string) error {
		return l.Renew(t.Context(), ann.caller, events.Renew{Header: events.Head(events.ActionRenew), ID: "renew-1", Session: session})
	}
	l.after(20*time.Hour, n)
	l.refused(renew("session-other"), events.CodeNotJoined)
	if err := renew(ann.session); err != nil {
		t.Fatal(err)
	}
	r := one[events.Resume](l, l.inbox(ann))
	ticket := l.opened(r.Resume)
	if r.ID != "renew-1" || r.Session != ann.session || !ticket.Fits(ann.caller.Key, l.Now().Add(23*time.Hour)) {
		t.Errorf("got %+v", r)
	}
	// A day after the first ticket, the renewed one lets in.
	l.after(20*time.Hour, n)
	if err := l.joins(late(ann, "session-two", ticket.Session)); err != nil {
		t.Error(err)
	}
	items, err := l.World.Store.Get(t.Context(), true, step.ParticipantKey{Room: "r", Key: ann.caller.Key})
	if err != nil || len(items.Participants) != 1 {
		t.Fatalf("%v, %v", items.Participants, err)
	}
	if _, err := l.Moderate(t.Context(), control.Deed{Kind: events.RemoveDeed, Room: "r", Key: ann.caller.Key}); err != nil {
		t.Fatal(err)
	}
	l.refused(renew("session-two"), events.CodeNotJoined)
	l.refused(renew(a.Session), events.CodeNotJoined)
}

// Who waited for a node, and was seated by a pass, may try again with the ticket
// that it came with.
func TestWhoWaitedComesBackByTheSameTicket(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	back := late(ann, "session-two", ann.session)
	n, _ := l.settles(back)
	l.admit(late(ann, "session-three", ann.session), n)
}
