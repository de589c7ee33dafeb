package trial

import (
	"fmt"
	"time"

	"github.com/spillway-sfu/spillway/events"
)

// Scenes are the interleavings that a design like this is known to fail by.
var Scenes = []Scene{
	{"a crash between participant and seat", 40, crashBeforeSeat},
	{"a crash between participant and seat, and nobody retries", 40, crashAndGone},
	{"the left of an old session is read after a takeover", 40, lateLeftRead},
	{"the left of an old session is written after a takeover", 40, lateLeftWritten},
	{"a grant on a node that has just died", 40, grantOnTheDead},
	{"a grant on a node that is given up meanwhile", 40, grantOnTheLost},
	{"everybody's lease lapses because the gateway is down", 4, everybodyLapses},
	{"a hello after its launch expired", 40, helloTooLate},
	{"a launch expires after its hello", 40, expiryTooLate},
	{"a second tab is served elsewhere", 40, servedElsewhere},
	{"a second tab takes the seat and never reaches the node", 40, neverReached},
	{"two nodes die a while apart and nobody else is there", 4, func(t *trial) { bothDie(t, 40*time.Second, 6*time.Minute) }},
	{"two nodes die together and nobody else is there", 4, func(t *trial) { bothDie(t, time.Second, 15*time.Minute) }},
	{"two sockets' hellos", 40, twoHellos},
	{"a hello of the next life while the last one's people are there", 40, nextLife},
	{"a seat in a block of a room that was made anew", 40, roomMadeAnew},
	{"a part of an inventory that had to wait", 40, staleInventory},
	{"a node is drained", 40, drained},
	{"a spot instance is taken back", 40, func(t *trial) { takenBack(t, false) }},
	{"a spot instance is taken back, and the event is lost", 40, func(t *trial) { takenBack(t, true) }},
	{"the new home dies in a move", 40, moveDies},
	{"a full stage", 40, stage},
	{"somebody is put out", 40, putOut},
	{"a room is ended", 40, ended},
	{"a node is emptied for thrift", 4, emptied},
	{"a node is not emptied of who has just come", 4, emptiedTooSoon},
	{"a node outlives its token and its sockets", 40, longLife},
	{"a room is announced", 40, announced},
	{"who waits is told for how long", 40, toldHowLong},
	{"the root of a room's tree dies", 4, rootDies},
	{"a drain's deadline", 40, drainedInTime},
	{"a hello after a fence", 40, helloAfterFence},
	{"a role that the node is not told", 40, lostRole},
	{"an instance that nobody knows", 40, unknownInstance},
	{"somebody comes to a node that is about to be ended", 40, idleNoMore},
	{"nobody hears that somebody waits", 40, ringLost},
	{"no sweep for an hour", 4, anHourWithout},
	{"three sweeps at once", 40, sweepsAtOnce},
	{"an instance that EC2 does not know", 40, unlisted},
	{"seats that come to the stage", 40, seatsToTheStage},
}

// A function that dies after it has stored the participant leaves no seat; the
// retry of the same session takes it.
func crashBeforeSeat(t *trial) {
	t.enter("bob", "bob", "r")
	ann := t.someone("ann", "ann", "r")
	t.dies("join ann", "PutParticipant")
	ann.join()
	t.until("ann is in", 10*time.Second, func() bool { return ann.phase == joined })
	t.allStruck()
	t.sits(ann)
}

// Who does not retry leaves a participant without a seat: nobody's seat.
func crashAndGone(t *trial) {
	t.enter("bob", "bob", "r")
	ann := t.someone("ann", "ann", "r")
	t.dies("join ann", "PutParticipant")
	ann.join()
	t.pass(time.Second)
	ann.vanish()
	t.pass(time.Minute)
	t.allStruck()
	t.expect(len(t.seatOf(ann)) == 0, "ann, who is gone, has a seat")
}

// takeover has a first tab of ann's leave and a second one join at that moment.
// The function that takes the report of the first is slow at a request.
func (t *trial) takeover(request string) {
	first := t.enter("ann", "ann", "r")
	t.enter("bob", "bob", "r")
	t.slow("left "+first.node.id, request, 4*time.Second)
	first.leave()
	second := t.someone("ann's second tab", "ann", "r")
	second.join()
	t.until("the second tab is in", 3*time.Second, func() bool { return second.phase == joined })
	t.sits(second)
	t.pass(8 * time.Second)
	t.allStruck()
	t.sits(second)
}

func lateLeftRead(t *trial) { t.takeover("get") }

func lateLeftWritten(t *trial) { t.takeover("ReleaseSeat") }

// A node that has died keeps its lease for some seconds. Who is granted a block
// there gets no answer, and is served elsewhere.
func grantOnTheDead(t *trial) {
	ann := t.enter("ann", "ann", "r")
	dead := ann.node
	t.pass(20 * time.Second)
	dead.die()
	bob := t.someone("bob", "bob", "s")
	bob.join()
	t.pass(time.Second)
	blocks := t.seatOf(bob)
	t.expect(len(blocks) == 1 && string(blocks[0].Node) == dead.id, "bob was not granted a block on the dead node: %v", blocks)
	t.until("both are on another node", 3*time.Minute, func() bool { return len(in([]*person{ann, bob})) == 2 })
	t.expect(ann.node != dead && bob.node != dead, "somebody is on the dead node")
	t.sits(ann)
	t.sits(bob)
}

// A node is given up between the decision to grant a block there and its
// transaction, which must not be made.
func grantOnTheLost(t *trial) {
	ann := t.enter("ann", "ann", "r")
	lost := ann.node
	bob := t.someone("bob", "bob", "s")
	t.slow("join bob", "ClaimLoad", 6*time.Second)
	bob.join()
	t.pass(time.Second)
	t.ec2.end(lost.machine)
	t.sweep()
	t.pass(4 * time.Second)
	t.expect(t.givenUp() == 1, "the node whose instance is gone was not given up")
	t.pass(3 * time.Second)
	t.allStruck()
	t.expect(len(t.seatOf(bob)) == 0, "bob was granted a block on a node that is given up")
	t.until("both are on another node", 3*time.Minute, func() bool { return len(in([]*person{ann, bob})) == 2 })
}

// With the gateway down no heartbeat arrives, and every lease ends. That is no
// reason to give anybody up: media goes on.
func everybodyLapses(t *trial) {
	var people []*person
	on := map[*person]*node{}
	for i := range 12 {
		key := fmt.Sprintf("p%d", i)
		people = append(people, t.enter(key, key, fmt.Sprintf("room-%d", i/4)))
	}
	for _, p := range people {
		on[p] = p.node
	}
	t.expect(t.ec2.living() == 3, "%d nodes for three full rooms", t.ec2.living())
	t.gateway.outage(4 * time.Minute)
	t.pass(6 * time.Minute)
	t.expect(t.givenUp() == 0 && t.ec2.living() == 3, "%d nodes are given up, %d run", t.givenUp(), t.ec2.living())
	for _, p := range people {
		t.expect(p.phase == joined && p.node == on[p], "%s was moved", p.label)
		t.sits(p)
	}
}

// A hello and the expiry of its launch compete on the launch's state. Here the
// hello has read it, and the sweep is faster.
func helloTooLate(t *trial) {
	t.ec2.boots = 4*time.Minute + 57*time.Second
	ann := t.someone("ann", "ann", "r")
	ann.join()
	late := t.instance(1)
	t.ec2.boots = 20 * time.Second
	t.slow("hello "+string(late.node), "PutLaunch", 6*time.Second)
	t.slow("hello "+string(late.node), "PutLaunch", 6*time.Second)
	t.until("the launch is given up", 6*time.Minute, func() bool { return late.ended != 0 })
	t.pass(8 * time.Second)
	t.allStruck()
	t.expect(t.row(late.node) == nil, "the late hello made a node: %+v", t.row(late.node))
	t.until("ann is in", 2*time.Minute, func() bool { return ann.phase == joined })
	t.sits(ann)
}

// Here the sweep has read the launch, and the hello is faster: the launch is not
// given up.
func expiryTooLate(t *trial) {
	t.ec2.boots = 5*time.Minute - 300*time.Millisecond
	ann := t.someone("ann", "ann", "r")
	ann.join()
	landed := t.instance(1)
	t.slow("sweep timer", "DeleteLaunch", 6*time.Second)
	t.until("ann is in", 6*time.Minute, func() bool { return ann.phase == joined })
	t.pass(10 * time.Second)
	t.allStruck()
	t.expect(landed.ended == 0, "a node that had landed was ended as a launch that never did")
	t.sits(ann)
}

// A second tab that cannot reach the node of the first waits, and is served on
// another one. The first tab's node is told at once.
func servedElsewhere(t *trial) {
	first := t.enter("ann", "ann", "r")
	second := t.someone("ann's second tab", "ann", "r")
	second.join()
	second.avoid = []string{first.node.id}
	t.until("the second tab is seated", 2*time.Minute, func() bool {
		blocks := t.seatOf(second)
		return len(blocks) == 1 && string(blocks[0].Node) != second.avoid[0]
	})
	t.until("the first tab is told", time.Second, func() bool { return first.phase == over && first.code == events.CodeReplaced })
	t.until("the second tab is in", 10*time.Second, func() bool { return second.phase == joined })
	t.sits(second)
}

// A second tab that takes the seat while the node cannot be reached, and then
// gives up, has ended the first one's session: the seat is the first one's again.
func neverReached(t *trial) {
	first := t.enter("ann", "ann", "r")
	second := t.someone("ann's second tab", "ann", "r")
	t.pass(20 * time.Second)
	first.node.isolate(10 * time.Second)
	second.join()
	t.pass(time.Second)
	second.vanish()
	t.until("the first tab has a session of its own again", 4*time.Minute, func() bool {
		blocks := t.seatOf(first)
		return first.phase == joined && len(blocks) == 1 && int64(blocks[0].Members["ann"]) == first.revision
	})
}

// Two nodes that die a while apart are no fault of the control plane's, though
// they are all there are; two that die together may be, for a while.
func bothDie(t *trial, apart, within time.Duration) {
	for i := range 5 {
		key := fmt.Sprintf("p%d", i)
		t.enter(key, key, fmt.Sprintf("room-%d", i/4))
	}
	t.expect(t.ec2.living() == 2, "%d nodes", t.ec2.living())
	t.ec2.drought = true
	t.pass(20 * time.Second)
	t.ec2.machines[0].process.die()
	t.pass(apart)
	t.ec2.machines[1].process.die()
	t.until("both are given up", within, func() bool { return t.ec2.living() == 0 })
}

// A node dials two sockets at once. Both hellos find no node yet; one life
// begins, with both sockets.
func twoHellos(t *trial) {
	ann := t.someone("ann", "ann", "r")
	ann.join()
	m := t.instance(1)
	t.slow("hello "+string(m.node), "PutLaunch", time.Second)
	t.until("ann is in", 2*time.Minute, func() bool { return ann.phase == joined })
	t.until("both sockets are noted", 10*time.Second, func() bool { return t.row(m.node) != nil && len(t.row(m.node).Connections) == 2 })
	t.allStruck()
	t.expect(t.row(m.node).Generation == 1, "two hellos began generation %d", t.row(m.node).Generation)
	t.expect(!m.process.dead, "a second socket's hello fenced the first")
	t.sits(ann)
}

// A process that starts again begins a new life: what the last one was granted is
// void, and its people have seats in the new one.
func nextLife(t *trial) {
	ann := t.enter("ann", "ann", "r")
	m := ann.node.machine
	t.pass(20 * time.Second)
	ann.node.die()
	t.ec2.boot(m)
	ann.vanish() // a page that is loaded again, and avoids no node
	ann.join()
	t.until("ann is in the next life", 2*time.Minute, func() bool { return ann.phase == joined && ann.node.generation == 2 })
	t.expect(ann.node.machine == m && len(t.row(m.node).Connections) == 2, "ann is on %s", ann.node.id)
	t.sits(ann)
}

// A join has read a block when the room's last one leaves, the node's process
// starts again, and others make the room anew. It must not sit down in a block of
// that room as if it were the one it has read.
func roomMadeAnew(t *trial) {
	bob := t.enter("bob", "bob", "r")
	m := bob.node.machine
	t.enter("eve", "eve", "other")
	ann := t.someone("ann", "ann", "r")
	t.slow("join ann", "TakeSeat", 9*time.Second)
	ann.join()
	t.pass(500 * time.Millisecond)
	ann.vanish()
	bob.leave()
	t.pass(time.Second)
	m.process.die()
	t.ec2.boot(m)
	t.pass(1500 * time.Millisecond)
	carl := t.someone("carl", "carl", "r")
	carl.join()
	t.until("carl is in", 5*time.Second, func() bool { return carl.phase == joined })
	t.expect(carl.node.generation == 2, "carl is in generation %d", carl.node.generation)
	t.pass(40 * time.Second)
	t.allStruck()
	t.expect(len(t.seatOf(ann)) == 0, "ann, who is gone, has a seat")
	t.sits(carl)
}
