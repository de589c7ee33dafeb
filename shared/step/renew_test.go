package step_test

import (
	"errors"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
)

func TestANodeIsGivenAnotherTokenInTime(t *testing.T) {
	l := newLab(t, 10)
	n, _ := l.settles(someone("ann", "r"))
	var failure error
	l.NodeToken = func(id room.NodeID, at time.Time) (string, error) {
		return "token of " + string(id) + " at " + at.UTC().Format(time.TimeOnly), failure
	}
	due := l.Now().Add(time.Hour)
	beat := func() string {
		l.seq++
		err := l.Heartbeat(t.Context(), control.Caller{Node: n.id, Connection: n.connection, RenewAt: due}, events.Heartbeat{
			Header: events.Head(events.ActionHeartbeat), Node: string(n.id), Generation: n.generation, Seq: l.seq})
		if err != nil {
			t.Fatal(err)
		}
		return one[events.Renewed](l, l.take(n.connection, events.ToNode)).Token
	}
	if got := beat(); got != "" {
		t.Errorf("a token before it is time: %q", got)
	}
	l.Pass(time.Hour)
	want := "token of " + string(n.id) + " at " + l.Now().UTC().Format(time.TimeOnly)
	if got := beat(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	l.Pass(time.Second)
	failure = errors.New("no root")
	if got := beat(); got != "" { // the lease is renewed all the same
		t.Errorf("a token that could not be made: %q", got)
	}
	due = time.Time{}
	failure = nil
	if got := beat(); got != "" {
		t.Errorf("a caller who does not say when was given %q", got)
	}
	late := events.Heartbeat{Header: events.Head(events.ActionHeartbeat), Node: string(n.id), Generation: n.generation + 1, Seq: 99}
	l.refused(l.Heartbeat(t.Context(), control.Caller{Node: n.id, Connection: n.connection, RenewAt: l.Now()}, late), events.CodeFenced)
	if mail := l.take(n.connection, events.ToNode); len(mail) > 0 {
		t.Errorf("a fenced node is told %v", mail)
	}
}
