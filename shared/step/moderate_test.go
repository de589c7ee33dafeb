package step_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

func (l *lab) does(kind events.Deed, p person) (moving bool, err error) {
	l.Helper()
	return l.Moderate(l.Context(), control.Deed{Kind: kind, Room: p.caller.Room, Key: p.caller.Key})
}

// row reads a participant as the store has it.
func (l *lab) row(p person) room.Participant {
	l.Helper()
	items, err := l.World.Store.Get(l.Context(), true, step.ParticipantKey{Room: p.caller.Room, Key: p.caller.Key})
	if err != nil || len(items.Participants) != 1 {
		l.Fatalf("%d participants, %v", len(items.Participants), err)
	}
	return items.Participants[0]
}

// roles counts the seats that are taken in the hall, by the role of their block,
// and checks that everybody sits once, in a block of the own role.
func (l *lab) roles(n node) map[room.Role]int {
	l.Helper()
	out := map[room.Role]int{}
	sits := map[room.Key]int{}
	for _, b := range l.blocksOf(n) {
		if b.Room != "hall" {
			continue
		}
		out[b.Role] += len(b.Members)
		for key := range b.Members {
			sits[key]++
			items, err := l.World.Store.Get(l.Context(), true, step.ParticipantKey{Room: "hall", Key: key})
			if err != nil || len(items.Participants) != 1 || items.Participants[0].Block != b.Index || items.Participants[0].Role != b.Role {
				l.Errorf("%s sits in block %d for %ss and is %+v, %v", key, b.Index, b.Role, items.Participants, err)
			}
		}
	}
	for key, n := range sits {
		if n != 1 {
			l.Errorf("%s sits on %d seats", key, n)
		}
	}
	return out
}

func TestAViewerIsBroughtToTheStageAndBack(t *testing.T) {
	l := newHall(t, 40, 10, 2)
	ann, bob, cas := someone("ann", "hall"), someone("bob", "hall"), someone("cas", "hall")
	bob.caller.MayPublish, cas.caller.MayPublish = false, false
	n, _ := l.settles(ann)
	b := l.admit(bob, n)
	l.admit(cas, n)
	moving, err := l.does(events.Promote, bob)
	if err != nil || moving {
		t.Fatal(moving, err)
	}
	told := one[events.Recast](l, l.take(n.connection, events.ToNode))
	if told.Role != events.Publisher || told.Key != string(bob.caller.Key) || told.Revision != b.Revision {
		t.Errorf("the node is told %+v", told)
	}
	if got := l.roles(n); got[room.Publisher] != 2 || got[room.Viewer] != 1 {
		t.Errorf("seats %v", got)
	}
	_, err = l.does(events.Promote, cas)
	l.refused(err, events.CodeStageFull)

	// Repeating it changes nothing and tells the node again.
	if _, err := l.does(events.Promote, bob); err != nil {
		t.Fatal(err)
	}
	one[events.Recast](l, l.take(n.connection, events.ToNode))

	// The role lasts over a rejoin, whatever the token says.
	again := l.follows(bob, "session-bob-2")
	if o := l.answers(n); len(o) != 1 || o[0].Person.Role != events.Publisher {
		t.Fatalf("offers %+v", o)
	}
	if err := l.left(n, bob, b.Revision); err != nil {
		t.Fatal(err)
	}
	if _, err := l.does(events.Demote, again); err != nil {
		t.Fatal(err)
	}
	if got := l.roles(n); got[room.Publisher] != 1 || got[room.Viewer] != 2 {
		t.Errorf("seats %v", got)
	}
	if _, err := l.does(events.Promote, cas); err != nil {
		t.Errorf("the stage has room again: %v", err)
	}
	l.seats()
	_, err = l.does(events.Promote, someone("nobody", "hall"))
	l.refused(err, events.CodeNotFound)
}

// TestCastingIsExact changes roles at random, in rooms that are full and rooms
// that are not, on a node that is nearly full: who is refused is refused because
// the stage is full, and everybody keeps exactly one seat.
func TestCastingIsExact(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 2))
			participants := 2 + rnd.IntN(12)
			publishers := 1 + rnd.IntN(participants)
			l := newLab(t, 14+rnd.IntN(30))
			n, _ := l.settles(someone("first", "warm-up"))
			l.World.Settings.Profile.MaxParticipants, l.World.Settings.Profile.MaxPublishers = participants, publishers
			here := map[string]events.Role{}
			people := map[string]person{}
			onStage := func() (n int) {
				for _, r := range here {
					if r == events.Publisher {
						n++
					}
				}
				return n
			}
			for i := range 150 {
				l.after(time.Second, n)
				name := fmt.Sprint("p", rnd.IntN(participants))
				role, in := here[name]
				switch {
				case in && rnd.IntN(5) == 0:
					l.leaves(people[name])
					delete(here, name)
				case in:
					to, deed, want := events.Publisher, events.Promote, events.Code("")
					if role == events.Publisher {
						to, deed = events.Viewer, events.Demote
					} else if onStage() == publishers {
						want = events.CodeStageFull
					}
					moving, err := l.does(deed, people[name])
					var e *events.Error
					switch {
					case want != "":
						if !errors.As(err, &e) || e.Code != want {
							t.Fatalf("step %d: %s with %d of %d on stage: %v", i, deed, onStage(), publishers, err)
						}
					case err != nil || moving:
						t.Fatalf("step %d: %s with %d of %d on stage: moving %v, %v", i, deed, onStage(), publishers, moving, err)
					default:
						here[name] = to
					}
				default:
					p := someone(name, "hall")
					p.session = fmt.Sprintf("session-%d", i)
					if err := l.joinsAs(p, events.Viewer); err != nil {
						t.Fatalf("step %d: join with %d of %d here: %v", i, len(here), participants, err)
					}
					here[name], people[name] = events.Viewer, p
				}
				got := l.roles(n)
				if got[room.Publisher] != onStage() || got[room.Publisher]+got[room.Viewer] != len(here) {
					t.Fatalf("step %d: seats %v for %v", i, got, here)
				}
				l.seats()
			}
		})
	}
}

func TestWithoutRoomOnTheNodeAPromotionIsAMove(t *testing.T) {
	l := newHall(t, 2, 10, 10)
	ann := someone("ann", "hall")
	n, a := l.settles(ann)
	if _, err := l.does(events.Demote, ann); err != nil {
		t.Fatal(err)
	}
	// Somebody else's room takes the rest of the node.
	v := l.node(n)
	rest := v.Node.Available
	if err := l.World.Store.Commit(t.Context(), []control.Change{control.ClaimLoad{Node: n.id, Generation: 1, Load: rest, At: l.Now()}}); err != nil {
		t.Fatal(err)
	}
	l.take(n.connection, events.ToNode)
	_, err := l.does(events.Promote, ann)
	l.refused(err, events.CodeRoomFull) // rooms here are on one node

	l.World.Settings.NodesPerRoom, l.World.Settings.PipeReserve = 2, room.Load{Kbps: 1}
	moving, err := l.does(events.Promote, ann)
	if err != nil || !moving {
		t.Fatal(moving, err)
	}
	if m := one[events.MoveAway](l, l.take(n.connection, events.ToNode)); len(m.Keys) != 1 || m.Keys[0] != string(ann.caller.Key) {
		t.Errorf("told %+v", m)
	}
	if p := l.row(ann); p.Cast != room.Publisher || p.Role != room.Viewer || int64(p.Revision) != a.Revision {
		t.Errorf("meanwhile it is %+v", p)
	}
	if err := l.World.Store.Commit(t.Context(), []control.Change{control.ReturnLoad{Node: n.id, Generation: 1, Load: rest, At: l.Now()}}); err != nil {
		t.Fatal(err)
	}
	again := l.follows(ann, "session-ann-2")
	if o := l.answers(n); len(o) != 1 || o[0].Person.Role != events.Publisher {
		t.Fatalf("offers %+v", o)
	}
	if p := l.row(again); p.Role != room.Publisher || p.Held.Role != room.Viewer {
		t.Errorf("after the move it is %+v", p)
	}
	// The move comes to nothing: it is what it was.
	if err := l.World.Leave(t.Context(), ann.caller, events.Leave{Header: events.Head(events.ActionLeave), ID: "1", Session: again.session}); err != nil {
		t.Fatal(err)
	}
	if p := l.row(ann); p.Role != room.Viewer || p.Session != ann.session {
		t.Errorf("afterwards it is %+v", p)
	}
	l.seats()
}

func TestWhoIsRemovedLosesSeatAndSession(t *testing.T) {
	l := newHall(t, 10, 10, 10)
	ann, bob := someone("ann", "hall"), someone("bob", "hall")
	n, a := l.settles(ann)
	l.admit(bob, n)
	if _, err := l.does(events.RemoveDeed, ann); err != nil {
		t.Fatal(err)
	}
	if r := one[events.Remove](l, l.take(n.connection, events.ToNode)); r.Code != events.CodeRemoved || r.Revision != a.Revision {
		t.Errorf("the node is told %+v", r)
	}
	if got := l.seats()["hall"]; got != 1 {
		t.Errorf("%d seats taken", got)
	}
	if err := l.left(n, ann, a.Revision); err != nil { // the node's report changes nothing more
		t.Fatal(err)
	}
	m := l.join
	m.Session, m.From = "session-ann-2", ann.session
	l.refused(l.World.Join(t.Context(), ann.caller, m), events.CodeRemoved)
	l.refused(l.joins(ann), events.CodeRemoved)
	// Asked again, the node is told again; later there is nobody to remove.
	l.take(n.connection, events.ToNode)
	if _, err := l.does(events.RemoveDeed, ann); err != nil {
		t.Fatal(err)
	}
	if r := one[events.Remove](l, l.take(n.connection, events.ToNode)); r.Code != events.CodeRemoved || r.Key != string(ann.caller.Key) || r.Revision < a.Revision {
		t.Errorf("the node is told again %+v", r)
	}
	l.after(control.SettleAfter, n)
	_, err := l.does(events.RemoveDeed, ann)
	l.refused(err, events.CodeNotFound)

	// Another session may come, unless that was forbidden too.
	next := person{ann.caller, "session-ann-3"}
	l.admit(next, n)
	if _, err := l.Moderate(t.Context(), control.Deed{Kind: events.RemoveDeed, Room: "hall", Key: ann.caller.Key, BarFor: time.Minute}); err != nil {
		t.Fatal(err)
	}
	last := person{ann.caller, "session-ann-4"}
	l.refused(l.joins(last), events.CodeRemoved)
	l.after(time.Minute+time.Second, n)
	if err := l.joins(last); err != nil {
		t.Errorf("the bar is over: %v", err)
	}
	if got := l.seats()["hall"]; got != 2 {
		t.Errorf("%d seats taken", got)
	}
}

func TestWhoWaitsCanBeRemovedToo(t *testing.T) {
	l := newHall(t, 10, 10, 10)
	ann := someone("ann", "hall")
	if err := l.joins(ann); err != nil {
		t.Fatal(err)
	}
	if _, err := l.does(events.RemoveDeed, ann); err != nil {
		t.Fatal(err)
	}
	if e := one[events.Error](l, l.inbox(ann)); e.Code != events.CodeRemoved {
		t.Errorf("told %+v", e)
	}
	items, err := l.World.Store.Find(t.Context(), step.Waiting{Region: l.World.Settings.Region})
	if err != nil || len(items.Waits) != 0 {
		t.Errorf("%+v still wait, %v", items.Waits, err)
	}
}

func TestARoomIsEnded(t *testing.T) {
	l := newHall(t, 10, 10, 10)
	ann := someone("ann", "hall")
	n, a := l.settles(ann)
	if err := l.World.Declare(t.Context(), control.Declaration{Room: "hall", Profile: l.World.Settings.Profile, KeepUntil: l.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Moderate(t.Context(), control.Deed{Kind: events.EndRoom, Room: "hall"}); err != nil {
		t.Fatal(err)
	}
	if m := one[events.End](l, l.take(n.connection, events.ToNode)); m.Room != "hall" || m.Code != events.CodeRoomEnded {
		t.Errorf("the node is told %+v", m)
	}
	if err := l.left(n, ann, a.Revision); err != nil {
		t.Fatal(err)
	}
	items, err := l.World.Store.Get(t.Context(), true, step.RoomKey{Room: "hall"})
	if err != nil || len(items.Rooms) != 0 {
		t.Errorf("the room is still %+v, %v", items.Rooms, err)
	}
	_, err = l.Moderate(t.Context(), control.Deed{Kind: events.EndRoom, Room: "hall"})
	l.refused(err, events.CodeNotFound)
}

func TestADeedOfANodeIsFencedAndAnswered(t *testing.T) {
	l := newHall(t, 10, 10, 1)
	ann, bob := someone("ann", "hall"), someone("bob", "hall")
	n, _ := l.settles(ann)
	if err := l.joinsAs(bob, events.Viewer); err != nil {
		t.Fatal(err)
	}
	l.take(n.connection, events.ToNode)
	m := events.ModerateFor{Header: events.Head(events.ActionModerate), Node: string(n.id), Generation: n.generation + 1, Room: "hall",
		By: string(ann.caller.Key), ID: "7", Deed: events.Promote, Participant: "bob"}
	l.refused(l.ModerateFor(t.Context(), callerOf(n), m, bob.caller.Key), events.CodeFenced)
	m.Generation = n.generation
	if err := l.ModerateFor(t.Context(), callerOf(n), m, bob.caller.Key); err != nil {
		t.Fatal(err)
	}
	if a := one[events.Moderated](l, l.take(n.connection, events.ToNode)); a.Fault == nil || a.Fault.Code != events.CodeStageFull || a.ID != "7" || a.By != m.By {
		t.Errorf("answered %+v", a)
	}
	m.Deed, m.Sources = events.Mute, []events.Source{events.Microphone}
	if err := l.ModerateFor(t.Context(), callerOf(n), m, bob.caller.Key); err != nil {
		t.Fatal(err)
	}
	mail := l.take(n.connection, events.ToNode)
	if a := one[events.Moderated](l, mail); a.Fault != nil {
		t.Errorf("answered %+v", a)
	}
	if a := one[events.MuteTracks](l, mail); a.Key != string(bob.caller.Key) {
		t.Errorf("muted %+v", a)
	}
}

// TestWhoIsRemovedInAMoveTakesTheSeatAlong: two of a full hall have two seats each
// while they move, which is more than the hall takes. One of them is removed: what it
// had beyond goes with it.
func TestWhoIsRemovedInAMoveTakesTheSeatAlong(t *testing.T) {
	l := newHall(t, 10, 4, 4)
	people := []person{someone("ann", "hall"), someone("bob", "hall"), someone("cas", "hall"), someone("dan", "hall")}
	n, _ := l.settles(people[0])
	for _, p := range people[1:] {
		l.admit(p, n)
	}
	l.arrives("n-other")
	m := node{id: "n-other", connection: "c-n-other", generation: 1}
	l.drains(n)
	for _, p := range people[:2] {
		l.follows(p, p.session+"-2")
	}
	l.answers(m)
	if r := l.room("hall"); r.SeatsLeft != -2 {
		t.Fatalf("%d seats are left to grant while two move", r.SeatsLeft)
	}
	if _, err := l.does(events.RemoveDeed, people[0]); err != nil {
		t.Fatal(err)
	}
	if r := l.room("hall"); r.SeatsLeft != 0 || r.Granted() != 4 {
		t.Errorf("%d seats are left to grant, %d are granted of 4", r.SeatsLeft, r.Granted())
	}
	if got := l.seats()["hall"]; got != 4 { // bob has two
		t.Errorf("%d seats are taken", got)
	}
}
