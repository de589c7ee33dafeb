package agent

import (
	"time"

	"github.com/spillway-sfu/spillway/events"
)

// lease is a node's expiring right to take participants, and the numbering of
// its heartbeats. Time comes in as an argument; the agent's lock guards it.
type lease struct {
	generation int64 // 0 before the first welcome
	every      time.Duration
	ends       time.Time
	draining   bool

	seq  int64
	sent map[int64]time.Time // heartbeats not answered yet

	latest  time.Time // when the latest heartbeat was sent
	pending int       // heartbeats since the last answer
}

// hurried is how many heartbeats in a row are sent early because the one before
// was not answered. A lost answer then costs a second and not the lease; a
// gateway that is down is not asked three times as often for long.
const hurried = 3

// due reports whether it is time for a heartbeat. After one that has not been
// answered within a third of the interval the next one does not wait.
func (l *lease) due(now time.Time) bool {
	wait := l.every
	if 0 < l.pending && l.pending <= hurried {
		wait = l.every / 3
	}
	return !now.Before(l.latest.Add(wait))
}

// maxUnanswered bounds the heartbeats that are remembered.
const maxUnanswered = 64

// welcome begins or goes on with a generation; hello was sent at the time sent.
// It reports false for one that is over, and first for the first of its
// generation.
func (l *lease) welcome(w events.Welcome, sent time.Time) (first, ok bool) {
	if w.Generation < l.generation {
		return false, false
	}
	if w.Generation > l.generation {
		*l = lease{generation: w.Generation, sent: map[int64]time.Time{}}
		first = true
	}
	l.every = time.Duration(w.HeartbeatMs) * time.Millisecond
	l.extend(sent.Add(time.Duration(w.LeaseMs) * time.Millisecond))
	return first, true
}

// next numbers a heartbeat that is sent now.
func (l *lease) next(now time.Time) int64 {
	l.seq++
	l.sent[l.seq] = now
	l.latest = now
	l.pending++
	delete(l.sent, l.seq-maxUnanswered)
	return l.seq
}

// renewed takes the answer to a heartbeat: the lease runs from when that was
// sent. It reports false for an answer to nothing.
func (l *lease) renewed(r events.Renewed) bool {
	sent, ok := l.sent[r.Seq]
	if r.Generation != l.generation || !ok {
		return false
	}
	delete(l.sent, r.Seq)
	l.pending = 0
	l.draining = l.draining || r.Draining
	l.extend(sent.Add(time.Duration(r.LeaseMs) * time.Millisecond))
	return true
}

// extend never shortens: answers arrive in any order.
func (l *lease) extend(to time.Time) {
	if to.After(l.ends) {
		l.ends = to
	}
}

// refuse returns why nobody new is taken now, or nil.
func (l *lease) refuse(now time.Time) *events.Error {
	switch {
	case l.generation == 0 || !now.Before(l.ends):
		return events.Errorf(events.CodeNodeUnreachable, "the node has lost touch with the control plane")
	case l.draining:
		return events.Errorf(events.CodeNodeGone, "the node takes nobody new")
	}
	return nil
}
