package trial

import (
	"fmt"
	"maps"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
	"github.com/spillway-sfu/spillway/shared/step"
)

// wide lets rooms be on so many nodes.
func (t *trial) wide(nodes int) {
	t.set.NodesPerRoom = nodes
	t.set.PipeReserve = t.set.Profile.PipeLoad().Times(min(nodes-1, room.Fanout+1))
	t.set.NodeCapacity = t.set.NodeCapacity.Plus(t.set.PipeReserve)
}

// directory is a room as the table has it.
func (t *trial) directory(name room.Name) (r room.Room) {
	t.store.truth.Look(func(c sim.Contents) { r = c.Rooms[name].Clone() })
	return r
}

// joinedUp reports whether a room's nodes all live, are one tree, and have all been
// told of their pipes in it.
func (t *trial) joinedUp(name room.Name) bool {
	r, roots := t.directory(name), 0
	for _, ref := range r.Nodes {
		n := t.nodeOf(string(ref.Node))
		if n == nil || n.generation != int64(ref.Generation) || len(n.pipes[string(name)].Peers) != r.Pipes(ref.Node) {
			return false
		}
		if ref.Feeder == "" {
			roots++
		}
	}
	return roots == 1
}

// rootDies: the node that feeds a room's others dies. Its people come back
// elsewhere, and the others are joined to each other without it, long before its
// lease is given up.
func rootDies(t *trial) {
	t.wide(6)
	var people []*person
	for i := range 12 {
		key := fmt.Sprintf("p%d", i)
		people = append(people, t.enter(key, key, "r"))
	}
	t.until("the room's nodes are joined", time.Minute, func() bool { return len(t.directory("r").Nodes) >= 3 && t.joinedUp("r") })
	var dead *node
	for _, ref := range t.directory("r").Nodes {
		if ref.Feeder == "" {
			dead = t.nodeOf(string(ref.Node))
		}
	}
	t.pass(4 * time.Minute) // nodes that are used little take more: there is room for who comes back
	dead.die()
	t.until("the others are joined without it", 30*time.Second, func() bool {
		r := t.directory("r")
		return r.NodeRef(room.NodeID(dead.id)) == nil && t.joinedUp("r")
	})
	t.until("all are back", 30*time.Second, func() bool { return len(in(people)) == len(people) })
	// Seats that were held meanwhile are free when an inventory does not show them.
	t.until("everybody has one seat", 3*time.Minute, func() bool {
		seats := 0
		for _, p := range people {
			seats += len(t.seatOf(p))
		}
		return seats == len(people)
	})
	for _, p := range people {
		t.expect(p.node != dead, "%s is on the dead node", p.label)
		t.sits(p)
	}
}

// drainedInTime: who does not go when it is asked to is made to go at the deadline,
// and not before.
func drainedInTime(t *trial) {
	t.set.DrainWithinMs = (90 * time.Second).Milliseconds()
	ann := t.enter("ann", "ann", "r")
	old := ann.node
	ann.deaf = true
	t.pass(20 * time.Second)
	t.drain(old)
	t.pass(85 * time.Second)
	t.expect(ann.phase == joined && ann.node == old && ann.gaps == 0, "ann was made to go before the deadline")
	// A heartbeat tells the node, and a node may have to be launched.
	t.until("ann has lost her place there", 15*time.Second, func() bool { return ann.node != old })
	t.until("ann is elsewhere", time.Minute, func() bool { return ann.phase == joined })
	t.expect(ann.gaps == 1, "ann was without a connection %d times", ann.gaps)
	t.until("the node is ended", 3*time.Minute, func() bool { return old.machine.ended != 0 })
	t.sits(ann)
}

// helloAfterFence: a node that was cut off until it was given up says hello again. It
// is turned away, ends itself, and nothing of its former life changes anything.
func helloAfterFence(t *trial) {
	ann := t.enter("ann", "ann", "r")
	cut := ann.node
	id := cut.machine.node
	t.pass(20 * time.Second)
	cut.isolate(time.Hour)
	ann.vanish() // to another network, from which the node cannot be reached
	ann.join()
	ann.avoid = []string{cut.id}
	t.until("ann is elsewhere", 4*time.Minute, func() bool { return ann.phase == joined && ann.node != cut })
	t.until("the node is given up", 6*time.Minute, func() bool { return t.row(id) != nil && !t.row(id).State.Living() })
	t.expect(!cut.dead && cut.machine.ended == 0, "the node has ended before its hello")
	was := *t.row(id)
	cut.cut = false
	cut.dial(0, 0)
	cut.dial(1, 0)
	t.until("the node has ended itself", 5*time.Second, func() bool { return cut.dead })
	if now := t.row(id); now != nil {
		t.expect(now.Generation == was.Generation && !now.State.Living() && maps.Equal(now.Connections, was.Connections), "the hello of a fenced node changed it to %+v", *now)
	}
	t.until("its machine has ended", 3*time.Minute, func() bool { return cut.machine.ended != 0 })
	t.sits(ann)
}

// unknownInstance: a function gives a launch up and dies before it ends the instance,
// which never says hello. Nobody knows of it any more, and it is ended all the same.
func unknownInstance(t *trial) {
	t.ec2.boots = 24 * time.Hour
	t.dies("sweep timer", "DeleteLaunch")
	ann := t.someone("ann", "ann", "r")
	ann.join()
	m := t.instance(1)
	t.ec2.boots = 20 * time.Second
	t.until("the launch is given up", fleet.LaunchTimeout+2*time.Minute, func() bool {
		known := true
		t.store.truth.Look(func(c sim.Contents) { _, known = c.Launches[step.LaunchKey{Region: t.set.Region, ID: m.node}] })
		return !known
	})
	t.expect(m.ended == 0, "the function did not die before it ended the instance")
	t.until("the instance is ended", control.OrphanAfter+2*time.Minute, func() bool { return m.ended != 0 })
	t.allStruck()
	t.until("ann is in", 2*time.Minute, func() bool { return ann.phase == joined })
	t.sits(ann)
}

// seatsToTheStage: a room has granted all its seats, and one more may come to its
// stage. Of the seats that viewers do not need one goes there, and no more.
func seatsToTheStage(t *trial) {
	t.set.Profile.MaxParticipants, t.set.Profile.MaxPublishers = 12, 5
	for i := range 4 {
		key := fmt.Sprintf("p%d", i)
		t.enter(key, key, "r")
	}
	for i := range 5 {
		key := fmt.Sprintf("v%d", i)
		v := t.someone(key, key, "r")
		v.wants = events.Viewer
		v.join()
		t.until(key+" is in", time.Minute, func() bool { return v.phase == joined })
	}
	r := t.directory("r")
	t.expect(r.SeatsLeft == 0 && r.StageLeft() == 1, "%d seats are not granted, and %d on stage", r.SeatsLeft, r.StageLeft())
	fifth := t.enter("p4", "p4", "r")
	t.sits(fifth)
	sixth := t.someone("p5", "p5", "r")
	sixth.join()
	t.until("one too many is refused", 10*time.Second, func() bool { return sixth.phase == over && sixth.code == events.CodeStageFull })
}

// lostRole: the node is not reached by the word that somebody is on stage now. Its
// next inventories show that, and it is told again.
func lostRole(t *trial) {
	t.enter("ann", "ann", "r")
	bob := t.someone("bob", "bob", "r")
	bob.wants = events.Viewer
	bob.join()
	t.until("bob is in", 10*time.Second, func() bool { return bob.phase == joined })
	t.script = append(t.script, &scripted{fault: "lost on its way out", call: "promote api bob", request: "post"})
	t.deed(events.Promote, bob, true, 0)
	t.pass(2 * time.Second)
	t.allStruck()
	t.expect(bob.role == events.Viewer, "bob has heard of it")
	t.until("bob hears of it", 2*time.Minute, func() bool { return bob.role == events.Publisher })
	blocks := t.seatOf(bob)
	t.expect(len(blocks) == 1 && blocks[0].For(room.Publisher), "bob sits in %v", blocks)
}
