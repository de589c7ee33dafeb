package trial

import (
	"fmt"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/sim"
)

// idleNoMore: a sweep has found a node idle, and before it can end it somebody is
// seated there.
func idleNoMore(t *trial) {
	ann := t.enter("ann", "ann", "r")
	n := ann.node
	ann.leave()
	for range 2 {
		t.slow("sweep timer", "SetState", 20*time.Second)
	}
	t.until("a sweep is about to end the node", 6*time.Minute, func() bool { return t.script[0].done })
	bob := t.enter("bob", "bob", "s")
	t.pass(30 * time.Second)
	t.script = nil
	t.expect(bob.phase == joined && bob.node == n && n.machine.ended == 0 && bob.gaps == 0, "the node was ended under bob, who had come meanwhile")
	t.sits(bob)
}

// ringLost: what asks for a pass over who waits is lost. The next sweep launches,
// and the one after that seats who waits.
func ringLost(t *trial) {
	t.weather.busLost = 1
	ann := t.someone("ann", "ann", "r")
	ann.join()
	t.until("ann is in", 3*t.weather.sweepEvery, func() bool { return ann.phase == joined })
	t.expect(len(t.ec2.machines) == 1, "%d instances for one", len(t.ec2.machines))
	t.weather.busLost = 0
	t.sits(ann)
}

// anHourWithout: no sweep comes for an hour, in which people come and go, a node
// dies, and another becomes idle. People are served all the same, and the sweeps
// that follow put the rest right.
func anHourWithout(t *trial) {
	t.weather.sweepMissed = 1
	var people []*person
	for i := range 6 {
		key := fmt.Sprintf("p%d", i)
		people = append(people, t.enter(key, key, fmt.Sprintf("room-%d", i/3)))
	}
	t.pass(20 * time.Minute)
	dead := people[0].node
	t.note("%s's machine dies", dead.id)
	t.ec2.end(dead.machine)
	t.until("all are elsewhere", 5*time.Minute, func() bool { return len(in(people)) == len(people) && people[0].node != dead })
	t.pass(35 * time.Minute)
	for _, p := range people[3:] {
		p.leave()
	}
	t.expect(len(in(people)) == 3, "%d of three are still in", len(in(people)))
	t.weather.sweepMissed = 0
	t.until("the dead node is forgotten", 6*time.Minute, func() bool { return t.row(dead.machine.node) == nil })
	t.pass(2 * time.Minute)
	for _, p := range people[:3] {
		t.sits(p)
	}
}

// sweepsAtOnce: three sweeps run side by side, one of them slow, while a node is
// idle, another has died with people on it, and a launch never said hello.
func sweepsAtOnce(t *trial) {
	t.ec2.boots = 20 * time.Second
	ann := t.enter("ann", "ann", "r")
	idle := ann.node
	ann.leave()
	bob := t.someone("bob", "bob", "s")
	bob.join()
	bob.avoid = []string{idle.id}
	t.until("bob is in", 2*time.Minute, func() bool { return bob.phase == joined && bob.node != idle })
	t.ec2.boots = 24 * time.Hour
	carl := t.someone("carl", "carl", "u")
	carl.join()
	carl.avoid = []string{idle.id, bob.node.id}
	never := t.instance(3)
	t.ec2.boots = 20 * time.Second
	dead := bob.node
	t.ec2.end(dead.machine)
	bob.vanish()
	t.slow("sweep timer", "DeleteLaunch", 4*time.Second)
	for range 6 {
		for range 3 {
			t.sweep()
		}
		t.pass(time.Minute)
	}
	t.expect(never.ended != 0, "the launch that never said hello still runs")
	t.expect(t.row(dead.machine.node) == nil, "the dead node is still known: %+v", t.row(dead.machine.node))
	t.until("carl is in", 2*time.Minute, func() bool { return carl.phase == joined })
	t.sits(carl)
}

// unlisted: EC2 does not know the instance of a node any more. It is given up, its
// seats go elsewhere, and its row is removed.
func unlisted(t *trial) {
	ann := t.enter("ann", "ann", "r")
	n := ann.node
	t.pass(control.OrphanAfter)
	t.ec2.end(n.machine)
	n.machine.unlisted = true
	t.until("ann is elsewhere", 3*time.Minute, func() bool { return ann.phase == joined && ann.node != n })
	t.until("the row is gone", 5*time.Minute, func() bool { return t.row(n.machine.node) == nil })
	t.sits(ann)
	t.store.truth.Look(func(c sim.Contents) {
		for _, b := range c.Blocks {
			t.expect(b.Node != n.machine.node, "block %d of %s is on a node that is no more", b.Index, b.Room)
		}
	})
}
