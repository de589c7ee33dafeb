package sfu

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/spillway-sfu/spillway/sfu-node/burst"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
)

const (
	// historyLen is how many packets of a layer can be repeated at most: half a second
	// of a large picture, several round trips. Where as many packets as are kept, at
	// first historyFirst, take less than historyFor to come, more are.
	historyLen   = 256
	historyFirst = 64
	historyFor   = 700 * time.Millisecond
	// sentLen is how many packets of a receive stream can be named in asking. Each
	// stream of each receiver keeps as many numbers.
	sentLen = historyLen
	// erasKept is how many of the last sources of a receive stream, layers of one
	// publication included, its packets are remembered of.
	erasKept = 8
	// repeatAfter is how soon the same packet is not repeated again.
	repeatAfter = 15 * time.Millisecond
	// repeatMost is how often a packet is repeated: who has not got it by then
	// will not.
	repeatMost = 4
)

// history keeps the last packets of one layer of a publication, once for all who
// may ask for them again.
type history struct {
	mu    sync.Mutex
	slots []kept // nil until something is kept; a power of two of them
}

type kept struct {
	at        time.Duration // when it was kept
	sequence  uint16
	timestamp uint32
	codec     codec
	marker    bool
	picture   layer.Descriptor
	payload   []byte
	// dependency is AV1's descriptor; empty where there is none.
	dependency []byte
}

// slot is where a packet is kept.
func (h *history) slot(sequence uint16) *kept { return &h.slots[int(sequence)&(len(h.slots)-1)] }

// keep copies packets, which arrived at now.
func (h *history) keep(packets []*packet, now time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.slots == nil {
		h.slots = make([]kept, historyFirst)
	}
	for _, p := range packets {
		k := h.slot(p.in.SequenceNumber)
		if len(k.payload) > 0 && now-k.at < historyFor && len(h.slots) < historyLen && k.sequence != p.in.SequenceNumber {
			h.grow()
			k = h.slot(p.in.SequenceNumber)
		}
		k.at = now
		k.sequence, k.timestamp, k.codec, k.marker, k.picture = p.in.SequenceNumber, p.in.Timestamp, p.codec, p.in.Marker, p.picture
		k.payload = append(k.payload[:0], p.payload...)
		k.dependency = append(k.dependency[:0], p.dependency...)
	}
}

// grow doubles how many are kept. The caller holds h.mu.
func (h *history) grow() {
	before := h.slots
	h.slots = make([]kept, 2*len(before))
	for i := range before {
		if len(before[i].payload) > 0 {
			*h.slot(before[i].sequence) = before[i]
		}
	}
}

// copyTo copies a packet's payload to b and its dependency descriptor to d, and
// returns what else is known of it. It reports false when the packet is forgotten.
func (h *history) copyTo(b, d []byte, sequence uint16) (k kept, n int, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.slots == nil {
		return k, 0, false
	}
	k = *h.slot(sequence)
	if k.sequence != sequence || len(k.payload) == 0 {
		return kept{}, 0, false
	}
	n = copy(b, k.payload)
	k.payload = nil
	k.dependency = d[:copy(d, k.dependency)]
	return k, n, true
}

// numbers are those under which a receiver gets the packet again.
func (k *kept) numbers(shift layer.Shift) layer.Output {
	p := layer.Packet{Timestamp: k.timestamp}
	switch {
	case k.codec == codecVP8 || k.codec == codecVP9:
		p.Picture = &k.picture
	case len(k.dependency) > 0:
		p.Frame, p.Described = layer.FrameNumber(k.dependency), true
	}
	return shift.Apply(p)
}

// sent is what a receive stream remembers of what left on it. A packet takes eight
// bytes: all else that it had follows from where it is kept and from its era.
type sent struct {
	packets []sentPacket // nil until something can be asked for again
	start   uint16       // of the last picture that needs none before it
	era     uint8        // the present one
	eras    [erasKept]era
}

// era is the time in which a stream carries one layer of one publication.
type era struct {
	from  *feed // nil for one that never began
	shift layer.Shift
	csrc  uint32
}

// sentPacket is under which number a packet left, and of which it is.
type sentPacket struct {
	sequence uint16
	original uint16
	repeated uint16 // the millisecond in which it last was
	era      uint8
	times    uint8
}

// note remembers a packet for being asked for again.
func (s *sent) note(of era, p *packet, sequence uint16) {
	if s.packets == nil {
		s.packets = make([]sentPacket, sentLen)
		s.start = sequence
	}
	if s.eras[s.era%erasKept] != of {
		s.era++
		s.eras[s.era%erasKept] = of
	}
	switch ahead := int16(sequence - s.start); {
	case p.key && ahead > 0:
		s.start = sequence
	case ahead > 2*sentLen:
		s.start = sequence - sentLen // what is before it is forgotten anyway
	}
	s.packets[sequence%sentLen] = sentPacket{sequence: sequence, original: p.in.SequenceNumber, era: s.era}
}

// again returns the packet that left under a number, and its era, if it may be
// repeated now, and notes that it is.
func (s *sent) again(sequence uint16, now time.Duration) (q sentPacket, of era, ok bool) {
	ms := uint16(now / time.Millisecond)
	if s.packets == nil {
		return q, of, false
	}
	at := &s.packets[sequence%sentLen]
	of = s.eras[at.era%erasKept]
	switch {
	case at.sequence != sequence || int16(sequence-s.start) < 0:
		return q, of, false
	case of.from == nil || s.era-at.era >= erasKept:
		return q, of, false
	case at.times == repeatMost || at.times > 0 && ms-at.repeated < uint16(repeatAfter/time.Millisecond):
		return q, of, false
	}
	at.repeated = ms
	at.times++
	return *at, of, true
}

// repeat sends a packet again on the stream's retransmission SSRC (RFC 4588,
// section 4), under a number of its own, so that nothing is sealed twice under
// one.
func (s *stream) repeat(sequence uint16, b *batch) {
	bound := s.bound.Load()
	if bound == nil || bound.rtx == 0 {
		return
	}
	now := s.peer.sfu.now()
	s.mu.Lock()
	again, of, ok := s.sent.again(sequence, now)
	if !ok {
		s.mu.Unlock()
		return
	}
	s.rtx++
	number := s.rtx
	s.mu.Unlock()

	b.reserve(1)
	e := &s.peer.egress
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sealer == nil || !e.to.IsValid() {
		return
	}
	const original = 2 // bytes of the number that the packet had
	start := b.used
	at := b.buf[start:]
	var described [layer.MaxDependency]byte
	head := bound.header()
	k, n, ok := of.from.history.copyTo(at[head+original:head+original+mtu], described[:], again.original)
	if !ok || bound.rtxPts[k.codec] == 0 {
		return
	}
	repeat, out := *bound, k.numbers(of.shift)
	repeat.ssrc = bound.rtx
	e.writeHeader(at, &repeat, number, out.Timestamp, bound.rtxPts[k.codec], k.marker, of.csrc)
	if bound.dependency != 0 && len(k.dependency) > 0 {
		plain := head
		head += bound.described(len(k.dependency))
		copy(at[head+original:], at[plain+original:plain+original+n])
		e.describe(at, head, &repeat, k.dependency, out.Frame)
	}
	binary.BigEndian.PutUint16(at[head:], sequence)
	if k.codec == codecVP8 || k.codec == codecVP9 {
		k.picture.Write(at[head+original:head+original+n], out.PictureID, out.TL0)
	}
	e.finish(&repeat, at, head, head+original+n, e.sealer.Stream(bound.rtx), b, now)
	if b.used > start {
		b.runs = append(b.runs, burst.Run{To: e.to, Data: b.buf[start:b.used], Size: b.used - start})
		e.pacer.spend(b.used - start)
		s.peer.sfu.count.Repeated.Add(1)
	}
}
