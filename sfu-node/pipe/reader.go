package pipe

import (
	"encoding/binary"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spillway-sfu/spillway/sfu-node/burst"
	"github.com/spillway-sfu/spillway/sfu-node/seal"
)

// bufferLen is room for a sealed packet.
const bufferLen = 2048

// numberAt is where a packet has its flow's number: RTP's SSRC.
const numberAt = 8

// Receiver takes the packets of one flow, always on the same one of the goroutines
// that read pipes.
type Receiver interface {
	// Packet takes an RTP packet, which the receiver must not keep. It reports true
	// when more must come, or [Receiver.Flush], for the packet to have an effect.
	Packet(b []byte) (more bool)
	// Flush says that nothing more has come for a while.
	Flush()
}

// gatherFor is how long packets that wait for others wait.
const gatherFor = 2 * time.Millisecond

const (
	// A packet that is missing is asked for again when it should have come, at the
	// earliest after this, each time after half as long again, and in all for so long.
	askAgain = 10 * time.Millisecond
	askFor   = 600 * time.Millisecond
	// repairShare is how much of a new measurement counts.
	repairShare = 8
	// maxMissing bounds what is asked for of one flow; a larger gap is a cut.
	maxMissing = 64
)

// incoming is a flow that this side has asked for.
type incoming struct {
	number   uint32
	kbps     int64
	receiver Receiver
	packets  atomic.Int64

	// What follows is the reader's.
	waiting bool
	highest uint16
	missing []missing
}

type missing struct {
	sequence uint16
	first    time.Duration // when it was asked for; 0 is not yet
	next     time.Duration // when to ask again
	wait     time.Duration
}

// Expect chooses the number of a flow of about so many kbps, on which the peer may
// from now on send what goes to r. Of the goroutines that read, the one takes it
// that has least to carry.
func (l *Link) Expect(kbps int64, r Receiver) (number uint32) {
	l.mesh.choosing.Lock()
	defer l.mesh.choosing.Unlock()
	reader := l.mesh.idlest()
	l.expectMu.Lock()
	defer l.expectMu.Unlock()
	readers := uint32(len(l.openers))
	next := l.asked + 1
	l.asked = next + (reader+readers-next%readers)%readers
	now := maps.Clone(*l.expected.Load())
	now[l.asked] = &incoming{number: l.asked, kbps: max(kbps, 1), receiver: r}
	l.expected.Store(&now)
	return l.asked
}

// idlest is the reader that has least to carry.
func (m *Mesh) idlest() uint32 {
	loads := make([]int64, len(m.udps))
	for _, l := range *m.byAddr.Load() {
		for number, in := range *l.expected.Load() {
			loads[number%uint32(len(loads))] += in.kbps
		}
	}
	return uint32(slices.Index(loads, slices.Min(loads)))
}

// Forget stops to take a flow. A packet may still be on its way to the receiver.
func (l *Link) Forget(number uint32) {
	l.expectMu.Lock()
	defer l.expectMu.Unlock()
	now := maps.Clone(*l.expected.Load())
	delete(now, number)
	l.expected.Store(&now)
}

func (l *Link) expects(number uint32) bool {
	_, ok := (*l.expected.Load())[number]
	return ok
}

// Received counts the packets that came on a flow that is expected, by number.
func (l *Link) Received() map[uint32]int64 {
	counts := map[uint32]int64{}
	for number, in := range *l.expected.Load() {
		counts[number] = in.packets.Load()
	}
	return counts
}

// reader reads one socket. One goroutine uses it.
type reader struct {
	mesh      *Mesh
	index     int
	datagrams *burst.Reader
	waiting   []*incoming // for more packets
	since     time.Duration
	lacking   map[*incoming]*Link // flows of which something is missing
}

// newReader makes the reader of one of the mesh's sockets.
func newReader(m *Mesh, index int) (*reader, error) {
	datagrams, err := burst.NewReader(m.udps[index], bufferLen, m.cfg.Plain)
	return &reader{mesh: m, index: index, datagrams: datagrams, lacking: map[*incoming]*Link{}}, err
}

// run reads until the socket is closed.
func (r *reader) run() {
	if err := r.datagrams.Serve(r.take); r.mesh.ctx.Err() == nil {
		r.mesh.log.Error("pipes are not read any more", "error", err)
	}
}

// take looks at n datagrams. It returns when something else is due.
func (r *reader) take(n int) (until time.Time) {
	now := r.mesh.now()
	for i := range n {
		b, from := r.datagrams.Datagram(i)
		r.datagram(b, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), now)
	}
	if len(r.waiting) > 0 && (n == 0 || now-r.since > gatherFor) {
		r.flush()
	}
	if len(r.lacking) > 0 {
		r.askAll(now)
	}
	switch {
	case len(r.waiting) > 0:
		return r.mesh.epoch.Add(r.since + gatherFor)
	case len(r.lacking) > 0:
		return r.mesh.epoch.Add(now + askAgain)
	}
	return time.Time{}
}

func (r *reader) flush() {
	for i, in := range r.waiting {
		in.waiting = false
		in.receiver.Flush()
		r.waiting[i] = nil
	}
	r.waiting = r.waiting[:0]
}

// RTCP packet types (RFC 3550, section 12.1; RFC 4585, section 6.2.1).
const (
	receiverReport = 201
	aboutTransport = 205
	formatNACK     = 1
)

func (r *reader) datagram(b []byte, from netip.AddrPort, now time.Duration) {
	l := (*r.mesh.byAddr.Load())[from]
	if l == nil || len(b) < headerLen {
		return
	}
	opener := l.openers[r.index]
	l.stats.packetsIn.Add(1)
	l.stats.bytesIn.Add(int64(len(b)))
	if b[1] >= 192 && b[1] <= 223 {
		if report, err := opener.OpenRTCP(b); err == nil {
			l.carried.Store(int64(now))
			l.onReport(report, now)
		} else {
			l.stats.forged.Add(1)
		}
		return
	}
	in := (*l.expected.Load())[binary.BigEndian.Uint32(b[numberAt:])]
	if in == nil {
		return // not any more
	}
	packet, _, err := opener.Open(b)
	if errors.Is(err, seal.ErrStreams) { // flows have come and gone, whose numbers are never used again
		opener.Retain(l.expects)
		packet, _, err = opener.Open(b)
	}
	if err != nil {
		l.stats.forged.Add(1)
		return
	}
	l.carried.Store(int64(now))
	in.packets.Add(1)
	if in.note(l, binary.BigEndian.Uint16(packet[2:]), now) {
		r.lacking[in] = l
	}
	if !in.receiver.Packet(packet) {
		if in.waiting {
			in.waiting = false
			r.waiting = slices.DeleteFunc(r.waiting, func(o *incoming) bool { return o == in })
		}
		return
	}
	if !in.waiting {
		if len(r.waiting) == 0 {
			r.since = now
		}
		in.waiting = true
		r.waiting = append(r.waiting, in)
	}
}

// note takes the number of a packet that has come. It reports whether any before
// it are missing.
func (in *incoming) note(l *Link, sequence uint16, now time.Duration) bool {
	ahead := int16(sequence - in.highest)
	switch {
	case ahead <= 0:
		in.missing = slices.DeleteFunc(in.missing, func(m missing) bool {
			if m.sequence == sequence && m.first > 0 {
				l.repairTook(now - m.first)
			}
			return m.sequence == sequence
		})
	case ahead > maxMissing:
		in.missing = in.missing[:0]
		in.highest = sequence
	default:
		for in.highest++; in.highest != sequence; in.highest++ {
			if len(in.missing) < maxMissing {
				in.missing = append(in.missing, missing{sequence: in.highest})
			}
		}
	}
	return len(in.missing) > 0
}

// repairTook notes how long after it was first asked for a packet came. Two readers
// may do so at once; either value will do.
func (l *Link) repairTook(took time.Duration) {
	old := l.repaired.Load()
	if old == 0 {
		l.repaired.Store(int64(took))
		return
	}
	l.repaired.Store(old + (int64(took)-old)/repairShare)
}

// askAll asks for what is missing and due.
func (r *reader) askAll(now time.Duration) {
	for in, l := range r.lacking {
		if ask := in.due(l, now); len(ask) > 0 {
			l.ask(in.number, ask)
		}
		if len(in.missing) == 0 || (*l.expected.Load())[in.number] != in {
			delete(r.lacking, in)
		}
	}
}

// due takes what is to be asked for now. Who asked again sooner than an answer can
// be there would be sent twice what was lost because there was too much.
func (in *incoming) due(l *Link, now time.Duration) (ask []uint16) {
	usual := time.Duration(l.repaired.Load())
	in.missing = slices.DeleteFunc(in.missing, func(m missing) bool { return m.first > 0 && now-m.first > askFor })
	for i := range in.missing {
		m := &in.missing[i]
		if m.first > 0 && now < m.next {
			continue
		}
		if m.first == 0 {
			m.first, m.wait = now, max(askAgain, usual+usual/4)
		} else {
			m.wait += m.wait / 2
		}
		m.next = now + m.wait
		ask = append(ask, m.sequence)
	}
	return ask
}

// ask sends a negative acknowledgement (RFC 4585, section 6.2.1).
func (l *Link) ask(number uint32, sequences []uint16) {
	b := make([]byte, 12, 12+4*len(sequences))
	b[0], b[1] = 2<<6|formatNACK, aboutTransport
	binary.BigEndian.PutUint32(b[8:], number)
	for _, s := range sequences {
		b = append(b, byte(s>>8), byte(s), 0, 0)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)/4-1))
	l.stats.asked.Add(int64(len(sequences)))
	l.sendReport(b)
}

// sendAlive shows over UDP that this side lives: an empty receiver report.
func (l *Link) sendAlive() { l.sendReport([]byte{2 << 6, receiverReport, 0, 1, 0, 0, 0, 0}) }

func (l *Link) sendReport(report []byte) {
	l.sendMu.Lock()
	b := append(make([]byte, 0, len(report)+l.sealer.OverheadRTCP()), report...)
	n, err := l.sealer.SealRTCP(b[:cap(b)], len(b))
	l.sendMu.Unlock()
	if err == nil {
		_, _ = l.mesh.udps[0].WriteToUDPAddrPort(b[:n], l.to) // a loss like any other
	}
}

// onReport repeats what the peer misses.
func (l *Link) onReport(b []byte, now time.Duration) {
	if b[1] != aboutTransport || b[0]&0x1f != formatNACK || len(b) < 12 {
		return
	}
	out := l.mesh.Batch()
	defer out.Release()
	l.sendMu.Lock()
	defer l.sendMu.Unlock()
	f := l.flows[binary.BigEndian.Uint32(b[8:])]
	if f == nil {
		return
	}
	for entry := b[12:]; len(entry) >= 4; entry = entry[4:] {
		f.repeat(binary.BigEndian.Uint16(entry), now, out)
	}
}
