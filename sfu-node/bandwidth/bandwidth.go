// Package bandwidth estimates, on the side that sends, how much the way to one
// receiver carries, from transport-wide feedback
// (draft-holmer-rmcat-transport-wide-cc-extensions-01).
//
// It follows the structure of Google Congestion Control
// (draft-ietf-rmcat-gcc-02; Carlucci et al., "Congestion Control for Web
// Real-Time Communication", 2017): a delay signal with an adaptive threshold, cuts
// to a share of the acknowledged rate, slow growth, and a bound from loss. It
// departs from it where a forwarder differs from an encoder. What it sends is not
// paced, so delay is taken as the least of each 50 ms (as RFC 6817 does), which a
// frame's own length does not move; and it often sends less than the way carries,
// so the estimate stays within 1.5 × the acknowledged rate, and what lies above is
// found out by short probes, which cost at most 2 % of what is sent (or 12 kbit/s).
//
// The package is pure: time comes in as an argument, on any clock that only goes
// forward. An Estimator is not safe for concurrent use. Its methods allocate only
// when more packets are under way than ever before.
package bandwidth

import "time"

// Rates are in bits per second.
const (
	// StartRate is believed until the first feedback has had time to speak.
	StartRate = 1_200_000
	// LeastRate is the lowest estimate: sound must always fit.
	LeastRate = 48_000
	// MostRate is the highest.
	MostRate = 200_000_000
)

const (
	startFor = 3 * time.Second // how long StartRate needs no acknowledgement

	// GCC, section 5.5: decrease to 0.85 of what arrives, increase by 8 % a second.
	cutShare = 0.85
	growth   = 0.08
	// Near the rate of the last cut, growth is slower.
	nearGrowth = 0.015
	nearShare  = 0.95
	nearFor    = 20 * time.Second

	// unprobed bounds the estimate by the acknowledged rate.
	unprobed = 1.5
	// A probe's result needs no acknowledgement for so long.
	probedFor = 15 * time.Second

	// Feedback that is older is no feedback; then receiver reports count.
	feedbackLapse = 1500 * time.Millisecond
	// unreported is how far, without feedback, the estimate may be above what arrives.
	unreported = 300_000
	// Without either, the estimate falls by a fifth each second.
	silence = 3 * time.Second

	cutPause = 200 * time.Millisecond // between cuts, besides a round trip
)

// Estimator is what is known of the way to one receiver.
type Estimator struct {
	history []flight // a power of two of them
	last    uint16   // the sequence number sent last
	any     bool     // something was sent

	rate     float64 // the estimate
	began    time.Duration
	informed bool // there was feedback or a report
	changed  time.Duration
	heard    time.Duration // last transport feedback
	reported time.Duration // last word of any kind
	unheard  time.Duration // the first packet sent after that

	reference int64 // receiver's clock at the last feedback, in units of 64 ms
	referred  bool

	rtt   time.Duration
	sent  meter // by the sender's clock
	acked meter // by the receiver's clock
	peak  peak

	delay delay
	loss  loss
	probe probe

	cutAt     time.Duration
	cuts      int // in a row, without the queue having fallen
	congested float64
	probed    float64
	probedAt  time.Duration
}

// mostStart bounds what is believed without having been measured here.
const mostStart = 8_000_000

// New makes an estimator. known is what the way was found to carry shortly before,
// from elsewhere, or 0: a fifth less of it is believed until the first feedback.
func New(known int64) *Estimator {
	e := &Estimator{rate: StartRate, history: make([]flight, firstHistory)}
	if known > 0 {
		e.rate = float64(max(LeastRate, min(known/5*4, mostStart)))
	}
	e.probe.saved = firstSavings
	e.delay.reset()
	return e
}

// OnSent notes a packet as it is sent: its transport-wide sequence number, and its
// size in bytes as the network counts it. Numbers must grow by one.
func (e *Estimator) OnSent(seq uint16, size int, at time.Duration) {
	*e.keep(seq, at) = flight{at: micros(at), size: uint16(min(size, maxSize)) | inFlight, seq: seq}
	e.last, e.any = seq, true
	if e.unheard <= e.reported {
		e.unheard = at
	}
	e.sent.add(at, size)
	e.probe.onSent(seq, size, at)
}

// OnFeedback takes a transport-wide feedback packet, RTCP header included, that
// arrived at the time at. It reports false, and changes nothing, when the packet
// is malformed.
func (e *Estimator) OnFeedback(packet []byte, at time.Duration) bool {
	f, ok := parseFeedback(packet)
	if !ok {
		return false
	}
	if !e.any {
		return true
	}
	e.begin(at)
	e.heard, e.reported = at, at
	e.referTo(f.reference)
	clock := e.reference * referenceMicros
	signal := steady
	for seq, left := f.base, f.count; left > 0; seq, left = seq+1, left-1 {
		delta, received := f.next()
		if received {
			clock += delta
		}
		if s := e.take(seq, received, clock, at); s != steady {
			signal = s
		}
	}
	e.settleProbe(at)
	e.react(signal, at)
	return true
}

// take notes what became of one packet. It returns the delay signal when the
// packet completes a slot.
func (e *Estimator) take(seq uint16, received bool, clock int64, at time.Duration) signal {
	h := e.slot(seq)
	if h.seq != seq || h.size&stateMask == 0 || int16(e.last-seq) < 0 {
		return steady
	}
	size, state := h.size&maxSize, h.size&stateMask
	switch {
	case !received && state == inFlight:
		h.size = size | reportedLost
		e.loss.lost(at)
	case received && state != acknowledged:
		if state == reportedLost {
			e.loss.found()
		}
		e.loss.got(at)
		h.size = size | acknowledged
		e.acked.add(time.Duration(clock)*time.Microsecond, int(size))
		e.rtt = time.Duration(micros(at)-h.at) * time.Microsecond
		lag := clock - e.sentMicros(h.at, at)
		e.probe.onAcked(seq, int(size), lag)
		return e.delay.add(e.sentMicros(h.at, at), lag)
	}
	return steady
}

// sentMicros extends a stored time, which wraps each 71 minutes.
func (e *Estimator) sentMicros(stored uint32, now time.Duration) int64 {
	whole := int64(now / time.Microsecond)
	return whole - int64(uint32(whole)-stored)
}

// referTo takes the 24-bit reference time of a feedback packet.
func (e *Estimator) referTo(r int32) {
	if !e.referred {
		e.reference, e.referred = 1<<24+int64(r), true
		return
	}
	diff := (r - int32(e.reference&0xffffff)) << 8 >> 8 // nearest, with sign
	e.reference += int64(diff)
}

// begin starts the clocks with the first word from the receiver.
func (e *Estimator) begin(at time.Duration) {
	if e.informed {
		return
	}
	e.informed, e.began, e.changed = true, at, at
}

// OnReport takes the fraction of packets lost, in 256ths, from a receiver report
// (RFC 3550, section 6.4.1). It counts only while transport feedback is missing.
func (e *Estimator) OnReport(fractionLost uint8, at time.Duration) {
	if e.any && (e.heard == 0 || at-e.heard > feedbackLapse) {
		e.begin(at)
		e.reported = at
		share := float64(fractionLost) / 256
		arrived := e.sent.rate(at, second) * (1 - share)
		e.peak.add(at, arrived)
		if e.loss.verdict(share) {
			e.cutTo(afterLoss(e.rate, arrived, share), at)
		} else if share < growLoss {
			e.grow(at)
		}
		// The next layer is the only probe that there is.
		e.rate = max(LeastRate, min(e.rate, max(unprobed*e.peak.most(at), arrived+unreported)))
	}
}

// Estimate returns how much may be sent. ok is false while the receiver has said
// nothing at all: then nothing is known.
func (e *Estimator) Estimate(at time.Duration) (bps int64, ok bool) {
	if !e.informed {
		return int64(e.rate), false
	}
	rate := e.rate
	// Who is sent nothing has nothing to say.
	quiet := time.Duration(0)
	if e.unheard > e.reported {
		quiet = at - e.unheard - silence
	}
	for ; quiet > 0 && rate > LeastRate; quiet -= second {
		rate *= 0.8
	}
	return int64(max(rate, LeastRate)), true
}

// Congested reports whether there is a queue on the way, or was one just now.
func (e *Estimator) Congested(at time.Duration) bool {
	return e.delay.high() || e.cutAt != 0 && at-e.cutAt < second/2
}

// RTT is the last round-trip time measured, or 0. The receiver's delay until it
// sends feedback is in it.
func (e *Estimator) RTT() time.Duration { return e.rtt }

// Loss is the share of packets lost lately, 0 to 1.
func (e *Estimator) Loss() float64 { return e.loss.recent }

// react brings the estimate up to date after feedback.
func (e *Estimator) react(s signal, at time.Duration) {
	now := e.acked.last
	short, long := e.acked.rate(now, 200*time.Millisecond), e.acked.rate(now, 500*time.Millisecond)
	e.peak.add(at, long)
	if e.probe.disturbs(at) {
		s = steady
	}
	share, judged := e.loss.window(at)
	switch {
	case s == overused:
		// One long frame after small ones makes a queue too: then the mean says
		// nothing of the way, but how fast the queue empties does.
		run, span := int64(3), int64(8)
		if e.delay.noise > noisy {
			run, span = 8, 16 // jitter makes bursts of its own
		}
		e.overuse(max(min(short, long), e.acked.burst(now, run, span)), at)
	case judged && e.loss.verdict(share):
		e.cutTo(afterLoss(e.rate, long, share), at)
	case s == draining || e.delay.high() || e.loss.recent > growLoss && e.loss.rising:
		e.changed = at // hold
	default:
		e.cuts = 0
		e.grow(at)
		// What gets through without a queue is carried, whatever was believed.
		e.rate = max(e.rate, min(short, long))
	}
	e.bound(at)
}

// afterLoss is GCC's answer to loss (section 6), or, where most is dropped, what
// still arrives.
func afterLoss(rate, arrived, share float64) float64 {
	if share > heavyLoss {
		rate = min(rate, arrived)
	}
	return rate * (1 - share/2)
}

// overuse cuts the estimate to a share of what arrives.
func (e *Estimator) overuse(arrived float64, at time.Duration) {
	if at-e.cutAt < cutPause+min(e.rtt, second) && e.cutAt != 0 {
		e.changed = at
		return
	}
	if e.cuts++; e.cuts > standingCuts {
		// It did not help: the way itself has become longer.
		e.delay.rebase()
		e.cuts = 0
		return
	}
	e.cutTo(min(e.rate, cutShare*arrived), at)
}

func (e *Estimator) cutTo(rate float64, at time.Duration) {
	e.probe.won, e.probe.narrowed = false, at
	e.congested = rate / cutShare
	e.cutAt = at
	e.rate = max(LeastRate, rate)
	e.probed = 0
	e.began = min(e.began, at-startFor)
	e.peak.forget()
	e.peak.add(at, e.congested)
	e.changed = at
	e.probe.postpone(at, min(e.rtt, second)+500*time.Millisecond)
}

func (e *Estimator) grow(at time.Duration) {
	span := min(at-e.changed, second).Seconds()
	e.changed = at
	pace := growth
	if e.congested > 0 && at-e.cutAt < nearFor && e.rate > nearShare*e.congested {
		pace = nearGrowth
	}
	e.rate = min(e.rate*(1+pace*span), MostRate)
}

// bound keeps the estimate within what was acknowledged, or probed.
func (e *Estimator) bound(at time.Duration) {
	if at-e.began < startFor {
		return
	}
	most := unprobed * e.peak.most(at)
	if at-e.probedAt < probedFor {
		most = max(most, e.probed)
	}
	e.rate = max(LeastRate, min(e.rate, most))
}
