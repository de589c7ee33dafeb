package sfu

import (
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/sfu-node/layer"
)

// The way of a packet: a publisher's uplink reads it (readMedia), takes it apart
// once for all receivers (take), and hands it to each stream that carries the
// publication (forward). The stream decides under its lock whether the packet
// may go and under which numbers (admit), and writes it without the lock.
//
// Nothing on this way allocates for a packet, and what is found out about a
// packet is found out once. Packet and header are the uplink's and are
// overwritten by the next packet.

// uplink is one SSRC on which a participant sends: one layer of a publication.
// One goroutine uses it.
type uplink struct {
	room     *Room
	clock    *senderClock
	pub      *publication // nil for viewers, whose media is only counted
	receiver *webrtc.RTPReceiver
	layer    int
	ssrc     uint32
	rate     uint32
	codecs   [128]codec // by payload type
	level    uint8      // id of the audio level extension; 0 when not agreed on

	packet packet
}

// packet is a received packet, taken apart.
type packet struct {
	pub     *publication
	in      rtp.Header
	payload []byte
	codec   codec
	layer   int
	key     bool // a decoder can start here
	red     layer.RED
	vp8     layer.VP8
	numbers layer.Packet

	out  rtp.Header // what is written, remade for each receiver
	csrc [1]uint32
}

// newUplink returns nil when the track's layer is not one that was agreed on.
func newUplink(p *Peer, pub *publication, track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) *uplink {
	i, ok := layer.Index(track.RID())
	if !ok {
		return nil
	}
	u := &uplink{room: p.room, clock: &p.clock, pub: pub, receiver: receiver, layer: i, ssrc: uint32(track.SSRC()), rate: rate(track.Kind())}
	parameters := receiver.GetParameters()
	for _, c := range parameters.Codecs {
		u.codecs[c.PayloadType&0x7f] = codecOf(c.MimeType)
	}
	for _, e := range parameters.HeaderExtensions {
		if e.URI == audioLevelURI {
			u.level = uint8(e.ID)
		}
	}
	if pub != nil {
		u.feed().ssrc.Store(u.ssrc)
	}
	return u
}

func (u *uplink) feed() *feed { return &u.pub.layers[u.layer] }

// readMedia forwards packets until the connection ends.
func (u *uplink) readMedia(track *webrtc.TrackRemote) {
	buf := make([]byte, 1500)
	for {
		n, _, err := track.Read(buf)
		if err != nil {
			return
		}
		u.take(buf[:n], u.room.sfu.now())
	}
}

// take forwards one packet, which arrived at now, to everybody who is to have
// it. raw is overwritten.
func (u *uplink) take(raw []byte, now time.Duration) {
	count := &u.room.sfu.count
	count.PacketsIn.Add(1)
	count.BytesIn.Add(int64(len(raw)))
	pub := u.pub
	switch {
	case pub == nil:
		count.drop(DropViewer)
		return
	case !pub.listed.Load():
		count.drop(DropUnlisted)
		return
	case pub.muted.Load():
		count.drop(DropMuted)
		return
	}
	if !u.parse(raw, now) {
		count.drop(DropMalformed)
		return
	}
	f := u.feed()
	f.bytes.Add(int64(len(raw)))
	p := &u.packet
	p.pub = pub
	for _, o := range f.outs() {
		o.send(p)
	}
	if len(p.payload) == 0 {
		// Padding that probes the publisher's bandwidth: not for receivers.
		for _, s := range pub.all() {
			s.skip(p)
		}
		return
	}
	f.last.Store(int64(now))
	if u.level != 0 {
		u.listen(now)
	}
	if p.key && pub.video() {
		pub.gotKey(u.layer)
		if p.codec == codecVP8 && p.vp8.Height > 0 {
			f.height.Store(int64(p.vp8.Height))
		}
	}
	for _, s := range pub.all() {
		s.forward(p)
	}
}

// parse takes a packet apart. It reports false when it is not to be forwarded.
func (u *uplink) parse(raw []byte, now time.Duration) bool {
	p := &u.packet
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
	p.layer = u.layer
	p.codec = u.codecs[p.in.PayloadType]
	p.numbers = layer.Packet{
		Sequence: p.in.SequenceNumber, Timestamp: p.in.Timestamp,
		At: u.clock.captured(u.feed().sync.Load(), p.in.Timestamp, u.rate, now),
	}
	if len(p.payload) == 0 {
		return true
	}
	ok := true
	switch p.codec {
	case codecNone:
		return false
	case codecVP8:
		p.vp8, ok = layer.ParseVP8(p.payload)
		p.numbers.VP8 = &p.vp8
		p.key = p.vp8.Key
	case codecRED:
		p.red, ok = layer.ParseRED(p.payload)
		p.key = true
	default:
		p.key = layer.KeyFrame(p.codec.name(), p.payload)
	}
	return ok
}

// listen takes the loudness that an audio packet names (RFC 6464, section 3).
func (u *uplink) listen(now time.Duration) {
	ext := u.packet.in.GetExtension(u.level)
	if len(ext) < 1 {
		return
	}
	if u.pub.levels.add(ext[0]&0x7f, now) && u.room.contested.Load() {
		u.room.poke()
	}
}

// forward sends a packet on this stream if it is to have it.
func (s *stream) forward(p *packet) {
	b := s.bound.Load()
	if b == nil {
		return
	}
	count := &s.peer.sfu.count
	video := s.kind == webrtc.RTPCodecTypeVideo
	if video && s.peer.quiet.Load() {
		count.drop(DropQuiet)
		return
	}
	id, payload := p.codec, p.payload
	if id == codecRED && b.pts[codecRED] == 0 {
		id, payload = codecOpus, p.red.Primary(p.payload)
	}
	if b.pts[id] == 0 {
		count.drop(DropCodec)
		return
	}
	out, csrc, begins, ok := s.admit(p, len(payload))
	if !ok {
		return
	}
	h := &p.out
	h.Version, h.Extension, h.Extensions = 2, false, h.Extensions[:0]
	h.Marker = p.in.Marker || begins && !video
	h.PayloadType = b.pts[id]
	h.SequenceNumber, h.Timestamp, h.SSRC = out.Sequence, out.Timestamp, b.ssrc
	p.csrc[0] = csrc
	h.CSRC = p.csrc[:]
	switch id {
	case codecVP8:
		p.vp8.Write(payload, out.PictureID, out.TL0)
	case codecRED:
		p.red.Write(payload, b.pts[codecOpus])
	}
	if _, err := b.sink.WriteRTP(h, payload); err != nil {
		count.drop(DropWrite)
		return
	}
	count.PacketsOut.Add(1)
	count.BytesOut.Add(int64(h.MarshalSize() + len(payload)))
}

// admit decides whether a packet goes out on this stream, and numbers it. begins
// says that it is the first of its source.
func (s *stream) admit(p *packet, size int) (out layer.Output, csrc uint32, begins, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pub == nil || s.target == layer.None || !s.takes(p) {
		return out, 0, false, false
	}
	if p.layer != s.current {
		if !p.key || !s.nearer(p.layer) {
			return out, 0, false, false
		}
		begins = s.current == layer.None
		s.current = p.layer
		s.numbers.Start(p.numbers)
	}
	if out, ok = s.numbers.Next(p.numbers); !ok {
		s.peer.sfu.count.drop(DropLate)
		return out, 0, false, false
	}
	s.packets++
	s.octets += uint32(size)
	s.fresh = true
	return out, s.pub.csrc, begins, true
}

// nearer reports whether layer i is a step towards the target. Without a picture
// any layer is: the key frames of all layers come together, the smallest first,
// so the way up costs one small frame and the first picture comes sooner.
func (s *stream) nearer(i int) bool {
	if s.current == layer.None {
		return i <= s.target
	}
	return distance(i, s.target) < distance(s.current, s.target)
}

func distance(a, b int) int { return max(a-b, b-a) }

// skip leaves out a packet without payload, so that the receiver does not miss
// its number.
func (s *stream) skip(p *packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == p.layer && s.pub == p.pub {
		s.numbers.Skip(p.numbers.Sequence)
	}
}
