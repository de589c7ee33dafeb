// Package burst writes and reads many datagrams of a UDP socket at the price of
// few: runs of equal datagrams to one destination leave as one segmented write
// (UDP_SEGMENT), and runs to several destinations in one system call (sendmmsg);
// what has arrived is read in one as well (recvmmsg). Where the system has none of
// it, or the kernel refuses the first at run time, datagrams go one by one; what
// arrives is the same.
package burst

import (
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

// Socket is a UDP socket that bursts are written to. Many [Writer] may write to
// it at the same time.
type Socket struct {
	conn      *net.UDPConn
	six       bool
	segmented atomic.Bool
}

// NewSocket looks at what the system can do with a socket. plain keeps to single
// writes.
func NewSocket(conn *net.UDPConn, plain bool) *Socket {
	s := &Socket{conn: conn, six: conn.LocalAddr().(*net.UDPAddr).IP.To4() == nil}
	s.segmented.Store(!plain && segments(conn))
	return s
}

// Segmented reports whether runs leave in one piece.
func (s *Socket) Segmented() bool { return s.segmented.Load() }

// writePlain writes a run datagram by datagram. It returns how many were written.
func (s *Socket) writePlain(r Run) int {
	sent := 0
	for data := r.Data; len(data) > 0; {
		n := min(r.Size, len(data))
		if _, err := s.conn.WriteToUDPAddrPort(data[:n], r.To); err == nil {
			sent++
		}
		data = data[n:]
	}
	return sent
}
