package sfu

import (
	"encoding/binary"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
	"github.com/spillway-sfu/spillway/sfu-node/seal"
)

// intake is where what a participant sends is opened and told apart. Media never
// gets to the WebRTC stack, so what publishers are told about it is ours too:
// what is missing, what arrived when, receiver reports.
type intake struct {
	// What follows is settled by negotiation, before anything arrives.
	sections map[string]*section // by mid
	declared map[uint32]string   // mids by SSRC, where the offer names them
	midID    uint8               // ids of header extensions; 0 is not agreed on
	ridID    uint8
	repairID uint8
	ccID     uint8
	// dependencyID is that of AV1's dependency descriptor.
	dependencyID uint8

	// mu is locked by the reader for all packets of one read that follow each
	// other, by the peer's own goroutine for a report.
	mu       sync.Mutex
	opener   *seal.Opener // nil before the handshake
	lines    []*line
	recorder *twcc.Recorder // nil until a packet has a transport-wide number
	arrived  bool           // something to tell by it
	lost     bool           // something to ask for
	ccAt     time.Duration  // when it was last told
}

// section is what was agreed on about one section in which a participant sends.
type section struct {
	source  events.Source
	rate    uint32
	codecs  [128]codec // by payload type
	repairs [128]uint8 // payload types of retransmission: what they repeat
	level   uint8      // id of the audio level extension; 0 when not agreed on
}

// line is one SSRC on which a participant sends.
type line struct {
	ssrc    uint32
	section *section
	up      *uplink
	repairs bool // it repeats packets of up

	svc          *svc                // nil while it carries one layer
	dependencies *layer.Dependencies // AV1's; nil before there are any
	reception
	missing
}

// ups are the uplinks that a line's packets go to.
func (l *line) ups() []*uplink {
	if l.svc != nil {
		return l.svc.ups[:]
	}
	return []*uplink{l.up}
}

// maxLines bounds the SSRCs of one participant: all sources with all layers, their
// retransmission, and as many again for browsers that begin anew.
const maxLines = 32

// agree takes what the negotiation settled.
func (in *intake) agree(p *Peer) {
	in.sections = map[string]*section{}
	for _, t := range p.pc.GetTransceivers() {
		source, ok := p.sources[t.Mid()]
		if !ok || t.Receiver() == nil {
			continue
		}
		s := &section{source: source, rate: rate(t.Kind())}
		parameters := t.Receiver().GetParameters()
		for _, c := range parameters.Codecs {
			s.codecs[c.PayloadType&0x7f] = codecOf(c.MimeType)
			if apt, ok := strings.CutPrefix(c.SDPFmtpLine, "apt="); ok && c.MimeType == webrtc.MimeTypeRTX {
				if pt, err := strconv.ParseUint(apt, 10, 7); err == nil {
					s.repairs[c.PayloadType&0x7f] = uint8(pt)
				}
			}
		}
		for _, e := range parameters.HeaderExtensions {
			id := uint8(e.ID)
			switch e.URI {
			case audioLevelURI:
				s.level = id
			// One id stands for the same in all sections (RFC 8843, section 9.2).
			case sdp.SDESMidURI:
				in.midID = id
			case sdp.SDESRTPStreamIDURI:
				in.ridID = id
			case sdp.SDESRepairRTPStreamIDURI:
				in.repairID = id
			case sdp.TransportCCURI:
				in.ccID = id
			case layer.DependencyURI:
				in.dependencyID = id
			}
		}
		in.sections[t.Mid()] = s
	}
}

// declare notes the SSRCs that a section of the offer names, and returns its
// attributes without them: the stack would open a stream for each.
func (in *intake) declare(mid string, attributes []sdp.Attribute) []sdp.Attribute {
	kept := attributes[:0]
	for _, a := range attributes {
		switch a.Key {
		case sdp.AttrKeySSRC:
			number, _, _ := strings.Cut(a.Value, " ")
			if ssrc, err := strconv.ParseUint(number, 10, 32); err == nil && len(in.declared) < maxLines {
				if in.declared == nil {
					in.declared = map[uint32]string{}
				}
				in.declared[uint32(ssrc)] = strings.Clone(mid) // not all of the offer
			}
		case sdp.AttrKeySSRCGroup:
		default:
			kept = append(kept, a)
		}
	}
	return kept
}

// onRTP takes a packet that arrived at now, in the i-th buffer of a reader. The
// caller holds the intake's lock.
func (p *Peer) onRTP(r *reader, i int, b []byte, now time.Duration) {
	in, count := &p.intake, &p.sfu.count
	if in.opener == nil {
		count.drop(DropUnconnected)
		return
	}
	plain, header, err := in.opener.Open(b)
	if err != nil {
		count.drop(DropForged)
		return
	}
	l := p.lineOf(plain, header)
	if l == nil {
		count.drop(DropMalformed)
		return
	}
	in.noteArrival(p, l, plain, header, now)
	sequence := binary.BigEndian.Uint16(plain[2:])
	switch {
	case l.repairs:
		if plain, l = p.unwrap(l, plain, header); plain == nil {
			return
		}
	default:
		l.note(sequence, binary.BigEndian.Uint32(plain[4:]), l.section.rate, now)
		if l.section.rate == videoRate && l.expect(sequence, now) && !in.lost {
			in.lost = true
			p.kickKeys()
		}
	}
	if part, is := in.scalable(p, l, plain, header); is {
		l.svc.take(r, i, plain, part, now)
		return
	}
	u := l.up
	q := u.free()
	u.arrived(plain)
	if !u.accept(q, plain, now) {
		return
	}
	q.buf = r.datagrams.Swap(i, q.buf)
	r.hold(u, q, now)
}

// noteArrival records when a packet with a transport-wide number came.
func (in *intake) noteArrival(p *Peer, l *line, b []byte, header int, now time.Duration) {
	ext := extensionOf(b, header, in.ccID)
	if len(ext) < 2 {
		return
	}
	if in.recorder == nil {
		in.recorder = twcc.NewRecorder(p.ssrc)
	}
	in.recorder.Record(l.ssrc, binary.BigEndian.Uint16(ext), now.Microseconds())
	if !in.arrived {
		in.arrived = true
		p.kickKeys()
	}
}

// lineOf finds what a packet belongs to, by its SSRC, or learns it.
func (p *Peer) lineOf(b []byte, header int) *line {
	ssrc := binary.BigEndian.Uint32(b[8:])
	for _, l := range p.intake.lines {
		if l.ssrc == ssrc {
			return l
		}
	}
	return p.learn(b, header, ssrc)
}

// learn makes the line of a new SSRC: header extensions tell section and layer
// (RFC 8852; RFC 8843, section 9.2), or the offer did.
func (p *Peer) learn(b []byte, header int, ssrc uint32) *line {
	in := &p.intake
	mid, ok := in.declared[ssrc]
	if ext := extensionOf(b, header, in.midID); ext != nil {
		mid, ok = string(ext), true
	}
	s := in.sections[mid]
	if !ok || s == nil || len(in.lines) == maxLines {
		return nil
	}
	l := &line{ssrc: ssrc, section: s, repairs: s.repairs[b[1]&0x7f] != 0}
	rid := string(extensionOf(b, header, in.ridID))
	if l.repairs {
		if ext := extensionOf(b, header, in.repairID); ext != nil {
			rid = string(ext)
		}
	}
	i, known := layer.Index(rid)
	if !known {
		return nil
	}
	if l.repairs {
		if of := in.carrying(s, i); of != nil {
			l.up = of.up
			in.lines = append(in.lines, l)
			return l
		}
		return nil // nothing to repeat yet
	}
	l.up = newUplink(p, s, i, ssrc)
	in.lines = append(in.lines, l)
	return l
}

// carrying is the line that carries a layer of a section, the latest of several.
func (in *intake) carrying(s *section, i int) *line {
	for at := len(in.lines) - 1; at >= 0; at-- {
		if l := in.lines[at]; l.section == s && !l.repairs && l.up.layer == i {
			return l
		}
	}
	return nil
}

// unwrap turns a retransmission into the packet that it repeats (RFC 4588,
// section 4) and the line of that one. It returns nil for one that is not
// missing, as those are that only probe the path.
func (p *Peer) unwrap(l *line, b []byte, header int) ([]byte, *line) {
	of := p.intake.carrying(l.section, l.up.layer)
	if of == nil || len(b) < header+2 {
		return nil, nil
	}
	l.up = of.up
	original := binary.BigEndian.Uint16(b[header:])
	pt := l.section.repairs[b[1]&0x7f]
	if pt == 0 || !of.recovered(original) {
		return nil, nil
	}
	copy(b[2:], b[:header])
	b = b[2:]
	b[1] = b[1]&0x80 | pt
	binary.BigEndian.PutUint16(b[2:], original)
	binary.BigEndian.PutUint32(b[8:], of.ssrc)
	return b, of
}

// onSenderReport notes how a sender's clock and its RTP clock run.
func (in *intake) onSenderReport(b []byte, now time.Duration) {
	ssrc := binary.BigEndian.Uint32(b[4:])
	for _, l := range in.lines {
		if l.ssrc != ssrc || l.repairs {
			continue
		}
		at := binary.BigEndian.Uint64(b[8:])
		l.reported, l.reportedAt = uint32(at>>16), now
		point := &syncPoint{clock: fromNTP(at), timestamp: binary.BigEndian.Uint32(b[16:])}
		for _, u := range l.ups() {
			if u.pub != nil {
				u.feed().sync.Store(point)
			}
		}
	}
}

const (
	// arrivalsEvery is how often a publisher is told what arrived when.
	arrivalsEvery = 100 * time.Millisecond
	videoRate     = 90000
)

// due takes what the participant is to be told now, and says in how long there
// may be more; 0 is when something happens.
func (in *intake) due(p *Peer, now time.Duration) (packets []rtcp.Packet, wait time.Duration) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.lost {
		in.lost = false
		for _, l := range in.lines {
			list, more := l.ask(now)
			if len(list) > 0 {
				packets = append(packets, &rtcp.TransportLayerNack{SenderSSRC: p.ssrc, MediaSSRC: l.ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(list)})
			}
			in.lost = in.lost || more
		}
		if in.lost {
			wait = askAgain
		}
	}
	if in.arrived {
		left := in.ccAt + arrivalsEvery - now
		if left <= 0 {
			in.arrived, in.ccAt = false, now
			return append(packets, in.recorder.BuildFeedbackPacket()...), wait
		}
		if wait == 0 || left < wait {
			wait = left
		}
	}
	return packets, wait
}

// reports are the reception reports on what the participant sends.
func (in *intake) reports(now time.Duration) (list []rtcp.ReceptionReport) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, l := range in.lines {
		if l.repairs {
			continue
		}
		if r, ok := l.report(l.ssrc, now); ok {
			list = append(list, r)
		}
	}
	return list
}

// extensionOf returns what a packet's header extension holds under an id, nil when
// it is not there (RFC 8285).
func extensionOf(b []byte, header int, id uint8) []byte {
	at := 12 + 4*int(b[0]&0x0f)
	if id == 0 || b[0]&0x10 == 0 || at+4 > header {
		return nil
	}
	profile := binary.BigEndian.Uint16(b[at:])
	ext := b[at+4 : header]
	switch {
	case profile == 0xbede:
		for len(ext) > 0 && ext[0]>>4 != 15 {
			if ext[0] == 0 {
				ext = ext[1:]
				continue
			}
			n := 1 + int(ext[0]&0x0f) + 1
			if n > len(ext) {
				return nil
			}
			if ext[0]>>4 == id {
				return ext[1:n]
			}
			ext = ext[n:]
		}
	case profile>>4 == 0x100:
		for len(ext) > 1 {
			if ext[0] == 0 {
				ext = ext[1:]
				continue
			}
			n := 2 + int(ext[1])
			if n > len(ext) {
				return nil
			}
			if ext[0] == id {
				return ext[2:n]
			}
			ext = ext[n:]
		}
	}
	return nil
}
