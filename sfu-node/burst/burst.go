// Package burst writes and reads many datagrams of a UDP socket at the price of
// few: runs of equal datagrams to one destination leave as one segmented write
// (UDP_SEGMENT), and runs to several destinations in one system call (sendmmsg);
// what has arrived is read in one as well (recvmmsg). Where the system has none of
// it, or the kernel refuses the first at run time, datagrams go one by one; what
// arrives is the same.
package burst

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
)

// Run is consecutive datagrams to one destination: Data cut into pieces of Size
// bytes, the last of which may be shorter.
type Run struct {
	To   netip.AddrPort
	Data []byte
	Size int
}

const (
	// MaxSegments and MaxBytes bound a run: the kernel takes no more at once.
	MaxSegments = 64
	MaxBytes    = 65_000
)

// Packets is how many datagrams a run is.
func (r Run) Packets() int { return (len(r.Data) + r.Size - 1) / r.Size }

// Listen opens n sockets on one port, among which the kernel divides senders, each
// always to the same one; where the system has no such thing it opens one. bytes is
// asked of the kernel as a buffer in each direction. It may grant less; the drops
// then show in its counters.
func Listen(network string, at *net.UDPAddr, n, bytes int) ([]*Conn, error) {
	opened, err := listen(network, at, n)
	if err != nil {
		return nil, err
	}
	var conns []*Conn
	for _, c := range opened {
		_ = c.SetReadBuffer(bytes)
		_ = c.SetWriteBuffer(bytes)
		taken, failed := Take(c)
		if err = errors.Join(err, failed); failed == nil {
			conns = append(conns, taken)
		}
	}
	if err != nil {
		for _, c := range conns {
			err = errors.Join(err, c.Close())
		}
		return nil, err
	}
	return conns, nil
}

// Socket is a UDP socket that bursts are written to. Many [Writer] may write to
// it at the same time.
type Socket struct {
	conn      *Conn
	segmented atomic.Bool
}

// NewSocket looks at what the system can do with a socket. plain keeps to single
// writes.
func NewSocket(conn *Conn, plain bool) *Socket {
	s := &Socket{conn: conn}
	s.segmented.Store(!plain && segments(conn))
	return s
}

// six reports whether the socket is one of IPv6.
func (c *Conn) six() bool { return c.LocalAddr().(*net.UDPAddr).IP.To4() == nil }

// Segmented reports whether runs leave in one piece.
func (s *Socket) Segmented() bool { return s.segmented.Load() }
