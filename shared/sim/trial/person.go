package trial

import (
	"context"
	"fmt"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// Times of the SDK (session.ts, retry.ts, pulse.ts).
const (
	askEvery       = 3 * time.Second
	askWhileWaits  = 10 * time.Second
	connectsWithin = 10 * time.Second
	dialsWithin    = 8 * time.Second
	unansweredMost = 4
	joinPatience   = 20 * time.Second
	rejoinPatience = 180 * time.Second
	noticesAfter   = 3500 * time.Millisecond
)

// phase is how far somebody has come.
type phase string

const (
	outside    phase = "outside"
	pausing    phase = "pausing"
	dialling   phase = "dialling"
	asking     phase = "asking"
	waiting    phase = "waiting"
	connecting phase = "connecting"
	joined     phase = "joined"
	over       phase = "over"
)

// person is one tab of a participant, and does what the SDK does.
type person struct {
	t          *trial
	i          int
	label      string
	caller     control.Caller
	phase      phase
	code       events.Code // why it is over
	conn       *conn
	session    string
	sessions   int
	asks       int
	unanswered int
	tries      int
	progress   int64
	avoid      []string
	home       string
	rejoining  bool
	waited     bool
	spent      bool
	alarm      uint64
	node       *node
	revision   int64
	vanished   bool
	dice       dice
}

// someone adds a tab of a participant; it does nothing yet.
func (t *trial) someone(label string, key, in string) *person {
	i := len(t.people)
	p := &person{t: t, i: i, label: label, phase: outside, dice: dice{seed: mix(t.cfg.Seed, name(label))},
		caller: control.Caller{Room: room.Name(in), Key: room.Key(key), Identity: key, Name: key, MayPublish: true}}
	t.people = append(t.people, p)
	return p
}

func (p *person) ring(d time.Duration, do func()) {
	p.alarm++
	mine := p.alarm
	p.t.after(d, func() {
		if p.alarm == mine {
			do()
		}
	})
}

// join begins.
func (p *person) join() {
	if p.phase != outside && p.phase != over {
		return
	}
	p.t.note("%s wants to join %s", p.label, p.caller.Room)
	p.code, p.avoid, p.home, p.tries, p.rejoining, p.waited, p.spent = "", nil, "", 0, false, false, true
	p.progress = p.t.clock.now
	p.dial()
}

func (p *person) dial() {
	if p.spent {
		p.sessions++
		p.session = fmt.Sprintf("session-%s-%d", p.label, p.sessions)
		p.spent = false
	}
	if p.conn != nil && p.conn.live {
		p.ask()
		return
	}
	p.phase = dialling
	p.ring(dialsWithin, func() { p.trouble(events.CodeNodeUnreachable, 0) })
	p.t.after(p.t.delay(mix(name(p.session), uint64(p.asks)), 20*time.Millisecond, 150*time.Millisecond), func() {
		if p.phase != dialling {
			return
		}
		if p.conn = p.t.gateway.dial(p.caller, events.ToClient, p); p.conn == nil {
			p.trouble(events.CodeNodeUnreachable, 0)
			return
		}
		p.unanswered = 0
		p.ask()
	})
}

func (p *person) ask() {
	p.phase = asking
	every := askEvery
	if p.waited {
		p.phase, every = waiting, askWhileWaits
	}
	p.asks++
	m := events.Join{Header: events.Head(events.ActionJoin), ID: fmt.Sprintf("%s/%d", p.session, p.asks), Session: p.session, Offer: offered, Avoid: p.avoid}
	p.t.gateway.send(p.conn, "join", m.ID, func(ctx context.Context, w *step.World, by control.Caller) error { return w.Join(ctx, by, m) })
	p.ring(every, p.unheard)
}

// unheard is a join that nobody answered.
func (p *person) unheard() {
	p.unanswered++
	if p.unanswered >= unansweredMost {
		p.hangUp()
		p.trouble(events.CodeNodeUnreachable, 0)
		return
	}
	if p.unanswered >= 2 && p.home != "" && !p.waited {
		p.avoids(p.home)
	}
	p.ask()
}

func (p *person) avoids(node string) {
	if node == "" {
		return
	}
	for _, n := range p.avoid {
		if n == node {
			return
		}
	}
	p.avoid = append(p.avoid, node)
	p.avoid = p.avoid[max(0, len(p.avoid)-8):]
}

func (p *person) hangUp() {
	p.t.gateway.hangUp(p.conn)
	p.conn = nil
}

// trouble pauses and tries again, or gives up.
func (p *person) trouble(code events.Code, after time.Duration) {
	patience := joinPatience
	if p.rejoining {
		patience = rejoinPatience
	}
	if !code.Retryable() || p.t.clock.now-p.progress+int64(after) > int64(patience) {
		p.finish(code)
		return
	}
	d := after + time.Duration((0.5+p.dice.unit()/2)*float64(min(8*time.Second, 250*time.Millisecond<<min(p.tries, 10))))
	p.tries++
	p.phase = pausing
	p.ring(d, p.dial)
}

// finish ends the effort, whether with a seat or not.
func (p *person) finish(code events.Code) {
	p.t.note("%s is done: %s", p.label, code)
	p.alarm++
	if p.conn != nil && p.conn.live && code == "" && p.phase != joined {
		m := events.Leave{Header: events.Head(events.ActionLeave), ID: "leave", Session: p.session}
		p.t.gateway.send(p.conn, "leave", m.ID, func(ctx context.Context, w *step.World, by control.Caller) error { return w.Leave(ctx, by, m) })
	}
	p.phase, p.code = over, code
	p.goodbye(events.LeftByItself)
	p.hangUp()
}

// goodbye ends the connection to the node, if there is one.
func (p *person) goodbye(why events.LeftReason) {
	n := p.node
	p.node = nil
	if n == nil {
		return
	}
	if s := n.seats[place{string(p.caller.Room), string(p.caller.Key)}]; s != nil && s.tab == p {
		n.leave(s, why)
	}
}

// leave is what somebody does who has had enough.
func (p *person) leave() {
	if p.phase != outside && p.phase != over {
		p.finish("")
	}
}

// vanish is a battery that is empty.
func (p *person) vanish() {
	if p.phase == outside || p.phase == over {
		return
	}
	p.t.note("%s vanishes", p.label)
	p.alarm++
	p.phase, p.vanished = over, true
	p.hangUp()
	n := p.node
	p.node = nil
	if n != nil {
		if s := n.seats[place{string(p.caller.Room), string(p.caller.Key)}]; s != nil && s.tab == p {
			p.t.after(silentAfter, func() { n.leave(s, events.LeftSilent) })
		}
	}
}

// hungUp implements end.
func (p *person) hungUp(c *conn) {
	if p.conn != c {
		return
	}
	p.conn = nil
	if p.phase == asking || p.phase == waiting {
		p.trouble(events.CodeNodeUnreachable, 0)
	}
}

// receive implements end.
func (p *person) receive(c *conn, m events.Message) {
	if c != p.conn || p.phase != asking && p.phase != waiting && p.phase != pausing || p.spent {
		return
	}
	switch m := m.(type) {
	case events.Answer:
		if m.Session == p.session {
			p.heard()
			p.connect(m)
		}
	case events.Waiting:
		p.heard()
		p.waited, p.phase = true, waiting
		p.ring(askWhileWaits, p.unheard)
	case events.Ready:
		p.heard()
		p.ask()
	case events.Error:
		p.unanswered = 0
		p.trouble(m.Code, time.Duration(m.RetryAfterMs)*time.Millisecond)
	}
}

func (p *person) heard() {
	p.progress, p.tries, p.unanswered = p.t.clock.now, 0, 0
}

// connect goes on to the node that answered.
func (p *person) connect(a events.Answer) {
	p.phase, p.waited = connecting, false
	session := p.session
	p.ring(connectsWithin, func() { p.spend(a.Node) })
	if p.t.fault(p.t.weather.blocked, "no way to node "+a.Node, p.label, uint64(p.sessions)) {
		return
	}
	p.t.after(p.t.delay(mix(name(session), name(a.Node)), 200*time.Millisecond, 900*time.Millisecond), func() {
		n := p.t.nodeOf(a.Node)
		if p.phase != connecting || p.session != session || n == nil || n.dead || n.hung {
			return
		}
		s := n.seats[place{a.Room, string(p.caller.Key)}]
		if s == nil || s.session != session || s.revision != a.Revision {
			return // a later offer has closed what this answer leads to
		}
		s.tab = p
		p.alarm++
		p.phase, p.node, p.revision, p.home, p.rejoining = joined, n, a.Revision, a.Node, true
		p.t.joined++
		p.t.note("%s is in %s on %s", p.label, p.caller.Room, a.Node)
		p.hangUp()
	})
}

// nodeOf is the running process of a node.
func (t *trial) nodeOf(id string) *node {
	for _, m := range t.ec2.machines {
		if string(m.node) == id && m.process != nil && !m.process.dead {
			return m.process
		}
	}
	return nil
}

// spend gives a session up whose connection came to nothing.
func (p *person) spend(node string) {
	p.spent = true
	p.avoids(node)
	p.trouble(events.CodeNodeUnreachable, 0)
}

// closing is the node's word that it ends the connection.
func (p *person) closing(n *node, code events.Code) {
	if p.node != n || p.phase != joined {
		return
	}
	p.node = nil
	if code == events.CodeNodeGone {
		p.avoid = []string{n.id}
		p.comeBack()
		return
	}
	p.finish(code)
}

// loses is a node that is silent.
func (p *person) loses(n *node) {
	if p.node != n || p.phase != joined {
		return
	}
	p.t.after(p.t.delay(mix(name(p.session), name(n.boot)), noticesAfter/2, noticesAfter), func() {
		if p.node == n && p.phase == joined {
			p.node, p.avoid = nil, nil
			p.comeBack()
		}
	})
}

func (p *person) comeBack() {
	p.spent, p.rejoining, p.progress, p.tries, p.unanswered = true, true, p.t.clock.now, 0, 0
	p.trouble(events.CodeNodeGone, 0)
}

// offered is the smallest offer that is one.
var offered = events.Pack("v=0\r\na=fingerprint:sha-256 " + fingerprint + "\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\n")
