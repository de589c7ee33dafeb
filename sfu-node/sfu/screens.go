package sfu

import (
	"maps"
	"slices"

	"github.com/spillway-sfu/spillway/events"
)

// screens counts those who share their screen.
func (s *SFU) screens() (n int) {
	s.mu.Lock()
	peers := slices.Collect(maps.Values(s.peers))
	s.mu.Unlock()
	for _, p := range peers {
		if p.isOpen() && p.shares() { // before that its sections are being made
			n++
		}
	}
	return n
}

// shares reports whether the participant shares its screen now.
func (p *Peer) shares() bool {
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	pub := p.pubs[events.Screen]
	return pub != nil && pub.listed.Load() && !pub.muted.Load()
}
