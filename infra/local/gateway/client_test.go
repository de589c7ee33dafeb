package gateway

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// client speaks WebSocket frame by frame, as no browser lets one do.
type client struct {
	*world
	id   string
	conn net.Conn
	r    *bufio.Reader
}

// refused is the answer to a handshake that failed.
type refused struct {
	status int
	body   map[string]string
}

// knock tries to connect with a token and whatever else belongs into the query.
func (w *world) knock(query string) (*client, refused) {
	w.Helper()
	refusal := refused{body: map[string]string{}}
	d := ws.Dialer{
		Timeout: patience,
		Header:  ws.HandshakeHeaderString("X-Twice: one\r\nX-Twice: two\r\nUser-Agent: test\r\n"),
		OnStatusError: func(status int, _ []byte, r io.Reader) {
			refusal.status = status
			if response, err := http.ReadResponse(bufio.NewReader(r), nil); err == nil {
				_ = json.NewDecoder(response.Body).Decode(&refusal.body)
			}
		},
	}
	conn, r, _, err := d.Dial(w.Context(), strings.Replace(w.url, "http:", "ws:", 1)+query)
	switch {
	case refusal.status != 0:
		return nil, refusal
	case err != nil:
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if r == nil {
		r = bufio.NewReader(conn)
	}
	return &client{world: w, conn: conn, r: r}, refused{}
}

// connect connects as somebody whom the door lets in, and waits until the
// connection is watched.
func (w *world) connect(who string) *client {
	w.Helper()
	timers := w.clock.running()
	c, no := w.knock("?access_token=" + url.QueryEscape(who))
	if c == nil {
		w.Fatalf("refused: %+v", no)
	}
	asked := w.next("door")
	c.id = asked["requestContext"].(map[string]any)["connectionId"].(string)
	w.eventually("the connection is watched", func() bool { return w.clock.running() >= timers+2 })
	return c
}

func (c *client) write(frames ...ws.Frame) {
	c.Helper()
	for _, f := range frames {
		if err := ws.WriteFrame(c.conn, ws.MaskFrame(f)); err != nil {
			c.Fatal(err)
		}
	}
}

// send sends a message in one frame.
func (c *client) send(message string) {
	c.Helper()
	c.write(ws.NewTextFrame([]byte(message)))
}

// sendIn sends a message in frames of at most size bytes.
func (c *client) sendIn(size int, message string) {
	c.Helper()
	op := ws.OpText
	for first := true; first || message != ""; first = false {
		n := min(size, len(message))
		c.write(ws.NewFrame(op, n == len(message), []byte(message[:n])))
		message, op = message[n:], ws.OpContinuation
	}
}

// read returns the next message and the sizes of its frames; or the frame of
// another kind that came instead.
func (c *client) read() (message string, sizes []int, other *ws.Frame) {
	c.Helper()
	for {
		h, err := ws.ReadHeader(c.r)
		f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
		if err == nil {
			_, err = io.ReadFull(c.r, f.Payload)
		}
		if err != nil {
			c.Fatalf("after %d frames: %v", len(sizes), err)
		}
		if f.Header.Masked {
			c.Fatal("a server must not mask (RFC 6455, 5.1)")
		}
		if f.Header.OpCode.IsControl() {
			return message, sizes, &f
		}
		message += string(f.Payload)
		sizes = append(sizes, len(f.Payload))
		if f.Header.Fin {
			return message, sizes, nil
		}
	}
}

// want expects exactly this message next.
func (c *client) want(message string) {
	c.Helper()
	switch got, _, other := c.read(); {
	case other != nil:
		c.Fatalf("got %v %q, want %q", other.Header.OpCode, other.Payload, message)
	case got != message:
		c.Fatalf("got %.100q, want %.100q", got, message)
	}
}

// wantClose expects the gateway to close, and answers as a browser does.
func (c *client) wantClose(code ws.StatusCode) (reason string) {
	c.Helper()
	message, _, f := c.read()
	if f == nil || f.Header.OpCode != ws.OpClose {
		c.Fatalf("got %q and %+v, want a close frame", message, f)
	}
	got, reason := ws.ParseCloseFrameData(f.Payload)
	if got != code {
		c.Errorf("closed with %d %q, want %d", got, reason, code)
	}
	c.write(ws.NewCloseFrame(ws.NewCloseFrameBody(got, "")))
	if b, err := c.r.ReadByte(); err == nil {
		c.Errorf("%x comes after the close frame", b)
	}
	return reason
}

// alive fails unless the connection answers a ping with nothing else before.
func (c *client) alive() {
	c.Helper()
	c.write(ws.NewPingFrame([]byte("are you there")))
	message, _, f := c.read()
	if f == nil || f.Header.OpCode != ws.OpPong || string(f.Payload) != "are you there" {
		c.Fatalf("got %q and %+v, want a pong", message, f)
	}
}

// wantErrorFrame expects the gateway's own error and returns its request id.
func (c *client) wantErrorFrame(message string) string {
	c.Helper()
	raw, _, _ := c.read()
	var e map[string]string
	if err := json.Unmarshal([]byte(raw), &e); err != nil {
		c.Fatalf("got %q", raw)
	}
	if len(e) != 3 || e["message"] != message || e["connectionId"] != c.id || e["requestId"] == "" {
		c.Errorf("got %s, want %q for connection %s", raw, message, c.id)
	}
	return e["requestId"]
}
