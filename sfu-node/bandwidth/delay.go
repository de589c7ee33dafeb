package bandwidth

import "time"

// signal is what the delay says of the way.
type signal int

const (
	steady   signal = iota
	draining        // a queue gets shorter
	overused        // a queue grows, or stays long
)

const (
	slotMicros = 50_000
	// On a noisy way a slot goes on until it has slotPackets, but not beyond
	// longSlot: the least of few says little.
	slotPackets = 10
	longSlot    = 250_000
	noisy       = 4_000

	slots     = 8 // over which the trend is taken
	baseSlots = 600
	// Thresholds, in microseconds; the noise of the way is added.
	queueLimit    = 25_000
	standingLimit = 150_000
	trendLimit    = 5_000

	// standingCuts is how often a queue that does not fall is cut for.
	standingCuts = 3
)

// delay follows how long packets wait on the way. Its samples are the least
// one-way delay, up to a constant, of the packets sent within each slot.
type delay struct {
	slot    int64 // when the present slot began
	least   int64
	packets int
	open    bool

	queue [slots]float64 // least delay of the last slots, above nothing
	n     int

	// The base is the least delay of one to two periods of baseSlots.
	base, nextBase int64
	baseAge        int
	based          bool

	noise   float64 // mean distance from the trend
	waiting float64 // in the last slot, above the base
}

func (d *delay) reset() { *d = delay{noise: 2_000} }

// rebase takes the present delay as that of an empty way.
func (d *delay) rebase() {
	if d.n > 0 {
		d.base = int64(d.queue[(d.n-1)%slots])
		d.nextBase, d.baseAge, d.waiting = d.base, 0, 0
	}
}

// high reports whether there is a queue that must not be added to.
func (d *delay) high() bool { return d.waiting > d.limit() }

func (d *delay) limit() float64 { return queueLimit + 5*d.noise }

// add takes one packet: when it was sent and how much later it arrived, by two
// clocks with an unknown difference, in microseconds.
func (d *delay) add(sent, lag int64) signal {
	age := sent - d.slot
	switch {
	case !d.open:
		d.begin(sent, lag)
		d.open = true
	case age < 0: // late, from the slot before
	case age < slotMicros || d.noise > noisy && d.packets < slotPackets && age < longSlot:
		d.least = min(d.least, lag)
		d.packets++
	default:
		s := d.close()
		d.begin(sent, lag)
		return s
	}
	return steady
}

func (d *delay) begin(sent, lag int64) { d.slot, d.least, d.packets = sent, lag, 1 }

// close takes the finished slot's delay.
func (d *delay) close() signal {
	if !d.based || d.least < d.base {
		d.base, d.based = d.least, true
	}
	if d.baseAge == 0 || d.least < d.nextBase {
		d.nextBase = d.least
	}
	if d.baseAge++; d.baseAge == baseSlots {
		d.base, d.baseAge = d.nextBase, 0
	}
	d.queue[d.n%slots] = float64(d.least)
	d.n++
	d.waiting = float64(d.least - d.base)
	if d.n < slots {
		return steady
	}
	rise, residual := d.trend()
	limit := d.limit()
	s := steady
	switch {
	case d.waiting > limit && rise > max(trendLimit, 1.5*d.noise) && d.grows(limit):
		s = overused
	case d.waiting > standingLimit+5*d.noise && rise > -trendLimit:
		s = overused
	case d.waiting > limit/2 && rise < -trendLimit:
		s = draining
	}
	d.noise += (min(residual, 50_000) - d.noise) / 16
	return s
}

// grows reports whether the queue of the last slot is no accident: there was one
// in the slot before, and it has not begun to empty. One long frame, or a receiver
// that slept, makes a queue that falls at once.
func (d *delay) grows(limit float64) bool {
	last, before := d.queue[(d.n-1)%slots], d.queue[(d.n-2)%slots]
	return before-float64(d.base) > limit/2 && last > before-d.noise
}

// trend fits a line to the slots: its rise from first to last, and the mean
// distance from it.
func (d *delay) trend() (rise, residual float64) {
	const middle = float64(slots-1) / 2
	var mean, covariance, variance float64
	for i := range slots {
		mean += d.queue[(d.n+i)%slots] / slots
	}
	for i := range slots {
		x := float64(i) - middle
		covariance += x * (d.queue[(d.n+i)%slots] - mean)
		variance += x * x
	}
	slope := covariance / variance
	for i := range slots {
		off := d.queue[(d.n+i)%slots] - mean - slope*(float64(i)-middle)
		residual += max(off, -off) / slots
	}
	return slope * (slots - 1), residual
}

const second = time.Second

const (
	meterSlot  = 25 * time.Millisecond
	meterSlots = 48 // 1.2 s
)

// meter measures a rate over up to a second.
type meter struct {
	bytes [meterSlots]int32
	slot  int64
	last  time.Duration // of the newest packet
	first time.Duration
	begun bool
}

func (m *meter) add(at time.Duration, size int) {
	slot := int64(at / meterSlot)
	switch {
	case !m.begun || slot-m.slot >= meterSlots:
		clear(m.bytes[:])
		m.slot = slot
		if !m.begun {
			m.first, m.begun = at, true
		}
	case slot > m.slot:
		for s := m.slot + 1; s <= slot; s++ {
			m.bytes[index(s)] = 0
		}
		m.slot = slot
	case m.slot-slot >= meterSlots:
		return
	}
	m.bytes[index(slot)] += int32(size)
	m.last = max(m.last, at)
}

func index(slot int64) int64 { return (slot%meterSlots + meterSlots) % meterSlots }

// rate is in bits per second over the span before at, the present slot left out.
func (m *meter) rate(at, span time.Duration) float64 {
	if !m.begun || at-m.first < 2*meterSlot {
		return 0
	}
	now := int64(at / meterSlot)
	n := int64(min(span, at-m.first) / meterSlot)
	total := 0.0
	for s := now - n; s < now; s++ {
		if s <= m.slot && s > m.slot-meterSlots {
			total += float64(m.bytes[index(s)])
		}
	}
	return total * 8 / (time.Duration(n) * meterSlot).Seconds()
}

// burst is the highest rate of run slots in a row among the last span: while there
// is a queue, what the way carries.
func (m *meter) burst(at time.Duration, run, span int64) float64 {
	now, most, sum := int64(at/meterSlot), int64(0), int64(0)
	for i := range span {
		sum += m.slotBytes(now - span + i)
		if i >= run {
			sum -= m.slotBytes(now - span + i - run)
		}
		most = max(most, sum)
	}
	return float64(most) * 8 / (time.Duration(run) * meterSlot).Seconds()
}

func (m *meter) slotBytes(slot int64) int64 {
	if !m.begun || slot > m.slot || slot <= m.slot-meterSlots {
		return 0
	}
	return int64(m.bytes[index(slot)])
}

const peakSeconds = 10

// peak remembers the highest rate of each of the last seconds.
type peak struct {
	rates [peakSeconds]float64
	times [peakSeconds]int64
}

func (p *peak) add(at time.Duration, rate float64) {
	t := int64(at/second) + 1
	i := t % peakSeconds
	if p.times[i] != t {
		p.times[i], p.rates[i] = t, 0
	}
	p.rates[i] = max(p.rates[i], rate)
}

func (p *peak) forget() { *p = peak{} }

func (p *peak) most(at time.Duration) float64 {
	now, most := int64(at/second)+1, 0.0
	for i, t := range p.times {
		if t != 0 && now-t < peakSeconds {
			most = max(most, p.rates[i])
		}
	}
	return most
}
