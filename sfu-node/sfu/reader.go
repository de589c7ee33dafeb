package sfu

import (
	"net/netip"
	"time"

	"github.com/spillway-sfu/spillway/sfu-node/burst"
	"github.com/spillway-sfu/spillway/sfu-node/framed"
)

// arrivals are the datagrams that have come.
type arrivals interface {
	// Datagram is one of them, and where it is from.
	Datagram(i int) ([]byte, netip.AddrPort)
	// Swap gives the buffer of one away for another of the same size.
	Swap(i int, other []byte) []byte
}

var (
	_ arrivals = (*burst.Reader)(nil)
	_ arrivals = (*framed.Conn)(nil)
)

// reader reads one of the node's sockets. What has arrived is read at once and
// handled in one go: all of it that is to be forwarded leaves together.
type reader struct {
	sfu       *SFU
	datagrams arrivals
	batch     *batch
	waiting   []*uplink // those that hold a frame that is not complete
	inside    *Peer     // whose intake is locked
	joint
}

// gatherFor is how long the first packets of a frame wait for the others. It ends
// with the frame, so it delays no picture, only packets whose frame is late.
const gatherFor = 2 * time.Millisecond

// read starts to read all sockets.
func (s *SFU) read() error {
	for i, conn := range s.socket.conns {
		datagrams, err := burst.NewReader(conn, mtu, s.cfg.Plain)
		if err != nil {
			return err
		}
		r := &reader{sfu: s, datagrams: datagrams, batch: s.newBatch(i)}
		s.socket.reading.Go(func() {
			_ = datagrams.Serve(r.take) // ends when the socket is closed
		})
	}
	return nil
}

// serve reads a TCP connection. What it holds of a frame when it ends goes on as it
// is.
func (s *SFU) serve(c *framed.Conn) {
	r := &reader{sfu: s, datagrams: c}
	borrowed := func(what func() time.Time) time.Time {
		r.batch = s.takeBatch()
		defer func() { r.batch.release(); r.batch = nil }()
		return what()
	}
	_ = c.Serve(func(n int) time.Time { return borrowed(func() time.Time { return r.take(n) }) })
	borrowed(func() time.Time { return r.forward(s.now() + gatherFor) })
}

// take handles n datagrams.
func (r *reader) take(n int) time.Time {
	now := r.sfu.now()
	for i := range n {
		b, from := r.datagrams.Datagram(i)
		if isMedia(b) {
			r.media(i, b, from, now)
		} else if len(b) > 0 && !r.sfu.socket.hand(b, from) {
			r.sfu.count.drop(DropHanded)
		}
	}
	return r.forward(now)
}

// forward forwards what is complete, or has waited long enough. It returns when to
// look again.
func (r *reader) forward(now time.Duration) time.Time {
	r.lock(nil)
	r.forwardReady()
	until := r.gather(now)
	r.batch.flush()
	return until
}

// isMedia tells RTP and RTCP from everything else on the port (RFC 7983).
func isMedia(b []byte) bool { return len(b) > 0 && b[0]>>6 == 2 }

// isRTCP tells RTCP from RTP (RFC 5761, section 4).
func isRTCP(b []byte) bool { return len(b) >= 2 && b[1] >= 192 && b[1] <= 223 }

func (r *reader) media(i int, b []byte, from netip.AddrPort, now time.Duration) {
	p := r.sfu.links.find(from)
	if p == nil {
		r.sfu.count.drop(DropStranger)
		return
	}
	r.lock(p)
	if isRTCP(b) {
		p.onRTCP(b, now)
	} else {
		p.onRTP(r, i, b, now)
	}
}

// lock locks the intake of p, nobody's when nil, in place of the one before.
func (r *reader) lock(p *Peer) {
	if r.inside == p {
		return
	}
	if r.inside != nil {
		r.inside.intake.mu.Unlock()
	}
	if p != nil {
		p.intake.mu.Lock()
	}
	r.inside = p
}

// spreadAfter is how many waits in vain show that a sender spaces packets out.
const spreadAfter = 8

// spread notes that a packet came, and reports whether the sender spaces its packets
// out so that waiting would only delay them. Packets that come close to each other
// show that it no longer does.
func (u *uplink) spread(now time.Duration) bool {
	if now-u.last < gatherFor {
		u.alone = 0
	}
	u.last = now
	return u.alone >= spreadAfter
}

// hold notes that an uplink, whose latest packet q arrived at now, holds what can go,
// or lets it wait for the rest of its frame.
func (r *reader) hold(u *uplink, q *packet, now time.Duration) {
	switch spread := u.spread(now); {
	case len(u.held) == maxHeld:
		u.flushTo(r.batch)
	case !spread && !u.complete(q):
		r.wait(u, now)
	case !u.ready:
		u.ready = true
		r.ready = append(r.ready, u)
	}
}

// wait notes that an uplink holds a frame that is not complete.
func (r *reader) wait(u *uplink, now time.Duration) {
	if len(u.held) == 1 {
		u.until = now + gatherFor
	}
	if !u.waits {
		u.waits = true
		r.waiting = append(r.waiting, u)
	}
}

// gather forwards what has waited long enough. It returns when to look again.
func (r *reader) gather(now time.Duration) time.Time {
	var next time.Duration
	still := r.waiting[:0]
	for _, u := range r.waiting {
		u.in.Lock()
		switch {
		case len(u.held) == 0:
			u.waits = false
		case u.until <= now:
			if len(u.held) == 1 {
				u.alone++
			}
			u.flushTo(r.batch)
			u.waits = false
		default:
			still = append(still, u)
			if next == 0 || u.until < next {
				next = u.until
			}
		}
		u.in.Unlock()
	}
	clear(r.waiting[len(still):])
	r.waiting = still
	if next == 0 {
		return time.Time{}
	}
	return r.sfu.epoch.Add(next)
}
