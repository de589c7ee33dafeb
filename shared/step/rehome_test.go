package step_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// fills seats so many people in a room on one node, and returns them with a second
// node that is ready.
func (l *lab) fills(people int, name string) (crowd []person, n, m node) {
	l.Helper()
	for i := range people {
		p := someone(fmt.Sprintf("%s%d", name, i), name)
		crowd = append(crowd, p)
		if i == 0 {
			n, _ = l.settles(p)
			continue
		}
		l.admit(p, n)
	}
	return crowd, n, l.spare(n)
}

// spare makes a node that is ready and empty, whatever others have left.
func (l *lab) spare(others ...node) node {
	l.Helper()
	p := someone("spare", "elsewhere")
	m := l.join
	m.ID, m.Session = "join-spare", p.session
	for _, n := range others {
		m.Avoid = append(m.Avoid, string(n.id))
	}
	join := func() {
		if err := l.World.Join(l.Context(), p.caller, m); err != nil {
			l.Fatal(err)
		}
	}
	join()
	made := l.launches()
	l.inbox(p)
	join()
	l.answers(made)
	if a := one[events.Answer](l, l.inbox(p)); l.left(made, p, a.Revision) != nil {
		l.Fatal("the spare node's only participant cannot leave")
	}
	return made
}

// returns makes somebody's next session join, and returns where it is seated.
func (l *lab) returns(p person, m node, avoid ...node) events.Answer {
	l.Helper()
	l.follows(p, p.session+"-again", avoid...)
	l.answers(m)
	return one[events.Answer](l, l.inbox(p))
}

func TestADeadNodesSeatsGoElsewhereWithTheirPeople(t *testing.T) {
	for _, c := range []struct {
		name string
		dies func(l *lab, people []person, n, m node)
	}{
		{"three say so", func(l *lab, people []person, n, _ node) {
			for _, p := range people[:2] {
				l.follows(p, p.session+"-again", n)
				if e := one[events.Error](l, l.inbox(p)); e.Code != events.CodeNodeUnreachable {
					t.Fatalf("told %+v", e)
				}
			}
		}},
		{"its lease ends", func(l *lab, _ []person, _, m node) { l.after(fleet.LeaseLasts+time.Second, m) }},
		{"EC2 says that it is gone", func(l *lab, _ []person, n, m node) {
			if err := l.EC2.Terminate(l.Context(), control.Termination{Node: n.id}); err != nil {
				l.Fatal(err)
			}
			l.sweep()
			l.sweep()
			l.after(fleet.LeaseLasts, m)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newHall(t, 10, 5, 5)
			people, n, m := l.fills(5, "r")
			c.dies(l, people, n, m)
			newcomer := someone("newcomer", "r")
			// From the first who comes back on, all seats are elsewhere, and taken.
			for i := range people {
				p := people[(i+2)%5]
				if a := l.returns(p, m, n); a.Node != string(m.id) {
					t.Errorf("%s is on %s", p.session, a.Node)
				}
				if got := l.seats()["r"]; got != 5 {
					t.Errorf("%d seats after %d have come back", got, i+1)
				}
				l.refused(l.joins(newcomer), events.CodeRoomFull)
			}
			if blocks := l.blocksOf(n); len(blocks) > 0 {
				t.Errorf("the dead node has %+v", blocks)
			}
		})
	}
}

func TestWhoDoesNotComeBackLosesTheSeat(t *testing.T) {
	l := newHall(t, 10, 5, 5)
	people, n, m := l.fills(5, "r")
	l.after(fleet.LeaseLasts+time.Second, m)
	a := l.returns(people[0], m, n)
	there := &events.Inventory{TakenMs: l.Now().UnixMilli(), Part: 0, Parts: 1, Rooms: []events.RoomMembers{
		{Room: "r", Members: map[string]int64{string(people[0].caller.Key): a.Revision}}}}
	l.after(fleet.NoShowAfter-time.Second, m)
	there.TakenMs = l.Now().UnixMilli()
	if err := l.beats(m, there); err != nil {
		t.Fatal(err)
	}
	if got := l.seats()["r"]; got != 5 {
		t.Fatalf("%d seats before their time is over", got)
	}
	b := l.returns(people[1], m, n)
	there.Rooms[0].Members[string(people[1].caller.Key)] = b.Revision
	l.after(2*time.Second, m)
	there.TakenMs = l.Now().UnixMilli()
	if err := l.beats(m, there); err != nil {
		t.Fatal(err)
	}
	if got := l.seats()["r"]; got != 2 {
		t.Fatalf("%d seats, two have come back", got)
	}
	l.admit(someone("newcomer", "r"), m)
	// Whose time was over joins like anybody else.
	if a := l.returns(people[2], m, n); a.Node != string(m.id) || l.seats()["r"] != 4 {
		t.Errorf("on %s, %v", a.Node, l.seats())
	}
}

func TestADeadNodesSeatsWaitForALaunch(t *testing.T) {
	l := newHall(t, 5, 5, 5)
	people, n, m := l.fills(5, "r")
	l.admit(someone("somebody", "s"), m) // so that not all fit
	l.after(fleet.LeaseLasts+time.Second, m)
	l.follows(people[0], "again-0", n)
	if w := one[events.Waiting](l, l.inbox(people[0])); w.EstimateMs <= 0 {
		t.Errorf("%+v", w)
	}
	l.refused(l.joins(someone("newcomer", "r")), events.CodeRoomFull)
	third := l.launches()
	one[events.Ready](l, l.inbox(people[0]))
	if blocks := l.blocksOf(third); len(blocks) == 0 || len(l.blocksOf(n)) != 0 || l.seats()["r"] != 5 {
		t.Errorf("%+v, seats %v", blocks, l.seats())
	}
	for _, p := range people[1:] {
		if a := l.returns(p, third, n); a.Node != string(third.id) {
			t.Errorf("on %s", a.Node)
		}
	}
	if l.seats()["r"] != 5 {
		t.Errorf("seats %v", l.seats())
	}
}

func TestBlocksOfBothRolesGoTogether(t *testing.T) {
	l := newHall(t, 12, 6, 2)
	l.World.Settings.Profile.SendKbps = 1000
	var people []person
	for i := range 6 {
		people = append(people, someone(fmt.Sprint("p", i), "hall"))
	}
	n, _ := l.settles(people[0])
	l.admit(people[1], n)
	for _, p := range people[2:] {
		if err := l.joinsAs(p, events.Viewer); err != nil {
			t.Fatal(err)
		}
	}
	l.answers(n)
	m := l.spare(n)
	before := l.blocksOf(n)
	l.after(fleet.LeaseLasts+time.Second, m)
	l.returns(people[1], m, n)
	after := l.blocksOf(m)
	if len(before) < 2 || len(after) != len(before) || l.seats()["hall"] != 6 {
		t.Errorf("%d blocks of %d moved, seats %v", len(after), len(before), l.seats())
	}
	// What the dead node held is free there again, whatever becomes of it.
	if v := l.node(n); !v.Node.Empty() {
		t.Errorf("the dead node still has %v of %v", v.Node.Available, v.Node.Capacity)
	}
}

func TestANodeThatWasOnlyCutOffSendsItsPeopleAfterTheirSeats(t *testing.T) {
	l := newHall(t, 10, 5, 5)
	people, n, m := l.fills(3, "r")
	var there events.RoomMembers
	there.Room, there.Members = "r", map[string]int64{}
	for _, b := range l.blocksOf(n) {
		for key, rev := range b.Members {
			there.Members[string(key)] = int64(rev)
		}
	}
	l.after(fleet.LeaseLasts+time.Second, m)
	l.returns(people[0], m, n)
	delete(there.Members, string(people[0].caller.Key))
	l.after(control.SettleAfter, m)
	l.take(n.connection, events.ToNode)
	if err := l.beats(n, &events.Inventory{TakenMs: l.Now().UnixMilli(), Parts: 1, Rooms: []events.RoomMembers{there}}); err != nil {
		t.Fatal(err)
	}
	sent := 0
	for _, msg := range l.take(n.connection, events.ToNode) {
		if r, ok := msg.(events.Remove); ok && r.Code == events.CodeNodeGone {
			sent++
		}
	}
	if sent != 2 {
		t.Errorf("%d of 2 are sent after their seats", sent)
	}
}

func TestARoomOnSeveralNodesBringsADeadOnesSeatsToTheOthers(t *testing.T) {
	l := newWideLab(t, 6, 3)
	l.World.Settings.Profile.MaxParticipants, l.World.Settings.Profile.MaxPublishers = 8, 8
	answers := l.crowds(8)
	r := l.room("r")
	if len(r.Nodes) < 2 {
		t.Fatalf("the room is on %+v", r.Nodes)
	}
	dead := node{id: r.Nodes[1].Node}
	var lost []person
	for name, a := range answers {
		if a.Node == string(dead.id) {
			lost = append(lost, someone(name, "r"))
		}
	}
	third := l.spare(dead, node{id: r.Nodes[0].Node})
	alive := node{id: r.Nodes[0].Node, connection: "c-" + string(r.Nodes[0].Node) + "-boot-one", generation: 1}
	l.after(fleet.LeaseLasts+time.Second, alive, third)
	for _, p := range lost {
		l.follows(p, p.session+"-again", dead)
		l.answers(alive)
		l.answers(third)
		one[events.Answer](l, l.inbox(p))
		if l.seats()["r"] != 8 {
			t.Fatalf("seats %v", l.seats())
		}
	}
	if r := l.room("r"); r.NodeRef(dead.id) != nil || r.SeatsLeft+r.Granted() != 8 {
		t.Errorf("%+v", r)
	}
}

func TestADrainingNodesBlocksTakeNobody(t *testing.T) {
	l := newHall(t, 10, 5, 5)
	people, n, m := l.fills(2, "r")
	before := l.blocksOf(n)[0]
	l.drains(n)
	// As one would do who has read the node before.
	stale := control.TakeSeat{Room: "r", Index: before.Index, Generation: 1, Key: "k-late", Revision: 9}
	if err := l.Store.Commit(t.Context(), []control.Change{stale}); err != step.ErrConflict {
		t.Errorf("somebody sat down on a draining node: %v", err)
	}
	// A block that was granted while the node began to drain is sealed by the sweep.
	late := fleet.Block{Room: "r", Index: before.Index, Node: n.id, Generation: 1, Seats: before.Seats, Role: before.Role, Load: before.Load, Members: before.Members}
	if err := l.Store.Commit(t.Context(), []control.Change{control.DropBlock{Room: "r", Index: before.Index, Node: n.id, Generation: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := l.Store.Commit(t.Context(), []control.Change{control.PutBlock{Block: late}}); err != nil {
		t.Fatal(err)
	}
	l.after(time.Second, n, m)
	l.sweep()
	if err := l.Store.Commit(t.Context(), []control.Change{stale}); err != step.ErrConflict {
		t.Errorf("somebody sat down after the sweep: %v", err)
	}
	// Its free seats are not lost to the room.
	l.admit(someone("ann", "r"), m)
	l.admit(someone("bob", "r"), m)
	l.admit(someone("cas", "r"), m)
	l.refused(l.joins(someone("dan", "r")), events.CodeRoomFull)
	if l.seats()["r"] != 5 || len(people) != 2 {
		t.Errorf("seats %v", l.seats())
	}
}

// A node that has died keeps its room in the index until it is given up. Others
// must not wait for a launch because of that.
func TestTheDeadHideNoneThatLive(t *testing.T) {
	l := newLab(t, 10)
	people, n, m := l.fills(5, "r")
	l.after(fleet.LeaseLasts+time.Second, n)
	newcomer := someone("newcomer", "another")
	if a := l.admit(newcomer, n); a.Node != string(n.id) {
		t.Errorf("the first of a room is on %s, %s is dead", a.Node, m.id)
	}
	if got := l.seats(); got["r"] != len(people) || got["another"] != 1 {
		t.Errorf("seats %v", got)
	}

	// Many of them, on either side of the one that lives.
	l = newLab(t, 10)
	_, n, m = l.fills(5, "r")
	dead := l.node(m).Node
	for i := range 2 * placement.Candidates {
		dead.ID = room.NodeID(fmt.Sprintf("%c-dead-%d", "az"[i%2], i))
		if err := l.World.Store.Commit(t.Context(), []control.Change{control.PutNode{Node: dead}}); err != nil {
			t.Fatal(err)
		}
	}
	l.after(fleet.LeaseLasts+time.Second, n, m)
	if a := l.admit(newcomer, m); a.Node != string(m.id) {
		t.Errorf("the first of a room is on %s, expected %s", a.Node, m.id)
	}
}
