package sfu

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/spillway-sfu/spillway/sfu-node/burst"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
)

const (
	// historyLen is how many packets of a layer can be repeated: one to two
	// seconds of camera.
	historyLen = 512
	// sentLen is how many packets of a receive stream can be named in asking: half
	// a second of a large picture, several round trips. Each stream of each
	// receiver keeps as many.
	sentLen = 256
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
	slots []kept // nil until something is kept
}

type kept struct {
	sequence uint16
	codec    codec
	marker   bool
	picture  layer.Descriptor
	payload  []byte
	// dependency is AV1's descriptor; empty where there is none.
	dependency []byte
}

// keep copies packets.
func (h *history) keep(packets []*packet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.slots == nil {
		h.slots = make([]kept, historyLen)
	}
	for _, p := range packets {
		k := &h.slots[p.in.SequenceNumber%historyLen]
		k.sequence, k.codec, k.marker, k.picture = p.in.SequenceNumber, p.codec, p.in.Marker, p.picture
		k.payload = append(k.payload[:0], p.payload...)
		k.dependency = append(k.dependency[:0], p.dependency...)
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
	k = h.slots[sequence%historyLen]
	if k.sequence != sequence || len(k.payload) == 0 {
		return kept{}, 0, false
	}
	n = copy(b, k.payload)
	k.payload = nil
	k.dependency = d[:copy(d, k.dependency)]
	return k, n, true
}

// sentPacket is what a receive stream remembers of a packet: under which numbers
// it left and where the rest of it is kept.
type sentPacket struct {
	from     *feed
	out      layer.Output
	csrc     uint32
	repeated uint32 // the millisecond in which it last was
	original uint16
	times    uint8
}

// remember notes a packet for being asked for again. The caller holds s.mu.
func (s *stream) remember(from *feed, p *packet, out layer.Output, csrc uint32) {
	if s.sent == nil {
		s.sent = make([]sentPacket, sentLen)
		s.start = out.Sequence
	}
	switch ahead := int16(out.Sequence - s.start); {
	case p.key && ahead > 0:
		s.start = out.Sequence
	case ahead > 2*sentLen:
		s.start = out.Sequence - sentLen // what is before it is forgotten anyway
	}
	s.sent[out.Sequence%sentLen] = sentPacket{from: from, original: p.in.SequenceNumber, out: out, csrc: csrc}
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
	ms := uint32(now / time.Millisecond)
	s.mu.Lock()
	if s.sent == nil {
		s.mu.Unlock()
		return
	}
	q := &s.sent[sequence%sentLen]
	if q.from == nil || q.out.Sequence != sequence || int16(sequence-s.start) < 0 || q.times == repeatMost || q.times > 0 && ms-q.repeated < uint32(repeatAfter/time.Millisecond) {
		s.mu.Unlock()
		return
	}
	q.repeated = ms
	q.times++
	again := *q
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
	k, n, ok := again.from.history.copyTo(at[head+original:head+original+mtu], described[:], again.original)
	if !ok || bound.rtxPts[k.codec] == 0 {
		return
	}
	repeat := *bound
	repeat.ssrc = bound.rtx
	e.writeHeader(at, &repeat, number, again.out.Timestamp, bound.rtxPts[k.codec], k.marker, again.csrc)
	if bound.dependency != 0 && len(k.dependency) > 0 {
		plain := head
		head += bound.described(len(k.dependency))
		copy(at[head+original:], at[plain+original:plain+original+n])
		e.describe(at, head, &repeat, k.dependency, again.out.Frame)
	}
	binary.BigEndian.PutUint16(at[head:], sequence)
	if k.codec == codecVP8 || k.codec == codecVP9 {
		k.picture.Write(at[head+original:head+original+n], again.out.PictureID, again.out.TL0)
	}
	e.finish(&repeat, at, head, head+original+n, e.sealer.Stream(bound.rtx), b, now)
	if b.used > start {
		b.runs = append(b.runs, burst.Run{To: e.to, Data: b.buf[start:b.used], Size: b.used - start})
		e.pacer.spend(b.used - start)
		s.peer.sfu.count.Repeated.Add(1)
	}
}
