package sfu

import (
	"encoding/binary"
	"time"
)

// RTCP packet types and formats (RFC 3550, section 12.1; RFC 4585, section 6;
// RFC 5104, section 4.3.1).
const (
	senderReport   = 200
	receiverReport = 201
	aboutTransport = 205
	aboutPayload   = 206

	formatNACK        = 1
	formatTransportCC = 15
	formatPLI         = 1
	formatFIR         = 4
)

// onRTCP takes what a participant reports, in place. The caller holds the intake's
// lock.
func (p *Peer) onRTCP(b []byte, now time.Duration) {
	if p.intake.opener == nil {
		p.sfu.count.drop(DropUnconnected)
		return
	}
	packet, err := p.intake.opener.OpenRTCP(b)
	if err != nil {
		p.sfu.count.drop(DropForged)
		return
	}
	p.onReports(packet, now)
}

// onReports reads a compound packet up to what it cannot read.
func (p *Peer) onReports(b []byte, now time.Duration) {
	for len(b) >= 4 {
		format, kind := b[0]&0x1f, b[1]
		size := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
		if size > len(b) {
			return
		}
		one := b[:size]
		b = b[size:]
		switch {
		case size < 12:
		case kind == receiverReport:
			p.onReception(one[8:], int(format), now)
		case kind == senderReport && size >= 28:
			p.intake.onSenderReport(one, now)
			p.onReception(one[28:], int(format), now)
		case kind == aboutTransport && format == formatNACK:
			p.onNACK(one)
		case kind == aboutTransport && format == formatTransportCC:
			p.onTransport(one, now)
		case kind == aboutPayload && format == formatPLI:
			p.onKeyAsked(binary.BigEndian.Uint32(one[8:]))
		case kind == aboutPayload && format == formatFIR:
			for entry := one[12:]; len(entry) >= 8; entry = entry[8:] {
				p.onKeyAsked(binary.BigEndian.Uint32(entry))
			}
		}
	}
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
		p.again(s, first, out)
		for i := range uint16(16) {
			if following&(1<<i) != 0 {
				p.again(s, first+1+i, out)
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
