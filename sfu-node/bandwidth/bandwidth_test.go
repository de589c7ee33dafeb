package bandwidth

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// figures is what a span of a call must be like.
type figures struct {
	from, to  time.Duration
	least     float64 // mean kbps of the layers chosen
	most      float64
	queueMost float64 // mean milliseconds
}

func TestEstimatesFollowTheWay(t *testing.T) {
	const s = time.Second
	drop := func(at time.Duration) int64 {
		if at -= time.Hour; at > 20*s && at < 40*s {
			return 500
		}
		return 3000
	}
	delay := 25 * time.Millisecond
	for name, test := range map[string]struct {
		link link
		want []figures
	}{
		"3 Mbps throughout":          {link{kbps: constant(3000), delay: delay}, []figures{{1 * s, 60 * s, 1740, 1748, 25}}},
		"500 kbps throughout":        {link{kbps: constant(500), delay: delay}, []figures{{2 * s, 60 * s, 198, 500, 60}}},
		"500 kbps for 20 s":          {link{kbps: drop, delay: delay}, []figures{{1 * s, 20 * s, 1740, 1748, 25}, {23 * s, 40 * s, 190, 550, 150}, {51 * s, 60 * s, 1740, 1748, 25}}},
		"5 % lost":                   {link{kbps: constant(3000), delay: delay, loss: 0.05}, []figures{{0, 60 * s, 1700, 1748, 25}}},
		"10 % lost, 100 ms jitter":   {link{kbps: constant(3000), delay: delay, loss: 0.1, jitter: 100 * time.Millisecond}, []figures{{2 * s, 60 * s, 1500, 1748, 25}}},
		"a policer without a buffer": {link{kbps: constant(700), delay: delay, buffer: 20 * time.Millisecond}, []figures{{4 * s, 60 * s, 450, 700, 40}}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCall(t, test.link, 150, 500, 1700)
			c.run(60 * s)
			for _, w := range test.want {
				samples := c.between(w.from, w.to)
				if got := mean(samples, sent); got < w.least || got > w.most {
					t.Errorf("from %v to %v layers of %.0f kbps were sent, want %.0f to %.0f", w.from, w.to, got, w.least, w.most)
				}
				if got := mean(samples, queue); got > w.queueMost {
					t.Errorf("from %v to %v packets waited for %.0f ms, want at most %.0f", w.from, w.to, got, w.queueMost)
				}
			}
			// Beside what the beginning may cost.
			if share := float64(c.probes-firstSavings-60*probeFloor) / float64(c.media); share > 0.021 {
				t.Errorf("probes were %.1f %% of what was sent", 100*share)
			}
		})
	}
}

func TestADropIsNoticedWithinASecondAndAHalf(t *testing.T) {
	drop := func(at time.Duration) int64 {
		if at-time.Hour > 10*time.Second {
			return 500
		}
		return 3000
	}
	c := newCall(t, link{kbps: drop, delay: 25 * time.Millisecond}, 150, 500, 1700)
	c.run(12 * time.Second)
	for _, s := range c.between(11500*time.Millisecond, 12*time.Second) {
		if s.estimate > 550 {
			t.Errorf("at %v the estimate is still %d kbps", s.at, s.estimate)
		}
	}
}

func TestWhatIsNotProbedStaysNearWhatIsAcknowledged(t *testing.T) {
	c := newCall(t, link{kbps: constant(10_000), delay: 25 * time.Millisecond}, 300) // nothing above to probe for
	c.run(30 * time.Second)
	for _, s := range c.between(15*time.Second, 30*time.Second) {
		if s.estimate > 3*348/2*125/100 { // the rate of a second varies with its frames
			t.Fatalf("at %v the estimate is %d kbps, but only %d are sent", s.at, s.estimate, s.sent)
		}
	}
	if c.probes > 0 {
		t.Errorf("%d bytes of probes were sent toward nothing", c.probes)
	}
}

func TestProbesFindWhatIsFree(t *testing.T) {
	c := newCall(t, link{kbps: constant(5000), delay: 25 * time.Millisecond}, 300)
	c.run(15 * time.Second)
	c.layers = []int64{300, 1200, 3000}
	c.run(20 * time.Second)
	if got := mean(c.between(33*time.Second, 35*time.Second), sent); got < 3000 {
		t.Errorf("after 20 s %.0f kbps are sent, though 5,000 are free and 3,000 wanted", got)
	}
}

func TestReceiverReportsCountWhenFeedbackStops(t *testing.T) {
	c := newCall(t, link{kbps: constant(3000), delay: 25 * time.Millisecond}, 150, 500, 1700)
	c.run(5 * time.Second)
	c.mute = true
	before, _ := c.est.Estimate(c.now)
	for range 5 {
		c.run(time.Second)
		c.est.OnReport(100, c.now) // 39 % lost
	}
	if after, _ := c.est.Estimate(c.now); after > before/2 {
		t.Errorf("with 39 %% loss the estimate went from %d to %d bit/s", before, after)
	}
	for range 60 {
		c.run(time.Second)
		c.est.OnReport(0, c.now)
	}
	if after, _ := c.est.Estimate(c.now); after < 200_000 {
		t.Errorf("after 60 s without loss the estimate is %d bit/s", after)
	}
}

func TestSilenceLowersTheEstimate(t *testing.T) {
	c := newCall(t, link{kbps: constant(3000), delay: 25 * time.Millisecond}, 150, 500, 1700)
	if _, ok := c.est.Estimate(c.now); ok {
		t.Error("an estimate is claimed before anything was heard")
	}
	c.run(5 * time.Second)
	c.mute = true
	before, ok := c.est.Estimate(c.now)
	if !ok {
		t.Error("no estimate after feedback")
	}
	c.run(20 * time.Second)
	if after, _ := c.est.Estimate(c.now); after > before/10 {
		t.Errorf("in 20 s without a word the estimate went from %d to %d bit/s", before, after)
	}
}

func TestSequenceNumbersAndClocksMayWrap(t *testing.T) {
	c := newCall(t, link{kbps: constant(3000), delay: 25 * time.Millisecond}, 150, 500, 1700)
	c.seq = 65_000
	c.reported = 65_001
	c.now = 1<<24*64*time.Millisecond - 5*time.Second // the reference time wraps, and microseconds in 32 bits have often
	start := c.now
	c.run(20 * time.Second)
	for _, s := range c.samples {
		if s.at+time.Hour-start > 2*time.Second && s.sent != 1748 {
			t.Fatalf("%v after the start %d kbps are sent", s.at+time.Hour-start, s.sent)
		}
	}
}

func TestMalformedFeedbackIsRefused(t *testing.T) {
	good := encodeFeedback(t, []arrival{{1, time.Second}, {2, time.Second + time.Millisecond}, {5, time.Second + 90*time.Millisecond}}, 1, 0)
	e := New(0)
	e.OnSent(1, 100, time.Second)
	if !e.OnFeedback(good, time.Second) {
		t.Fatal("well-formed feedback was refused")
	}
	change := func(at int, to ...byte) []byte {
		b := append([]byte{}, good...)
		copy(b[at:], to)
		return b
	}
	for name, b := range map[string][]byte{
		"empty":                   {},
		"no chunk":                good[:16],
		"cut off":                 good[:len(good)-4],
		"another version":         change(0, 0x4f),
		"another format":          change(0, 0x81),
		"another type":            change(1, 206),
		"length beyond its end":   change(2, 0xff, 0xff),
		"length below its header": change(2, 0, 2),
		"more than it reports":    change(14, 0xff, 0xff),
		"a run of nothing":        change(20, 0x20, 0x00),
		"a reserved symbol":       change(20, 0xff, 0xff),
	} {
		if e.OnFeedback(b, time.Second) {
			t.Errorf("%s: taken", name)
		}
	}
}

// FuzzFeedback compares the parser with another one.
func FuzzFeedback(f *testing.F) {
	f.Add(encodeFeedback(f, []arrival{{1, time.Second}, {2, time.Second + time.Millisecond}, {9, time.Second + 90*time.Millisecond}}, 1, 0))
	f.Add([]byte{0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0, 3, 0, 0, 1, 0, 0x20, 0x03, 4, 4, 4, 0, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		e := New(0)
		for seq := range uint16(300) {
			e.OnSent(seq, 1200, time.Duration(seq)*time.Millisecond)
		}
		e.OnFeedback(raw, time.Second)
		if rate, _ := e.Estimate(time.Second); rate < LeastRate || rate > MostRate {
			t.Errorf("the estimate is %d", rate)
		}
		got, ok := parseFeedback(raw)
		var want rtcp.TransportLayerCC
		if !ok || want.Unmarshal(raw) != nil {
			return
		}
		received := 0
		for range got.count {
			delta, here := got.next()
			if !here {
				continue
			}
			if received < len(want.RecvDeltas) && want.RecvDeltas[received].Delta != delta {
				t.Fatalf("delta %d is %d, want %d", received, delta, want.RecvDeltas[received].Delta)
			}
			received++
		}
		if got.base != want.BaseSequenceNumber || got.count != int(want.PacketStatusCount) || received > len(want.RecvDeltas) {
			t.Errorf("%d packets from %d, %d received; want %d from %d, %d", got.count, got.base, received, want.PacketStatusCount, want.BaseSequenceNumber, len(want.RecvDeltas))
		}
	})
}

// BenchmarkFeedback is one feedback each 50 ms on 5 Mbps: 26 packets.
func BenchmarkFeedback(b *testing.B) {
	var packets [][]byte
	const each = 26
	for round := range 64 {
		var arrived []arrival
		for i := range each {
			arrived = append(arrived, arrival{uint16(round*each + i), time.Duration(round*50+i*2) * time.Millisecond})
		}
		packets = append(packets, encodeFeedback(b, arrived, uint16(round*each), 0))
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		e := New(0)
		for seq := range uint16(64 * each) {
			e.OnSent(seq, 1200, time.Duration(seq)*2*time.Millisecond)
		}
		b.StartTimer()
		for i, p := range packets {
			e.OnFeedback(p, time.Duration(i*50+80)*time.Millisecond)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/feedback")
}

func TestNothingAllocates(t *testing.T) {
	e := New(0)
	raw := encodeFeedback(t, []arrival{{1, time.Second}, {2, time.Second + time.Millisecond}, {9, time.Second + 90*time.Millisecond}}, 1, 0)
	if n := testing.AllocsPerRun(100, func() {
		for seq := range uint16(10) {
			e.OnSent(seq, 1200, time.Second)
		}
		e.OnFeedback(raw, time.Second)
		e.OnReport(0, time.Second)
		e.Want(5_000_000, 0)
		e.Probe(2 * time.Second)
		e.Estimate(2 * time.Second)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestWhoIsSentNothingNeedNotReport(t *testing.T) {
	c := newCall(t, link{kbps: constant(3000), delay: 25 * time.Millisecond}, 150, 500, 1700)
	c.run(10 * time.Second)
	c.now += 200 * time.Millisecond
	c.report()
	c.now += 200 * time.Millisecond
	c.hear()
	before, _ := c.est.Estimate(c.now)
	later := c.now + time.Hour
	if got, ok := c.est.Estimate(later); !ok || got != before {
		t.Errorf("after an hour in which nothing was sent: %d, it was %d", got, before)
	}
	c.est.OnSent(c.seq+1, 1200, later)
	if got, _ := c.est.Estimate(later + time.Second); got != before {
		t.Errorf("a second after the first packet: %d, it was %d", got, before)
	}
	if got, _ := c.est.Estimate(later + 10*time.Second); got >= before/2 {
		t.Errorf("ten seconds without an answer: %d, it was %d", got, before)
	}
}

func TestWhatWasFoundElsewhereIsMostlyBelieved(t *testing.T) {
	for known, want := range map[int64]int64{0: StartRate, 5_000_000: 4_000_000, 10_000: LeastRate, 1 << 40: mostStart} {
		if got, ok := New(known).Estimate(time.Hour); ok || got != want {
			t.Errorf("of %d, %d is believed, want %d", known, got, want)
		}
	}
}
