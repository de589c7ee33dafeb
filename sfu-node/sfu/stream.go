package sfu

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/sfu-node/layer"
	"github.com/spillway-sfu/spillway/sfu-node/seal"
)

// sink takes the packets of a receive stream unsealed, where there is no network.
// It must not keep header or payload.
type sink interface {
	WriteRTP(header *rtp.Header, payload []byte) (int, error)
}

// stream is one receive stream: a fixed section of one participant's session
// that carries now this publication, now that. Towards the WebRTC stack it is a
// local track.
type stream struct {
	peer *Peer
	kind webrtc.RTPCodecType
	mid  string

	bound atomic.Pointer[binding]

	// carries is the publication assigned, in the room's view; guarded by Room.mu,
	// as are first and paused.
	carries *publication
	first   uint32 // the RTP timestamp from which on it is carried
	paused  bool
	// undecodable says that what it carries is told to be so.
	undecodable bool

	mu      sync.Mutex
	pub     *publication // as carries, for the packet path
	heir    *publication // takes its place with a packet that may begin; see succeed.go
	target  int          // the layer wanted
	current int          // the layer being sent, or layer.None until a key frame
	numbers layer.Rewriter
	packets uint32
	octets  uint32
	fresh   bool // something was sent since the last report
	whole   bool // what was sent last ends a frame
	behind  bool // the receiver does not keep up: nothing until a key frame; see backlog.go
	rtx     uint16
	held    hold
	sent    sent

	// received is the highest number that the receiver has reported; the intake's
	// lock guards it.
	received uint32
}

// binding is what negotiation fixed for a stream.
type binding struct {
	ssrc   uint32
	pts    [codecs]uint8 // payload types; 0 is not agreed on
	audio  bool
	rtx    uint32        // the SSRC for retransmission; 0 is not agreed on
	rtxPts [codecs]uint8 // payload types of retransmission
	// transportCC is the id of the header extension with the transport-wide
	// sequence number; 0 is not agreed on.
	transportCC uint8
	// dependency is the id of AV1's dependency descriptor; 0 is not agreed on.
	dependency uint8
	sink       sink // nil where there is a network
	// sealing is the sealer's stream of ssrc; the egress's lock guards it.
	sealing *seal.Stream
}

var _ webrtc.TrackLocal = (*stream)(nil)

func newStream(p *Peer, kind webrtc.RTPCodecType, mid string) *stream {
	return &stream{
		peer: p, kind: kind, mid: mid,
		target: layer.None, current: layer.None,
		// RFC 3550, section 5.1: random starts. Small enough that the wrap, which
		// implementations get wrong, comes late.
		numbers: layer.NewRewriter(rate(kind), uint16(rand.Uint32N(1<<15)), rand.Uint32N(1<<31)),
	}
}

// Bind implements [webrtc.TrackLocal]: it keeps what the packet path needs.
func (s *stream) Bind(t webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	b := &binding{ssrc: uint32(t.SSRC()), audio: s.kind == webrtc.RTPCodecTypeAudio}
	var first webrtc.RTPCodecParameters
	for _, c := range t.CodecParameters() {
		id := codecOf(c.MimeType)
		if id == codecNone || b.pts[id] != 0 {
			continue
		}
		b.pts[id] = uint8(c.PayloadType)
		if first.MimeType == "" && id != codecRED {
			first = c
		}
	}
	if first.MimeType == "" {
		return first, errors.New("no codec in common")
	}
	b.agreeOnRTX(t)
	for _, e := range t.HeaderExtensions() {
		if e.URI == sdp.TransportCCURI && e.ID > 0 && e.ID < 15 {
			b.transportCC = uint8(e.ID)
			s.peer.egress.mu.Lock()
			s.peer.egress.numbered = true
			s.peer.egress.mu.Unlock()
		}
		if e.URI == layer.DependencyURI && e.ID > 0 && e.ID < 15 {
			b.dependency = uint8(e.ID)
		}
	}
	s.bound.Store(b)
	return first, nil
}

// agreeOnRTX notes the payload types of retransmission (RFC 4588, section 8.6).
func (b *binding) agreeOnRTX(t webrtc.TrackLocalContext) {
	for _, c := range t.CodecParameters() {
		if c.MimeType != webrtc.MimeTypeRTX {
			continue
		}
		for id, pt := range b.pts {
			if pt != 0 && c.SDPFmtpLine == "apt="+strconv.Itoa(int(pt)) {
				b.rtxPts[id] = uint8(c.PayloadType)
				b.rtx = uint32(t.SSRCRetransmission())
			}
		}
	}
}

// Unbind implements [webrtc.TrackLocal].
func (s *stream) Unbind(webrtc.TrackLocalContext) error {
	s.bound.Store(nil)
	return nil
}

// ID implements [webrtc.TrackLocal].
func (s *stream) ID() string { return "track-" + s.mid }

// StreamID implements [webrtc.TrackLocal]. Each stream has its own: browsers
// would otherwise synchronise strangers, at the price of delay.
func (s *stream) StreamID() string { return "stream-" + s.mid }

// RID implements [webrtc.TrackLocal].
func (s *stream) RID() string { return "" }

// Kind implements [webrtc.TrackLocal].
func (s *stream) Kind() webrtc.RTPCodecType { return s.kind }

// carry assigns a publication, or nil. It notes the RTP timestamp from which on
// packets belong to it. The caller holds Room.mu.
func (s *stream) carry(pub *publication, now time.Duration) {
	if s.carries != nil {
		s.carries.remove(s)
	}
	s.carries, s.paused = pub, false
	s.mu.Lock()
	s.pub, s.heir = pub, nil
	s.current, s.target = layer.None, layer.None
	if s.kind == webrtc.RTPCodecTypeAudio {
		s.target = layer.Count - 1
	}
	s.numbers.Stop()
	if pub != nil {
		s.first = s.numbers.Announce(now)
	}
	s.mu.Unlock()
	if pub != nil {
		pub.add(s)
	}
}

// aim sets the layer that a stream is to carry. It asks for a key frame where
// one is needed to get there.
func (s *stream) aim(target int) {
	s.mu.Lock()
	pub := s.pub
	s.target = target
	need := pub != nil && target != layer.None && target != s.current
	first := s.current == layer.None
	if target == layer.None {
		s.current = layer.None
		s.numbers.Stop()
	}
	s.mu.Unlock()
	if need {
		pub.requestKey(target, first)
	}
}

// aimed returns the layer that is, or is to be, sent.
func (s *stream) aimed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.target
}

// interrupt makes the stream wait for a packet at which a decoder can start.
func (s *stream) interrupt() {
	s.mu.Lock()
	s.current = layer.None
	s.numbers.Stop()
	s.mu.Unlock()
}

// report is the sender report of this stream, or nil when nothing was sent since
// the last one (RFC 3550, section 6.4.1). Times are the node's.
func (s *stream) report(now time.Duration, wall time.Time) *rtcp.SenderReport {
	b := s.bound.Load()
	if b == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.fresh {
		return nil
	}
	s.fresh = false
	return &rtcp.SenderReport{
		SSRC: b.ssrc, NTPTime: ntp(wall), RTPTime: s.numbers.Timestamp(now),
		PacketCount: s.packets, OctetCount: s.octets,
	}
}
