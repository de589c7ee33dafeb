package sfu

import (
	"slices"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
)

// A participant who makes a new connection before the old one breaks has two on
// one seat for a moment, and each of its publications two incarnations: the old
// one, which receivers have, and its heir. Receivers go over one by one, pictures
// at a key frame, sound at the next packet. Nothing is announced: it is the same
// publication, with the same contributing source, and the numbers go on.

// lateHeir is when receivers whom no key frame has reached are handed over all
// the same: they then wait for one.
const lateHeir = 3 * time.Second

// hold lets pub be told of although old, its predecessor, is still what
// receivers have. The caller holds Room.mu.
func (r *Room) hold(pub, old *publication) {
	pub.prior, old.heir = old, pub
	pub.csrc = old.csrc
	pub.heldAt = r.sfu.now()
	for _, s := range old.all() {
		s.expect(pub)
	}
}

// inherit hands receivers over where the heir has come, or is to be waited for
// no longer. It runs with each look. The caller holds Room.mu.
func (r *Room) inherit(now time.Duration) {
	for _, old := range slices.Clone(r.listed) {
		heir := old.heir
		if heir == nil {
			continue
		}
		late := now-heir.heldAt >= lateHeir
		waiting := old.goesOn() && !late
		for _, s := range old.all() {
			if s.expect(heir) && !late {
				waiting = true
			}
		}
		if !waiting {
			r.handOver(old)
		}
	}
}

// handOver ends the time of two incarnations: the heir has everything.
func (r *Room) handOver(old *publication) {
	heir := old.heir
	old.heir, heir.prior = nil, nil
	i := slices.Index(r.listed, old)
	if i < 0 {
		return
	}
	r.listed[i] = heir
	heir.listedAt = old.listedAt
	old.listed.Store(false)
	for _, s := range old.all() {
		s.inherit(heir)
		old.remove(s)
	}
	for _, p := range r.arrivals {
		for k, pub := range p.order {
			if pub == old {
				p.order[k] = heir
			}
		}
	}
	r.unaimed = true
}

// disown ends the time of two incarnations without an heir: receivers keep what
// they have.
func (r *Room) disown(heir *publication) {
	old := heir.prior
	if old == nil {
		return
	}
	old.heir, heir.prior = nil, nil
	heir.listed.Store(false)
	for _, s := range old.all() {
		s.disown(heir)
	}
}

// expect makes a stream take the heir's packets when one comes that may begin.
// It reports whether it still waits, and then asks for a key frame.
func (s *stream) expect(heir *publication) bool {
	s.mu.Lock()
	waits := s.pub != heir && s.target != layer.None && !s.peer.quiet.Load()
	fresh := waits && s.heir != heir
	if waits {
		s.heir = heir
	}
	target := s.target
	s.mu.Unlock()
	if fresh {
		heir.add(s)
	}
	if waits && s.kind == webrtc.RTPCodecTypeVideo {
		heir.requestKey(target, true)
	}
	return waits
}

// inherit makes the heir what a stream carries, whether it has come or not. The
// caller holds Room.mu.
func (s *stream) inherit(heir *publication) {
	s.mu.Lock()
	if s.pub != heir {
		s.pub = heir
		s.current = layer.None
		s.numbers.Stop()
	}
	s.heir = nil
	s.mu.Unlock()
	s.carries = heir
	if !slices.Contains(heir.all(), s) {
		heir.add(s)
	}
}

// disown forgets an heir. The caller holds Room.mu.
func (s *stream) disown(heir *publication) {
	s.mu.Lock()
	back := s.pub == heir
	if back {
		s.pub = s.carries
		s.current = layer.None
		s.numbers.Stop()
	}
	s.heir = nil
	s.mu.Unlock()
	heir.remove(s)
}

// takes reports whether the stream carries the publication of a packet, which
// may be the heir of the one so far. The caller holds s.mu.
func (s *stream) takes(p *packet) bool {
	if p.pub == s.pub {
		return true
	}
	if p.pub != s.heir || s.kind == webrtc.RTPCodecTypeVideo && (!p.key || p.layer > s.target) {
		return false
	}
	s.pub, s.heir = s.heir, nil
	s.current = layer.None
	s.numbers.Stop()
	return true
}

// continues notes that p goes on where old was, if it does. The caller holds
// Room.mu.
func (p *Peer) continues(old *Peer) bool {
	if p.from == "" || p.from != old.session {
		return false
	}
	p.earlier = old
	return true
}

// restore makes before the member again that p was to take the place of. What p
// had taken over goes back.
func (r *Room) restore(p, before *Peer) {
	r.members[p.person.Identity] = before
	before.current = p.current
	for _, source := range sourceOrder {
		pub, old := p.pubs[source], before.pubs[source]
		if pub == nil || old == nil || !pub.listed.Load() || pub.prior != nil {
			continue
		}
		r.list(old, pub.track)
	}
	r.roll.change(p.person.Identity)
	r.unassigned = true
	r.poke()
}

// pubsBefore are the publications of the connection that p takes the place of,
// while that is there.
func (r *Room) pubsBefore(p *Peer) map[events.Source]*publication {
	if p.earlier == nil || !r.peers[p.earlier] {
		return nil
	}
	return p.earlier.pubs
}

// predecessor is what receivers have of a publication whose participant makes a
// new connection; nil if there is nothing to wait for.
func (r *Room) predecessor(pub *publication) *publication {
	if pub.listed.Load() {
		return nil
	}
	p, ok := pub.from.(*Peer)
	if !ok || r.pubsBefore(p)[pub.source] == nil {
		return r.elsewhere(pub)
	}
	old := r.pubsBefore(p)[pub.source]
	if old == nil || !old.listed.Load() || old.prior != nil || old.heir != nil || !slices.Contains(r.listed, old) {
		return nil
	}
	return old
}

// Move asks participants of a room to go elsewhere; without keys, everybody. They
// keep their connections until they say goodbye; with press these end at once, also
// those that are not open yet, with a code upon which SDKs join elsewhere. Those who
// are not here are passed over.
func (s *SFU) Move(room string, keys []string, press bool) {
	s.mu.Lock()
	var peers []*Peer
	for at, p := range s.peers {
		if at.room != room || len(keys) > 0 && !slices.Contains(keys, at.key) || !press && !p.isOpen() {
			continue
		}
		peers = append(peers, p)
		if press && p.before != nil {
			peers = append(peers, p.before)
			p.before = nil
		}
	}
	s.mu.Unlock()
	for _, p := range peers {
		if press {
			p.end(ending{reason: events.LeftRemoved, code: events.CodeNodeGone})
			continue
		}
		p.control.send(events.Move{Header: events.Head(events.ActionMove), ReceiveKbps: p.carries()})
	}
	s.log.Info("participants are asked to move", "room", room, "people", len(peers), "press", press)
}
