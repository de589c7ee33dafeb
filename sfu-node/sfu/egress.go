package sfu

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/sfu-node/bandwidth"
	"github.com/spillway-sfu/spillway/sfu-node/burst"
	"github.com/spillway-sfu/spillway/sfu-node/framed"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
	"github.com/spillway-sfu/spillway/sfu-node/seal"
)

const (
	// maxHeld is how many packets are forwarded at once.
	maxHeld = 16
	// mtu bounds what a participant may send.
	mtu = 1500
	// maxSealed is room for a packet with our header, padding and tag.
	maxSealed = mtu + 64
	// maxPadding is what a packet may be filled up with to be as long as the
	// others of its run. The packets of one frame differ by a byte.
	maxPadding = 24

	// sourceEnd is where a header with one contributing source ends, or its extensions
	// begin.
	sourceEnd = 16

	// addressing is what IPv4 and UDP add to what is sent.
	addressing = 28

	batchBytes = 128 << 10 // stays in a core's cache
	batchRuns  = 64
)

// egress is where what a participant receives is sealed and numbered, whichever
// publication it is of.
type egress struct {
	mu       sync.Mutex
	sealer   *seal.Sealer   // nil before the handshake
	to       netip.AddrPort // not valid before there is a candidate pair
	sequence uint16         // transport-wide
	numbered bool           // some stream's packets carry it
	left     time.Duration  // when media last left
	watch    *bandwidth.Estimator
	pacer    pacer
}

// batch collects, sealed, what one burst of packets owes to many participants.
// One goroutine uses it.
type batch struct {
	sfu    *SFU
	writer *burst.Writer
	buf    []byte
	used   int
	runs   []burst.Run
	plan   [maxHeld]planned
	header rtp.Header // for sinks
	csrc   [1]uint32
}

// planned is a packet that is to leave on a stream, before it is written.
type planned struct {
	p       *packet
	codec   codec
	payload []byte // of the packet as it came; not to be changed
	// dependency is AV1's descriptor, likewise, where the receiver takes it.
	dependency []byte
	added      int // by it to the header
	out        layer.Output
	csrc       uint32
	begins     bool // it is the first of its source
}

func (s *SFU) takeBatch() *batch {
	if b, ok := s.batches.Get().(*batch); ok {
		return b
	}
	return s.newBatch(int(s.nextBatch.Add(1)))
}

// newBatch makes a batch that leaves through the i-th socket, counted around.
func (s *SFU) newBatch(i int) *batch {
	b := &batch{sfu: s, runs: make([]burst.Run, 0, batchRuns)}
	if len(s.bursts) > 0 {
		b.buf = make([]byte, batchBytes)
		var err error
		if b.writer, err = s.bursts[i%len(s.bursts)].NewWriter(); err != nil {
			s.log.Error("media socket", "error", err) // it is closed
		}
	}
	return b
}

// write sends what was collected and gives the batch back.
func (b *batch) release() {
	b.flush()
	b.sfu.batches.Put(b)
}

func (b *batch) flush() {
	if len(b.runs) == 0 {
		return
	}
	packets, sent, framedRuns := 0, 0, 0
	for _, r := range b.runs {
		packets += r.Packets()
		if framed.Stands(r.To) {
			framedRuns++
		}
	}
	if framedRuns > 0 {
		taken, refused := b.flushFramed()
		sent, packets = taken, packets-refused
	}
	if b.writer != nil && len(b.runs) > 0 {
		sent += b.writer.Write(b.runs)
	}
	count := &b.sfu.count
	count.PacketsOut.Add(int64(sent))
	count.BytesOut.Add(int64(b.used))
	count.dropped[DropWrite].Add(int64(packets - sent))
	b.runs, b.used = b.runs[:0], 0
}

// flushFramed queues the runs that go over TCP, and leaves the others. It returns how
// many packets were taken, and how many found a full queue.
func (b *batch) flushFramed() (taken, refused int) {
	others := b.runs[:0]
	for _, r := range b.runs {
		if !framed.Stands(r.To) {
			others = append(others, r)
			continue
		}
		if c := b.sfu.socket.connection(r.To); c != nil {
			n := c.Send(r.Data, r.Size)
			taken, refused = taken+n, refused+r.Packets()-n
		}
	}
	b.runs = others
	b.sfu.count.dropped[DropBacklog].Add(int64(refused))
	return taken, refused
}

// reserve makes room for n packets, each of which may become a run.
func (b *batch) reserve(n int) {
	if len(b.buf)-b.used < n*maxSealed || cap(b.runs)-len(b.runs) < n {
		b.flush()
	}
}

// add seals planned packets of one stream into the batch, as few runs as may be; more
// says that something for the same receiver may follow at once.
func (e *egress) add(bound *binding, plan []planned, b *batch, more bool) {
	b.reserve(len(plan))
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sealer == nil || !e.to.IsValid() {
		b.sfu.count.dropped[DropUnconnected].Add(int64(len(plan)))
		return
	}
	if bound.sealing == nil {
		bound.sealing = e.sealer.Stream(bound.ssrc)
	}
	stream, now := bound.sealing, b.sfu.now()
	e.left = now
	for len(plan) > 0 {
		n, size := equals(plan)
		start, whole := b.used, bound.header()+size+e.sealer.Overhead()
		run := b.goesOn(e.to, whole, n)
		if run != nil {
			start, size, whole = start-len(run.Data), size+run.Size-whole, run.Size
		}
		first := b.used
		for i := range plan[:n] {
			q := &plan[i]
			pad := 0
			if short := size - q.size(); i < n-1 || more && short <= maxPadding {
				pad = short
			}
			e.seal(bound, q, pad, stream, b, now)
		}
		switch {
		case b.used == first:
		case run != nil:
			run.Data = b.buf[start:b.used]
		default:
			b.runs = append(b.runs, burst.Run{To: e.to, Data: b.buf[start:b.used], Size: whole})
		}
		plan = plan[n:]
	}
}

// size is how long the packet is beyond what all headers of its stream have.
func (q *planned) size() int { return len(q.payload) + q.added }

// equals returns how many of the first packets make one run, and the length to
// which they are filled up. The last may be shorter and stays so.
func equals(plan []planned) (n, size int) {
	size = plan[0].size()
	least := size
	for n = 1; n < len(plan); n++ {
		l := plan[n].size()
		switch {
		case l > size:
			if l-least > maxPadding {
				return n, size
			}
			size = l
		case size-l > maxPadding:
			return n + 1, size
		default:
			least = min(least, l)
		}
	}
	return n, size
}

// header is the length of the header of the stream's packets, without dependency
// descriptors.
func (b *binding) header() int {
	const extension = 8
	if b.transportCC == 0 {
		return sourceEnd
	}
	return sourceEnd + extension
}

// seal writes one packet behind what the batch holds. One that the sealer refuses
// is left out.
func (e *egress) seal(bound *binding, q *planned, pad int, stream *seal.Stream, b *batch, now time.Duration) {
	at := b.buf[b.used:]
	marker := q.p.in.Marker || q.begins && bound.audio
	header := e.writeHeader(at, bound, q.out.Sequence, q.out.Timestamp, bound.pts[q.codec], marker, q.csrc)
	header = e.describe(at, header, bound, q.dependency, q.out.Frame)
	n := header + copy(at[header:], q.payload)
	q.rewrite(at[header:n], bound)
	if pad > 0 {
		at[0] |= 0x20
		clear(at[n : n+pad])
		n += pad
		at[n-1] = byte(pad)
	}
	e.finish(bound, at, header, n, stream, b, now)
}

// finish seals the packet at[:n], which stands behind what the batch holds, and
// counts it in. One without a transport-wide number, where others have one, says
// nothing of the way: nobody will report on it.
func (e *egress) finish(bound *binding, at []byte, header, n int, stream *seal.Stream, b *batch, now time.Duration) {
	sealed, err := stream.Seal(at, header, n)
	if err != nil {
		b.sfu.count.drop(DropSeal)
		return
	}
	b.used += sealed
	if bound.transportCC != 0 || !e.numbered {
		e.watch.OnSent(e.sequence, sealed+addressing, now)
		e.sequence++
	}
}

// rewrite puts a receiver's numbers into a copy of the payload.
func (q *planned) rewrite(payload []byte, bound *binding) {
	switch q.codec {
	case codecVP8, codecVP9:
		q.p.picture.Write(payload, q.out.PictureID, q.out.TL0)
	case codecRED:
		q.p.red.Write(payload, bound.pts[codecOpus])
	}
}

// writeHeader writes an RTP header with one contributing source and, if agreed
// on, the transport-wide sequence number (RFC 3550, section 5.1; RFC 8285,
// section 4.2). It returns its length.
func (e *egress) writeHeader(b []byte, bound *binding, sequence uint16, timestamp uint32, pt uint8, marker bool, csrc uint32) int {
	b[0] = 2<<6 | 1
	b[1] = pt
	if marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], sequence)
	binary.BigEndian.PutUint32(b[4:], timestamp)
	binary.BigEndian.PutUint32(b[8:], bound.ssrc)
	binary.BigEndian.PutUint32(b[12:], csrc)
	if bound.transportCC == 0 {
		return 16
	}
	b[0] |= 0x10
	binary.BigEndian.PutUint32(b[16:], 0xbede0001)
	b[20] = bound.transportCC<<4 | 1
	binary.BigEndian.PutUint16(b[21:], e.sequence)
	b[23] = 0
	return 24
}

// described is how many bytes a dependency descriptor of so many adds to a header.
func (b *binding) described(n int) int {
	if n == 0 {
		return 0
	}
	return sourceEnd + layer.DescribedLen(n, b.transportCC != 0) - b.header()
}

// describe adds a dependency descriptor to a header, under the number that its frame
// has for the receiver. It returns the header's length.
func (e *egress) describe(b []byte, header int, bound *binding, dependency []byte, frame uint16) int {
	if len(dependency) == 0 {
		return header
	}
	descriptor, end := layer.PutDescribed(b, sourceEnd, bound.dependency, dependency, bound.transportCC, e.sequence)
	layer.PutFrameNumber(descriptor, frame)
	return end
}

// toSink hands planned packets on as they are, for those who seal nothing.
func (b *batch) toSink(bound *binding, plan []planned) {
	for i := range plan {
		q := &plan[i]
		h := &b.header
		*h = rtp.Header{
			Version: 2, Marker: q.p.in.Marker || q.begins && bound.audio, PayloadType: bound.pts[q.codec],
			SequenceNumber: q.out.Sequence, Timestamp: q.out.Timestamp, SSRC: bound.ssrc,
		}
		b.csrc[0] = q.csrc
		h.CSRC = b.csrc[:]
		q.rewrite(q.payload, bound)
		if _, err := bound.sink.WriteRTP(h, q.payload); err != nil {
			b.sfu.count.drop(DropWrite)
		}
	}
}

// follow sends to where the candidate pair in use leads, from now on.
func (p *Peer) follow(pair *webrtc.ICECandidatePair) {
	if pair == nil || pair.Remote == nil {
		return
	}
	ip, err := netip.ParseAddr(pair.Remote.Address)
	if err != nil {
		p.sfu.log.Warn("a candidate without address", "key", p.seat.key, "error", err)
		return
	}
	to := netip.AddrPortFrom(ip.Unmap().WithZone(""), pair.Remote.Port)
	p.egress.mu.Lock()
	old := p.egress.to
	p.egress.to = to
	p.egress.mu.Unlock()
	if p.sfu.socket != nil {
		p.framed.Store(p.sfu.socket.connection(to))
	}
	p.sfu.links.move(p, old, to)
}
