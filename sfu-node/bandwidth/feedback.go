package bandwidth

import (
	"encoding/binary"
	"time"
)

const (
	// mostHistory packets are remembered at most: more than a second at 1,500 a
	// second; and firstHistory at first.
	mostHistory  = 2048
	firstHistory = 128

	// A flight's size has its state in the upper two bits.
	maxSize      = 1<<14 - 1
	stateMask    = 3 << 14
	inFlight     = 1 << 14
	reportedLost = 2 << 14
	acknowledged = 3 << 14
)

// flight is a packet that was sent.
type flight struct {
	at   uint32 // microseconds, wrapping
	size uint16 // with state
	seq  uint16
}

func micros(at time.Duration) uint32 { return uint32(at / time.Microsecond) }

// slot is where a packet is remembered.
func (e *Estimator) slot(seq uint16) *flight { return &e.history[int(seq)&(len(e.history)-1)] }

// keep makes room to remember a packet: more of it while the receiver has not yet
// spoken of the one whose place this would take.
func (e *Estimator) keep(seq uint16, at time.Duration) *flight {
	f := e.slot(seq)
	young := micros(at)-f.at < uint32(second/time.Microsecond)
	if f.size&stateMask != inFlight || !young || len(e.history) == mostHistory {
		return f
	}
	before := e.history
	e.history = make([]flight, 2*len(before))
	for _, f := range before {
		if f.size != 0 {
			*e.slot(f.seq) = f
		}
	}
	return e.slot(seq)
}

const (
	// referenceMicros is the unit of a feedback's reference time, deltaMicros that
	// of its deltas.
	referenceMicros = 64_000
	deltaMicros     = 250

	// Of RTCP (RFC 3550, section 6.4; RFC 4585, section 6.1).
	transportFeedback = 205
	transportCC       = 15
	feedbackHeader    = 20 // up to the first chunk
)

// feedback walks over the packets that a transport-wide feedback packet reports.
type feedback struct {
	base      uint16
	count     int
	reference int32

	chunks []byte
	deltas []byte

	// The present chunk.
	symbols uint16 // of a vector chunk, or the one symbol of a run
	left    int
	width   uint // bits of a symbol; 0 is a run
}

// parseFeedback checks a packet as a whole, so that walking cannot fail.
func parseFeedback(p []byte) (feedback, bool) {
	if len(p) < feedbackHeader || p[0]>>6 != 2 || p[0]&0x1f != transportCC || p[1] != transportFeedback {
		return feedback{}, false
	}
	size := 4 * (int(binary.BigEndian.Uint16(p[2:])) + 1)
	if size < feedbackHeader || size > len(p) {
		return feedback{}, false
	}
	p = p[:size]
	f := feedback{
		base:      binary.BigEndian.Uint16(p[12:]),
		count:     int(binary.BigEndian.Uint16(p[14:])),
		reference: int32(binary.BigEndian.Uint32(p[16:]) >> 8),
	}
	// A walk over the chunks finds where the deltas begin and how long they are.
	walk := feedback{chunks: p[feedbackHeader:]}
	need := 0
	for range f.count {
		symbol, ok := walk.symbol()
		if !ok || symbol == 3 {
			return feedback{}, false
		}
		need += symbol
	}
	if need > len(walk.chunks) {
		return feedback{}, false
	}
	f.chunks, f.deltas = p[feedbackHeader:], walk.chunks
	return f, true
}

// symbol returns the status of the next packet: 0 not received, 1 or 2 received
// with a delta of as many bytes, 3 reserved.
func (f *feedback) symbol() (int, bool) {
	if f.left == 0 {
		if len(f.chunks) < 2 {
			return 0, false
		}
		chunk := binary.BigEndian.Uint16(f.chunks)
		f.chunks = f.chunks[2:]
		switch {
		case chunk&0x8000 == 0:
			f.symbols, f.left, f.width = chunk>>13, int(chunk&0x1fff), 0
		case chunk&0x4000 == 0:
			f.symbols, f.left, f.width = chunk<<2, 14, 1
		default:
			f.symbols, f.left, f.width = chunk<<2, 7, 2
		}
		if f.left == 0 {
			return 0, false // a run of nothing
		}
	}
	f.left--
	if f.width == 0 {
		return int(f.symbols & 3), true
	}
	s := f.symbols >> (16 - f.width)
	f.symbols <<= f.width
	return int(s), true
}

// next returns the next packet's fate: whether it arrived, and how long after the
// one before it, in microseconds.
func (f *feedback) next() (delta int64, received bool) {
	symbol, _ := f.symbol()
	switch symbol {
	case 1:
		delta = int64(f.deltas[0]) * deltaMicros
		f.deltas = f.deltas[1:]
	case 2:
		delta = int64(int16(binary.BigEndian.Uint16(f.deltas))) * deltaMicros
		f.deltas = f.deltas[2:]
	}
	return delta, symbol != 0
}
