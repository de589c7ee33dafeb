//go:build !linux

package framed

import "net"

// limitUnsent makes do with a small buffer in the kernel.
func limitUnsent(tcp *net.TCPConn) { _ = tcp.SetWriteBuffer(2 * unsentBytes) }
