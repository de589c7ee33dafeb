package layer

import "time"

// Packet is what a [Rewriter] reads of a packet.
type Packet struct {
	Sequence  uint16
	Timestamp uint32
	// At is when the packet's picture or sound was captured, on the forwarder's
	// clock, or when the packet arrived if that is not known.
	At time.Duration
	// Picture is the descriptor of VP8 and VP9; nil for other codecs.
	Picture *Descriptor
	// Frame is the number in AV1's dependency descriptor, which those have that are
	// Described.
	Frame     uint16
	Described bool
}

// Output is what a forwarded packet carries instead.
type Output struct {
	Sequence  uint16
	Timestamp uint32
	// PictureID and TL0 matter where the packet had a descriptor only.
	PictureID uint16
	TL0       uint8
	// Frame matters where the packet was Described.
	Frame uint16
}

// Shift is what a [Rewriter] adds to the numbers of the present source, sequence
// numbers left out.
type Shift struct {
	timestamp uint32
	picture   uint16
	frame     uint16
	tl0       uint8
}

// Shift returns what is added now.
func (r *Rewriter) Shift() Shift {
	return Shift{r.timestampDiff, r.pictureDiff, r.frameDiff, r.tl0Diff}
}

// Apply returns the numbers of a packet of the source that the shift is of, all but
// its sequence number.
func (s Shift) Apply(p Packet) Output {
	out := Output{Timestamp: p.Timestamp + s.timestamp}
	if p.Picture != nil {
		out.PictureID = (p.Picture.PictureID + s.picture) & 0x7fff
		out.TL0 = p.Picture.TL0 + s.tl0
	}
	if p.Described {
		out.Frame = p.Frame + s.frame
	}
	return out
}

// skipMemory is how many left-out packets a rewriter remembers, so that packets
// which come late from before them keep their numbers.
const skipMemory = 32

// Rewriter numbers the packets of one receive stream. Between two starts it
// shifts all numbers by constants, so that loss and reordering stay visible to
// the receiver; at a start it makes them go on where the earlier source ended.
type Rewriter struct {
	rate uint32

	// The last packet sent, in order.
	sequence  uint16
	timestamp uint32
	at        time.Duration
	picture   uint16
	tl0       uint8
	frame     uint16
	sent      bool

	// Whether timestamp and at are a boundary that Announce promised.
	announced bool

	// The present source, in its own numbers. Sequence numbers are extended
	// beyond 16 bits (RFC 3550, appendix A.1).
	started       bool
	first         int64
	highest       int64
	shift         int64 // output = input + shift + packets skipped later
	timestampDiff uint32
	pictureDiff   uint16
	tl0Diff       uint8
	frameDiff     uint16
	skipped       [skipMemory]int64
	skips         int
}

// NewRewriter makes a rewriter for an RTP clock of rate Hz. The first packet
// gets the number sequence+1 and a timestamp after timestamp.
func NewRewriter(rate uint32, sequence uint16, timestamp uint32) Rewriter {
	return Rewriter{rate: rate, sequence: sequence, timestamp: timestamp}
}

// Announce ends the present source at the time at and returns the timestamp
// from which on everything belongs to the source started next: it is above all
// timestamps sent so far.
func (r *Rewriter) Announce(at time.Duration) uint32 {
	r.timestamp = r.Timestamp(at) + 1
	r.at = at
	r.announced = true
	r.started = false
	return r.timestamp
}

// Timestamp returns the RTP timestamp of the time at, going on from the last
// packet. It is never below that packet's.
func (r *Rewriter) Timestamp(at time.Duration) uint32 {
	if !r.sent && !r.announced {
		return r.timestamp
	}
	return r.timestamp + ticks(at-r.at, r.rate)
}

// Started reports whether there is a present source.
func (r *Rewriter) Started() bool { return r.started }

// Stop ends the present source without announcing another; the next packet must
// be given to [Rewriter.Start].
func (r *Rewriter) Stop() { r.started = false }

// Start makes p the first packet of a new source or layer; p must begin a frame
// at which a decoder can start. Packets that precede p in its source are
// refused from then on. The caller goes on to pass p to [Rewriter.Next].
func (r *Rewriter) Start(p Packet) {
	r.started = true
	r.first = int64(p.Sequence)
	r.highest = r.first
	r.skips = 0
	r.shift = int64(r.sequence) + 1 - r.first

	var gone uint32
	if r.sent || r.announced {
		gone = ticks(p.At-r.at, r.rate)
	}
	if !r.announced {
		// A promised timestamp is still free, that of the last packet is not.
		gone = max(gone, 1)
	}
	r.announced = false
	timestamp := r.timestamp + gone
	r.timestampDiff = timestamp - p.Timestamp
	if p.Picture != nil {
		r.pictureDiff = r.picture + 1 - p.Picture.PictureID
		r.tl0Diff = r.tl0 + 1 - p.Picture.TL0
	}
	if p.Described {
		r.frameDiff = r.frame + 1 - p.Frame
	}
}

// Next numbers a packet of the present source. It reports false for packets
// that must not be sent: those from before the start, those skipped, and all
// when there is no present source.
func (r *Rewriter) Next(p Packet) (Output, bool) {
	if !r.started {
		return Output{}, false
	}
	n := r.extend(p.Sequence)
	if n < r.first {
		return Output{}, false
	}
	shift := r.shift
	for i := r.skips - 1; i >= 0 && i >= r.skips-skipMemory; i-- {
		s := r.skipped[i%skipMemory]
		if s == n {
			return Output{}, false
		}
		if s < n {
			break
		}
		shift++
	}
	out := r.Shift().Apply(p)
	out.Sequence = uint16(n + shift)
	if n >= r.highest {
		r.highest = n
		r.sent = true
		r.sequence = out.Sequence
		if int32(out.Timestamp-r.timestamp) > 0 {
			r.timestamp = out.Timestamp
			r.at = p.At
		}
		if p.Picture != nil {
			r.picture = out.PictureID
			r.tl0 = out.TL0
		}
		if p.Described {
			r.frame = out.Frame
		}
	}
	return out, true
}

// Skip leaves a packet of the present source out without a gap in what the
// receiver sees. Only the packet after the highest so far can be left out so;
// it reports whether this one was.
func (r *Rewriter) Skip(sequence uint16) bool {
	if !r.started {
		return false
	}
	n := r.extend(sequence)
	if n != r.highest+1 {
		return false
	}
	r.highest = n
	r.shift--
	r.skipped[r.skips%skipMemory] = n
	r.skips++
	return true
}

// extend gives a 16-bit sequence number of the present source the upper bits
// that put it nearest to the highest so far.
func (r *Rewriter) extend(sequence uint16) int64 {
	return r.highest + int64(int16(sequence-uint16(r.highest)))
}
