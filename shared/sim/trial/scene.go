package trial

import (
	"io"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
)

// Scene is a known interleaving, played in a world in which nothing else goes
// wrong.
type Scene struct {
	Name string
	// seats is how many a node has.
	seats int
	play  func(*trial)
}

// Play plays a scene, lets everybody leave, and returns the first invariant or
// expectation that was broken. trace, if not nil, takes a line for each thing
// that happens.
func (s Scene) Play(trace io.Writer) error {
	w := weather{people: 1, rooms: 1, maxParticipants: 500, nodeSeats: s.seats, maxNodes: 10, idleAfter: 2 * time.Minute, sweepEvery: time.Minute}
	t := newTrial(Config{Seed: 1, Trace: trace}, w)
	t.after(w.sweepEvery, t.timer)
	defer t.result()
	if act(t, s.play); t.failure == nil {
		t.settle()
	}
	return t.failure
}

// cut is the panic that ends a scene that has failed.
type cut struct{}

func act(t *trial, play func(*trial)) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(cut); !ok {
				panic(r)
			}
		}
	}()
	play(t)
}

// slow lets the next request of a caller's function take that long.
func (t *trial) slow(call, request string, lasts time.Duration) {
	t.script = append(t.script, &scripted{fault: "slow", call: call, request: request, lasts: lasts})
}

// dies lets a function die after its next such request.
func (t *trial) dies(call, request string) {
	t.script = append(t.script, &scripted{fault: "dies after", call: call, request: request})
}

// until lets time pass until something is so, which it must be in time.
func (t *trial) until(what string, within time.Duration, so func() bool) {
	for end := t.clock.now + int64(within); t.failure == nil && !so(); t.watch.look() {
		if !t.clock.before(end) || !t.clock.step() {
			t.expect(false, "%s: not within %s", what, within)
		}
	}
	t.expect(t.failure == nil, "")
}

// expect ends the scene where something is not so.
func (t *trial) expect(so bool, format string, args ...any) {
	if !so {
		t.fail(format, args...)
		panic(cut{})
	}
}

// allStruck: scripts that have not been reached make a scene worthless.
func (t *trial) allStruck() {
	for _, s := range t.script {
		t.expect(s.done, "the scene did not come to: %s %s of %s", s.fault, s.request, s.call)
	}
}

// enter lets somebody join and waits until it is in.
func (t *trial) enter(label, key, in string) *person {
	p := t.someone(label, key, in)
	p.join()
	t.until(label+" is in", 2*time.Minute, func() bool { return p.phase == joined })
	return p
}

// seatOf returns the blocks in which somebody sits.
func (t *trial) seatOf(p *person) (blocks []fleet.Block) {
	t.store.truth.Look(func(c sim.Contents) {
		for _, b := range c.Blocks {
			if _, ok := b.Members[p.caller.Key]; ok && b.Room == p.caller.Room {
				blocks = append(blocks, b)
			}
		}
	})
	return blocks
}

// sits expects somebody to sit once, with the session it has on its node.
func (t *trial) sits(p *person) {
	blocks := t.seatOf(p)
	t.expect(len(blocks) == 1, "%s has %d seats, expected one", p.label, len(blocks))
	t.expect(p.node != nil, "%s is on no node", p.label)
	b := blocks[0]
	t.expect(int64(b.Members[p.caller.Key]) == p.revision, "%s sits with revision %d, its session has %d", p.label, b.Members[p.caller.Key], p.revision)
	t.expect(string(b.Node) == p.node.id && int64(b.Generation) == p.node.generation, "%s sits on %s, generation %d, and is on %s, generation %d",
		p.label, b.Node, b.Generation, p.node.id, p.node.generation)
}

// row is a node as the table has it, nil if it has not.
func (t *trial) row(id room.NodeID) (n *fleet.Node) {
	t.store.truth.Look(func(c sim.Contents) {
		if v, ok := c.Nodes[id]; ok {
			n = &v
		}
	})
	return n
}

// givenUp counts the rows of nodes that have been given up.
func (t *trial) givenUp() (n int) {
	t.store.truth.Look(func(c sim.Contents) {
		for _, v := range c.Nodes {
			if !v.State.Living() {
				n++
			}
		}
	})
	return n
}

// instance waits for the nth instance to be launched and returns it.
func (t *trial) instance(nth int) *machine {
	t.until("an instance is launched", time.Minute, func() bool { return len(t.ec2.machines) >= nth })
	return t.ec2.machines[nth-1]
}

// in returns those of some who are in their room.
func in(people []*person) []*person {
	return slices.DeleteFunc(slices.Clone(people), func(p *person) bool { return p.phase != joined })
}
