package lightpeer

import (
	"container/heap"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"
)

// Way is what a simulated network does to packets of one direction.
type Way struct {
	// Kbps is the bottleneck's rate, IP and UDP headers included; 0 is any.
	Kbps int64
	// Queue is how long packets may wait for the bottleneck; what would wait longer
	// is dropped. 0 means 400 ms.
	Queue time.Duration
	Delay time.Duration
	// Jitter is added to the delay, anything from none to all of it, for each packet
	// anew: packets overtake each other.
	Jitter time.Duration
	// Loss is the share of packets that get lost, 0 to 1.
	Loss float64
}

const (
	usualQueue = 400 * time.Millisecond
	headers    = 28 // IPv4 and UDP
)

// Link is a socket behind a simulated network: for [Options.Socket], where the
// kernel has no netem. Its random numbers are its own, so that the same packets
// have the same fate.
type Link struct {
	net.PacketConn
	down, up *direction
	closed   chan struct{}
	once     sync.Once
	running  sync.WaitGroup

	arrived  chan struct{} // something is in inbox, or the deadline has changed
	mu       sync.Mutex
	inbox    []datagram
	err      error // of the socket
	deadline time.Time
}

type datagram struct {
	data []byte
	peer net.Addr
	at   time.Time
	n    int64
}

// NewLink puts a network before a socket, which is closed with it.
func NewLink(conn net.PacketConn, down, up Way) *Link {
	l := &Link{PacketConn: conn, closed: make(chan struct{}), arrived: make(chan struct{}, 1)}
	l.down = newDirection(down, 1, l.deliver)
	l.up = newDirection(up, 2, func(d datagram) { _, _ = conn.WriteTo(d.data, d.peer) })
	l.running.Go(func() { l.down.run(l.closed) })
	l.running.Go(func() { l.up.run(l.closed) })
	l.running.Go(l.read)
	return l
}

// Down changes what the network does to what arrives.
func (l *Link) Down(w Way) { l.down.change(w) }

// Waiting is how long a packet that arrived now would wait for the bottleneck.
func (l *Link) Waiting() time.Duration {
	l.down.mu.Lock()
	defer l.down.mu.Unlock()
	return max(0, time.Until(l.down.free))
}

// Close implements [net.PacketConn].
func (l *Link) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		err = l.PacketConn.Close()
		l.running.Wait()
	})
	return err
}

func (l *Link) read() {
	buf := make([]byte, 2048)
	for {
		n, from, err := l.PacketConn.ReadFrom(buf)
		if err != nil {
			l.mu.Lock()
			l.err = err
			l.mu.Unlock()
			l.wake()
			return
		}
		l.down.take(datagram{data: append([]byte(nil), buf[:n]...), peer: from})
	}
}

func (l *Link) deliver(d datagram) {
	l.mu.Lock()
	l.inbox = append(l.inbox, d)
	l.mu.Unlock()
	l.wake()
}

func (l *Link) wake() {
	select {
	case l.arrived <- struct{}{}:
	default:
	}
}

// ReadFrom implements [net.PacketConn].
func (l *Link) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		l.mu.Lock()
		err, deadline := l.err, l.deadline
		if len(l.inbox) > 0 {
			d := l.inbox[0]
			l.inbox[0] = datagram{}
			l.inbox = l.inbox[1:]
			l.mu.Unlock()
			return copy(b, d.data), d.peer, nil
		}
		l.mu.Unlock()
		if err != nil {
			return 0, nil, err
		}
		var late <-chan time.Time
		if !deadline.IsZero() {
			late = time.After(time.Until(deadline))
		}
		select {
		case <-l.arrived:
		case <-late:
			return 0, nil, os.ErrDeadlineExceeded
		}
	}
}

// WriteTo implements [net.PacketConn].
func (l *Link) WriteTo(b []byte, to net.Addr) (int, error) {
	select {
	case <-l.closed:
		return 0, net.ErrClosed
	default:
	}
	l.up.take(datagram{data: append([]byte(nil), b...), peer: to})
	return len(b), nil
}

// SetReadDeadline implements [net.PacketConn].
func (l *Link) SetReadDeadline(t time.Time) error {
	l.mu.Lock()
	l.deadline = t
	l.mu.Unlock()
	l.wake()
	return nil
}

// SetDeadline implements [net.PacketConn]; writing never waits.
func (l *Link) SetDeadline(t time.Time) error { return l.SetReadDeadline(t) }

// SetWriteDeadline implements [net.PacketConn]; writing never waits.
func (l *Link) SetWriteDeadline(time.Time) error { return nil }

// direction is one way through the network.
type direction struct {
	out  func(datagram)
	wake chan struct{}

	mu     sync.Mutex
	way    Way
	random *rand.Rand
	free   time.Time // when the bottleneck has sent everything
	onWay  queue
	count  int64
}

func newDirection(w Way, seed uint64, out func(datagram)) *direction {
	return &direction{out: out, wake: make(chan struct{}, 1), way: w, random: rand.New(rand.NewPCG(seed, seed))}
}

func (d *direction) change(w Way) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.way = w
}

// take puts a packet on its way, or loses it.
func (d *direction) take(p datagram) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.free.Before(now) {
		d.free = now
	}
	most := d.way.Queue
	if most == 0 {
		most = usualQueue
	}
	if d.free.Sub(now) > most {
		return
	}
	if d.way.Kbps > 0 {
		d.free = d.free.Add(time.Duration(len(p.data)+headers) * 8 * time.Millisecond / time.Duration(d.way.Kbps))
	}
	if d.random.Float64() < d.way.Loss {
		return
	}
	p.at = d.free.Add(d.way.Delay + time.Duration(d.random.Float64()*float64(d.way.Jitter)))
	d.count++
	p.n = d.count
	heap.Push(&d.onWay, p)
	if d.onWay[0].n == p.n {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
}

// run lets packets out when they arrive.
func (d *direction) run(closed <-chan struct{}) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := time.Hour
		for {
			p, next, ok := d.due()
			if !ok {
				wait = next
				break
			}
			d.out(p)
		}
		timer.Reset(wait)
		select {
		case <-closed:
			return
		case <-d.wake:
		case <-timer.C:
		}
	}
}

func (d *direction) due() (p datagram, next time.Duration, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.onWay) == 0 {
		return p, time.Hour, false
	}
	if left := time.Until(d.onWay[0].at); left > 0 {
		return p, left, false
	}
	return heap.Pop(&d.onWay).(datagram), 0, true
}

// queue is a heap of packets, the next to arrive first.
type queue []datagram

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].n < q[j].n
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(datagram)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

var _ net.PacketConn = (*Link)(nil)
