package trial

import (
	"fmt"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
)

// staleInventory: a part of an inventory that waited on its node for the gateway
// says nothing of who came after it was taken.
func staleInventory(t *trial) {
	ann := t.enter("ann", "ann", "r")
	key := "bob"
	for i := 0; events.InventoryPart(key, 2) != 1; i++ {
		key = fmt.Sprintf("bob-%d", i)
	}
	t.until("a part waits to be sent", 2*time.Minute, func() bool { return len(ann.node.parts) == 1 })
	bob := t.someone(key, key, "r")
	bob.join()
	t.until("bob is in", 2500*time.Millisecond, func() bool { return bob.phase == joined })
	t.expect(len(ann.node.parts) == 1, "the part was sent already")
	t.gateway.outage(75 * time.Second)
	t.pass(85 * time.Second)
	t.sits(bob)
}

// drained: from then on nobody is seated on the node, all on it move without ever
// being without a connection, and it is ended when it is empty.
func drained(t *trial) {
	ann, bob := t.enter("ann", "ann", "r"), t.enter("bob", "bob", "s")
	old := ann.node
	t.pass(20 * time.Second)
	t.drain(old)
	t.pass(time.Second)
	carl := t.enter("carl", "carl", "r")
	t.until("all are elsewhere", 3*time.Minute, func() bool { return len(in([]*person{ann, bob, carl})) == 3 && ann.node != old && bob.node != old })
	t.expect(carl.node != old, "carl was seated on the node that is drained")
	t.expect(ann.gaps+bob.gaps == 0, "somebody was without a connection")
	t.until("the node is ended", 3*time.Minute, func() bool { return old.machine.ended != 0 })
	for _, p := range []*person{ann, bob, carl} {
		t.sits(p)
	}
}

// takenBack: who is on a spot instance has moved before it goes, by the event or,
// where that is lost, by what its host says.
func takenBack(t *trial, lost bool) {
	ann := t.enter("ann", "ann", "r")
	old := ann.node
	t.pass(20 * time.Second)
	if lost {
		t.weather.busLost = 1
	}
	t.spot(old.machine)
	t.weather.busLost = 0
	t.pass(noticeBefore - time.Second)
	t.expect(ann.phase == joined && ann.node != old && ann.gaps == 0, "ann is still on the instance that goes now")
	t.pass(3 * time.Minute)
	t.sits(ann)
}

// moveDies: the new home dies before it has everything; the old one is kept, and
// its seat with it.
func moveDies(t *trial) {
	ann := t.enter("ann", "ann", "r")
	old := ann.node
	t.pass(20 * time.Second)
	t.drain(old)
	t.until("ann has two connections", 2*time.Minute, func() bool { return ann.phase == settling })
	t.expect(len(t.seatOf(ann)) == 2, "ann has %d seats while she moves, expected two", len(t.seatOf(ann)))
	ann.alarm++ // it would take longer
	ann.node.die()
	t.pass(2 * time.Second)
	t.expect(ann.on(old), "ann has let go of what was well")
	t.until("ann is elsewhere", 4*time.Minute, func() bool { return ann.phase == joined && ann.node != old })
	t.expect(ann.gaps == 0, "ann was without a connection")
	t.pass(2 * time.Minute)
	t.sits(ann)
}

// stage: it takes two, and whoever is promoted beyond that stays a viewer, until
// another leaves it.
func stage(t *trial) {
	t.set.Profile.MaxPublishers = 2
	people := map[string]*person{}
	for _, key := range []string{"ann", "bob", "carl", "dora"} {
		p := t.someone(key, key, "r")
		if key > "bob" {
			p.wants = events.Viewer
		}
		p.join()
		t.until(key+" is in", 2*time.Minute, func() bool { return p.phase == joined })
		people[key] = p
	}
	role := func(key string, want events.Role) {
		p := people[key]
		blocks := t.seatOf(p)
		t.expect(len(blocks) == 1 && events.Role(blocks[0].Role) == want && p.role == want, "%s is a %s and sits in %v, expected one seat of a %s", key, p.role, blocks, want)
	}
	t.deed(events.Promote, people["carl"], true, 0)
	t.deed(events.Promote, people["dora"], false, 0)
	t.pass(2 * time.Second)
	role("carl", events.Viewer)
	role("dora", events.Viewer)
	t.deed(events.Demote, people["ann"], true, 0)
	t.pass(2 * time.Second)
	t.deed(events.Promote, people["carl"], true, 0)
	t.deed(events.Promote, people["dora"], true, 0)
	t.pass(2 * time.Second)
	role("ann", events.Viewer)
	on := 0
	for _, key := range []string{"carl", "dora"} {
		if people[key].role == events.Publisher {
			on++
			role(key, events.Publisher)
		}
	}
	t.expect(on == 1, "%d of two came to the one seat on stage", on)
}

// putOut: whoever is removed has no seat any more, and may not come back before its
// time.
func putOut(t *trial) {
	ann, bob := t.enter("ann", "ann", "r"), t.enter("bob", "bob", "r")
	t.deed(events.RemoveDeed, bob, true, time.Minute)
	t.until("bob is out", 2*time.Second, func() bool { return bob.phase == over && bob.code == events.CodeRemoved })
	t.pass(time.Second)
	t.expect(len(t.seatOf(bob)) == 0, "bob, who was put out, has a seat")
	bob.join()
	t.until("bob is refused", 5*time.Second, func() bool { return bob.phase == over && bob.code == events.CodeRemoved })
	t.pass(time.Minute)
	bob.join()
	t.until("bob may come again", 5*time.Second, func() bool { return bob.phase == joined })
	t.sits(ann)
	t.sits(bob)
}

// ended: everybody of a room that is ended is out, and its seats are free.
func ended(t *trial) {
	ann, bob := t.enter("ann", "ann", "r"), t.enter("bob", "bob", "s")
	t.deed(events.EndRoom, ann, true, 0)
	t.until("ann is out", 2*time.Second, func() bool { return ann.phase == over && ann.code == events.CodeRoomEnded })
	t.pass(time.Second)
	t.expect(len(t.seatOf(ann)) == 0, "ann has a seat in a room that is over")
	t.sits(bob)
}

// emptied: of two nodes that are mostly empty one is emptied, though not before
// who came last has been there for a minute.
func emptied(t *trial) {
	t.set.Thrift = control.Eager
	var people []*person
	for i := range 5 {
		people = append(people, t.enter(fmt.Sprintf("p%d", i), fmt.Sprintf("p%d", i), fmt.Sprintf("room-%d", i/4)))
	}
	t.expect(t.ec2.living() == 2, "%d nodes", t.ec2.living())
	for _, p := range people[1:4] {
		p.leave()
	}
	first := people[0].node
	t.until("one is emptied", 8*time.Minute, func() bool { return t.watch.emptied > 0 })
	t.until("one is enough", 4*time.Minute, func() bool { return t.ec2.living() == 1 })
	t.expect(people[0].gaps+people[4].gaps == 0, "somebody was without a connection")
	t.expect(people[0].node == people[4].node, "%s and %s are left (first on %s)", people[0].node.id, people[4].node.id, first.id)
	t.sits(people[0])
	t.sits(people[4])
}

// emptiedTooSoon: nobody is moved for thrift who came less than a minute ago.
func emptiedTooSoon(t *trial) {
	t.set.Thrift = control.Eager
	var people []*person
	for i := range 5 {
		people = append(people, t.enter(fmt.Sprintf("p%d", i), fmt.Sprintf("p%d", i), fmt.Sprintf("room-%d", i/4)))
	}
	for _, p := range people[1:4] {
		p.leave()
	}
	// Seats that are free already: what is granted on the nodes does not change.
	late := []*person{t.someone("late", "late", "room-0"), t.someone("later", "later", "room-1")}
	t.pass(150*time.Second - time.Duration(t.clock.now)%time.Minute)
	for range 6 {
		for _, p := range late {
			p.join()
		}
		t.pass(45 * time.Second)
		t.expect(len(in(late)) == 2, "only %d came", len(in(late)))
		for _, p := range late {
			p.leave()
		}
		t.pass(15 * time.Second)
	}
	t.expect(t.watch.emptied == 0, "a node was emptied of who had just come")
}

// longLife: a node lives longer than its token, which is renewed in time, and its
// sockets break at the gateway's age limit.
func longLife(t *trial) {
	t.weather.tokenLasts, t.weather.socketLasts = 20*time.Minute, 7*time.Minute
	ann := t.enter("ann", "ann", "r")
	node := ann.node
	t.pass(50 * time.Minute)
	t.expect(ann.phase == joined && ann.node == node && ann.gaps == 0, "ann did not stay")
	t.expect(t.renewed >= 4, "%d tokens were renewed", t.renewed)
	t.sits(ann)
}

// announced: what is reserved is there in time, and is let go if nobody comes.
func announced(t *trial) {
	t.reserve("r", 10, 4*time.Minute)
	t.pass(4 * time.Minute)
	t.expect(t.ec2.living() == 1, "%d nodes when the room begins", t.ec2.living())
	began := t.clock.now
	ann := t.someone("ann", "ann", "r")
	ann.join()
	t.until("ann is in at once", 2*time.Second, func() bool { return ann.phase == joined })
	t.expect(len(ann.told) == 0, "ann waited")
	ann.leave()
	t.until("it is let go", fleet.ReservationKept+5*time.Minute, func() bool { return t.ec2.living() == 0 })
	t.expect(t.clock.now-began > int64(fleet.ReservationKept), "it was let go before its time was over")
}

// toldHowLong: who waits is told its estimate at once, which becomes less, and
// again when what it waits for changes; who gives up costs nothing.
func toldHowLong(t *trial) {
	t.set.MaxNodes = 1
	ann, bob := t.someone("ann", "ann", "r"), t.someone("bob", "bob", "s")
	ann.join()
	t.until("ann is told", time.Second, func() bool { return len(ann.told) > 0 })
	t.expect(ann.told[0].EstimateMs > 0, "no estimate")
	t.until("ann is told that a node is on its way", 5*time.Second, func() bool { return ann.told[len(ann.told)-1].Stage == events.StageBooting })
	first := ann.told[len(ann.told)-1]
	t.pass(askWhileWaits + time.Second)
	if ann.phase == waiting {
		next := ann.told[len(ann.told)-1]
		t.expect(next.EstimateMs < first.EstimateMs && next.SinceMs == first.SinceMs, "%+v after %+v", next, first)
	}
	bob.join()
	t.pass(300 * time.Millisecond)
	bob.leave()
	t.until("ann is in", time.Minute, func() bool { return ann.phase == joined })
	t.pass(10 * time.Second)
	t.expect(len(t.seatOf(bob)) == 0 && len(t.ec2.machines) == 1, "bob, who gave up, has %v of %d machines", t.seatOf(bob), len(t.ec2.machines))
	t.sits(ann)
}
