package bandwidth

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// link is a simulated way to a receiver: a queue in front of a bottleneck, then
// delay, jitter and loss. It has its own random numbers, so a run repeats.
type link struct {
	kbps   func(at time.Duration) int64
	delay  time.Duration
	jitter time.Duration
	loss   float64
	buffer time.Duration // what the queue holds, in time

	random *rand.Rand
	free   time.Duration // when the bottleneck has sent everything
}

// send returns when a packet arrives, or false when it does not.
func (l *link) send(size int, at time.Duration) (time.Duration, bool) {
	l.free = max(l.free, at)
	if l.free-at > l.buffer {
		return 0, false
	}
	l.free += time.Duration(float64(size*8) / float64(l.kbps(at)*1000) * float64(time.Second))
	if l.random.Float64() < l.loss {
		return 0, false
	}
	return l.free + l.delay + time.Duration(l.random.Float64()*float64(l.jitter)), true
}

type arrival struct {
	seq uint16
	at  time.Duration
}

type report struct {
	raw []byte
	at  time.Duration
}

// call drives an estimator as a node does: audio, video of a simulcast publisher
// in unpaced frames, the layer chosen by the estimate, probes toward the next.
type call struct {
	t      *testing.T
	link   link
	layers []int64 // kbps
	est    *Estimator

	now       time.Duration
	seq       uint16
	layer     int
	key       bool // the next frame is a key frame
	onTheWay  []arrival
	reported  int64 // next sequence number to report, extended
	feedbacks []report
	count     uint8
	mute      bool // the receiver sends no feedback

	media, probes int64 // bytes
	samples       []sample
}

type sample struct {
	at       time.Duration
	estimate int64
	sent     int64 // kbps of the layer chosen
	queue    time.Duration
}

func newCall(t *testing.T, l link, layers ...int64) *call {
	l.random = rand.New(rand.NewPCG(1, 2))
	if l.buffer == 0 {
		l.buffer = 400 * time.Millisecond
	}
	return &call{t: t, link: l, layers: layers, est: New(0), layer: -1, now: time.Hour}
}

func (c *call) send(size int) {
	c.seq++
	c.est.OnSent(c.seq, size, c.now)
	if at, ok := c.link.send(size, c.now); ok {
		c.onTheWay = append(c.onTheWay, arrival{c.seq, at})
	}
}

const (
	audioKbps = 48
	// keyFactor is how much longer a key frame is, with which a layer begins.
	keyFactor = 4
)

func (c *call) choose() {
	bps, _ := c.est.Estimate(c.now)
	before := c.layer
	defer func() { c.key = c.key || c.layer != before }()
	budget := bps/1000 - audioKbps
	for c.layer >= 0 && c.layers[c.layer] > budget {
		c.layer--
	}
	for c.layer+1 < len(c.layers) && c.layers[c.layer+1] <= budget*9/10 {
		c.layer++
	}
	c.est.Want(0, 0)
	if c.layer+1 < len(c.layers) {
		c.est.Want((c.layers[c.layer+1]*10/9+audioKbps+1)*1000, 0)
	}
}

// run goes on for a time, in steps of 1 ms.
func (c *call) run(span time.Duration) {
	const step = time.Millisecond
	for end := c.now + span; c.now < end; c.now += step {
		ms := int64(c.now / step)
		if ms%250 == 0 {
			c.choose()
		}
		if ms%20 == 0 {
			c.send(audioKbps * 1000 / 50 / 8)
			c.media += audioKbps * 1000 / 50 / 8
		}
		if ms%33 == 0 && c.layer >= 0 {
			frame := int(float64(c.layers[c.layer]) / 8 * 33 * (0.7 + 0.6*c.link.random.Float64()))
			if c.key {
				frame, c.key = frame*keyFactor, false
			}
			for ; frame > 0; frame -= 1200 {
				c.send(min(frame, 1200))
				c.media += int64(min(frame, 1200))
			}
		}
		if ms%5 == 0 {
			n, _ := c.est.Probe(c.now)
			for ; n > 0; n -= 1200 {
				c.send(max(40, min(n, 1200)))
				c.probes += int64(min(n, 1200))
			}
		}
		if ms%50 == 0 && !c.mute {
			c.report()
		}
		c.hear()
		if ms%100 == 0 {
			bps, _ := c.est.Estimate(c.now)
			s := sample{c.now - time.Hour, bps / 1000, audioKbps, c.link.free - c.now}
			if c.layer >= 0 {
				s.sent += c.layers[c.layer]
			}
			c.samples = append(c.samples, s)
		}
	}
}

// report sends what arrived, as libwebrtc does: from the last one reported on, or
// from before it when something came late.
func (c *call) report() {
	var arrived []arrival
	c.onTheWay = slices.DeleteFunc(c.onTheWay, func(a arrival) bool {
		if a.at <= c.now {
			arrived = append(arrived, a)
			return true
		}
		return false
	})
	if len(arrived) == 0 {
		return
	}
	slices.SortFunc(arrived, func(a, b arrival) int { return cmp.Compare(int16(a.seq-b.seq), 0) })
	raw := encodeFeedback(c.t, arrived, uint16(c.reported), c.count)
	c.count++
	c.reported = int64(arrived[len(arrived)-1].seq) + 1
	c.feedbacks = append(c.feedbacks, report{raw, c.now + c.link.delay})
}

func (c *call) hear() {
	c.feedbacks = slices.DeleteFunc(c.feedbacks, func(r report) bool {
		if r.at > c.now {
			return false
		}
		if !c.est.OnFeedback(r.raw, c.now) {
			c.t.Fatal("well-formed feedback was refused")
		}
		return true
	})
}

// encodeFeedback writes transport-wide feedback with another implementation.
func encodeFeedback(t testing.TB, arrived []arrival, next uint16, count uint8) []byte {
	base := arrived[0].seq
	if int16(next-base) < 0 && int16(base-next) < 1000 {
		base = next
	}
	last := arrived[len(arrived)-1].seq
	reference := arrived[0].at / (64 * time.Millisecond)
	cc := &rtcp.TransportLayerCC{
		Header:             rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback},
		BaseSequenceNumber: base, PacketStatusCount: last - base + 1, ReferenceTime: uint32(reference) & 0xffffff, FbPktCount: count,
	}
	clock := reference * 64 * time.Millisecond
	i := 0
	var symbols []uint16
	for seq := base; ; seq++ {
		symbol := uint16(rtcp.TypeTCCPacketNotReceived)
		if i < len(arrived) && arrived[i].seq == seq {
			delta := (arrived[i].at - clock).Round(250*time.Microsecond) / time.Microsecond
			clock += delta * time.Microsecond
			symbol = rtcp.TypeTCCPacketReceivedLargeDelta
			if delta >= 0 && delta <= 255*250 {
				symbol = rtcp.TypeTCCPacketReceivedSmallDelta
			}
			cc.RecvDeltas = append(cc.RecvDeltas, &rtcp.RecvDelta{Type: symbol, Delta: int64(delta)})
			i++
		}
		symbols = append(symbols, symbol)
		if seq == last {
			break
		}
	}
	for len(symbols) > 0 {
		part := symbols[:min(7, len(symbols))]
		chunk := &rtcp.StatusVectorChunk{Type: rtcp.TypeTCCStatusVectorChunk, SymbolSize: rtcp.TypeTCCSymbolSizeTwoBit}
		chunk.SymbolList = append(chunk.SymbolList, part...)
		for len(chunk.SymbolList) < 7 {
			chunk.SymbolList = append(chunk.SymbolList, 0)
		}
		cc.PacketChunks = append(cc.PacketChunks, chunk)
		symbols = symbols[len(part):]
	}
	size := 20 + 2*len(cc.PacketChunks)
	for _, d := range cc.RecvDeltas {
		size += map[uint16]int{1: 1, 2: 2}[d.Type]
	}
	cc.Header.Padding = size%4 != 0
	cc.Header.Length = uint16((size+3)/4 - 1)
	raw, err := cc.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// between returns the samples of a span, counted from the start.
func (c *call) between(from, to time.Duration) []sample {
	var some []sample
	for _, s := range c.samples {
		if s.at >= from && s.at < to {
			some = append(some, s)
		}
	}
	return some
}

func constant(kbps int64) func(time.Duration) int64 {
	return func(time.Duration) int64 { return kbps }
}

func mean(samples []sample, of func(sample) float64) float64 {
	total := 0.0
	for _, s := range samples {
		total += of(s)
	}
	return total / float64(max(1, len(samples)))
}

func sent(s sample) float64  { return float64(s.sent) }
func queue(s sample) float64 { return float64(max(0, s.queue)) / float64(time.Millisecond) }
