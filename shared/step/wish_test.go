package step_test

import (
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
)

// wishing is somebody whose token says what its room is to be.
func wishing(p person, preset string, participants int) person {
	p.caller.Wish = &room.Wish{Preset: preset, MaxParticipants: &participants}
	return p
}

func TestTheFirstTokenSaysWhatARoomIs(t *testing.T) {
	l := newLab(t, 10)
	ann := wishing(someone("ann", "r"), "classroom", 2)
	n, _ := l.settles(ann) // by way of the line
	classroom, err := room.Preset("classroom")
	if err != nil {
		t.Fatal(err)
	}
	if p := l.room("r").Profile; p.MaxParticipants != 2 || p.MaxPublishers != 2 || p.ReceiveKbps != classroom.ReceiveKbps {
		t.Errorf("the room is %+v", p)
	}
	// Later tokens find the room made, whatever they say.
	bob := wishing(someone("bob", "r"), "townhall", 9)
	if err := l.joins(bob); err != nil {
		t.Fatal(err)
	}
	if o := l.answers(n); len(o) != 1 || o[0].Profile.ReceiveKbps != classroom.ReceiveKbps {
		t.Errorf("the node is told %+v", o)
	}
	l.refused(l.joins(someone("cas", "r")), events.CodeRoomFull)
	l.refused(l.joins(wishing(someone("dan", "r"), "meeting", 50)), events.CodeRoomFull)
	// At once, on a node that is ready.
	eve := wishing(someone("eve", "other"), "", 3)
	l.admit(eve, n)
	if p := l.room("other").Profile; p.MaxParticipants != 3 || p.ReceiveKbps != l.Settings.Profile.ReceiveKbps {
		t.Errorf("the other room is %+v", p)
	}
	if got := l.room("r").Profile.MaxParticipants; got != 2 {
		t.Errorf("the first room takes %d", got)
	}
}

func TestADeclaredRoomIsWhatItWasDeclared(t *testing.T) {
	l := newLab(t, 10)
	declared := l.Settings.Profile
	declared.MaxParticipants, declared.MaxPublishers = 1, 1
	if err := l.World.Declare(t.Context(), control.Declaration{Room: "r", Profile: declared, KeepUntil: l.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	l.settles(wishing(someone("ann", "r"), "webinar", 100))
	if p := l.room("r").Profile; p.MaxParticipants != 1 || p.ReceiveKbps != declared.ReceiveKbps {
		t.Errorf("the room is %+v", p)
	}
	l.refused(l.joins(wishing(someone("bob", "r"), "webinar", 100)), events.CodeRoomFull)
}

func TestAWishThatMakesNoSenseIsRefused(t *testing.T) {
	l := newLab(t, 10)
	l.refused(l.joins(wishing(someone("ann", "r"), "party", 2)), events.CodeTokenMalformed)
	l.refused(l.joins(wishing(someone("ann", "r"), "", 0)), events.CodeTokenMalformed)
	if n := l.World.Store.Len(); n != 0 {
		t.Errorf("%d items were stored", n)
	}
}
