package framed

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// QueueBytes is what may wait to be written on a connection: half a second at
	// 3 Mbit/s. A queue any longer would make pictures late, not whole.
	QueueBytes = 192 << 10
	// queueReserve may wait beside it, of what [Conn.Say] says.
	queueReserve = 32 << 10
	// writeAtOnce is how much is taken from the queue at a time.
	writeAtOnce = 16 << 10
	// unsentBytes is what the kernel holds before it sends it; the rest is to wait
	// where it is counted.
	unsentBytes = 32 << 10
	// finishWithin is how long the last words of a connection may take.
	finishWithin = 2 * time.Second

	lengthBytes = 2
	rawBytes    = 8 << 10
	readAtOnce  = 8
)

// ErrFrame ends a connection on which something else than datagrams comes.
var ErrFrame = errors.New("framed: a datagram is too long")

// Conn is one connection. Sending and ending it may happen on any goroutine,
// reading on the one that serves it.
type Conn struct {
	port   *Port
	tcp    *net.TCPConn
	from   netip.Addr
	addr   netip.AddrPort
	slot   int
	spoken atomic.Bool
	last   atomic.Int64 // when anything was said, in Unix nanoseconds

	raw   []byte // what has come and was not cut up yet is raw[:have]
	have  int
	bufs  [readAtOnce][]byte
	sizes [readAtOnce]int
	armed bool // reading has a deadline

	mu     sync.Mutex
	wake   sync.Cond
	queue  []byte // framed
	spare  []byte // the other one; nil while it is written
	unsent int    // bytes of both
	ends   bool
}

func newConn(p *Port, tcp *net.TCPConn, from netip.Addr, addr netip.AddrPort, slot int) *Conn {
	c := &Conn{port: p, tcp: tcp, from: from, addr: addr, slot: slot, raw: make([]byte, max(rawBytes, lengthBytes+p.cfg.Size))}
	c.wake.L = &c.mu
	c.last.Store(time.Now().UnixNano())
	limitUnsent(tcp)
	return c
}

// Addr is the connection's stand-in address.
func (c *Conn) Addr() netip.AddrPort { return c.addr }

// Send sends data cut into datagrams of size bytes, the last of which may be
// shorter. It returns how many found room.
func (c *Conn) Send(data []byte, size int) (taken int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(data) > 0 {
		n := min(size, len(data))
		if !c.push(data[:n], QueueBytes) {
			break
		}
		taken++
		data = data[n:]
	}
	if taken > 0 {
		c.wake.Signal()
	}
	return taken
}

// Waiting is how many bytes wait to be written.
func (c *Conn) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unsent
}

// Say sends one datagram, for which some room is kept. It is the sign that the
// connection is somebody's: without it, it is closed after a while. It reports
// whether there was room.
func (c *Conn) Say(b []byte) bool {
	c.last.Store(time.Now().UnixNano())
	if !c.spoken.Load() {
		c.port.speaks(c)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ok := c.push(b, QueueBytes+queueReserve)
	if ok {
		c.wake.Signal()
	}
	return ok
}

// push puts a datagram into the queue. The caller holds c.mu.
func (c *Conn) push(b []byte, most int) bool {
	if c.ends || c.unsent+lengthBytes+len(b) > most || len(b) > 0xffff {
		return false
	}
	c.queue = binary.BigEndian.AppendUint16(c.queue, uint16(len(b)))
	c.queue = append(c.queue, b...)
	c.unsent += lengthBytes + len(b)
	return true
}

// Finish closes the connection once what waits has been written, or could not be for
// a while. It returns at once.
func (c *Conn) Finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ends {
		c.ends = true
		_ = c.tcp.SetWriteDeadline(time.Now().Add(finishWithin))
		c.wake.Signal()
	}
}

// abort closes the connection at once.
func (c *Conn) abort() {
	_ = c.tcp.Close()
	c.mu.Lock()
	c.ends = true
	c.wake.Signal()
	c.mu.Unlock()
}

// write writes what is queued, until the connection ends.
func (c *Conn) write() {
	defer c.tcp.Close()
	for {
		c.mu.Lock()
		for len(c.queue) == 0 && !c.ends {
			c.wake.Wait()
		}
		data := c.queue
		c.queue, c.spare = c.spare[:0], nil
		c.mu.Unlock()
		if len(data) == 0 {
			return
		}
		for rest := data; len(rest) > 0; {
			n, err := c.tcp.Write(rest[:min(len(rest), writeAtOnce)])
			rest = rest[n:]
			c.mu.Lock()
			c.unsent -= n
			if err != nil {
				c.ends = true
			}
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
		c.mu.Lock()
		c.spare = data[:0]
		c.mu.Unlock()
	}
}

// idle reports whether the connection has been of no use for too long.
func (c *Conn) idle(now time.Time) bool {
	most := c.port.cfg.QuietAfter
	if !c.spoken.Load() {
		most = c.port.cfg.FirstWithin
	}
	return now.Sub(time.Unix(0, c.last.Load())) > most
}

// Serve hands on what arrives until the connection ends, and returns why it did. take
// gets how many datagrams have come: none when the time is up that it asked for when
// it was called last. It returns until when to wait for the next; zero waits for
// ever. What take is to look at is valid until it returns.
func (c *Conn) Serve(take func(n int) (until time.Time)) error {
	for {
		n, err := c.tcp.Read(c.raw[c.have:])
		c.have += n
		if n > 0 {
			if err := c.cut(take); err != nil {
				return err
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.arm(take(0))
		} else if err != nil {
			return err
		}
	}
}

// cut hands on the datagrams that have come whole.
func (c *Conn) cut(take func(n int) time.Time) error {
	at, n := 0, 0
	for c.have-at >= lengthBytes {
		size := int(binary.BigEndian.Uint16(c.raw[at:]))
		if size > c.port.cfg.Size {
			return ErrFrame
		}
		if c.have-at < lengthBytes+size {
			break
		}
		if c.bufs[n] == nil {
			c.bufs[n] = make([]byte, c.port.cfg.Size)
		}
		c.sizes[n] = copy(c.bufs[n], c.raw[at+lengthBytes:at+lengthBytes+size])
		at += lengthBytes + size
		if n++; n == readAtOnce {
			c.arm(take(n))
			n = 0
		}
	}
	if n > 0 {
		c.arm(take(n))
	}
	c.have = copy(c.raw, c.raw[at:c.have])
	return nil
}

// arm makes reading wait no longer than until.
func (c *Conn) arm(until time.Time) {
	if until.IsZero() && !c.armed {
		return
	}
	c.armed = !until.IsZero()
	_ = c.tcp.SetReadDeadline(until) // fails only when closed, which reading tells
}

// Datagram is one of those that have come, and the connection's stand-in address.
func (c *Conn) Datagram(i int) ([]byte, netip.AddrPort) { return c.bufs[i][:c.sizes[i]], c.addr }

// Swap gives the buffer of a datagram away for another one of the same size.
func (c *Conn) Swap(i int, other []byte) []byte {
	buf := c.bufs[i]
	c.bufs[i] = other
	return buf
}
