package trial

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// Times of the SDK (session.ts, retry.ts, pulse.ts).
const (
	askEvery            = 3 * time.Second
	askWhileWaits       = 10 * time.Second
	connectsWithin      = 10 * time.Second
	connectsAgainWithin = 4 * time.Second
	dialsWithin         = 8 * time.Second
	unansweredMost      = 4
	joinPatience        = 20 * time.Second
	rejoinPatience      = 180 * time.Second
	noticesAfter        = 3500 * time.Millisecond
	// promptTries is how often somebody whom a node does not answer tries again as
	// soon as it may.
	promptTries = 2
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
	settling   phase = "settling" // connected, and taking over what the kept connection shows
	joined     phase = "joined"
	over       phase = "over"
)

// person is one tab of a participant, and does what the SDK does.
type person struct {
	t          *trial
	i          int
	label      string
	caller     control.Caller
	wants      events.Role // to join as; empty is the most it may
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
	role       events.Role
	// kept is the connection that goes on until another one stands, doubted that it
	// is silent; see move.go.
	kept     *home
	doubted  bool
	vanished bool
	// deaf is a tab that does not do what its node asks of it.
	deaf bool
	// told are the estimates of the present wait, entered when it got in, gaps how
	// often it was without any connection after it had one.
	told    []events.Waiting
	entered int64
	gaps    int
	dice    dice
}

// someone adds a tab of a participant; it does nothing yet.
func (t *trial) someone(label string, key, in string) *person {
	i := len(t.people)
	p := &person{t: t, i: i, label: label, phase: outside, dice: dice{seed: mix(t.cfg.Seed, name(label))},
		caller: control.Caller{Room: room.Name(in), Key: room.Key(key), Identity: key, Name: key, MayPublish: true}}
	t.people = append(t.people, p)
	return p
}

// place is where a node has the person.
func (p *person) place() place { return place{string(p.caller.Room), string(p.caller.Key)} }

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
	p.kept, p.doubted, p.told = nil, false, nil
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
	m := events.Join{Header: events.Head(events.ActionJoin), ID: fmt.Sprintf("%s/%d", p.session, p.asks), Session: p.session, Role: p.wants, Offer: offered, Avoid: p.avoid}
	if p.kept != nil {
		m.From = p.kept.session
	}
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
	if node != "" && !slices.Contains(p.avoid, node) {
		p.avoid = append(slices.Clone(p.avoid), node)
		p.avoid = p.avoid[max(0, len(p.avoid)-8):]
	}
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
		if p.kept != nil && !p.doubted && !ends(code) {
			p.t.note("%s keeps its home: %s", p.label, code)
			p.keep()
			return
		}
		p.finish(code)
		return
	}
	d := after
	if !p.rejoining || p.tries > 0 && (code != events.CodeNodeUnreachable || after == 0 || p.tries > promptTries) {
		d += time.Duration((0.5 + p.dice.unit()/2) * float64(min(8*time.Second, 250*time.Millisecond<<min(p.tries, 10))))
	}
	p.tries++
	p.phase = pausing
	p.ring(d, p.dial)
}

// finish ends the effort, whether with a seat or not.
func (p *person) finish(code events.Code) {
	p.t.note("%s is done: %s", p.label, code)
	p.alarm++
	if code == "" {
		p.giveBack()
	}
	p.phase, p.code = over, code
	p.goodbye(p.node, p.session)
	if p.kept != nil {
		p.goodbye(p.kept.node, p.kept.session)
	}
	p.node, p.kept = nil, nil
	p.hangUp()
}

// giveBack gives up, over the gateway, the seat of a session that has asked for
// one and is on no node yet.
func (p *person) giveBack() {
	if p.conn == nil || !p.conn.live || p.node != nil {
		return
	}
	m := events.Leave{Header: events.Head(events.ActionLeave), ID: "leave", Session: p.session}
	p.t.gateway.send(p.conn, "leave", m.ID, func(ctx context.Context, w *step.World, by control.Caller) error { return w.Leave(ctx, by, m) })
}

// goodbye ends a session's connection to a node, if there is one.
func (p *person) goodbye(n *node, session string) {
	if n == nil {
		return
	}
	if s := n.seat(p.place(), session); s != nil && s.tab == p {
		n.leave(s, events.LeftByItself)
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
	p.silent(p.node, p.session)
	if p.kept != nil {
		p.silent(p.kept.node, p.kept.session)
	}
	p.node, p.kept = nil, nil
}

// silent is a connection that a node hears nothing more of.
func (p *person) silent(n *node, session string) {
	if n == nil {
		return
	}
	if s := n.seat(p.place(), session); s != nil && s.tab == p {
		p.t.after(silentAfter, func() { n.leave(s, events.LeftSilent) })
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
		p.told = append(p.told, m)
		p.waited, p.phase = true, waiting
		p.ring(askWhileWaits, p.unheard)
	case events.Ready:
		p.heard()
		p.ask()
	case events.Error:
		p.unanswered = 0
		if m.Code == events.CodeNodeUnreachable && p.tries >= 3 { // it may be its own network that has changed
			p.avoid = slices.DeleteFunc(slices.Clone(p.avoid), func(n string) bool { return n == p.home })
		}
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
	within := connectsWithin
	if p.rejoining && p.tries <= 2 {
		within = connectsAgainWithin
	}
	p.ring(within, func() { p.spend(a.Node) })
	if p.t.fault(p.t.weather.blocked, "no way to node "+a.Node, p.label, uint64(p.sessions)) {
		return
	}
	p.t.after(p.t.delay(mix(name(session), name(a.Node)), 200*time.Millisecond, 900*time.Millisecond), func() {
		n := p.t.nodeOf(a.Node)
		if p.phase != connecting || p.session != session || n == nil || n.dead || n.hung {
			return
		}
		s := n.seat(p.place(), session)
		if s == nil || s != n.seats[p.place()] || s.revision != a.Revision {
			return // a later offer has closed what this answer leads to
		}
		s.tab = p
		p.alarm++
		p.node, p.revision, p.home, p.rejoining, p.role = n, a.Revision, a.Node, true, s.role
		p.hangUp()
		p.stands()
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

// offered is the smallest offer that is one.
var offered = events.Pack("v=0\r\na=fingerprint:sha-256 " + fingerprint + "\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\n")
