package sfu

import (
	"errors"
	"io"

	"github.com/pion/webrtc/v4"
)

const (
	// firstBytes is the buffer that a data channel is read into at first: almost
	// all messages fit.
	firstBytes = 1 << 10
	// mostBytes bounds a message: more is not promised to anybody (RFC 8841,
	// section 6.1).
	mostBytes = 64 << 10
)

// hear reads a data channel that has just opened, in a goroutine of its own,
// until it is closed; then it calls closed. take must not keep the message. The
// WebRTC stack's own reader holds 64 KB for each channel, more than all else that
// a viewer needs.
func hear(p *Peer, dc *webrtc.DataChannel, take func(raw []byte, text bool), closed func()) {
	channel, err := dc.Detach()
	if err != nil {
		p.sfu.log.Error("a data channel cannot be read", "key", p.seat.key, "error", err)
		closed()
		return
	}
	go func() {
		defer closed()
		buf := make([]byte, firstBytes)
		for {
			n, text, err := channel.ReadDataChannel(buf)
			switch {
			case errors.Is(err, io.ErrShortBuffer) && len(buf) < mostBytes:
				buf = make([]byte, 2*len(buf)) // and the message is still there
			case err != nil:
				return
			default:
				take(buf[:n], text)
			}
		}
	}()
}
