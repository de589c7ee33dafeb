// Package pipetest has a road between two nodes of a test, which can be cut, or
// lose some of what goes along.
package pipetest

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
)

// Road stands between two nodes on loopback. Each is told that the other is at
// the road's near end.
type Road struct {
	cut     atomic.Bool
	lose    atomic.Int64
	passed  atomic.Int64
	ends    [2]*net.UDPConn
	tcp     [2]*net.TCPListener
	real    [2]netip.AddrPort
	working sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool
	healed chan struct{} // closed unless the road is cut
	closed bool
}

// New makes a road between the pipe ports of two nodes.
func New(t testing.TB, a, b int) *Road {
	t.Helper()
	local := netip.MustParseAddr("127.0.0.1")
	r := &Road{open: map[net.Conn]bool{}, healed: make(chan struct{})}
	close(r.healed)
	r.real = [2]netip.AddrPort{netip.AddrPortFrom(local, uint16(a)), netip.AddrPortFrom(local, uint16(b))}
	for i := range 2 {
		for r.tcp[i] == nil {
			l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: local.AsSlice()})
			if err != nil {
				t.Fatal(err)
			}
			u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: local.AsSlice(), Port: l.Addr().(*net.TCPAddr).Port})
			if err != nil {
				_ = l.Close() // somebody has that port for UDP
				continue
			}
			r.tcp[i], r.ends[i] = l, u
		}
	}
	for i := range 2 {
		r.working.Go(func() { r.carry(i) })
		r.working.Go(func() { r.accept(i) })
	}
	t.Cleanup(r.close)
	return r
}

// A is where b finds a, B where a finds b.
func (r *Road) A() int { return r.tcp[0].Addr().(*net.TCPAddr).Port }

// B is where a finds b.
func (r *Road) B() int { return r.tcp[1].Addr().(*net.TCPAddr).Port }

// Cut stops everything on the road, without anybody being told.
func (r *Road) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.cut.Swap(true) {
		r.healed = make(chan struct{})
	}
}

// Heal opens the road again. Connections from before are gone.
func (r *Road) Heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cut.Swap(false) {
		for c := range r.open {
			_ = c.Close()
		}
		close(r.healed)
	}
}

// Lose drops one in n datagrams; 0 drops none.
func (r *Road) Lose(n int64) { r.lose.Store(n) }

func (r *Road) close() {
	r.Heal()
	r.mu.Lock()
	r.closed = true
	for c := range r.open {
		_ = c.Close()
	}
	r.mu.Unlock()
	for i := range 2 {
		_ = r.tcp[i].Close()
		_ = r.ends[i].Close()
	}
	r.working.Wait()
}

// carry takes datagrams for node i, and sends them on from the other end.
func (r *Road) carry(i int) {
	buf := make([]byte, 2048)
	for {
		n, _, err := r.ends[i].ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		lose := r.lose.Load()
		if r.cut.Load() || lose > 0 && r.passed.Add(1)%lose == 0 {
			continue
		}
		_, _ = r.ends[1-i].WriteToUDPAddrPort(buf[:n], r.real[i])
	}
}

// accept joins connections to node i with it.
func (r *Road) accept(i int) {
	for {
		in, err := r.tcp[i].Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp4", r.real[i].String())
		if err != nil {
			_ = in.Close()
			continue
		}
		r.mu.Lock()
		r.open[in], r.open[out] = true, true
		closed := r.closed
		r.mu.Unlock()
		if closed {
			_, _ = in.Close(), out.Close()
			return
		}
		r.working.Go(func() { r.copy(out, in) })
		r.working.Go(func() { r.copy(in, out) })
	}
}

func (r *Road) copy(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		r.mu.Lock()
		healed := r.healed
		r.mu.Unlock()
		<-healed
		if err == nil {
			_, err = to.Write(buf[:n])
		}
		if err != nil {
			break
		}
	}
	_, _ = to.Close(), from.Close()
	r.mu.Lock()
	delete(r.open, to)
	delete(r.open, from)
	r.mu.Unlock()
}
