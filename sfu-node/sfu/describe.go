package sfu

import (
	"time"

	"github.com/spillway-sfu/spillway/events"
)

// describeBurst is how often a participant may change metadata of the room or of
// others at once; for long it is once a second. Each is a write of the control plane.
const describeBurst = 5

// mayDescribe takes one such change, if there is one to be had. One goroutine calls it.
func (p *Peer) mayDescribe(now time.Duration) bool {
	b := &p.control.changes
	b.credit = min(describeBurst, b.credit+(now-b.counted).Seconds())
	b.counted = now
	if b.credit < 1 {
		return false
	}
	b.credit--
	return true
}

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
	p.described, p.isDescribed, p.metadata = m.Revision, true, m.Metadata
	r.roll.change(p.person.Identity)
	r.poke()
	return nil
}

// describes is a participant's metadata: what it said last, on this connection or the
// one that it goes on from; until then, what the token said. The caller holds Room.mu.
func (p *Peer) describes() string {
	switch {
	case p.isDescribed:
		return p.metadata
	case p.earlier != nil:
		return p.earlier.describes()
	}
	return p.person.Metadata
}

// Describe gives a participant other metadata, in place of what it said itself; it may
// say something else again.
func (s *SFU) Describe(room, key, metadata string) {
	p, _ := s.peer(seat{room, key})
	if p == nil {
		return // its next offer says it
	}
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	identity := p.person.Identity
	for ; p != nil; p = p.earlier {
		p.isDescribed, p.metadata = true, metadata
	}
	r.roll.change(identity)
	r.poke()
}

// DescribeRoom takes what a room's application says of the room, if it is newer than
// what is known. It is told to everybody, and to the room's other nodes.
func (s *SFU) DescribeRoom(room string, m events.RoomMetadata) {
	s.mu.Lock()
	r := s.rooms[room]
	s.mu.Unlock()
	if r != nil {
		r.setMetadata(m)
	}
}

func (r *Room) setMetadata(m events.RoomMetadata) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noteMetadata(m)
}

// noteMetadata is setMetadata for who holds Room.mu.
func (r *Room) noteMetadata(m events.RoomMetadata) {
	if m.Revision <= r.describedAs.Load() {
		return
	}
	r.describedAs.Store(m.Revision)
	if m.Text != r.metadata {
		r.metadata = m.Text
		r.roll.described = true
	}
	r.poke()
}
