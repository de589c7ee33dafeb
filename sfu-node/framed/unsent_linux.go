package framed

import (
	"net"

	"golang.org/x/sys/unix"
)

// limitUnsent makes the kernel take little more than it can send (TCP_NOTSENT_LOWAT).
func limitUnsent(tcp *net.TCPConn) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return // closed, which reading tells
	}
	// Without it the queue is longer, and nothing else is different.
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentBytes)
	})
}
