package sfu

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
	"github.com/spillway-sfu/spillway/sfu-node/seal"
)

// feedbackOn makes transport-wide feedback on n packets from first on, each of
// which came apart after the one before.
func feedbackOn(t testing.TB, first uint16, n int, reference uint32, apart time.Duration) []byte {
	t.Helper()
	cc := &rtcp.TransportLayerCC{
		Header:             rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback},
		BaseSequenceNumber: first, PacketStatusCount: uint16(n), ReferenceTime: reference,
		PacketChunks: []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{PacketStatusSymbol: rtcp.TypeTCCPacketReceivedSmallDelta, RunLength: uint16(n)}},
	}
	for range n {
		cc.RecvDeltas = append(cc.RecvDeltas, &rtcp.RecvDelta{Type: rtcp.TypeTCCPacketReceivedSmallDelta, Delta: apart.Microseconds()})
	}
	size := 20 + 2 + n
	cc.Header.Padding = size%4 != 0
	cc.Header.Length = uint16((size+3)/4 - 1)
	raw, err := cc.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// What a receiver says of its way costs little and allocates nothing.
func TestFeedbackAllocatesNothing(t *testing.T) {
	b := newBench(events.Camera)
	s := b.receiver(&discard{}, codecVP8)
	p := s.peer
	p.room, p.video = b.pub.from.(*Peer).room, []*stream{s}
	report, e := feedbackOn(t, 0, 20, 1, time.Millisecond), &p.egress
	seq := uint16(0)
	if n := testing.AllocsPerRun(1000, func() {
		binary.BigEndian.PutUint16(report[12:], seq)
		for range 20 {
			e.watch.OnSent(seq, 1200, p.sfu.now())
			seq++
		}
		p.onReports(report, p.sfu.now())
	}); n > 0 {
		t.Errorf("%.1f allocations for a report", n)
	}
	if _, known := e.watch.Estimate(p.sfu.now()); !known {
		t.Error("feedback does not reach the estimator")
	}
}

// BenchmarkFeedback is one report on 20 packets, which is what a receiver of
// 400 packets a second sends 20 times a second.
func BenchmarkFeedback(b *testing.B) {
	w := newBench(events.Camera)
	s := w.receiver(&discard{}, codecVP8)
	p := s.peer
	p.room, p.video = w.pub.from.(*Peer).room, []*stream{s}
	report := feedbackOn(b, 0, 20, 1, time.Millisecond)
	seq := uint16(0)
	for b.Loop() {
		b.StopTimer()
		binary.BigEndian.PutUint16(report[12:], seq)
		for range 20 {
			p.egress.watch.OnSent(seq, 1200, p.sfu.now())
			seq++
		}
		b.StartTimer()
		p.onReports(report, p.sfu.now())
	}
}

// Without transport-wide feedback, what receivers report lost lowers the estimate.
func TestLossesReported(t *testing.T) {
	t.Parallel()
	b := newBench(events.Camera)
	s := b.receiver(&discard{}, codecVP8)
	p := s.peer
	p.video = []*stream{s}
	now := p.sfu.now()
	for i := range uint16(1000) {
		p.egress.watch.OnSent(i, 1200, now-time.Second+time.Duration(i)*time.Millisecond)
	}
	for i := range uint32(4) {
		p.onReports(compound(t, &rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{
			{SSRC: 4711, FractionLost: 128, LastSequenceNumber: 1000 * (i + 1)}, {SSRC: 1, FractionLost: 0, LastSequenceNumber: 1},
		}}), p.sfu.now())
	}
	if rate, known := p.egress.watch.Estimate(p.sfu.now()); !known || rate > 1_500_000 {
		t.Errorf("half is lost, and %d bit/s are believed to fit", rate)
	}
}

// Padding leaves under numbers of the retransmission stream, each once.
func TestProbesOnTheWire(t *testing.T) {
	t.Parallel()
	b := newBench(events.Camera)
	b.onWire(t, false)
	c := loopback(t)
	s, opener := b.wired(t, c, seal.AES128GCM)
	s.aim(0)
	seq := uint16(100)
	out := b.sfu.takeBatch()
	for i := range uint16(3) {
		b.up[0].frame([]int{1000}, &seq, i+1, 0)
		s.peer.pad(8000, out)
		out.flush()
	}
	out.release()
	padding, media, transport := 0, 0, uint16(0)
	for range 3 + b.sfu.count.Probes.Load() {
		p, size := receive(t, c, opener)
		if ext := p.GetExtension(transportID); binary.BigEndian.Uint16(ext) != transport {
			t.Fatalf("transport-wide number %d, expected %d", binary.BigEndian.Uint16(ext), transport)
		}
		transport++
		if p.SSRC == 4711 {
			media++
			continue
		}
		padding += size + addressing
		if p.SSRC != rtxSSRC || p.PayloadType != rtxOut || len(p.Payload) > 0 || p.PaddingSize != paddingBytes {
			t.Fatalf("padding of %d bytes: %+v with %d bytes of payload", size, p.Header, len(p.Payload))
		}
	}
	if media != 3 || padding < 3*8000 {
		t.Errorf("%d packets of media, %d bytes of padding", media, padding)
	}
	if n := b.sfu.count.Dropped(DropSeal); n != 0 {
		t.Errorf("%d packets had a number that was sealed before", n)
	}
}

// What is asked for again in one breath leaves at the pace of the way.
func TestRepetitionsArePaced(t *testing.T) {
	t.Parallel()
	b := newBench(events.Camera)
	b.onWire(t, false)
	c := loopback(t)
	s, _ := b.wired(t, c, seal.AES128GCM)
	s.aim(0)
	seq := uint16(0)
	u := b.up[0]
	for ; seq < 40; seq++ {
		payload := append(vp8(1, 0, true, seq == 0), make([]byte, 1000)...)
		u.take(raw(vp8In, seq, uint32(seq)*3000, payload), 0)
	}
	var first uint16
	for _, q := range s.sent.packets {
		if q.era > 0 && q.original == 0 {
			first = q.sequence
		}
	}
	nack := &rtcp.TransportLayerNack{MediaSSRC: 4711, Nacks: []rtcp.NackPair{{PacketID: first, LostPackets: 0xffff}, {PacketID: first + 17, LostPackets: 0xffff}}}
	s.peer.onReports(compound(t, nack), b.sfu.now())
	atOnce := b.sfu.count.Repeated.Load()
	// The estimate is 2 Mbit/s: half of it for 5 ms are less than two packets.
	if atOnce < 1 || atOnce > 4 {
		t.Errorf("%d of 34 packets are repeated at once", atOnce)
	}
	began := time.Now()
	for b.sfu.count.Repeated.Load() < 34 {
		wait := s.peer.pace()
		if wait == 0 && b.sfu.count.Repeated.Load() < 34 {
			t.Fatalf("%d packets are repeated, the others are forgotten", b.sfu.count.Repeated.Load())
		}
		time.Sleep(wait)
	}
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("30 packets of 1 kB took %v at 1 Mbit/s", took)
	}
}

// A stream that had to go down stays there for a while, and longer if it goes up
// in vain.
func TestHold(t *testing.T) {
	t.Parallel()
	d := func(current int) layer.Demand {
		return layer.Demand{Height: 720, Current: current, Flows: [layer.Count]layer.Flow{{Live: true, Height: 180}, {Live: true, Height: 360}, {Live: true, Height: 720}}}
	}
	var h hold
	h.note(d(2), 2, false, time.Second)
	h.note(d(2), 0, false, 20*time.Second)
	if h.until != 22*time.Second {
		t.Errorf("held until %v", h.until)
	}
	h.note(d(0), 2, false, 23*time.Second)
	h.note(d(2), 0, false, 24*time.Second)
	if h.until != 28*time.Second {
		t.Errorf("after one in vain held until %v", h.until)
	}
	h.note(d(0), 2, false, 25*time.Second)
	h.note(d(2), 1, false, 26*time.Second)
	h.note(d(1), 0, false, 27*time.Second)
	if h.until != 35*time.Second {
		t.Errorf("after two steps down held until %v", h.until)
	}
	h.note(d(0), 2, false, 30*time.Second)
	h.note(d(2), 1, false, 50*time.Second)
	if h.until != 52*time.Second {
		t.Errorf("after a good one held until %v", h.until)
	}
}

// Where there is no sound that could tell of the way, a picture is tried, though it
// may be too large.
func TestSilenceIsBroken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.join("anna"), w.join("ben", func(o *events.Offer, _ *lightpeer.Options) { o.Profile.ReceiveKbps = 1000 })
	anna.publishes(1, cameraOn)
	anna.film("f")
	ben.until("pictures", func() bool {
		s, ok := ben.carrying("anna", events.Camera)
		return ok && !s.Paused && len(ben.packets[s.Mid]) > 50
	})
}
