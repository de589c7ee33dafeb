package sfu

import "github.com/spillway-sfu/spillway/events"

// describe changes somebody's metadata. A revision that is not above the last one is
// ignored.
func (r *Room) describe(p *Peer, m events.Describe) error {
	if !p.person.Describes {
		return events.Errorf(events.CodeTokenNoPermission, "the token does not allow to change metadata")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.Revision <= p.described {
		return nil
	}
	p.described, p.metadata = m.Revision, m.Metadata
	r.roll.change(p.person.Identity)
	r.poke()
	return nil
}

// describes is a participant's metadata: what it said last, on this connection or the
// one that it goes on from; until then, what the token said. The caller holds Room.mu.
func (p *Peer) describes() string {
	switch {
	case p.described > 0:
		return p.metadata
	case p.earlier != nil:
		return p.earlier.describes()
	}
	return p.person.Metadata
}
