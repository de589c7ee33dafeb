package sfu

import (
	"encoding/binary"
	"net/netip"
	"sync"
)

// What participants say about what they receive is taken from the socket before
// the WebRTC stack sees it, opened and read here: the stack takes several times
// as long, and most of what a node is sent is this.

// links finds participants by where they send from.
type links struct {
	mu    sync.RWMutex
	peers map[netip.AddrPort]*Peer
}

func (l *links) find(from netip.AddrPort) *Peer {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.peers[from]
}

// move makes a participant be found at to, no longer at old; either may be
// invalid.
func (l *links) move(p *Peer, old, to netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peers[old] == p {
		delete(l.peers, old)
	}
	if to.IsValid() {
		l.peers[to] = p
	}
}

// RTCP packet types and formats (RFC 3550, section 12.1; RFC 4585, section 6;
// RFC 5104, section 4.3.1).
const (
	senderReport   = 200
	aboutTransport = 205
	aboutPayload   = 206

	formatNACK        = 1
	formatTransportCC = 15
	formatPLI         = 1
	formatFIR         = 4
)

// isRTCP tells RTCP from RTP and everything else on the port (RFC 7983; RFC 5761,
// section 4).
func isRTCP(b []byte) bool {
	return len(b) >= 2 && b[0]>>6 == 2 && b[1] >= 192 && b[1] <= 223
}

// report takes an RTCP datagram from the socket's reading goroutine. It reports
// false when the WebRTC stack has to see it too: sender reports are read there.
func (s *SFU) report(b []byte, from netip.AddrPort) (taken bool) {
	p := s.links.find(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
	if p == nil {
		return false
	}
	opener := p.opener.Load()
	if opener == nil {
		return false
	}
	n := copy(s.reading[:], b)
	packet, err := opener.OpenRTCP(s.reading[:n])
	if err != nil {
		s.count.drop(DropForged)
		return true
	}
	return !p.onReports(packet)
}

// onReports reads a compound packet up to what it cannot read. It reports
// whether there is a sender report in it.
func (p *Peer) onReports(b []byte) (sender bool) {
	for len(b) >= 4 {
		format, kind := b[0]&0x1f, b[1]
		size := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
		if size > len(b) {
			return sender
		}
		one := b[:size]
		b = b[size:]
		switch {
		case kind == senderReport:
			sender = true
		case size < 12:
		case kind == aboutTransport && format == formatNACK:
			p.onNACK(one)
		case kind == aboutTransport && format == formatTransportCC:
			p.egress.mu.Lock()
			if w := p.egress.watch; w != nil {
				w.OnFeedback(one, p.sfu.now())
			}
			p.egress.mu.Unlock()
		case kind == aboutPayload && format == formatPLI:
			p.onKeyAsked(binary.BigEndian.Uint32(one[8:]))
		case kind == aboutPayload && format == formatFIR:
			for entry := one[12:]; len(entry) >= 8; entry = entry[8:] {
				p.onKeyAsked(binary.BigEndian.Uint32(entry))
			}
		}
	}
	return sender
}

// streamOf finds the stream that has an SSRC.
func (p *Peer) streamOf(ssrc uint32) *stream {
	for _, streams := range [2][]*stream{p.video, p.audio} {
		for _, s := range streams {
			if b := s.bound.Load(); b != nil && b.ssrc == ssrc {
				return s
			}
		}
	}
	return nil
}

// onNACK repeats what is missing (RFC 4585, section 6.2.1).
func (p *Peer) onNACK(one []byte) {
	s := p.streamOf(binary.BigEndian.Uint32(one[8:]))
	if s == nil {
		return
	}
	out := p.sfu.takeBatch()
	defer out.release()
	for entry := one[12:]; len(entry) >= 4; entry = entry[4:] {
		first, following := binary.BigEndian.Uint16(entry), binary.BigEndian.Uint16(entry[2:])
		p.sfu.count.Nacks.Add(1)
		s.repeat(first, out)
		for i := range uint16(16) {
			if following&(1<<i) != 0 {
				s.repeat(first+1+i, out)
			}
		}
	}
}

// onKeyAsked passes on that a receiver needs a key frame.
func (p *Peer) onKeyAsked(ssrc uint32) {
	s := p.streamOf(ssrc)
	if s == nil {
		return
	}
	p.sfu.count.KeysAsked.Add(1)
	s.mu.Lock()
	pub, at := s.pub, s.current
	s.mu.Unlock()
	if pub != nil && at >= 0 {
		pub.requestKey(at, false)
	}
}
