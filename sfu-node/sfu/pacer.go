package sfu

import (
	"time"

	"github.com/spillway-sfu/spillway/sfu-node/burst"
)

// Media leaves at once. What is sent beside it, packets asked for again and the
// padding of probes, waits where it would make a queue on the way.

const (
	// pacedShare is what repeated packets may take of the estimate, and
	// congestedShare while there is a queue on the way.
	pacedShare     = 0.5
	congestedShare = 0.1
	// pacedRun is how much, in time at their rate, may leave at once; the least is
	// two packets.
	pacedRun   = 5 * time.Millisecond
	pacedLeast = 2 * mtu
	// pacedQueue is how many packets may wait to be repeated. What finds no place is
	// asked for once more.
	pacedQueue = 128
	pacedEvery = 5 * time.Millisecond

	// paddingBytes is the most that padding can be (RFC 3550, section 5.1).
	paddingBytes = 255
)

// pacer holds back what may wait. Its egress's lock guards it.
type pacer struct {
	waiting []repetition // nil until something waits
	first   int
	n       int
	credit  float64 // bytes; what is sent may overdraw it
	counted time.Duration
}

type repetition struct {
	stream   *stream
	sequence uint16
}

// mayRepeat reports whether a packet may be repeated now. The caller holds e.mu.
func (e *egress) mayRepeat(now time.Duration) bool {
	share := pacedShare
	if e.watch.Congested(now) {
		share = congestedShare
	}
	rate, _ := e.watch.Estimate(now)
	return e.pacer.ready(float64(rate)*share/8, now)
}

// ready reports whether a packet may leave now.
func (q *pacer) ready(perSecond float64, now time.Duration) bool {
	most := max(pacedLeast, perSecond*pacedRun.Seconds())
	q.credit = min(most, q.credit+perSecond*(now-q.counted).Seconds())
	q.counted = now
	return q.credit > 0
}

func (q *pacer) spend(bytes int) { q.credit -= float64(bytes) }

// push reports false when there is no place.
func (q *pacer) push(r repetition) bool {
	if q.waiting == nil {
		q.waiting = make([]repetition, pacedQueue)
	}
	if q.n == len(q.waiting) {
		return false
	}
	q.waiting[(q.first+q.n)%len(q.waiting)] = r
	q.n++
	return true
}

func (q *pacer) pop() (r repetition) {
	r = q.waiting[q.first]
	q.waiting[q.first] = repetition{}
	q.first = (q.first + 1) % len(q.waiting)
	q.n--
	return r
}

// again repeats a packet now, or when there is room for it on the way.
func (p *Peer) again(s *stream, sequence uint16, b *batch) {
	e := &p.egress
	now := p.sfu.now()
	e.mu.Lock()
	at := e.pacer.n == 0 && e.mayRepeat(now)
	waits := !at && e.pacer.push(repetition{s, sequence})
	e.mu.Unlock()
	switch {
	case at:
		s.repeat(sequence, b)
	case waits:
		p.nudgePacer()
	}
}

// nudgePacer makes what is paced be looked at soon. It does not block.
func (p *Peer) nudgePacer() {
	select {
	case p.nudge <- struct{}{}:
	default:
	}
}

// pace sends what is paced and due. It returns how soon there may be more, or 0.
func (p *Peer) pace() time.Duration {
	b := p.sfu.takeBatch()
	defer b.release()
	for {
		r, waits := p.nextRepetition()
		if r.stream == nil {
			if again := p.probe(b); again > 0 || !waits {
				return again
			}
			return pacedEvery
		}
		r.stream.repeat(r.sequence, b)
	}
}

// nextRepetition takes a packet that may be repeated now, or none; waits says that
// there are such that have to wait.
func (p *Peer) nextRepetition() (r repetition, waits bool) {
	e := &p.egress
	now := p.sfu.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pacer.n == 0 {
		return r, false
	}
	if !e.mayRepeat(now) {
		return r, true
	}
	return e.pacer.pop(), e.pacer.n > 0
}

// probe sends the padding that the estimator asks for. It returns when to ask
// again, or 0.
func (p *Peer) probe(b *batch) time.Duration {
	e := &p.egress
	e.mu.Lock()
	bytes, again := e.watch.Probe(p.sfu.now())
	e.mu.Unlock()
	if bytes > 0 {
		p.pad(bytes, b)
	}
	return again
}

// pad sends at least so many bytes of padding on a retransmission SSRC, where it
// takes no numbers from media. Without one there is nothing to probe with.
func (p *Peer) pad(bytes int, b *batch) {
	for _, s := range p.video {
		bound := s.bound.Load()
		if bound == nil || bound.rtx == 0 || bound.sink != nil {
			continue
		}
		for bytes > 0 {
			sent := s.padRun(bound, bytes, b)
			if sent == 0 {
				return
			}
			bytes -= sent
		}
		return
	}
}

// padRun sends one run of padding, as much as is asked for or fits. It returns how
// many bytes went into it.
func (s *stream) padRun(bound *binding, bytes int, b *batch) (sent int) {
	b.reserve(maxHeld)
	e, now, head := &s.peer.egress, s.peer.sfu.now(), bound.header()
	count := min(maxHeld, (bytes+head+paddingBytes-1)/(head+paddingBytes))
	s.mu.Lock()
	number, timestamp := s.rtx, s.numbers.Timestamp(now)
	s.rtx += uint16(count)
	s.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sealer == nil || !e.to.IsValid() {
		return 0
	}
	repeat := *bound
	repeat.ssrc = bound.rtx
	start, whole := b.used, head+paddingBytes+e.sealer.Overhead()
	stream := e.sealer.Stream(bound.rtx)
	for i := range uint16(count) {
		at := b.buf[b.used:]
		e.writeHeader(at, &repeat, number+1+i, timestamp, bound.anyRTX(), false, 0)
		at[0] |= 0x20
		clear(at[head : head+paddingBytes])
		at[head+paddingBytes-1] = paddingBytes
		e.finish(&repeat, at, head, head+paddingBytes, stream, b, now)
		sent += whole + addressing
	}
	if b.used > start {
		b.runs = append(b.runs, burst.Run{To: e.to, Data: b.buf[start:b.used], Size: whole})
		s.peer.sfu.count.Probes.Add(int64(b.used-start) / int64(whole))
	}
	return sent
}

// anyRTX is a payload type of retransmission.
func (b *binding) anyRTX() uint8 {
	for _, pt := range b.rtxPts {
		if pt != 0 {
			return pt
		}
	}
	return 0
}
