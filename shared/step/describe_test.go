package step_test

import (
	"strings"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
)

func (l *lab) describes(name room.Name, identity, metadata string) error {
	l.Helper()
	d := control.Deed{Kind: events.SetMetadata, Room: name, Identity: identity, Metadata: metadata}
	if identity != "" {
		d.Key = someone(identity, string(name)).caller.Key
	}
	_, err := l.Moderate(l.Context(), d)
	return err
}

// What is said of a room is told to its nodes, goes with every later offer, is told
// again to a node that has missed it, and stays while the room does.
func TestARoomIsDescribed(t *testing.T) {
	l := newLab(t, 10)
	text := "from the token"
	ann := someone("ann", "r")
	ann.caller.Wish = &room.Wish{Metadata: &text}
	n, _ := l.settles(ann)
	if r := l.room("r"); r.Metadata != text || r.MetadataRevision == 0 {
		t.Fatalf("the room is %+v", r)
	}
	first := l.room("r").MetadataRevision
	if err := l.joins(someone("bob", "r")); err != nil {
		t.Fatal(err)
	}
	if o := l.answers(n); len(o) != 1 || o[0].RoomMetadata == nil || o[0].RoomMetadata.Text != text || o[0].RoomMetadata.Revision != first {
		t.Errorf("the offer says %+v", o)
	}
	l.take(n.connection, events.ToNode)

	if err := l.describes("r", "", "plans"); err != nil {
		t.Fatal(err)
	}
	told := one[events.RoomDescribed](l, l.take(n.connection, events.ToNode))
	if told.Room != "r" || told.Metadata.Text != "plans" || told.Metadata.Revision <= first {
		t.Errorf("the node is told %+v", told)
	}
	// The same again is told again, and changes nothing.
	before := l.room("r").Revision
	if err := l.describes("r", "", "plans"); err != nil {
		t.Fatal(err)
	}
	if again := one[events.RoomDescribed](l, l.take(n.connection, events.ToNode)); again.Metadata != told.Metadata || l.room("r").Revision != before {
		t.Errorf("the node is told %+v, and the room is at %d", again, l.room("r").Revision)
	}
	// A node that has missed it is told when it says what it knows; one that has not, is not.
	for known, want := range map[int64]int{first: 1, told.Metadata.Revision: 0} {
		if err := l.beats(n, &events.Inventory{TakenMs: l.Now().UnixMilli(), Parts: 1, Rooms: []events.RoomMembers{
			{Room: "r", Members: map[string]int64{}, Described: known}}}); err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, m := range l.take(n.connection, events.ToNode) {
			if d, ok := m.(events.RoomDescribed); ok && d.Metadata == told.Metadata {
				got++
			}
		}
		if got != want {
			t.Errorf("a node that knows %d is told %d times", known, got)
		}
	}
	l.refused(l.describes("none", "", "x"), events.CodeNotFound)
	l.refused(l.describes("r", "", strings.Repeat("a", events.MaxRoomMetadata+1)), events.CodeBadField)
	if room.MaxMetadata != events.MaxRoomMetadata {
		t.Errorf("a token's bound is %d, a message's %d", room.MaxMetadata, events.MaxRoomMetadata)
	}
	long := strings.Repeat("a", room.MaxMetadata+1)
	eve := someone("eve", "s")
	eve.caller.Wish = &room.Wish{Metadata: &long}
	l.refused(l.joins(eve), events.CodeTokenMalformed)
	// A declaration leaves alone what it does not mention.
	d := control.Declaration{Room: "r", Profile: l.room("r").Profile, KeepUntil: l.Now().Add(time.Hour)}
	if err := l.World.Declare(t.Context(), d); err != nil || l.room("r").Metadata != "plans" {
		t.Errorf("the room is %q, %v", l.room("r").Metadata, err)
	}
	empty := ""
	d.Metadata = &empty
	if err := l.World.Declare(t.Context(), d); err != nil || l.room("r").Metadata != "" || l.room("r").MetadataRevision <= told.Metadata.Revision {
		t.Errorf("the room is %+v, %v", l.room("r"), err)
	}
}

// What somebody is given stands against its token, on later sessions too, until it leaves.
func TestAParticipantIsDescribed(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	ann.caller.Metadata = "from the token"
	n, _ := l.settles(ann)
	l.take(n.connection, events.ToNode)
	if err := l.describes("r", "ann", "chair"); err != nil {
		t.Fatal(err)
	}
	if m := one[events.DescribeFor](l, l.take(n.connection, events.ToNode)); m.Key != string(ann.caller.Key) || m.Metadata != "chair" {
		t.Errorf("the node is told %+v", m)
	}
	again := ann
	again.session, again.caller.Connection = "another-session", "another-connection"
	if err := l.joins(again); err != nil {
		t.Fatal(err)
	}
	if o := l.answers(n); len(o) != 1 || o[0].Person.Metadata != "chair" {
		t.Errorf("the offer says %+v", o)
	}
	l.refused(l.describes("r", "gus", "x"), events.CodeNotFound)
	if err := l.left(n, again, int64(l.row(again).Revision)); err != nil {
		t.Fatal(err)
	}
	fresh := ann
	fresh.session, fresh.caller.Connection = "a-third-session", "a-third-connection"
	if err := l.joins(fresh); err != nil {
		t.Fatal(err)
	}
	if o := l.answers(n); len(o) != 1 || o[0].Person.Metadata != "from the token" {
		t.Errorf("after it left, the offer says %+v", o)
	}
}
