// Package framed carries datagrams on TCP connections (RFC 4571), as ICE does where
// a network blocks UDP (RFC 6544).
//
// A [Port] accepts connections. Each of them has a stand-in address, in a range from
// which nothing can come over a network, and no two the same one: so whoever tells
// senders apart by address, and sends to addresses, needs to know nothing of TCP.
//
// What is sent never waits: it is copied into the connection's queue, which is
// bounded, and a datagram that finds it full is dropped, as a network would. One
// goroutine for each connection writes.
package framed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// MaxConns bounds the connections of a port.
	MaxConns = 4096
	// maxUnspoken bounds those that nobody has said anything on, in all and of one
	// address: they may be anybody's.
	maxUnspoken     = 512
	maxUnspokenEach = 64
)

// Config says how a port is to run. Zero durations get the defaults named with them.
type Config struct {
	Listener net.Listener
	// Six makes stand-in addresses IPv6 ones.
	Six bool
	// Size is the longest datagram that is taken. A longer one ends the connection.
	Size int
	// Serve reads a connection with [Conn.Serve], on a goroutine of its own. The
	// connection is closed when it returns.
	Serve func(*Conn)

	FirstWithin time.Duration // 10 s: for the first word on a connection
	QuietAfter  time.Duration // 30 s: without a word it is closed
}

// Port accepts connections. Its methods may be called from any goroutine.
type Port struct {
	cfg   Config
	slots [MaxConns]atomic.Pointer[Conn]
	done  chan struct{}
	work  sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	lives    uint32 // connections so far
	next     int    // the slot to try first
	unspoken map[netip.Addr]int
	silent   int // the sum of these
}

// Open starts to accept connections. Close ends it, and the listener.
func Open(cfg Config) *Port {
	if cfg.FirstWithin <= 0 {
		cfg.FirstWithin = 10 * time.Second
	}
	if cfg.QuietAfter <= 0 {
		cfg.QuietAfter = 30 * time.Second
	}
	p := &Port{cfg: cfg, done: make(chan struct{}), unspoken: map[netip.Addr]int{}}
	p.work.Go(p.accept)
	p.work.Go(p.sweep)
	return p
}

// Number is the number of the port.
func (p *Port) Number() int { return p.cfg.Listener.Addr().(*net.TCPAddr).Port }

// Close ends the port and its connections, and waits for all that they run.
func (p *Port) Close() error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	p.mu.Unlock()
	if !first {
		return nil
	}
	close(p.done)
	err := p.cfg.Listener.Close()
	for i := range p.slots {
		if c := p.slots[i].Load(); c != nil {
			c.Finish()
		}
	}
	p.work.Wait()
	return err
}

// Stands reports whether an address stands for a connection: 0.0.0.0/8 and 100::/64
// are no sources (RFC 1122, section 3.2.1.3; RFC 6666).
func Stands(a netip.AddrPort) bool {
	ip := a.Addr()
	if ip.Is4() {
		return ip.As4()[0] == 0
	}
	b := ip.As16()
	return b[0] == 1 && binary.BigEndian.Uint64(b[:]) == 0x0100<<48
}

// standIn is the address of a slot's connection in one of its lives.
func standIn(six bool, life uint32, slot int) netip.AddrPort {
	if six {
		var b [16]byte
		b[0] = 1
		binary.BigEndian.PutUint32(b[12:], life)
		return netip.AddrPortFrom(netip.AddrFrom16(b), uint16(slot+1))
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], life&0xffffff)
	return netip.AddrPortFrom(netip.AddrFrom4(b), uint16(slot+1))
}

// Find returns the connection that an address stands for, nil when it has ended.
func (p *Port) Find(a netip.AddrPort) *Conn {
	slot := int(a.Port()) - 1
	if slot < 0 || slot >= MaxConns {
		return nil
	}
	if c := p.slots[slot].Load(); c != nil && c.addr == a {
		return c
	}
	return nil
}

func (p *Port) accept() {
	wait := time.Duration(0)
	for {
		conn, err := p.cfg.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // too many open files, say
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			select {
			case <-p.done:
				return
			case <-time.After(wait):
			}
			continue
		}
		wait = 0
		tcp := conn.(*net.TCPConn)
		if c := p.admit(tcp); c != nil {
			p.work.Go(c.write)
			p.work.Go(func() {
				defer p.gone(c)
				p.cfg.Serve(c)
			})
		} else {
			_ = tcp.SetLinger(0) // a refusal is to leave nothing behind
			_ = tcp.Close()
		}
	}
}

// admit gives a connection its place, or returns nil when there is none.
func (p *Port) admit(tcp *net.TCPConn) *Conn {
	from := tcp.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.silent == maxUnspoken || p.unspoken[from] == maxUnspokenEach {
		return nil
	}
	for range MaxConns {
		slot := p.next
		p.next = (p.next + 1) % MaxConns
		if p.slots[slot].Load() != nil {
			continue
		}
		if p.lives++; p.lives&0xffffff == 0 {
			p.lives++
		}
		c := newConn(p, tcp, from, standIn(p.cfg.Six, p.lives, slot), slot)
		p.slots[slot].Store(c)
		p.unspoken[from]++
		p.silent++
		return c
	}
	return nil
}

// gone frees a connection's place.
func (p *Port) gone(c *Conn) {
	c.abort()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slots[c.slot].CompareAndSwap(c, nil)
	if !c.spoken.Load() {
		p.heard(c)
	}
}

// speaks notes the first word on a connection.
func (p *Port) speaks(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !c.spoken.Swap(true) && p.slots[c.slot].Load() == c {
		p.heard(c)
	}
}

// heard takes a connection from those that nobody has spoken on. The caller holds
// p.mu.
func (p *Port) heard(c *Conn) {
	p.silent--
	if p.unspoken[c.from]--; p.unspoken[c.from] == 0 {
		delete(p.unspoken, c.from)
	}
}

// sweep closes connections that are of no use to anybody.
func (p *Port) sweep() {
	tick := time.NewTicker(min(p.cfg.FirstWithin, p.cfg.QuietAfter) / 4)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-tick.C:
		}
		now := time.Now()
		for i := range p.slots {
			if c := p.slots[i].Load(); c != nil && c.idle(now) {
				c.abort()
			}
		}
	}
}

// Listen opens a port for [Open] at an address; unspecified IPv6 takes IPv4 as well
// when both is set.
func Listen(at netip.AddrPort, both bool) (net.Listener, error) {
	network := "tcp4"
	switch {
	case both:
		network = "tcp"
	case at.Addr().Is6():
		network = "tcp6"
	}
	l, err := net.ListenTCP(network, net.TCPAddrFromAddrPort(at))
	if err != nil {
		return nil, fmt.Errorf("listen on TCP: %w", err)
	}
	return l, nil
}
