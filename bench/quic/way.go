package main

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// shape is what a way between two ends does to datagrams, in each direction. The
// zero value is no way at all: the ends see each other.
type shape struct {
	mbps      float64       // 0 is as much as comes
	queue     time.Duration // what would wait longer than this for its turn is lost
	delay     time.Duration
	loseOneIn int64 // 0 is none
}

var local = netip.MustParseAddr("127.0.0.1")

// way stands between a dialling end and a listening one, which each see the way's
// near end in place of the other. Connections pass unshaped.
type way struct {
	shape   shape
	tcp     *net.TCPListener
	near    *net.UDPConn // the dialling end sends here
	far     *net.UDPConn // sends to the listening end
	to      netip.AddrPort
	from    atomic.Pointer[netip.AddrPort] // the dialling end
	bytes   atomic.Int64
	working sync.WaitGroup

	mu   sync.Mutex
	open []net.Conn
	shut bool
}

// newWay makes a way to a port of this machine. from is the dialling end's port, if
// that is known before it sends.
func newWay(s shape, to, from int) (*way, error) {
	w := &way{shape: s, to: netip.AddrPortFrom(local, uint16(to))}
	if from != 0 {
		a := netip.AddrPortFrom(local, uint16(from))
		w.from.Store(&a)
	}
	for w.near == nil {
		l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: local.AsSlice()})
		if err != nil {
			return nil, err
		}
		if w.near, err = net.ListenUDP("udp4", &net.UDPAddr{IP: local.AsSlice(), Port: l.Addr().(*net.TCPAddr).Port}); err != nil {
			_ = l.Close() // somebody has that port for UDP
			continue
		}
		w.tcp = l
	}
	var err error
	if w.far, err = net.ListenUDP("udp4", &net.UDPAddr{IP: local.AsSlice()}); err != nil {
		w.close()
		return nil, err
	}
	for _, c := range []*net.UDPConn{w.near, w.far} {
		_ = c.SetReadBuffer(4 << 20)
	}
	w.working.Go(w.accept)
	w.carry(w.near, w.far, func() *netip.AddrPort { return &w.to })
	w.carry(w.far, w.near, w.from.Load)
	return w, nil
}

// port is where the dialling end finds the listening one; back is the other way
// round.
func (w *way) port() int { return w.tcp.Addr().(*net.TCPAddr).Port }
func (w *way) back() int { return w.far.LocalAddr().(*net.UDPAddr).Port }

func (w *way) close() {
	w.mu.Lock()
	w.shut = true
	for _, c := range w.open {
		_ = c.Close()
	}
	w.mu.Unlock()
	_ = w.tcp.Close()
	_ = w.near.Close()
	if w.far != nil {
		_ = w.far.Close()
	}
	w.working.Wait()
}

// parcel is a datagram under way.
type parcel struct {
	due  time.Time
	data []byte
}

// carry moves datagrams one way. One goroutine reads and decides, another delivers
// in order.
func (w *way) carry(in, out *net.UDPConn, to func() *netip.AddrPort) {
	under := make(chan parcel, 1<<14)
	w.working.Go(func() {
		defer close(under)
		var free time.Time // when what was taken last has left
		var n int64
		buf := make([]byte, 2048)
		for {
			size, from, err := in.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if in == w.near && w.from.Load() == nil {
				w.from.Store(&from)
			}
			w.bytes.Add(int64(size))
			now := time.Now()
			if free.Before(now) {
				free = now
			}
			if n++; w.shape.loseOneIn > 0 && n%w.shape.loseOneIn == 0 {
				continue
			}
			if w.shape.mbps > 0 {
				if free.Sub(now) > w.shape.queue {
					continue
				}
				free = free.Add(time.Duration(float64(size*8) / w.shape.mbps * 1000))
			}
			select {
			case under <- parcel{due: free.Add(w.shape.delay), data: append([]byte(nil), buf[:size]...)}:
			default: // more than anything here offers
			}
		}
	})
	w.working.Go(func() {
		for p := range under {
			time.Sleep(time.Until(p.due))
			if a := to(); a != nil {
				_, _ = out.WriteToUDPAddrPort(p.data, *a)
			}
		}
	})
}

func (w *way) accept() {
	for {
		in, err := w.tcp.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp4", w.to.String())
		if err != nil {
			_ = in.Close()
			continue
		}
		w.mu.Lock()
		w.open = append(w.open, in, out)
		if w.shut {
			_, _ = in.Close(), out.Close()
		}
		w.mu.Unlock()
		for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
			w.working.Go(func() {
				_, _ = io.Copy(pair[0], pair[1])
				_, _ = in.Close(), out.Close()
			})
		}
	}
}
