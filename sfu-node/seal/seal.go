// Package seal protects RTP and RTCP (RFC 3711, RFC 7714) in the buffers that
// they are sent from or were received into, without allocating for a packet.
//
// A [Sealer] is one direction's keys. It never seals two packets under one
// nonce: it remembers which indices of a stream it has sealed and refuses them,
// whatever became of the packets. That holds as long as one pair of keys has one
// Sealer, so whoever has several ways to send (UDP, TCP, retransmission) uses the
// same one for all, and repeats a packet by its sealed bytes.
//
// The package knows no sockets, no clock and no WebRTC.
package seal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/bits"
)

// Errors of sealing and opening.
var (
	// ErrUsed refuses to seal an index that was sealed before, or one so old
	// that nobody remembers.
	ErrUsed = errors.New("seal: this packet index was sealed before")
	// ErrMalformed says that bytes are no RTP or RTCP packet, or not that of the
	// stream.
	ErrMalformed = errors.New("seal: malformed packet")
	// ErrRoom says that a buffer is too short for what is added to a packet.
	ErrRoom = errors.New("seal: no room for the tag")
	// ErrForged says that a packet was not sealed with the keys.
	ErrForged = errors.New("seal: authentication failed")
	// ErrReplayed says that a packet was opened before, or is too old to tell.
	ErrReplayed = errors.New("seal: replayed packet")
	// ErrStreams says that the other side uses more SSRCs than are taken.
	ErrStreams = errors.New("seal: too many streams")
	// ErrExhausted says that all indices of a stream, or of RTCP, are used: the
	// keys have reached their end (RFC 3711, section 9.2).
	ErrExhausted = errors.New("seal: keys are exhausted")
)

// windowBits is how far behind the newest packet of a stream one may be sealed or
// opened. At 1,000 packets a second it is one second.
const windowBits = 1024

// window remembers which of the last windowBits indices up to the highest were
// used. The zero value has seen none.
type window struct {
	highest uint64
	any     bool
	used    [windowBits / 64]uint64
}

// fresh reports whether an index may be used.
func (w *window) fresh(i uint64) bool {
	if !w.any || i > w.highest {
		return true
	}
	if w.highest-i >= windowBits {
		return false
	}
	return w.used[i/64%uint64(len(w.used))]&(1<<(i%64)) == 0
}

// use marks an index as used. It must be fresh.
func (w *window) use(i uint64) {
	switch {
	case !w.any:
		w.highest, w.any = i, true
	case i > w.highest:
		if i-w.highest >= windowBits {
			w.used = [windowBits / 64]uint64{}
		} else {
			w.clear(w.highest+1, i)
		}
		w.highest = i
	}
	w.used[i/64%uint64(len(w.used))] |= 1 << (i % 64)
}

// clear forgets the indices from..to, fewer than windowBits.
func (w *window) clear(from, to uint64) {
	for from <= to {
		n := min(64-from%64, to-from+1)
		mask := ^uint64(0) >> (64 - n) << (from % 64)
		w.used[from/64%uint64(len(w.used))] &^= mask
		from += n
	}
}

// guess returns the index of a packet with a sequence number: the one nearest to
// the highest (RFC 3711, section 3.3.1 and appendix A).
func (w *window) guess(sequence uint16) uint64 {
	if !w.any {
		return uint64(sequence)
	}
	i := int64(w.highest) + int64(int16(sequence-uint16(w.highest)))
	if i < 0 {
		i += 1 << 16
	}
	return uint64(i)
}

const (
	// maxIndex bounds RTP's index: 32 bits of roll-over counter and 16 of sequence
	// number.
	maxIndex = 1<<48 - 1
	// maxRTCP bounds RTCP's index.
	maxRTCP = 1<<31 - 1

	rtpHeader  = 12
	rtcpHeader = 8 // what stays readable of an RTCP packet
	rtcpIndex  = 4
	encrypted  = 1 << 31 // the E flag beside RTCP's index
)

// Sealer seals what one side sends under one master key. Its methods, and those
// of its streams, must not run at the same time.
type Sealer struct {
	rtp     cipher
	rtcp    cipher
	streams map[uint32]*Stream
	next    uint32 // the next RTCP index
}

// NewSealer makes the sealer of a direction. There must be only one for a key.
func NewSealer(k Key) (*Sealer, error) {
	s := &Sealer{streams: map[uint32]*Stream{}}
	var err error
	if s.rtp, s.rtcp, err = k.ciphers(); err != nil {
		return nil, err
	}
	return s, nil
}

// Overhead is how many bytes sealing adds to an RTP packet.
func (s *Sealer) Overhead() int { return s.rtp.tag() }

// OverheadRTCP is how many bytes sealing adds to an RTCP packet.
func (s *Sealer) OverheadRTCP() int { return s.rtcp.tag() + rtcpIndex }

// Stream returns the stream of an SSRC, always the same one.
func (s *Sealer) Stream(ssrc uint32) *Stream {
	o := s.streams[ssrc]
	if o == nil {
		o = &Stream{sealer: s, ssrc: ssrc}
		s.streams[ssrc] = o
	}
	return o
}

// Forget lets go of the stream of an SSRC that is never used again with these
// keys: using it again would repeat nonces.
func (s *Sealer) Forget(ssrc uint32) { delete(s.streams, ssrc) }

// Stream is one SSRC of a [Sealer].
type Stream struct {
	sealer *Sealer
	ssrc   uint32
	window window
}

// Seal seals the RTP packet b[:n], of which the first header bytes stay
// readable, in place, and returns its new length. b must have room for
// [Sealer.Overhead] more bytes. It fails with [ErrUsed] for a packet whose index
// was sealed before; b is then as it was.
func (o *Stream) Seal(b []byte, header, n int) (int, error) {
	if header < rtpHeader || n < header || n > len(b) || binary.BigEndian.Uint32(b[8:]) != o.ssrc {
		return 0, ErrMalformed
	}
	c := &o.sealer.rtp
	if len(b)-n < c.tag() {
		return 0, ErrRoom
	}
	i := o.window.guess(binary.BigEndian.Uint16(b[2:]))
	if i > maxIndex {
		return 0, ErrExhausted
	}
	if !o.window.fresh(i) {
		return 0, ErrUsed
	}
	o.window.use(i)
	return c.sealRTP(b, header, n, o.ssrc, i), nil
}

// SealRTCP seals the compound RTCP packet b[:n] in place and returns its new
// length. b must have room for [Sealer.OverheadRTCP] more bytes.
func (s *Sealer) SealRTCP(b []byte, n int) (int, error) {
	if n < rtcpHeader || n > len(b) {
		return 0, ErrMalformed
	}
	if len(b)-n < s.OverheadRTCP() {
		return 0, ErrRoom
	}
	if s.next > maxRTCP {
		return 0, ErrExhausted
	}
	i := s.next
	s.next++
	return s.rtcp.sealRTCP(b, n, i), nil
}

// maxStreams bounds the SSRCs that one side may send on at a time.
const maxStreams = 512

// Opener opens what one side receives under the other's master key. Its methods
// must not run at the same time.
type Opener struct {
	most    int
	rtp     cipher
	rtcp    cipher
	streams map[uint32]*window
	reports map[uint32]*window // by the SSRC that reports: each counts for itself
}

// NewOpener makes the opener of a direction.
func NewOpener(k Key) (*Opener, error) {
	o := &Opener{most: maxStreams, streams: map[uint32]*window{}, reports: map[uint32]*window{}}
	var err error
	if o.rtp, o.rtcp, err = k.ciphers(); err != nil {
		return nil, err
	}
	return o, nil
}

// Bound changes how many SSRCs the other side may send on at a time.
func (o *Opener) Bound(most int) { o.most = most }

// Retain lets go of the SSRCs that are not to be kept, so that others take their
// places among those that are bounded. What was sealed for them could be opened
// again: the caller must know which SSRCs to expect.
func (o *Opener) Retain(keep func(ssrc uint32) bool) {
	maps.DeleteFunc(o.streams, func(ssrc uint32, _ *window) bool { return !keep(ssrc) })
}

// Open opens an RTP packet in place. It returns the plain packet, which is a part
// of b, and the length of its header with contributing sources and extension.
// Whatever the error, b is of no use any more, unless it is [ErrStreams].
func (o *Opener) Open(b []byte) (packet []byte, header int, err error) {
	header, ok := HeaderLen(b)
	if !ok || len(b) < header+o.rtp.tag() {
		return nil, 0, ErrMalformed
	}
	ssrc := binary.BigEndian.Uint32(b[8:])
	w, known := o.streams[ssrc]
	if !known {
		if len(o.streams) >= o.most {
			return nil, 0, ErrStreams
		}
		w = &window{}
	}
	i := w.guess(binary.BigEndian.Uint16(b[2:]))
	if i > maxIndex || !w.fresh(i) {
		return nil, 0, ErrReplayed
	}
	n, ok := o.rtp.openRTP(b, header, ssrc, i)
	if !ok {
		return nil, 0, ErrForged
	}
	if !known {
		o.streams[ssrc] = w
	}
	w.use(i)
	return b[:n], header, nil
}

// OpenRTCP opens a compound RTCP packet in place and returns it, a part of b.
// Whatever the error, b is of no use any more.
func (o *Opener) OpenRTCP(b []byte) ([]byte, error) {
	if len(b) < rtcpHeader+rtcpIndex+o.rtcp.tag() {
		return nil, ErrMalformed
	}
	ssrc := binary.BigEndian.Uint32(b[4:])
	w, known := o.reports[ssrc]
	if !known {
		if len(o.reports) >= maxStreams {
			return nil, ErrStreams
		}
		w = &window{}
	}
	i, n, ok := o.rtcp.openRTCP(b, w)
	switch {
	case !ok:
		return nil, ErrForged
	case !w.fresh(uint64(i)):
		return nil, ErrReplayed
	}
	w.use(uint64(i))
	if !known {
		o.reports[ssrc] = w
	}
	return b[:n], nil
}

// HeaderLen returns the length of an RTP packet's header with contributing
// sources and extension (RFC 3550, section 5.1). It reports false when the packet
// does not hold as much.
func HeaderLen(b []byte) (int, bool) {
	const (
		version   = 2
		extension = 0x10
		sources   = 0x0f
	)
	if len(b) < rtpHeader || b[0]>>6 != version {
		return 0, false
	}
	n := rtpHeader + 4*int(b[0]&sources)
	if b[0]&extension != 0 {
		if len(b) < n+4 {
			return 0, false
		}
		n += 4 + 4*int(binary.BigEndian.Uint16(b[n+2:]))
	}
	return n, n <= len(b)
}

// seen counts what a window remembers; tests use it.
func (w *window) seen() int {
	n := 0
	for _, u := range w.used {
		n += bits.OnesCount64(u)
	}
	return n
}

// String names a profile as DTLS-SRTP does.
func (p Profile) String() string {
	if d, ok := profiles[p]; ok {
		return d.name
	}
	return fmt.Sprintf("SRTP profile 0x%04x", uint16(p))
}
