package sfu

import (
	"bytes"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
	"github.com/spillway-sfu/spillway/sfu-node/pipe"
)

// recorder is a sink that keeps what it gets.
type recorder struct {
	packets []*rtp.Packet
}

func (r *recorder) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	p := &rtp.Packet{Header: h.Clone(), Payload: bytes.Clone(payload)}
	r.packets = append(r.packets, p)
	return p.MarshalSize(), nil
}

// discard is a sink that keeps nothing.
type discard struct{ packets int }

func (d *discard) WriteRTP(_ *rtp.Header, payload []byte) (int, error) {
	d.packets++
	return len(payload), nil
}

// bench is a publication with receivers and no network.
type bench struct {
	sfu *SFU
	pub *publication
	up  [layer.Count]*uplink
}

const (
	vp8In, vp8Out   = 96, 120
	opusIn, opusOut = 111, 109
	redIn, redOut   = 63, 64
)

func newBench(source events.Source) *bench {
	s := &SFU{epoch: time.Now(), rooms: map[string]*Room{}, peers: map[seat]*Peer{}}
	p := newPeer(s, events.Offer{Person: events.Person{Key: "a", Identity: "a", Role: events.Publisher}})
	p.room = &Room{sfu: s, wake: make(chan struct{}, 1)}
	b := &bench{sfu: s, pub: newPublication(p, source)}
	b.pub.listed.Store(true)
	kind := webrtc.NewRTPCodecType(source.Kind())
	for i := range b.up {
		u := &uplink{room: p.room, clock: &p.clock, pub: b.pub, layer: i, ssrc: uint32(i + 1), rate: rate(kind)}
		u.codecs[vp8In], u.codecs[opusIn], u.codecs[redIn] = codecVP8, codecOpus, codecRED
		u.level = 1
		u.feed().ssrc.Store(u.ssrc)
		b.up[i] = u
	}
	return b
}

// receiver adds a stream that takes the given codecs.
func (b *bench) receiver(to sink, takes ...codec) *stream {
	kind := webrtc.NewRTPCodecType(b.pub.source.Kind())
	s := newStream(newPeer(b.sfu, events.Offer{}), kind, "5")
	bound := &binding{ssrc: 4711, sink: to}
	all := [codecs]uint8{codecVP8: vp8Out, codecOpus: opusOut, codecRED: redOut}
	for _, c := range takes {
		bound.pts[c] = all[c]
	}
	s.bound.Store(bound)
	s.carry(b.pub, 0)
	return s
}

// raw makes an RTP packet with an audio level.
func raw(pt uint8, seq uint16, ts uint32, payload []byte) []byte {
	h := rtp.Header{Version: 2, PayloadType: pt, SequenceNumber: seq, Timestamp: ts, SSRC: 1, Marker: seq%2 == 1}
	if err := h.SetExtension(1, []byte{0x80 | 30}); err != nil {
		panic(err)
	}
	b, err := (&rtp.Packet{Header: h, Payload: payload}).Marshal()
	if err != nil {
		panic(err)
	}
	return b
}

func TestForwardRewrites(t *testing.T) {
	t.Parallel()
	b := newBench(events.Camera)
	var first, second recorder
	b.receiver(&first, codecVP8).aim(2)
	b.receiver(&second, codecVP8).aim(2)
	body := vp8(500, 2, true, true)
	b.up[2].take(raw(vp8In, 10, 1000, slices.Clone(body)), time.Second)
	b.up[2].take(raw(vp8In, 11, 1000, vp8(500, 2, false, true)), time.Second)
	b.up[2].take(raw(vp8In, 12, 4000, vp8(501, 2, true, false)), time.Second+33*time.Millisecond)
	for _, r := range []*recorder{&first, &second} {
		if len(r.packets) != 3 {
			t.Fatalf("%d packets", len(r.packets))
		}
		checkRun(t, r.packets)
		for i, p := range r.packets {
			if p.PayloadType != vp8Out || p.SSRC != 4711 || !slices.Equal(p.CSRC, []uint32{b.pub.csrc}) || p.Extension || p.Marker != (i == 1) {
				t.Errorf("packet %d: %+v", i, p.Header)
			}
			if d, ok := layer.ParseVP8(p.Payload); !ok || d.PictureID != uint16(1+i/2) {
				t.Errorf("packet %d: picture %d", i, d.PictureID)
			}
		}
		if !bytes.Equal(r.packets[0].Payload[6:], body[6:]) {
			t.Error("the picture itself was changed")
		}
	}
}

func TestForwardWaitsForAKeyFrame(t *testing.T) {
	t.Parallel()
	b := newBench(events.Camera)
	var r recorder
	s := b.receiver(&r, codecVP8)
	b.up[0].take(raw(vp8In, 1, 10, vp8(1, 0, true, true)), 0)
	if len(r.packets) != 0 {
		t.Fatal("a packet is sent though no layer is wanted")
	}
	s.aim(1)
	b.up[1].take(raw(vp8In, 1, 10, vp8(1, 1, true, false)), 0)
	b.up[1].take(raw(vp8In, 2, 10, vp8(1, 1, false, false)), 0)
	b.up[2].take(raw(vp8In, 1, 10, vp8(1, 2, true, true)), 0)
	if len(r.packets) != 0 {
		t.Fatalf("%d packets before a key frame of a wanted layer", len(r.packets))
	}
	for i := range 2 { // the key frames of the lower layers, in order
		b.up[i].take(raw(vp8In, 9, 20, vp8(2, byte(i), true, true)), time.Second)
	}
	b.up[0].take(raw(vp8In, 10, 30, vp8(3, 0, true, false)), 2*time.Second)
	b.up[1].take(raw(vp8In, 10, 30, vp8(3, 1, true, false)), 2*time.Second)
	var got []byte
	for _, p := range r.packets {
		got = append(got, layerOf(p))
	}
	if !slices.Equal(got, []byte{0, 1, 1}) {
		t.Errorf("layers %v were sent, expected 0 until 1 has a key frame", got)
	}
	checkRun(t, r.packets)
}

func TestForwardLeavesPaddingOut(t *testing.T) {
	t.Parallel()
	b := newBench(events.Camera)
	var r recorder
	b.receiver(&r, codecVP8).aim(0)
	b.up[0].take(raw(vp8In, 1, 10, vp8(1, 0, true, true)), 0)
	padding := rtp.Packet{Header: rtp.Header{Version: 2, Padding: true, PayloadType: vp8In, SequenceNumber: 2, Timestamp: 10, PaddingSize: 200}}
	bytes, err := padding.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	b.up[0].take(bytes, 0)
	b.up[0].take(raw(vp8In, 3, 3000, vp8(2, 0, true, false)), 0)
	if len(r.packets) != 2 {
		t.Fatalf("%d packets", len(r.packets))
	}
	checkRun(t, r.packets)
}

// Redundant audio goes to those who agreed on it as it is, with their payload
// types, and to others without the redundancy.
func TestForwardRED(t *testing.T) {
	t.Parallel()
	b := newBench(events.Microphone)
	var plain, red recorder
	b.receiver(&plain, codecOpus)
	b.receiver(&red, codecOpus, codecRED)
	payload := []byte{0x80 | opusIn, 0x0f, 0x00, 0x02, opusIn, 1, 2, 8, 9}
	b.up[2].take(raw(redIn, 1, 960, slices.Clone(payload)), 0)
	b.up[2].take(raw(opusIn, 2, 1920, []byte{7}), 20*time.Millisecond)
	if len(plain.packets) != 2 || len(red.packets) != 2 {
		t.Fatalf("%d and %d packets", len(plain.packets), len(red.packets))
	}
	if p := plain.packets[0]; p.PayloadType != opusOut || !bytes.Equal(p.Payload, []byte{8, 9}) || !p.Marker {
		t.Errorf("without redundancy: %+v % x", p.Header, p.Payload)
	}
	want := []byte{0x80 | opusOut, 0x0f, 0x00, 0x02, opusOut, 1, 2, 8, 9}
	if p := red.packets[0]; p.PayloadType != redOut || !bytes.Equal(p.Payload, want) {
		t.Errorf("with redundancy: %+v % x", p.Header, p.Payload)
	}
	for _, r := range []*recorder{&plain, &red} {
		if p := r.packets[1]; p.PayloadType != opusOut || !bytes.Equal(p.Payload, []byte{7}) {
			t.Errorf("plain packet: %+v % x", p.Header, p.Payload)
		}
		checkRun(t, r.packets)
	}
}

func TestForwardDrops(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(b *bench, s *stream)
		raw  []byte
		want Drop
	}{
		{"not published", func(b *bench, _ *stream) { b.pub.listed.Store(false) }, nil, DropUnlisted},
		{"muted", func(b *bench, _ *stream) { b.pub.muted.Store(true) }, nil, DropMuted},
		{"a viewer's", func(b *bench, _ *stream) { b.up[0].pub = nil }, nil, DropViewer},
		{"silent receiver", func(_ *bench, s *stream) { s.peer.quiet.Store(true) }, nil, DropQuiet},
		{"codec not agreed on by the receiver", func(_ *bench, s *stream) { s.bound.Load().pts[codecVP8] = 0 }, nil, DropCodec},
		{"payload type not agreed on", nil, raw(33, 2, 10, vp8(1, 0, true, true)), DropMalformed},
		{"no RTP", nil, []byte{1, 2, 3}, DropMalformed},
		{"no VP8", nil, raw(vp8In, 2, 10, []byte{0x90}), DropMalformed},
		{"more padding than packet", nil, append([]byte{0xa0}, raw(vp8In, 2, 10, []byte{0xff})[1:]...), DropMalformed},
		{"from before a switch", nil, raw(vp8In, 0, 10, vp8(1, 0, true, false)), DropLate},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(events.Camera)
			var r recorder
			s := b.receiver(&r, codecVP8)
			s.aim(0)
			b.up[0].take(raw(vp8In, 1, 10, vp8(1, 0, true, true)), 0)
			if c.do != nil {
				c.do(b, s)
			}
			if c.raw == nil {
				c.raw = raw(vp8In, 2, 10, vp8(1, 0, false, true))
			}
			b.up[0].take(c.raw, 0)
			if len(r.packets) != 1 {
				t.Errorf("%d packets were sent", len(r.packets)-1)
			}
			if got := b.sfu.count.Dropped(c.want); got != 1 {
				t.Errorf("%d drops are counted as %v", got, c.want)
			}
		})
	}
}

// Discontinuous transmission (RFC 7587, section 3.1.3) goes through as it came: few small
// packets, with time missing between them and no number; and so does what a packet has
// for the one before it (in-band error correction), as no byte is changed.
func TestForwardSilence(t *testing.T) {
	t.Parallel()
	b := newBench(events.Microphone)
	var to recorder
	b.receiver(&to, codecOpus).aim(2)
	const frame = 960
	sent := []struct {
		ts      uint32
		payload []byte
	}{
		{0, []byte{0x78, 1, 2, 3}}, {frame, []byte{0x78, 4, 5}}, // voice
		{2 * frame, []byte{0x78}}, {22 * frame, []byte{0x78}}, {42 * frame, []byte{0x78}}, // silence: one each 400 ms
		{43 * frame, []byte{0x79, 6, 7, 8}}, {44 * frame, []byte{0x79, 9}}, // voice again
	}
	for i, p := range sent {
		b.up[2].take(raw(opusIn, uint16(i+1), p.ts, slices.Clone(p.payload)), time.Duration(p.ts)*time.Second/48000)
	}
	if len(to.packets) != len(sent) {
		t.Fatalf("%d packets of %d", len(to.packets), len(sent))
	}
	for i, p := range to.packets {
		first := to.packets[0]
		if !bytes.Equal(p.Payload, sent[i].payload) || p.Timestamp-first.Timestamp != sent[i].ts || p.SequenceNumber-first.SequenceNumber != uint16(i) {
			t.Errorf("packet %d is %+v % x", i, p.Header, p.Payload)
		}
	}
}

// FuzzTake feeds anything as a packet.
func FuzzTake(f *testing.F) {
	f.Add(raw(vp8In, 2, 10, vp8(1, 0, true, true)))
	f.Add(raw(redIn, 2, 10, []byte{0x80 | opusIn, 0x0f, 0x00, 0x02, opusIn, 1, 2, 8, 9}))
	f.Fuzz(func(t *testing.T, packet []byte) {
		for _, source := range []events.Source{events.Camera, events.Microphone} {
			b := newBench(source)
			var d discard
			b.receiver(&d, codecVP8, codecOpus).aim(2)
			b.up[2].take(bytes.Clone(packet), 0)
			b.up[2].take(bytes.Clone(packet), time.Second)
		}
	})
}

// BenchmarkForward measures our part of the way of one packet to 100 receivers,
// without encryption and socket. It must not allocate.
func BenchmarkForward(b *testing.B) {
	const receivers = 100
	for _, c := range []struct {
		name    string
		source  events.Source
		packet  []byte
		forward int
	}{
		{"video", events.Camera, raw(vp8In, 1, 10, append(vp8(1, 2, true, true), make([]byte, 1000)...)), receivers},
		{"audio", events.Microphone, raw(opusIn, 1, 10, make([]byte, 80)), receivers},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := newBench(c.source)
			var d discard
			for range receivers {
				w.receiver(&d, codecVP8, codecOpus).aim(2)
			}
			seq := uint16(1)
			b.ReportAllocs()
			for b.Loop() {
				c.packet[2], c.packet[3] = byte(seq>>8), byte(seq)
				seq++
				w.up[2].take(c.packet, time.Duration(seq)*time.Millisecond)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(d.packets), "ns/forwarded")
		})
	}
}

func TestForwardDoesNotAllocate(t *testing.T) {
	b := newBench(events.Camera)
	var d discard
	for range 10 {
		b.receiver(&d, codecVP8).aim(2)
	}
	packet := raw(vp8In, 1, 10, vp8(1, 2, true, true))
	seq := uint16(1)
	take := func() {
		packet[2], packet[3] = byte(seq>>8), byte(seq)
		seq++
		b.up[2].take(packet, time.Duration(seq)*time.Millisecond)
	}
	for range historyLen { // the history's buffers are made as it fills
		take()
	}
	if n := testing.AllocsPerRun(200, take); n > 0 {
		t.Errorf("%.1f allocations per packet", n)
	}
}

// wire is an outlet that keeps what it is given.
type wire struct{ payloads []string }

func (w *wire) send(b *pipe.Batch) {
	for _, p := range b.Packets {
		w.payloads = append(w.payloads, string(p.Payload))
	}
}

func TestOutletsGetPacketsAsTheyCame(t *testing.T) {
	b := newBench(events.Camera)
	b.receiver(&discard{}, codecVP8).aim(0)
	mesh, err := pipe.Listen(pipe.Config{Bind: netip.MustParseAddrPort("127.0.0.1:0"), Log: slog.Default()})
	if err != nil {
		t.Fatal(err)
	}
	defer mesh.Close()
	b.up[0].room.sfu.web.mesh = mesh
	w := &wire{}
	b.pub.connect(0, w)
	payload := []byte{0x90, 0x80, 0x85, 0x39, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 64, 1, 180, 0, 1}
	b.up[0].take(raw(vp8In, 1, 1, payload), time.Second)
	b.up[1].take(raw(vp8In, 1, 1, payload), time.Second)
	if len(w.payloads) != 1 || w.payloads[0] != string(payload) {
		t.Errorf("got %x, want %x once", w.payloads, payload)
	}
	b.pub.disconnect(0, w)
	b.up[0].take(raw(vp8In, 2, 1, payload), time.Second)
	if len(w.payloads) != 1 {
		t.Error("a packet went to an outlet that had been disconnected")
	}
}
