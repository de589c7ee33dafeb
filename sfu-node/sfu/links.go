package sfu

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
)

// links finds participants by where they send from. Readers look for each packet,
// so they look without a lock at a map that is replaced as a whole.
type links struct {
	mu    sync.Mutex
	peers atomic.Pointer[map[netip.AddrPort]*Peer]
}

// paths are the addresses of one participant, guarded by links.mu.
type paths struct {
	used    netip.AddrPort   // of the candidate pair in use
	checked []netip.AddrPort // from which a check came, the latest last
}

// maxPaths is how many addresses of a participant are listened to beside the one in
// use: those of its interfaces, and what NATs make of them.
const maxPaths = 8

func (l *links) find(from netip.AddrPort) *Peer {
	if m := l.peers.Load(); m != nil {
		return (*m)[from]
	}
	return nil
}

// change makes a new map of a copy of the present one. The caller holds l.mu.
func (l *links) change(do func(now map[netip.AddrPort]*Peer)) {
	now := map[netip.AddrPort]*Peer{}
	if m := l.peers.Load(); m != nil {
		maps.Copy(now, *m)
	}
	do(now)
	l.peers.Store(&now)
}

// move makes a participant be found at to. It is no longer found at old, except
// where a check of its own came from. Either may be invalid.
func (l *links) move(p *Peer, old, to netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.paths.used = to
	l.change(func(now map[netip.AddrPort]*Peer) {
		if now[old] == p && !slices.Contains(p.paths.checked, old) {
			delete(now, old)
		}
		if to.IsValid() {
			now[to] = p
		}
	})
}

// admit makes a participant be found also where a check of its own came from: who
// controls ICE may send on any pair that passed its check, before one is nominated
// and after (RFC 8445, section 12.1). What comes from there still has to open with
// the participant's keys.
func (l *links) admit(p *Peer, from netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-p.done:
		return
	default:
	}
	known := l.find(from)
	if slices.Contains(p.paths.checked, from) && known == p || known != nil && known != p {
		return
	}
	p.paths.checked = append(p.paths.checked, from)
	l.change(func(now map[netip.AddrPort]*Peer) {
		now[from] = p
		if len(p.paths.checked) > maxPaths {
			oldest := p.paths.checked[0]
			p.paths.checked = slices.Delete(p.paths.checked, 0, 1)
			if oldest != p.paths.used && now[oldest] == p {
				delete(now, oldest)
			}
		}
	})
}

// leave makes a participant, whose done is closed, be found nowhere.
func (l *links) leave(p *Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.change(func(now map[netip.AddrPort]*Peer) {
		for _, a := range append(p.paths.checked, p.paths.used) {
			if now[a] == p {
				delete(now, a)
			}
		}
	})
	p.paths = paths{}
}

// onCheck gets each connectivity check that the WebRTC stack has found to be the
// participant's. It never asks for another candidate pair.
func (p *Peer) onCheck(_ *stun.Message, _, remote ice.Candidate, _ *ice.CandidatePair) bool {
	if ip, err := netip.ParseAddr(remote.Address()); err == nil && !remote.NetworkType().IsTCP() {
		p.sfu.links.admit(p, netip.AddrPortFrom(ip.Unmap().WithZone(""), uint16(remote.Port())))
	}
	return false
}
