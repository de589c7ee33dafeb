//go:build !linux

package burst

import (
	"errors"
	"os"
	"time"
)

const manyAtOnce = false

// many is not here.
type many struct{}

func (*many) prepare(*Reader) error { return nil }

// Serve hands on what arrives until the socket is closed, and returns why it
// ended. take gets how many datagrams have come: none when the time is up that it
// asked for when it was called last. It returns until when to wait for the next;
// zero waits for ever. What take is to look at is valid until it returns.
func (r *Reader) Serve(take func(n int) (until time.Time)) error {
	for {
		n, from, err := r.conn.ReadFromUDPAddrPort(r.bufs[0])
		switch {
		case err == nil:
			r.sizes[0], r.from[0] = n, from
			r.until = take(1)
		case errors.Is(err, os.ErrDeadlineExceeded):
			r.until = take(0)
		default:
			return err
		}
		_ = r.conn.SetReadDeadline(r.until) // fails only when closed, which reading tells
	}
}
