package sfu

import (
	"maps"
	"slices"

	"github.com/spillway-sfu/spillway/events"
)

// What others do to a participant. Roles and seats are the control plane's to
// give, so all but what can be done on the spot is asked of it, and it tells the
// node that the participant is on.

// moderate does what a participant asks for, or has it done: the answer comes
// with [SFU.Moderated] then. The error is for the participant.
func (r *Room) moderate(by *Peer, m events.Moderate) error {
	self := m.Participant == by.person.Identity
	if !by.person.Admin && !(m.Deed == events.Demote && self) {
		return events.Errorf(events.CodeTokenNoPermission, "the token does not allow to %s: it takes roomAdmin", m.Deed)
	}
	if m.Deed == events.Mute && r.muteMember(m.Participant, m.Sources) {
		by.control.send(events.Done{Header: events.Head(events.ActionModerated), ID: m.ID})
		return nil
	}
	if m.Deed == events.SetMetadata && !by.mayDescribe(r.sfu.now()) {
		err := events.Errorf(events.CodeRateLimited, "metadata is changed %d times at once, and then once a second", describeBurst)
		err.RetryAfterMs = 1000
		return err
	}
	if r.sfu.cfg.Moderate == nil {
		return events.Errorf(events.CodeInternal, "nobody here can %s", m.Deed)
	}
	r.sfu.cfg.Moderate(events.ModerateFor{Header: events.Head(events.ActionModerate), Room: r.name, By: by.seat.key, ID: m.ID,
		Deed: m.Deed, Participant: m.Participant, Sources: m.Sources, Metadata: m.Metadata})
	return nil
}

// Moderated passes on how what a participant asked for went.
func (s *SFU) Moderated(m events.Moderated) {
	p, _ := s.peer(seat{m.Room, m.By})
	switch {
	case p == nil || !p.isOpen():
	case m.Fault != nil:
		p.control.send(events.Errorf(m.Fault.Code, "%s", m.Fault.Text).For(m.ID))
	default:
		p.control.send(events.Done{Header: events.Head(events.ActionModerated), ID: m.ID, Moving: m.Moving})
	}
}

// Recast gives a participant another role, if its session has that revision. What
// a viewer published before is published no more.
func (s *SFU) Recast(room, key string, revision int64, role events.Role) {
	p, now := s.peer(seat{room, key})
	if p == nil || now != revision {
		s.log.Info("role of a session that is not here ignored", "room", room, "key", key, "revision", revision)
		return
	}
	p.room.recast(p, role)
}

func (r *Room) recast(p *Peer, role events.Role) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for ; p != nil; p = p.earlier {
		p.person.Role = role
		for source, pub := range p.pubs {
			may := p.person.MayPublish(source)
			pub.barred.Store(!may)
			if !may {
				r.unlist(pub)
			}
		}
		if r.members[p.person.Identity] == p {
			r.roll.change(p.person.Identity)
			r.roll.renew(p) // it may be listed no more, but for itself
		}
	}
	r.poke()
}

// stage lists those who may send: room → participant keys.
func (s *SFU) stage() map[string][]string {
	s.mu.Lock()
	peers := maps.Clone(s.peers)
	s.mu.Unlock()
	out := map[string][]string{}
	for at, p := range peers {
		p.room.mu.Lock()
		if p.person.Role != events.Viewer {
			out[at.room] = append(out[at.room], at.key)
		}
		p.room.mu.Unlock()
	}
	return out
}

// MuteTracks switches off sources of a participant, and tells its SDK, which may
// switch them on again.
func (s *SFU) MuteTracks(room, key string, sources []events.Source) {
	if p, _ := s.peer(seat{room, key}); p != nil {
		p.room.muteMember(p.person.Identity, sources)
	}
}

// muteMember reports whether the participant is here.
func (r *Room) muteMember(identity string, sources []events.Source) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.members[identity]
	if p == nil {
		return false
	}
	muted := []events.Source{}
	for _, source := range sourceOrder {
		pub := p.pubs[source]
		if !slices.Contains(sources, source) || pub == nil || !pub.listed.Load() || pub.track.Muted {
			continue
		}
		t := pub.track
		t.Muted = true
		r.list(pub, t)
		muted = append(muted, source)
	}
	if len(muted) > 0 {
		p.control.send(events.Muted{Header: events.Head(events.ActionMute), Sources: muted})
		r.roll.change(identity)
		r.unassigned = true
		r.poke()
	}
	return true
}

// End disconnects everybody of a room with a code; Left is told of each.
func (s *SFU) End(room string, code events.Code) {
	s.mu.Lock()
	var ends []*Peer
	for at, p := range s.peers {
		if at.room != room {
			continue
		}
		for q := p; q != nil; q = q.before {
			ends = append(ends, q)
		}
		p.before = nil
	}
	s.mu.Unlock()
	for _, p := range ends {
		p.end(ending{reason: events.LeftEnded, code: code, text: "the room is over"})
	}
	s.log.Info("room ended", "room", room, "code", code, "people", len(ends))
}
