package pipe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/spillway-sfu/spillway/sfu-node/burst"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
	"github.com/spillway-sfu/spillway/sfu-node/seal"
)

const (
	headerLen = 12
	// mtu bounds a packet before it is sealed.
	mtu = 1500

	batchBytes = 64 << 10
	batchRuns  = 64
	// repeatAfter is how soon the same packet is not repeated again.
	repeatAfter = 8 * time.Millisecond
	// One packet is repeated for each so many that are sent, and at most repeatBurst
	// for what was sent before: a way that loses more is narrow, and to repeat it all
	// would make it narrower.
	repeatOneIn = 4
	repeatBurst = 64
)

// Packet is an RTP packet to send. Type is whatever number the two sides agree on,
// below 64 so that the packet is not taken for RTCP. An empty payload says that a
// number is used up by nothing.
type Packet struct {
	Sequence  uint16
	Timestamp uint32
	Type      uint8
	Marker    bool
	Payload   []byte
	// Dependency is AV1's dependency descriptor; nil where there is none.
	Dependency []byte
}

// DependencyID is the id under which a pipe's packets have their dependency
// descriptor, in the two-byte form (RFC 8285, section 4.3).
const DependencyID = 1

// Batch collects what leaves for several peers in one system call. One goroutine
// uses it.
type Batch struct {
	// Packets is scratch for the caller of [Flow.Send].
	Packets []Packet

	mesh   *Mesh
	writer *burst.Writer
	buf    []byte
	used   int
	runs   []burst.Run
	last   *Flow // whose the last run is: those who divide what comes look at the first packet of a run
}

// Batch returns an empty batch, to be given back by [Batch.Release].
func (m *Mesh) Batch() *Batch {
	if b, ok := m.batches.Get().(*Batch); ok {
		return b
	}
	b := &Batch{mesh: m, buf: make([]byte, batchBytes), runs: make([]burst.Run, 0, batchRuns)}
	var err error
	if b.writer, err = m.bursts[int(m.batched.Add(1))%len(m.bursts)].NewWriter(); err != nil {
		m.log.Error("pipe socket", "error", err) // it is closed
	}
	return b
}

// Release sends what was collected and gives the batch back.
func (b *Batch) Release() {
	b.flush()
	b.mesh.batches.Put(b)
}

func (b *Batch) flush() {
	if len(b.runs) > 0 && b.writer != nil {
		b.mesh.packets.Add(int64(b.writer.Write(b.runs)))
		b.mesh.bytes.Add(int64(b.used))
	}
	b.runs, b.used, b.last = b.runs[:0], 0, nil
}

// room makes room for one more packet.
func (b *Batch) room() []byte {
	if len(b.buf)-b.used < mtu+64 || len(b.runs) == cap(b.runs) {
		b.flush()
	}
	return b.buf[b.used:]
}

// add takes the n bytes at the end of what is used as a datagram to a peer, in one
// run with the one before if that is of the same flow and as long.
func (b *Batch) add(f *Flow, n int) {
	l := f.link
	start := b.used
	b.used += n
	if k := len(b.runs) - 1; k >= 0 {
		r := &b.runs[k]
		if b.last == f && n <= r.Size && len(r.Data)%r.Size == 0 && len(r.Data)+n <= burst.MaxBytes && len(r.Data)/r.Size < burst.MaxSegments {
			r.Data = b.buf[start-len(r.Data) : b.used]
			return
		}
	}
	b.last = f
	b.runs = append(b.runs, burst.Run{To: l.to, Data: b.buf[start:b.used], Size: n})
}

// Flow is one layer of one publication on its way to a peer.
type Flow struct {
	link   *Link
	number uint32

	// What follows is guarded by link.sendMu.
	stream  *seal.Stream // nil when closed
	begun   bool
	shift   uint16 // flow's number − publisher's
	packets int64
	bytes   int64
	sent    []sent
	credit  int // for repetitions: repeatOneIn for each
}

// sent is a sealed packet that may be asked for again.
type sent struct {
	sequence uint16
	at       time.Duration // when it was repeated
	raw      []byte
}

// ErrNumber refuses a flow whose number was used before on the link.
var ErrNumber = errors.New("pipe: number of a flow was used before")

// Open begins a flow that the peer has asked for. memory is how many packets can
// be asked for again.
func (l *Link) Open(number uint32, memory int) (*Flow, error) {
	l.sendMu.Lock()
	defer l.sendMu.Unlock()
	if !l.used.take(number) {
		return nil, fmt.Errorf("%w: %d", ErrNumber, number)
	}
	f := &Flow{link: l, number: number, stream: l.sealer.Stream(number), sent: make([]sent, memory), credit: repeatOneIn * repeatBurst}
	l.flows[number] = f
	return f, nil
}

// numbers are those that were used. Rooms ask at the same time, so they come nearly
// in order; what is far behind counts as used.
type numbers struct {
	highest uint32
	behind  map[uint32]bool // that were used, of the last keptNumbers
}

const keptNumbers = 1 << 12

// take reports whether a number was never used, and uses it.
func (u *numbers) take(n uint32) bool {
	if n == 0 || u.behind[n] || n < u.highest && u.highest-n >= keptNumbers {
		return false
	}
	if u.behind == nil {
		u.behind = map[uint32]bool{}
	}
	u.behind[n] = true
	u.highest = max(u.highest, n)
	if len(u.behind) > 2*keptNumbers {
		maps.DeleteFunc(u.behind, func(old uint32, _ bool) bool { return u.highest-old >= keptNumbers })
	}
	return true
}

// Close ends a flow.
func (f *Flow) Close() {
	l := f.link
	l.sendMu.Lock()
	defer l.sendMu.Unlock()
	if f.stream != nil {
		f.stream = nil
		l.sealer.Forget(f.number)
		delete(l.flows, f.number)
	}
}

// Packets counts what was sent, without repetitions.
func (f *Flow) Packets() int64 {
	f.link.sendMu.Lock()
	defer f.link.sendMu.Unlock()
	return f.packets
}

// Number is the flow's.
func (f *Flow) Number() uint32 { return f.number }

// Link is the pipe that the flow goes through.
func (f *Flow) Link() *Link { return f.link }

// Send seals b.Packets into the batch.
func (f *Flow) Send(b *Batch) {
	l := f.link
	l.sendMu.Lock()
	defer l.sendMu.Unlock()
	for i := range b.Packets {
		if f.stream == nil {
			return
		}
		f.send(&b.Packets[i], b)
	}
}

func (f *Flow) send(p *Packet, b *Batch) {
	at := b.room()
	header := headerLen
	if len(p.Dependency) > 0 {
		header += layer.DescribedLen(len(p.Dependency), false)
	}
	if len(p.Payload) > mtu-header || len(p.Dependency) > layer.MaxDependency {
		return
	}
	if !f.begun {
		f.begun, f.shift = true, 1-p.Sequence
	}
	sequence := p.Sequence + f.shift
	at[0], at[1] = 2<<6, p.Type&0x3f
	if p.Marker {
		at[1] |= 0x80
	}
	binary.BigEndian.PutUint16(at[2:], sequence)
	binary.BigEndian.PutUint32(at[4:], p.Timestamp)
	binary.BigEndian.PutUint32(at[8:], f.number)
	if len(p.Dependency) > 0 {
		layer.PutDescribed(at, headerLen, DependencyID, p.Dependency, 0, 0)
	}
	n := header + copy(at[header:], p.Payload)
	n, err := f.stream.Seal(at, header, n)
	if err != nil {
		// It comes twice, or later than anybody would wait for it.
		f.link.stats.late.Add(1)
		return
	}
	if len(f.sent) > 0 {
		s := &f.sent[int(sequence)%len(f.sent)]
		s.sequence, s.at = sequence, 0
		s.raw = append(s.raw[:0], at[:n]...)
	}
	f.credit = min(f.credit+1, repeatOneIn*repeatBurst)
	f.packets++
	f.bytes += int64(n)
	f.link.stats.packetsOut.Add(1)
	f.link.stats.bytesOut.Add(int64(n))
	b.add(f, n)
}

// repeat sends the very bytes again that were sealed before, so that no nonce is
// used twice. The caller holds link.sendMu.
func (f *Flow) repeat(sequence uint16, now time.Duration, b *Batch) {
	if len(f.sent) == 0 {
		return
	}
	s := &f.sent[int(sequence)%len(f.sent)]
	if s.sequence != sequence || len(s.raw) == 0 || s.at > 0 && now-s.at < repeatAfter || f.credit < repeatOneIn {
		return
	}
	s.at = now
	f.credit -= repeatOneIn
	n := copy(b.room(), s.raw)
	f.link.stats.repeated.Add(1)
	b.add(f, n)
}
