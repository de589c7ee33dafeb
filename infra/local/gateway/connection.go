package gateway

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// closeGrace is how long a client may take to answer a close frame, and
// writeGrace how long it may take to read anything at all.
const (
	closeGrace = 2 * time.Second
	writeGrace = 30 * time.Second
)

// The reasons that a post can fail for.
var (
	errGone = errors.New("the connection is gone")
	errFull = errors.New("the client reads too slowly")
)

// closed is how a connection ended, as $disconnect reports it.
type closed struct {
	code   ws.StatusCode
	reason string
}

// connection is one client. Its goroutines: one reads (serve), one writes what
// is queued; messages go on from the reader in goroutines of their own.
type connection struct {
	api         *WebSocket
	id          string
	connectedAt time.Time
	identity    identity
	authorizer  map[string]any // what the authorizer said, on every event
	conn        net.Conn       // nil until the handshake is done

	wake chan struct{} // there is something to write

	mu         sync.Mutex
	queue      [][]byte // frames
	queued     int      // bytes queued or being written
	closing    *closed  // a close frame is queued: nothing may follow
	held       [][]byte // posts that wait to be overtaken
	lastActive time.Time
	stopIdle   func()
}

func newConnection(a *WebSocket, r *http.Request) *connection {
	return &connection{
		api:         a,
		id:          newID(),
		connectedAt: a.opts.Clock.Now(),
		identity:    identity{UserAgent: r.UserAgent(), SourceIP: sourceIP(r)},
		wake:        make(chan struct{}, 1),
	}
}

// breakOff ends the connection as a broken network does, without a close frame.
func (c *connection) breakOff() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		_ = c.conn.Close() // reading ends with it
	}
}

// serve runs the connection until it is over and tells how it ended.
func (c *connection) serve(conn net.Conn, r *bufio.Reader) closed {
	quotas := c.api.opts.Quotas
	c.mu.Lock()
	c.conn = conn
	c.lastActive = c.api.opts.Clock.Now()
	c.watchIdle(quotas.Idle)
	if c.closing != nil { // between registration and here
		c.hangUpSoon()
	}
	c.mu.Unlock()
	stopAge := c.api.opts.Clock.AfterFunc(quotas.Lifetime, func() {
		c.close(ws.StatusGoingAway, "Connection duration limit exceeded")
	})
	over := make(chan struct{})
	written := make(chan struct{})
	go func() { defer close(written); c.write(conn, over) }()

	how := c.read(&frameReader{r: r, maxFrame: quotas.Frame, maxMessage: quotas.Message})

	stopAge()
	c.mu.Lock()
	c.stopIdle()
	if c.closing == nil { // the client went without a close frame
		c.closing = &how
	}
	c.mu.Unlock()
	close(over)
	<-written
	_ = conn.Close()
	return how
}

// read takes messages until the connection is over.
func (c *connection) read(frames *frameReader) closed {
	for {
		message, err := frames.next(c.pong)
		var bad *violation
		var bye *peerClose
		switch {
		case err == nil:
			if c.api.mischief.cut(c) {
				c.api.counters.lost()
			} else if c.touch() {
				c.api.work.Go(func() { c.api.message(c, message) })
			}
		case errors.As(err, &bad):
			c.close(bad.code, bad.reason)
			frames.drain(bad.rest)
			return c.how(closed{bad.code, bad.reason})
		case errors.As(err, &bye):
			c.close(bye.echo(), "") // a no-op when this answers our own
			return c.how(closed{bye.code, bye.reason})
		default:
			return c.how(closed{ws.StatusAbnormalClosure, "Connection Closed Abnormally"})
		}
	}
}

// how prefers the reason for which the gateway closed to what the client
// answered.
func (c *connection) how(seen closed) closed {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil && c.closing.reason != "" {
		return *c.closing
	}
	return seen
}

// write sends what is queued until the connection is over; then what remains,
// the close frame among it, if the client still takes it.
func (c *connection) write(conn net.Conn, over <-chan struct{}) {
	for last := false; !last; {
		select {
		case <-c.wake:
		case <-over:
			last = true
		}
		c.mu.Lock()
		frames := c.queue
		c.queue = nil
		c.mu.Unlock()
		for _, f := range frames {
			_ = conn.SetWriteDeadline(time.Now().Add(writeGrace))
			_, err := conn.Write(f)
			c.mu.Lock()
			c.queued -= len(f)
			c.mu.Unlock()
			if err != nil {
				_ = conn.Close() // which ends the reader too
				return
			}
		}
	}
}

// send queues a text message, in frames of the size that the gateway itself
// takes. Its errors are errGone and errFull.
func (c *connection) send(message []byte) error {
	frames := textFrames(message, c.api.opts.Quotas.Frame)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil {
		return errGone
	}
	if c.queued+len(frames) > c.api.opts.Quotas.Buffer {
		return errFull
	}
	c.enqueue(frames)
	c.lastActive = c.api.opts.Clock.Now()
	c.api.counters.out(len(message))
	return nil
}

// pong answers a ping, unless the client does not read.
func (c *connection) pong(payload []byte) {
	if c.api.mischief.cut(c) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing == nil && c.queued < c.api.opts.Quotas.Buffer {
		c.enqueue(ws.MustCompileFrame(ws.NewPongFrame(payload)))
	}
}

// close sends a close frame and gives the client a moment to answer it. Only the
// first call counts.
func (c *connection) close(code ws.StatusCode, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil {
		return
	}
	c.closing = &closed{code, reason}
	var body []byte
	if code != 0 {
		body = ws.NewCloseFrameBody(code, reason)
	}
	c.enqueue(ws.MustCompileFrame(ws.NewCloseFrame(body)))
	if c.conn != nil {
		c.hangUpSoon()
	}
}

// hangUpSoon ends the connection unless the client does so itself, now that it
// is sent a close frame. The caller holds mu.
func (c *connection) hangUpSoon() {
	conn := c.conn
	time.AfterFunc(closeGrace, func() { _ = conn.Close() })
}

// enqueue appends compiled frames. The caller holds mu.
func (c *connection) enqueue(frames []byte) {
	c.queue = append(c.queue, frames)
	c.queued += len(frames)
	c.signal()
}

func (c *connection) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// touch notes that the client said something, and reports whether it is still
// listened to. Only messages count: the guide does not say that control frames
// keep a connection, so here they do not.
func (c *connection) touch() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastActive = c.api.opts.Clock.Now()
	return c.closing == nil
}

// watchIdle looks again after d whether the connection is idle. The caller holds
// mu.
func (c *connection) watchIdle(d time.Duration) {
	c.stopIdle = c.api.opts.Clock.AfterFunc(d, func() {
		c.mu.Lock()
		rest := c.api.opts.Quotas.Idle - c.api.opts.Clock.Now().Sub(c.lastActive)
		if rest > 0 && c.closing == nil {
			c.watchIdle(rest)
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		c.close(ws.StatusGoingAway, "Going away: idle")
	})
}
