package sfu

import (
	"cmp"
	"sync"
	"time"

	"github.com/pion/rtp"

	"github.com/spillway-sfu/spillway/sfu-node/layer"
)

// The way of a packet: a reader finds whose it is (media), opens it (onRTP), and
// gives it to the publisher's uplink, which takes it apart once for all receivers
// (accept), and holds it until its frame is complete. Then
// what is held goes to each stream that carries the publication (forward). The
// stream decides under its lock which packets may go and under which numbers
// (admit); the receiver's egress writes them, sealed, into one run; the runs of
// many receivers leave in one system call.
//
// Nothing on this way allocates for a packet, locks are taken for a run, and what
// is found out about a packet is found out once. Packet and header are the
// uplink's and are overwritten by the next burst.

// uplink is one SSRC on which a participant sends: one layer of a publication.
// It is used under its intake's lock.
type uplink struct {
	room   *Room
	clock  *senderClock
	pub    *publication // nil for a section of no source; what may not be published is only counted
	layer  int
	ssrc   uint32
	rate   uint32
	codecs [128]codec // by payload type
	level  uint8      // id of the audio level extension; 0 when not agreed on
	// dependency is the id of the extension with AV1's dependency descriptor; 0 when
	// not agreed on.
	dependency uint8
	svc        *svc // that it is part of; nil for a stream of its own
	height     int  // in pixels, where key frames do not say it of this layer

	in    *sync.Mutex   // its intake's
	waits bool          // its reader knows that something is held
	ready bool          // and that it is complete
	until time.Duration // for how long
	last  time.Duration // when the last packet came
	alone int           // waits in a row for the rest of a frame in which nothing came

	packets [maxHeld]packet
	held    []*packet // those of packets that wait to be forwarded
}

// packet is a received packet, taken apart.
type packet struct {
	pub     *publication
	in      rtp.Header
	payload []byte
	codec   codec
	layer   int
	top     int  // the largest layer of the same stream, or layer.None for a stream of its own
	key     bool // a decoder can start here
	red     layer.RED
	picture layer.Descriptor
	numbers layer.Packet
	// dependency is AV1's descriptor; nil where there is none.
	dependency []byte

	buf []byte // what it was read into
}

// height is what a key frame says of its picture's, in pixels; 0 is nothing.
func (p *packet) height() int {
	if p.numbers.Picture == nil {
		return 0
	}
	return p.picture.Height
}

// newUplink makes the uplink of a layer of a section.
func newUplink(p *Peer, s *section, i int, ssrc uint32) *uplink {
	u := &uplink{
		room: p.room, clock: &p.clock, pub: p.pubs[s.source], layer: i, ssrc: ssrc,
		rate: s.rate, codecs: s.codecs, level: s.level, dependency: p.intake.dependencyID, in: &p.intake.mu,
	}
	if u.pub != nil {
		u.feed().ssrc.Store(ssrc)
	}
	return u
}

func (u *uplink) feed() *feed { return &u.pub.layers[u.layer] }

// grows is how much longer a packet usually is on a receiver's way, datagram and
// all, than what came of it.
const grows = 40

// free is the packet to read into.
func (u *uplink) free() *packet {
	p := &u.packets[len(u.held)]
	if p.buf == nil {
		p.buf = make([]byte, mtu)
	}
	return p
}

// complete reports whether nothing is to be waited for after p.
func (u *uplink) complete(p *packet) bool {
	return p.in.Marker || !u.pub.video() || len(u.held) == maxHeld || len(p.payload) == 0
}

// take forwards one packet, which arrived at now, to everybody who is to have
// it. raw is overwritten.
func (u *uplink) take(raw []byte, now time.Duration) {
	u.arrived(raw)
	if u.accept(&u.packets[len(u.held)], raw, now) {
		u.flush()
	}
}

// arrived counts a packet.
func (u *uplink) arrived(raw []byte) {
	count := &u.room.sfu.count
	if u.pub != nil && u.pub.far != nil {
		count.PipedIn.Add(1)
		return
	}
	count.PacketsIn.Add(1)
	count.BytesIn.Add(int64(len(raw)))
}

// accept takes a packet apart, which arrived at now, and holds it. It reports
// false when it is for nobody. raw is part of the packet until the next flush.
func (u *uplink) accept(p *packet, raw []byte, now time.Duration) bool {
	count := &u.room.sfu.count
	pub := u.pub
	switch {
	case pub == nil || pub.barred.Load():
		count.drop(DropViewer)
		return false
	case !pub.listed.Load():
		count.drop(DropUnlisted)
		return false
	case pub.muted.Load():
		count.drop(DropMuted)
		return false
	}
	if !u.parse(p, raw, now) {
		count.drop(DropMalformed)
		return false
	}
	f := u.feed()
	f.bytes.Add(int64(len(raw) + grows))
	p.pub = pub
	u.held = append(u.held, p)
	if len(p.payload) == 0 {
		return true
	}
	f.last.Store(int64(now))
	if u.level != 0 {
		u.listen(p, now)
	}
	if p.key && pub.video() {
		pub.gotKey(u.layer)
		if h := cmp.Or(u.height, p.height()); h > 0 {
			f.height.Store(int64(h))
		}
	}
	return true
}

// flush forwards what is held.
func (u *uplink) flush() {
	b := u.room.sfu.takeBatch()
	u.flushTo(b)
	b.release()
}

// flushTo forwards what is held, and leaves it to the caller to send it.
func (u *uplink) flushTo(b *batch) {
	if len(u.held) == 0 {
		return
	}
	for _, s := range u.publish() {
		s.forward(u.feed(), u.held, b, false)
	}
	u.held = u.held[:0]
}

// publish does with what is held all that is done once for all receivers here. It
// returns their streams.
func (u *uplink) publish() []*stream {
	if outs := u.feed().outs(); len(outs) > 0 {
		u.room.sfu.sendOn(outs, u.held)
	}
	streams := u.pub.all()
	if len(streams) > 0 && u.pub.video() {
		u.feed().history.keep(u.held, u.room.sfu.now())
	}
	return streams
}

// parse takes a packet apart. It reports false when it is not to be forwarded.
func (u *uplink) parse(p *packet, raw []byte, now time.Duration) bool {
	n, err := p.in.Unmarshal(raw)
	if err != nil {
		return false
	}
	end := len(raw)
	if p.in.Padding && end > n {
		end -= int(raw[end-1])
	}
	if end < n {
		return false
	}
	p.payload = raw[n:end]
	p.layer, p.top = u.layer, u.svc.top()
	p.codec = u.codecs[p.in.PayloadType]
	p.numbers = layer.Packet{
		Sequence: p.in.SequenceNumber, Timestamp: p.in.Timestamp,
		At: u.clock.captured(u.feed().sync.Load(), p.in.Timestamp, u.rate, now),
	}
	p.dependency = nil
	if len(p.payload) == 0 {
		return true
	}
	ok := true
	switch p.codec {
	case codecNone:
		return false
	case codecAV1:
		p.key = layer.KeyFrame(layer.CodecAV1, p.payload)
		if ext := extensionOf(raw, n, u.dependency); len(ext) >= layer.MinDependency {
			p.dependency = ext
			p.numbers.Frame, p.numbers.Described = layer.FrameNumber(ext), true
		}
	case codecVP8:
		p.picture, ok = layer.ParseVP8(p.payload)
		p.numbers.Picture = &p.picture
		p.key = p.picture.Key
	case codecVP9:
		p.picture, ok = layer.ParseVP9(p.payload)
		p.numbers.Picture = &p.picture
		p.key = p.picture.Key
	case codecRED:
		p.red, ok = layer.ParseRED(p.payload)
		p.key = true
	default:
		p.key = layer.KeyFrame(p.codec.name(), p.payload)
	}
	if c := uint32(p.codec); u.pub.codec.Load() != c {
		u.pub.codec.Store(c)
	}
	return ok
}

// listen takes the loudness that an audio packet names (RFC 6464, section 3).
func (u *uplink) listen(p *packet, now time.Duration) {
	ext := p.in.GetExtension(u.level)
	if len(ext) < 1 {
		return
	}
	if u.pub.levels.add(ext[0]&0x7f, now) && u.room.contested.Load() {
		u.room.poke()
	}
}

// forward sends on this stream those of the packets of one layer that it is to
// have; more says that another of the same receiver's follows. Padding, which probes
// a publisher's bandwidth, is left out without a gap.
func (s *stream) forward(from *feed, packets []*packet, b *batch, more bool) {
	bound := s.bound.Load()
	if bound == nil {
		return
	}
	if !bound.audio && s.peer.quiet.Load() {
		b.sfu.count.dropped[DropQuiet].Add(int64(len(packets)))
		return
	}
	if c := s.peer.framed.Load(); c != nil && !bound.audio && !s.keepsUp(c) {
		b.sfu.count.dropped[DropBacklog].Add(int64(len(packets)))
		return
	}
	plan := s.admitAll(from, packets, bound, b)
	switch {
	case len(plan) == 0:
	case bound.sink != nil:
		b.toSink(bound, plan)
	default:
		s.peer.egress.add(bound, plan, b, more)
	}
}

// admitAll decides which packets go out on this stream, and numbers them.
func (s *stream) admitAll(from *feed, packets []*packet, bound *binding, b *batch) []planned {
	plan := b.plan[:0]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pub == nil || s.target == layer.None {
		return nil
	}
	for _, p := range packets {
		if len(p.payload) == 0 {
			if s.current == p.layer && s.pub == p.pub {
				s.numbers.Skip(p.numbers.Sequence)
			}
			continue
		}
		q := planned{p: p, codec: p.codec, payload: p.payload}
		if bound.dependency != 0 {
			q.dependency, q.added = p.dependency, bound.described(len(p.dependency))
		}
		if q.codec == codecRED && bound.pts[codecRED] == 0 {
			q.codec, q.payload = codecOpus, p.red.Primary(p.payload)
		}
		if bound.pts[q.codec] == 0 {
			b.sfu.count.drop(DropCodec)
			continue
		}
		if !s.takes(p) || !s.admit(p, &q) {
			continue
		}
		q.csrc = s.pub.csrc
		if bound.rtx != 0 {
			s.sent.note(era{from, s.numbers.Shift(), q.csrc}, p, q.out.Sequence)
		}
		plan = append(plan, q)
	}
	return plan
}

// admit decides whether a packet goes out, and numbers it. The caller holds s.mu.
func (s *stream) admit(p *packet, q *planned) bool {
	if p.layer != s.current {
		if !p.key || !s.nearer(p) {
			return false
		}
		q.begins = s.current == layer.None
		s.current = p.layer
		s.numbers.Start(p.numbers)
	}
	var ok bool
	if q.out, ok = s.numbers.Next(p.numbers); !ok {
		s.peer.sfu.count.drop(DropLate)
		return false
	}
	s.packets++
	s.octets += uint32(len(q.payload))
	s.fresh, s.whole = true, p.in.Marker
	return true
}

// nearer reports whether a packet's layer is a step towards the target. Without a
// picture any layer is: the key frames of all layers come together, the smallest
// first, so the way up costs one small frame and the first picture comes sooner. In
// a scalable stream larger layers repeat the smaller ones, so there is no such way.
func (s *stream) nearer(p *packet) bool {
	if p.top != layer.None {
		return p.layer == min(s.target, p.top)
	}
	if s.current == layer.None {
		return p.layer <= s.target
	}
	return distance(p.layer, s.target) < distance(s.current, s.target)
}

func distance(a, b int) int { return max(a-b, b-a) }
