package burst

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

// Reader reads the datagrams of a socket, as many at once as have come. It is for
// one goroutine.
type Reader struct {
	conn  *net.UDPConn
	many  many
	bufs  [][]byte
	sizes []int
	from  []netip.AddrPort

	until time.Time // how long is waited at most
	armed bool      // the socket has a deadline
}

// readAtOnce is how many datagrams are read at once.
const readAtOnce = 64

// NewReader makes a reader of datagrams of at most size bytes; longer ones are
// left out. plain reads one at a time.
func NewReader(conn *net.UDPConn, size int, plain bool) (*Reader, error) {
	n := readAtOnce
	if plain || !manyAtOnce {
		n = 1
	}
	r := &Reader{conn: conn, bufs: make([][]byte, n), sizes: make([]int, n), from: make([]netip.AddrPort, n)}
	for i := range r.bufs {
		r.bufs[i] = make([]byte, size)
	}
	return r, r.many.prepare(r)
}

// Serve hands on what arrives until the socket is closed, and returns why it
// ended. take gets how many datagrams have come: none when the time is up that it
// asked for when it was called last. It returns until when to wait for the next;
// zero waits for ever. What take is to look at is valid until it returns.
func (r *Reader) Serve(take func(n int) (until time.Time)) error {
	for {
		var err error
		if len(r.bufs) > 1 {
			err = r.many.serve(r, take)
		} else {
			err = r.serveOne(take)
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		r.arm(time.Time{})
		r.until = take(0)
		r.arm(r.until)
	}
}

func (r *Reader) serveOne(take func(n int) time.Time) error {
	for {
		n, from, err := r.conn.ReadFromUDPAddrPort(r.bufs[0])
		if err != nil {
			return err
		}
		r.sizes[0], r.from[0] = n, from
		r.until = take(1)
		r.arm(r.until)
	}
}

// arm makes the socket wait no longer than until.
func (r *Reader) arm(until time.Time) {
	if until.IsZero() && !r.armed {
		return
	}
	r.armed = !until.IsZero()
	_ = r.conn.SetReadDeadline(until) // fails only when closed, which reading tells
}

// Datagram is one of those that have come, and where it is from.
func (r *Reader) Datagram(i int) ([]byte, netip.AddrPort) { return r.bufs[i][:r.sizes[i]], r.from[i] }

// Swap gives the buffer of a datagram away for another one of the same size.
func (r *Reader) Swap(i int, other []byte) []byte {
	buf := r.bufs[i]
	r.bufs[i] = other
	return buf
}
