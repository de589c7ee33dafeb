package sfu

import (
	"time"

	"github.com/spillway-sfu/spillway/events"
)

// A large audience is counted, not listed: everybody is told of the stage, of
// itself, and of how many viewers there are. Otherwise each viewer who comes would
// cost a message to each who is there, and each node would hold them all. Nodes do
// likewise among themselves: each tells a neighbour how many viewers are on its side
// of their pipe, and who they are only while they are few.

const (
	// countEvery is how often people are told how many viewers there are when there
	// is nothing else to tell.
	countEvery = time.Second
	// Viewers who were too many are listed again when they are this share of what
	// may be: someone who comes and goes does not turn a roster over.
	againPart, againOf = 3, 4
)

// audience is how many viewers there are of a room. Room.mu guards it.
type audience struct {
	here, all int
	// unlisted says that rosters of this node leave viewers out.
	unlisted bool
}

// crowded reports whether so many viewers are too many to be listed.
func (r *Room) crowded(viewers int, before bool) bool {
	most := r.sfu.cfg.ListedViewers
	if before {
		return viewers > most*againPart/againOf
	}
	return viewers > most
}

// count brings the numbers of viewers up to date. Those who are listed are counted
// as they are listed, so that who changes nodes is not counted twice.
func (r *Room) count() {
	a := &r.audience
	a.here = 0
	for _, p := range r.members {
		if p.person.Role == events.Viewer {
			a.here++
		}
	}
	a.all = a.here
	for _, n := range r.neighbours {
		a.all += n.viewers
	}
	if a.unlisted || r.withheldBeyond(nil) {
		return
	}
	a.all = 0
	for identity := range r.members {
		a.all += r.viewing(identity)
	}
	for identity := range r.remotes {
		if r.members[identity] == nil {
			a.all += r.viewing(identity)
		}
	}
}

// viewing is 1 for a viewer.
func (r *Room) viewing(identity string) int {
	if r.roleOf(identity) == events.Viewer {
		return 1
	}
	return 0
}

// roleOf is somebody's role by the latest session, wherever it is.
func (r *Room) roleOf(identity string) events.Role {
	p, rem := r.members[identity], r.remotes[identity]
	switch {
	case p != nil && (rem == nil || p.current >= rem.best.Revision):
		return p.person.Role
	case rem != nil:
		return rem.best.Role
	}
	return ""
}

// withheldBeyond reports whether a neighbour, but this one, does not tell of all
// viewers on its side.
func (r *Room) withheldBeyond(except *neighbour) bool {
	for _, n := range r.neighbours {
		if n != except && n.withholds {
			return true
		}
	}
	return false
}

// takeStock counts, and turns everybody's roster over when viewers become too many
// to be listed or are few again.
func (r *Room) takeStock() {
	r.count()
	a := &r.audience
	unlisted := r.withheldBeyond(nil) || r.crowded(a.all, a.unlisted)
	if unlisted == a.unlisted {
		return
	}
	a.unlisted = unlisted
	r.count()
	r.roll.turnOver()
}

// shows reports whether rosters list somebody of this role.
func (r *Room) shows(role events.Role) bool {
	return role == events.Publisher || role == events.Viewer && !r.audience.unlisted
}

// viewersFor counts the viewers on this side of a neighbour's pipe and decides
// whether it is told who they are.
func (r *Room) viewersFor(n *neighbour) int {
	viewers := r.audience.here
	for _, other := range r.neighbours {
		if other != n {
			viewers += other.viewers
		}
	}
	withheld := r.withheldBeyond(n) || r.crowded(viewers, n.withheld)
	if withheld == n.withheld {
		return viewers
	}
	n.withheld = withheld
	for identity := range r.members {
		n.news[identity] = n.news[identity] || r.viewing(identity) == 1
	}
	for identity := range r.remotes {
		n.news[identity] = n.news[identity] || r.viewing(identity) == 1
	}
	return viewers
}

// tellMembers tells the members what has changed in the roster.
func (r *Room) tellMembers(now time.Duration) {
	anew, everybody := r.roll.anew, r.roll.renewed
	messages := r.roll.flush(r, now)
	for _, p := range r.arrivals {
		if everybody || anew[p] {
			r.snapshot(p)
			continue
		}
		for _, raw := range messages {
			p.control.sendRaw(raw)
		}
	}
	r.roll.anew = nil
}
