package sfu

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/sfu-node/layer"
)

// What a receiver's way carries, as its egress estimates it, is shared out here:
// sound first, then pictures by priority, each of which gets a layer or pauses.

const (
	// voiceKbps is kept free for somebody who begins to speak.
	voiceKbps = 50
	// slackKbps is what the node's own reports and the roster may take.
	slackKbps = 20
)

// byPriority lists the publications that p is to see in the order in which they
// get a share of its way: pinned ones, screens, who speaks, then the highest.
func (r *Room) byPriority(p *Peer) []*publication {
	p.ranked = append(p.ranked[:0], p.order...)
	speaks := func(pub *publication) int {
		if i := slices.Index(r.spoken, pub.identity); i >= 0 {
			return i
		}
		return len(r.spoken)
	}
	slices.SortStableFunc(p.ranked, func(a, b *publication) int {
		return cmp.Or(
			rankPinned(p.want[a.view()])-rankPinned(p.want[b.view()]),
			cmp.Compare(b.source, a.source),
			speaks(a)-speaks(b),
			wantedHeight(p, b)-wantedHeight(p, a),
		)
	})
	return p.ranked
}

// budget is how many kbit/s there are for p's pictures; 0 means any number.
func (p *Peer) budget(now time.Duration) int64 {
	e := &p.egress
	e.mu.Lock()
	rate, known := e.watch.Estimate(now)
	connected := e.sealer != nil
	e.mu.Unlock()
	budget := p.profile.ReceiveKbps
	if connected || known {
		if kbps := rate / 1000; budget == 0 || kbps < budget {
			budget = kbps
		}
	}
	if budget == 0 {
		return 0
	}
	return max(1, budget-p.sound()-slackKbps)
}

// carries is how many kbit/s p's way was found to carry; 0 is not known.
func (p *Peer) carries() int64 {
	e := &p.egress
	e.mu.Lock()
	defer e.mu.Unlock()
	rate, known := e.watch.Estimate(p.sfu.now())
	if !known {
		return 0
	}
	return rate / 1000
}

// sound is how many kbit/s p's sound takes.
func (p *Peer) sound() (kbps int64) {
	any := false
	for _, s := range p.audio {
		if s.carries != nil {
			kbps += s.carries.flows[layer.Count-1].Kbps
			any = true
		}
	}
	if any {
		kbps += voiceKbps
	}
	return kbps
}

// silentFor is how long nothing at all is sent before it is tried whether a
// picture gets through.
const (
	silentFor = 3 * time.Second
	// trialFor is how long it then goes on if no queue comes of it.
	trialFor = 2 * time.Second
)

// breakSilence chooses the smallest layer of the first picture where nothing is
// sent, not even sound: then nobody reports, and no estimate would ever change.
func (p *Peer) breakSilence(demands []layer.Demand, chosen []int, now time.Duration) {
	for _, c := range chosen {
		if c != layer.None {
			return
		}
	}
	e := &p.egress
	e.mu.Lock()
	silent := e.left == 0 || now-e.left >= silentFor
	congested := e.watch.Congested(now)
	e.mu.Unlock()
	if silent {
		p.tried = now
	}
	if len(chosen) > 0 && (silent || now-p.tried < trialFor && !congested) {
		chosen[0] = demands[0].Above(layer.None)
	}
}

// say tells the egress what was decided: how much is sent, and which rates would
// be put to use, if they were there: by the first picture that could be better,
// and by all.
func (p *Peer) say(budget int64, demands []layer.Demand, chosen []int, now time.Duration) {
	if budget == 0 {
		p.assigned.Store(0)
		return
	}
	other := p.sound() + slackKbps
	used, most, more := other, other, int64(0)
	for i, c := range chosen {
		used += demands[i].Kbps(c)
		most += demands[i].Kbps(layer.Choose(demands[i]))
		if next := demands[i].Above(c); more == 0 && next != layer.None {
			more = demands[i].Kbps(next) - demands[i].Kbps(c)
		}
	}
	var want int64
	if more > 0 {
		want = bounded(used+more, other, p.profile.ReceiveKbps)
	}
	e := &p.egress
	e.mu.Lock()
	e.watch.Want(want*1000, bounded(most, other, p.profile.ReceiveKbps)*1000)
	rate, known := e.watch.Estimate(now)
	e.mu.Unlock()
	p.assigned.Store(min(used*1000, rate))
	if known && want*1000 > rate {
		p.nudgePacer()
	}
}

// bounded is the estimate with which so much would be sent, of which other is not
// for pictures, as far as the profile allows.
func bounded(kbps, other, profile int64) int64 {
	kbps = (kbps-other)*100/layer.UpShare + other + 1
	if profile > 0 {
		kbps = min(kbps, profile)
	}
	return kbps
}

// aimShort chooses anew for those whose ways have got narrower. The caller holds
// Room.mu.
func (r *Room) aimShort(now time.Duration) {
	for _, p := range r.arrivals {
		if p.short.Swap(false) && r.aimPeer(p, now) {
			r.sendStreams(p)
		}
	}
}

const (
	// After a picture has had to be made smaller it is not made larger for so
	// long, and ever longer if it was made larger in vain.
	holdFor  = 2 * time.Second
	holdMost = 8 * time.Second
	// A larger picture that lasted so long was right.
	holdProof = 10 * time.Second
)

// hold keeps a stream from going up and down all the time. Room.mu guards it.
type hold struct {
	until   time.Duration
	raised  time.Duration
	lowered time.Duration
	next    time.Duration // how long to hold
}

// note follows what is chosen for a stream.
func (h *hold) note(d layer.Demand, chosen int, paused bool, now time.Duration) {
	best := layer.Choose(d)
	switch {
	case chosen > d.Current:
		if d.Current != layer.None || paused {
			h.raised = now
		}
	case chosen < d.Current && chosen < best:
		switch {
		case h.raised == 0 || now-h.raised > holdProof:
			h.next = holdFor
		case h.raised >= h.lowered: // another step down on the same way proves nothing more
			h.next = min(max(2*h.next, holdFor), holdMost)
		}
		h.lowered, h.until = now, now+h.next
	}
}

// nominal returns the kbit/s that a picture of some height usually takes, for
// layers of which nothing is known yet.
func nominal(height int) int64 {
	switch {
	case height <= 0:
		return 0
	case height <= 180:
		return 150
	case height <= 360:
		return 500
	}
	return 1700
}

// assume fills in what layers that flow are likely to take.
func assume(flows [layer.Count]layer.Flow) [layer.Count]layer.Flow {
	for i := range flows {
		if f := &flows[i]; f.Live && f.Kbps == 0 {
			f.Kbps = nominal(f.Height)
		}
	}
	return flows
}

// onTransport takes transport-wide feedback.
func (p *Peer) onTransport(packet []byte, now time.Duration) {
	e := &p.egress
	e.mu.Lock()
	e.watch.OnFeedback(packet, now)
	rate, _ := e.watch.Estimate(now)
	e.mu.Unlock()
	if rate < p.assigned.Load() && !p.short.Swap(true) {
		p.room.congested.Store(true)
		p.room.poke()
	}
}

// onReception takes the report blocks of a sender's or receiver's report
// (RFC 3550, section 6.4.1): what is lost of all streams together.
func (p *Peer) onReception(blocks []byte, count int, now time.Duration) {
	var expected, lost uint64
	for ; count > 0 && len(blocks) >= 24; count, blocks = count-1, blocks[24:] {
		s := p.streamOf(binary.BigEndian.Uint32(blocks))
		if s == nil {
			continue
		}
		highest := binary.BigEndian.Uint32(blocks[8:])
		n := highest - s.received
		if s.received == 0 || int32(n) < 0 {
			n = 1
		}
		s.received = highest
		expected += uint64(n)
		lost += uint64(n) * uint64(blocks[4])
	}
	if expected == 0 {
		return
	}
	p.sfu.count.Reported.Add(int64(expected))
	p.sfu.count.ReportedLost.Add(int64(lost))
	e := &p.egress
	e.mu.Lock()
	e.watch.OnReport(uint8(lost/expected), now)
	e.mu.Unlock()
}
