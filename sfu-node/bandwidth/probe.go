package bandwidth

import "time"

const (
	// probeShare is what probes may cost of all that is sent; what is not used is
	// kept up to probeSavings bytes.
	probeShare   = 0.02
	probeSavings = 96_000
	// probeFloor, in bytes a second, may be spent on whoever gets so little that the
	// share of it would keep things so for minutes.
	probeFloor = 1500
	// firstSavings may be spent on somebody who has just come and waits for
	// everything, and lent to a probe that follows one that got through: a way that
	// has become wide again would otherwise save up for seconds.
	firstSavings = 48_000

	// A probe lasts longer where delay is noisy.
	leastProbe = 50 * time.Millisecond
	mostProbe  = 150 * time.Millisecond
	// mostJump bounds the rate that is tried, as a multiple of the estimate, and
	// probeQueue how long what is sent too much would wait if the estimate is right:
	// sound waits behind it.
	mostJump   = 4
	probeQueue = 100 * time.Millisecond
	// Probes that fail are repeated ever more rarely, but not so rarely while the way
	// may come back to what it carried lateFor ago.
	firstPause = time.Second
	latePause  = 2 * time.Second
	mostPause  = 8 * time.Second
	lateFor    = time.Minute
	// nextStep is how soon the next one may follow one that got through.
	nextStep = 100 * time.Millisecond
	// A probe without feedback for so long has failed.
	probeLapse = 2 * time.Second

	probePacket = 1200
	// tailFrom is the share of a probe after which what is sent shows the queue.
	tailFrom = 0.6
)

// probe sends more than is needed for a moment, to see whether it arrives.
type probe struct {
	useful float64 // what would be put to use next
	most   float64 // all that would be
	saved  float64 // bytes that may be spent
	// fundedAt is until when the floor is among them.
	fundedAt time.Duration
	next     time.Duration
	pause    time.Duration
	won      bool          // the last one got through
	narrowed time.Duration // when the way last became narrower
	active   bool          // being sent, or waited for
	ended    bool          // all of it is sent

	target     float64
	length     time.Duration
	start      time.Duration
	first      uint16
	lastSeq    uint16
	tail       uint16 // what is sent from here on shows the queue
	tailed     bool
	any        bool
	sent       int
	acked      int
	before     float64 // least delay beforehand
	after      int64   // least delay of the tail
	afterKnown bool
	quietUntil time.Duration
}

// Want says which rate would be put to use next, and which at most: what probes
// are to reach. 0 wants none.
func (e *Estimator) Want(next, most int64) {
	e.probe.useful, e.probe.most = float64(next), float64(max(next, most))
}

// Probe returns how many bytes of padding are to be sent now, and in how long to
// ask again: 0 when no probe is on its way, then ask when it suits, some times a
// second. What is sent must be told by OnSent.
func (e *Estimator) Probe(at time.Duration) (bytes int, again time.Duration) {
	p := &e.probe
	if p.active && at-p.start > p.length+probeLapse {
		e.failProbe(at)
	}
	// Who has not asked for a second has not wanted anything.
	p.saved = min(probeSavings, p.saved+probeFloor*min(at-p.fundedAt, second).Seconds())
	p.fundedAt = at
	if !p.active && !e.beginProbe(at) {
		return 0, 0
	}
	if p.ended {
		return 0, 0
	}
	elapsed := at - p.start
	if elapsed >= p.length {
		p.ended = true
		return 0, 0
	}
	const tick = 5 * time.Millisecond
	due := int(p.target/8*min(elapsed+tick, p.length).Seconds()) - p.sent
	if due < probePacket/4 {
		return 0, tick
	}
	due = min(due, int(p.funds()))
	if due <= 0 {
		p.ended = true
		return 0, 0
	}
	p.saved -= float64(due)
	return due, tick
}

func (e *Estimator) beginProbe(at time.Duration) bool {
	p := &e.probe
	fresh := e.heard != 0 && at-e.heard < feedbackLapse
	if !fresh || p.useful <= e.rate || at < p.next || e.delay.n < slots || e.delay.high() || e.loss.rising && e.loss.recent > growLoss {
		return false
	}
	length := min(max(leastProbe, time.Duration(10*e.delay.noise)*time.Microsecond), mostProbe)
	sent := e.sent.rate(at, 500*time.Millisecond)
	affordable := sent + p.funds()*8/length.Seconds()
	bound := e.rate * min(mostJump, 1+probeQueue.Seconds()/length.Seconds())
	least, target := min(p.useful*1.1, bound), min(p.most*1.1, bound, affordable)
	if target < least {
		return false
	}
	if p.pause > firstPause {
		target = least // it is only to be seen whether things are still so
	}
	*p = probe{
		useful: p.useful, most: p.most, saved: p.saved, fundedAt: p.fundedAt, pause: p.pause, won: p.won, narrowed: p.narrowed, active: true,
		target: target, length: length, start: at, before: e.delay.recentLeast(),
	}
	return true
}

// funds are the bytes that may be spent now.
func (p *probe) funds() float64 {
	if p.won {
		return p.saved + firstSavings
	}
	return p.saved
}

// onSent follows what is sent while a probe is on its way.
func (p *probe) onSent(seq uint16, size int, at time.Duration) {
	p.saved = min(probeSavings, p.saved+probeShare*float64(size))
	if !p.active || p.ended || at-p.start > p.length {
		return
	}
	if !p.any {
		p.first, p.any = seq, true
	}
	if float64(at-p.start) >= tailFrom*float64(p.length) && !p.tailed {
		p.tail, p.tailed = seq, true
	}
	p.sent += size
	p.lastSeq = seq
}

// onAcked follows what arrives of it.
func (p *probe) onAcked(seq uint16, size int, lag int64) {
	if !p.active || !p.any || int16(seq-p.first) < 0 || int16(p.lastSeq-seq) < 0 {
		return
	}
	p.acked += size
	if p.tailed && int16(seq-p.tail) >= 0 && (!p.afterKnown || lag < p.after) {
		p.after, p.afterKnown = lag, true
	}
}

// settleProbe judges a probe once its last packet must have been reported.
func (e *Estimator) settleProbe(at time.Duration) {
	p := &e.probe
	if !p.active || at-p.start < p.length || !p.any {
		return
	}
	if h := e.slot(p.lastSeq); h.seq == p.lastSeq && h.size&stateMask == inFlight {
		return
	}
	if !p.afterKnown || p.sent == 0 {
		e.failProbe(at)
		return
	}
	offered := float64(p.sent) * 8 / p.length.Seconds()
	rise := max(0, float64(p.after)-p.before-e.delay.noise)
	length := float64(p.length / time.Microsecond)
	// The least delay of the tail is that of its beginning: the queue went on growing.
	result := offered * length / (length + rise/tailFrom)
	// What the way loses anyway says nothing about the rate.
	lost := max(0, 1-float64(p.acked)/float64(p.sent)-1.5*e.loss.recent-0.05)
	result *= 1 - lost
	if result >= 0.85*p.target && rise == 0 {
		result = p.target // frames and packets do not come out even
	}
	p.active = false
	p.quietUntil = at + time.Duration(rise)*time.Microsecond + 200*time.Millisecond
	if result >= 0.9*min(p.target, offered) && result > e.rate {
		p.pause, p.won = firstPause, true
		p.next = at + nextStep
	} else {
		p.lose(at)
	}
	if result > e.rate {
		e.rate = min(result, p.target)
		e.probed, e.probedAt = e.rate, at
		e.changed = at
		e.congested = 0
	}
}

func (e *Estimator) failProbe(at time.Duration) {
	p := &e.probe
	p.active = false
	p.lose(at)
}

// lose puts the next probe off.
func (p *probe) lose(at time.Duration) {
	most := mostPause
	if p.narrowed != 0 && at-p.narrowed < lateFor {
		most = latePause
	}
	p.won = false
	p.pause = min(max(2*p.pause, firstPause), most)
	p.next = at + p.pause
}

// postpone keeps probes away after a cut.
func (p *probe) postpone(at, by time.Duration) { p.next = max(p.next, at+by) }

// disturbs reports whether the delay is a probe's doing.
func (p *probe) disturbs(at time.Duration) bool { return p.active || at < p.quietUntil }

// recentLeast is the least delay of the last slots.
func (d *delay) recentLeast() float64 {
	least := d.queue[0]
	for _, q := range d.queue {
		least = min(least, q)
	}
	return least
}
