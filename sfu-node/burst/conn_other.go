//go:build !linux

package burst

import "net"

// Conn is a UDP socket.
type Conn struct{ *net.UDPConn }

// Take makes a Conn of a socket, which must not be used any more.
func Take(c *net.UDPConn) (*Conn, error) { return &Conn{c}, nil }
