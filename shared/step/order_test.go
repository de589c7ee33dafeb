package step_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
)

// Where the node that is left has room for the stage only, the stage, which SDKs let
// come back first, has its seats there at once. Viewers, for whom alone it would do, keep
// theirs in the room and wait for a node.
func TestTheStageComesBackFirstWhereThereIsNoRoomForAll(t *testing.T) {
	l := newWideLab(t, 12, 3)
	l.Settings.Profile.MaxParticipants, l.Settings.Profile.MaxPublishers = 4, 2
	var stage, viewers []person
	for i := range 2 {
		stage = append(stage, someone(fmt.Sprint("speaker", i), "hall"))
	}
	n, _ := l.settles(stage[0])
	l.admit(stage[1], n)
	for i := range 2 {
		p := someone(fmt.Sprint("viewer", i), "hall")
		viewers = append(viewers, p)
		if err := l.joinsAs(p, events.Viewer); err != nil {
			t.Fatal(err)
		}
		l.answers(n)
		one[events.Answer](l, l.inbox(p))
	}
	large := l.Settings.NodeCapacity
	l.Settings.NodeCapacity = l.Settings.Profile.SeatLoad("publisher").Times(2).Plus(l.Settings.PipeReserve)
	m := l.spare(n)
	l.Settings.NodeCapacity = large

	l.after(fleet.LeaseLasts+time.Second, m)
	for _, p := range stage {
		if a := l.returns(p, m, n); a.Node != string(m.id) {
			t.Errorf("%s is on %s, not at once where there is room", p.session, a.Node)
		}
	}
	l.join.Role = events.Viewer
	for _, p := range viewers {
		l.follows(p, p.session+"-again", n)
		one[events.Waiting](l, l.inbox(p))
	}
	if got := l.seats()["hall"]; got != 4 {
		t.Errorf("%d of 4 seats are kept", got)
	}
	l.join.Role = ""
	l.refused(l.joins(someone("newcomer", "hall")), events.CodeRoomFull)

	third := l.launches()
	l.join.Role = events.Viewer
	for _, p := range viewers {
		if a := l.returns(p, third, n); a.Node != string(third.id) {
			t.Errorf("%s is on %s", p.session, a.Node)
		}
	}
	for _, b := range l.blocksOf(m) {
		if b.Role != "publisher" || len(b.Members) != 2 {
			t.Errorf("where the stage is, there is %+v", b)
		}
	}
	if blocks := l.blocksOf(n); len(blocks) > 0 || l.seats()["hall"] != 4 {
		t.Errorf("the dead node has %+v, seats %v", blocks, l.seats())
	}
}

// What the old home found of a network comes to the new one with the offer, also
// when that one has to be launched first.
func TestTheNewHomeIsToldWhatTheOldOneFound(t *testing.T) {
	l := newLab(t, 4)
	ann := someone("ann", "r")
	n, _ := l.settles(ann)
	l.drains(n)
	l.join.ReceiveKbps = 1234
	l.follows(ann, "session-ann-2")
	one[events.Waiting](l, l.inbox(ann))
	m := l.launches()
	one[events.Ready](l, l.inbox(ann))
	l.follows(ann, "session-ann-2")
	offers := l.answers(m)
	if len(offers) != 1 || offers[0].ReceiveKbps != 1234 || offers[0].From != ann.session {
		t.Errorf("the new home is offered %+v", offers)
	}
}
