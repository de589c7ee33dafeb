package trial

import (
	"time"

	"github.com/spillway-sfu/spillway/events"
)

// A home that changes: the new connection is made before the old one is given up.
// While nothing is wrong with the old one that is a move; where it is silent, the
// first of the two to be well again wins. This is the SDK's session.ts.

// Times of taking over (state.ts), and of a connection that hears nothing more.
const (
	settlesWithin       = 4 * time.Second
	settlesSilentWithin = 3 * time.Second
	lostAfter           = 20 * time.Second
)

// home is a connection that stands.
type home struct {
	node     *node
	session  string
	revision int64
}

// ends reports whether a code ends a session in good order.
func ends(code events.Code) bool {
	return code == events.CodeReplaced || code == events.CodeRemoved || code == events.CodeRoomEnded
}

// stands is a new connection that is well.
func (p *person) stands() {
	p.t.note("%s is in %s on %s", p.label, p.caller.Room, p.node.id)
	if p.kept == nil {
		p.arrive()
		return
	}
	most := settlesWithin
	if p.doubted {
		most = settlesSilentWithin
	}
	p.phase = settling
	p.ring(p.t.delay(mix(name(p.session), name("settles")), 300*time.Millisecond, most), p.settle)
}

func (p *person) arrive() {
	p.phase, p.entered = joined, p.t.clock.now
	p.t.joined++
}

// settle gives the kept connection up for the new one.
func (p *person) settle() {
	p.alarm++
	old := p.kept
	p.kept = nil
	p.t.moved++
	p.arrive()
	if old != nil {
		p.goodbye(old.node, old.session)
	}
}

// follow begins to make another connection beside the one that stands.
func (p *person) follow(doubted bool, avoid []string, code events.Code) {
	p.kept, p.doubted, p.node = &home{p.node, p.session, p.revision}, doubted, nil
	p.again(avoid, code)
}

// again begins an effort to come back.
func (p *person) again(avoid []string, code events.Code) {
	p.avoid, p.spent, p.rejoining, p.waited, p.told = avoid, true, true, false, nil
	p.progress, p.tries, p.unanswered = p.t.clock.now, 0, 0
	p.trouble(code, 0)
}

// keep goes back to the kept connection, and gives up what was to take its place.
func (p *person) keep() {
	p.alarm++
	old := p.kept
	p.kept = nil
	p.giveBack()
	p.goodbye(p.node, p.session)
	p.hangUp()
	p.phase, p.node, p.session, p.revision = joined, old.node, old.session, old.revision
}

// asked is the node's wish that somebody goes elsewhere.
func (p *person) asked(n *node) {
	if p.phase == joined && p.node == n && !p.deaf {
		p.t.note("%s is asked to move", p.label)
		p.follow(false, nil, events.CodeNodeGone)
	}
}

// suspects is a node of which nothing is heard.
func (p *person) suspects(n *node) {
	switch {
	case p.phase == joined && p.node == n:
		p.follow(true, []string{n.id}, events.CodeNodeUnreachable)
	case p.phase == settling && p.node == n: // the new home died before it had everything
		p.node = nil
		p.spend(n.id)
	case p.kept != nil && p.kept.node == n:
		p.doubted = true
	}
}

// recovers is a node that is heard again: whichever stands first wins.
func (p *person) recovers(n *node) {
	if p.kept != nil && p.kept.node == n && p.doubted && p.phase != settling {
		p.t.note("%s hears %s again", p.label, n.id)
		p.keep()
	}
}

// loses is a connection that is broken for good.
func (p *person) loses(n *node) {
	switch {
	case p.kept != nil && p.kept.node == n && p.phase == settling:
		p.settle()
	case p.kept != nil && p.kept.node == n:
		p.kept, p.doubted = nil, true
		p.gaps++
	case p.phase == joined && p.node == n:
		p.node = nil
		p.gaps++
		p.again(nil, events.CodeNodeGone)
	}
}

// silence is a node that has stopped: whoever is on it notices, and after a
// while its connection is broken.
func (p *person) silence(n *node) {
	if !p.on(n) {
		return
	}
	p.t.after(p.t.delay(mix(name(p.session), name(n.boot)), noticesAfter/2, noticesAfter), func() {
		if n.dead || n.hung {
			p.suspects(n)
		}
	})
	p.t.after(lostAfter, func() {
		if n.dead || n.hung {
			p.loses(n)
		}
	})
}

// on reports whether the person has a connection to a node.
func (p *person) on(n *node) bool {
	return p.node == n && (p.phase == joined || p.phase == settling) || p.kept != nil && p.kept.node == n
}

// closing is the node's word that it ends the connection of a session.
func (p *person) closing(n *node, session string, code events.Code) {
	switch {
	case p.kept != nil && p.kept.node == n && p.kept.session == session:
		switch {
		case ends(code) && code != events.CodeReplaced:
			p.kept = nil
			p.finish(code)
		case p.phase == settling:
			p.settle()
		default: // the new session may be what replaced it
			p.kept, p.doubted = nil, true
			p.gaps++
		}
	case p.node != n || p.session != session || p.phase != joined && p.phase != settling:
	case p.phase == settling && !ends(code):
		p.node = nil
		p.spend(n.id)
	case code == events.CodeNodeGone:
		p.node = nil
		p.gaps++
		p.again([]string{n.id}, code)
	default:
		p.node = nil
		p.finish(code)
	}
}
