package gateway

import (
	"bufio"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// violation is something that the gateway closes a connection for. It tells how
// many bytes of the frame are still to come.
type violation struct {
	code   ws.StatusCode
	reason string
	rest   int64
}

func (v *violation) Error() string { return fmt.Sprintf("%d %s", v.code, v.reason) }

// peerClose is the client's close frame; code 1005 stands for none given.
type peerClose struct {
	code   ws.StatusCode
	reason string
}

func (p *peerClose) Error() string {
	return fmt.Sprintf("closed by the client: %d %s", p.code, p.reason)
}

// echo is the code to answer with; 0 for none (RFC 6455, 5.5.1).
func (p *peerClose) echo() ws.StatusCode {
	if p.code == ws.StatusNoStatusRcvd {
		return 0
	}
	return p.code
}

// frameReader puts messages together from frames and enforces the bounds on
// both.
type frameReader struct {
	r                    *bufio.Reader
	maxFrame, maxMessage int
}

// next returns the next text message. Pings that come between are handed to
// pong. Errors: *violation, *peerClose, or that of the connection.
func (f *frameReader) next(pong func([]byte)) ([]byte, error) {
	var message []byte
	state := ws.StateServerSide
	for {
		h, err := ws.ReadHeader(f.r)
		if err != nil {
			return nil, err
		}
		if err := f.check(h, state, len(message)); err != nil {
			return nil, err
		}
		payload := make([]byte, h.Length) // at most maxFrame
		if _, err := io.ReadFull(f.r, payload); err != nil {
			return nil, err
		}
		ws.Cipher(payload, h.Mask, 0)
		switch h.OpCode {
		case ws.OpPing:
			pong(payload)
		case ws.OpPong:
		case ws.OpClose:
			return nil, readClose(payload)
		default:
			message = append(message, payload...)
			if !h.Fin {
				state = state.Set(ws.StateFragmented)
				continue
			}
			if !utf8.Valid(message) {
				return nil, &violation{code: ws.StatusInvalidFramePayloadData, reason: "Not valid UTF-8"}
			}
			return message, nil
		}
	}
}

// check decides from a frame's header whether the frame is taken at all.
func (f *frameReader) check(h ws.Header, state ws.State, sofar int) error {
	if err := ws.CheckHeader(h, state); err != nil {
		return &violation{ws.StatusProtocolError, "Protocol error", h.Length}
	}
	switch {
	case h.OpCode == ws.OpBinary:
		return &violation{ws.StatusUnsupportedData, "Binary messages are not supported", h.Length}
	case h.Length > int64(f.maxFrame):
		return &violation{ws.StatusMessageTooBig, "Frame too long", h.Length}
	case h.OpCode.IsData() && h.OpCode != ws.OpText && h.OpCode != ws.OpContinuation:
		return &violation{ws.StatusProtocolError, "Protocol error", h.Length}
	case !h.OpCode.IsControl() && sofar+int(h.Length) > f.maxMessage:
		return &violation{ws.StatusMessageTooBig, "Message too long", h.Length}
	}
	return nil
}

func readClose(payload []byte) error {
	if len(payload) == 0 {
		return &peerClose{ws.StatusNoStatusRcvd, "Client-side close frame status not set"}
	}
	code, reason := ws.ParseCloseFrameData(payload)
	if err := ws.CheckCloseFrameData(code, reason); err != nil {
		return &violation{code: ws.StatusProtocolError, reason: "Protocol error"}
	}
	if reason == "" {
		reason = "Connection Closed Normally"
	}
	return &peerClose{code, reason}
}

// drain reads on after a violation, until the client answers the close frame or
// goes away: a connection closed over unread bytes is reset, and the client
// might never see why.
func (f *frameReader) drain(rest int64) {
	for {
		if _, err := io.CopyN(io.Discard, f.r, rest); err != nil {
			return
		}
		h, err := ws.ReadHeader(f.r)
		if err != nil || h.OpCode == ws.OpClose {
			return
		}
		rest = h.Length
	}
}

// textFrames compiles a text message into frames of at most size bytes of
// payload each.
func textFrames(message []byte, size int) []byte {
	out := make([]byte, 0, len(message)+(len(message)/size+1)*10)
	op := ws.OpText
	for first := true; first || len(message) > 0; first = false {
		n := min(size, len(message))
		out = append(out, ws.MustCompileFrame(ws.NewFrame(op, n == len(message), message[:n]))...)
		message, op = message[n:], ws.OpContinuation
	}
	return out
}
