package trial

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/step"
)

// Times of a node, as package agent of sfu-node has them.
const (
	slots         = 2
	listEvery     = 45 * time.Second
	aloneAfter    = 5 * time.Minute
	welcomeWithin = 10 * time.Second
	connectWithin = 15 * time.Second
	silentAfter   = 30 * time.Second
	leftWithin    = 2 * time.Minute
	answerWithin  = 10 * time.Second
	deafBeats     = 5
)

// node is one life of a node's process, and does what sfu-node does.
type node struct {
	t          *trial
	machine    *machine
	id         string
	boot       string
	generation int64
	lease      int64 // when it ends, by the node's own reckoning
	draining   bool
	seq        int64
	sent       map[int64]int64
	heard      int64
	listed     int64
	parts      []events.Inventory
	links      [slots]*conn
	helloAt    [slots]int64
	beats      [slots]int
	seats      map[place]*seat
	pipes      map[string]events.Assignment // by room
	outbox     []posted
	next       int
	dead, hung bool
	// cut off from the gateway, while media goes on.
	cut bool
	// endsAt is when the host takes the machine away, as far as the node knows; 0 is
	// never.
	endsAt time.Time
	// token is what it shows the gateway.
	token nodeToken
}

type posted struct {
	kind  string
	until int64
	serve func(context.Context, *step.World, control.Caller) error
}

func newNode(t *trial, m *machine) *node {
	n := t.count("boot")
	return &node{t: t, machine: m, id: string(m.node), boot: fmt.Sprintf("boot-%04d", n), sent: map[int64]int64{}, seats: map[place]*seat{}, token: t.mint(m.node, m.launched), pipes: map[string]events.Assignment{}, listed: -1 << 60}
}

func (n *node) start() {
	n.heard = n.t.clock.now
	n.t.note("node %s starts as %s", n.id, n.boot)
	for slot := range slots {
		n.dial(slot, 0)
	}
	n.t.after(time.Second, n.pulse)
}

// dial opens a socket and says hello on it, and tries again until it is welcome.
func (n *node) dial(slot, failures int) {
	if n.dead || n.links[slot] != nil && n.links[slot].live {
		return
	}
	again := func() {
		d := min(250*time.Millisecond<<min(failures, 6), 10*time.Second)
		n.t.after(d/2+n.t.delay(mix(name(n.boot), uint64(slot), uint64(failures)), 0, d/2), func() { n.dial(slot, failures+1) })
	}
	if n.cut || n.hung {
		again()
		return
	}
	c := n.t.gateway.admit(n)
	if c == nil {
		again()
		return
	}
	n.links[slot] = c
	n.helloAt[slot], n.beats[slot] = n.t.clock.now, 0
	m := events.Hello{Header: events.Head(events.ActionHello), Node: n.id, Boot: n.boot, Slot: slot,
		Addresses: events.List[events.Address]{{IP: "192.0.2.1", Port: 7882, Scope: events.PublicScope}}, PipePort: 7883, Fingerprint: fingerprint, Build: "trial"}
	n.t.gateway.send(c, "hello", "", func(ctx context.Context, w *step.World, by control.Caller) error { return w.Hello(ctx, by, m) })
	n.t.after(welcomeWithin, func() {
		if n.links[slot] == c && n.helloAt[slot] >= 0 && !n.dead {
			n.drop(slot)
			n.dial(slot, failures+1)
		}
	})
}

// drop closes a socket.
func (n *node) drop(slot int) {
	n.t.gateway.hangUp(n.links[slot])
	n.links[slot] = nil
}

// hungUp implements end.
func (n *node) hungUp(c *conn) {
	for slot, l := range n.links {
		if l == c {
			n.links[slot] = nil
			n.t.after(250*time.Millisecond, func() { n.dial(slot, 0) })
		}
	}
}

// receive implements end.
func (n *node) receive(c *conn, m events.Message) {
	if n.dead || n.hung || n.cut {
		return
	}
	n.heard = n.t.clock.now
	for slot, l := range n.links {
		if l == c {
			n.beats[slot] = 0
		}
	}
	switch m := m.(type) {
	case events.Welcome:
		n.welcome(c, m)
	case events.Renewed:
		if sent, ok := n.sent[m.Seq]; ok && m.Generation == n.generation {
			delete(n.sent, m.Seq)
			n.draining = n.draining || m.Draining
			n.lease = max(n.lease, sent+m.LeaseMs*1e6)
			n.renew(m.Token)
		}
	case events.Offer:
		if m.Generation == n.generation {
			n.t.after(n.t.delay(mix(name(m.ID), name(n.boot)), 2*time.Millisecond, 60*time.Millisecond), func() { n.offer(m) })
		}
	case events.Remove, events.MoveAway, events.Recast, events.MuteTracks, events.End, events.Moderated:
		n.moderated(m)
	case events.Assignment:
		if m.Generation == n.generation && m.Epoch > n.pipes[m.Room].Epoch {
			n.pipes[m.Room] = m
			n.t.assigned++
		}
	case events.Shutdown:
		if m.Generation == 0 || m.Generation == n.generation {
			n.quit("told to: " + string(m.Code))
		}
	case events.Error:
		if m.Code == events.CodeFenced || m.Code == events.CodeLaunchExpired {
			n.quit("refused: " + string(m.Code))
		}
	}
}

func (n *node) welcome(c *conn, m events.Welcome) {
	if m.Slot >= slots || n.links[m.Slot] != c || m.Boot != n.boot || m.Generation < n.generation {
		return
	}
	if m.Generation > n.generation {
		n.generation, n.seq, n.listed, n.parts, n.lease = m.Generation, 0, -1<<60, nil, 0
		n.sent, n.pipes = map[int64]int64{}, map[string]events.Assignment{}
	}
	n.lease = max(n.lease, n.helloAt[m.Slot]+m.LeaseMs*1e6)
	n.helloAt[m.Slot] = -1
	n.flush()
}

// link is a socket that may be used, another one each time; nil if there is none.
func (n *node) link() (int, *conn) {
	for i := range slots {
		slot := (n.next + i) % slots
		if l := n.links[slot]; l != nil && l.live && n.helloAt[slot] < 0 {
			n.next = slot + 1
			return slot, l
		}
	}
	return 0, nil
}

// pulse sends heartbeats, reports what waits to be reported, and ends a node
// that is alone.
func (n *node) pulse() {
	if n.dead {
		return
	}
	every := fleet.HeartbeatEvery
	if len(n.sent) > 0 && len(n.sent) <= 3 {
		every = time.Second
	}
	n.t.after(every, n.pulse)
	if n.hung || n.cut {
		return
	}
	if n.t.clock.now-n.heard > int64(aloneAfter) && len(n.seats) == 0 {
		n.quit("is alone")
		return
	}
	n.beat()
	n.flush()
}

func (n *node) beat() {
	slot, l := n.link()
	if l == nil || n.generation == 0 {
		return
	}
	n.seq++
	n.sent[n.seq] = n.t.clock.now
	delete(n.sent, n.seq-64)
	m := events.Heartbeat{Header: events.Head(events.ActionHeartbeat), Node: n.id, Generation: n.generation, Seq: n.seq, People: len(n.seats)}
	if !n.endsAt.IsZero() {
		m.EndsMs = n.endsAt.UnixMilli()
	}
	if len(n.parts) == 0 && n.t.clock.now-n.listed >= int64(listEvery) {
		n.parts, n.listed = n.inventory(), n.t.clock.now
	}
	if len(n.parts) > 0 {
		m.Inventory, n.parts = &n.parts[0], n.parts[1:]
	}
	n.t.gateway.send(l, "heartbeat", "", func(ctx context.Context, w *step.World, by control.Caller) error { return w.Heartbeat(ctx, by, m) })
	if n.beats[slot]++; n.beats[slot] > deafBeats {
		n.drop(slot)
		n.dial(slot, 0)
	}
}

// post queues a message until a socket takes it.
func (n *node) post(kind string, within time.Duration, serve func(context.Context, *step.World, control.Caller) error) {
	n.outbox = append(n.outbox, posted{kind, n.t.clock.now + int64(within), serve})
	n.flush()
}

func (n *node) flush() {
	for len(n.outbox) > 0 && !n.dead && !n.hung && !n.cut {
		_, l := n.link()
		if l == nil {
			return
		}
		p := n.outbox[0]
		n.outbox = n.outbox[1:]
		if n.t.clock.now <= p.until {
			n.t.gateway.send(l, p.kind, "", p.serve)
		}
	}
}

// quit ends the process in good order, and with it the machine.
func (n *node) quit(why string) {
	if n.dead {
		return
	}
	n.t.note("node %s (%s) quits: %s", n.id, n.boot, why)
	n.die()
	n.t.after(5*time.Second, func() { n.t.ec2.end(n.machine) })
}

// die ends the process at once.
func (n *node) die() {
	if n.dead {
		return
	}
	n.dead = true
	for slot := range slots {
		n.drop(slot)
	}
	for _, tab := range n.tabs() {
		tab.silence(n)
	}
}

// fingerprint stands for that of a certificate.
var fingerprint = "AA" + strings.Repeat(":AA", 31)
