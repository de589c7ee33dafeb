package sfu

import (
	"bytes"
	"encoding/json"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/events"
)

const (
	// queueBytes is how much may wait for a receiver that does not keep up.
	queueBytes = 4 << 20
	// aheadBytes is how much is handed to SCTP at a time.
	aheadBytes = 256 << 10

	// A sender may send floodRate messages a second for long, and floodBurst at
	// once; after floodBurst more it is cut off.
	floodRate  = 50
	floodBurst = 100

	drainWithin = 300 * time.Millisecond
	drainEvery  = 5 * time.Millisecond
)

// control is the data channel of one peer. Sending never blocks: messages wait
// in a queue that one goroutine empties.
type control struct {
	peer    *Peer
	dc      *webrtc.DataChannel
	wake    chan struct{}
	opening sync.Once

	mu    sync.Mutex
	queue [][]byte
	bytes int
	over  bool // the queue overflowed

	budget budget // touched by the reading goroutine only
}

func newControl(p *Peer, dc *webrtc.DataChannel) *control {
	c := &control{peer: p, dc: dc, wake: make(chan struct{}, 1), budget: budget{credit: floodBurst}}
	dc.OnOpen(func() {
		c.onOpen()
		hear(p, dc, c.onMessage, func() { p.end(ending{reason: events.LeftByItself}) })
	})
	return c
}

// onOpen makes the peer a member of its room, once.
func (c *control) onOpen() {
	c.opening.Do(func() {
		c.peer.open.Store(true)
		go c.write()
		c.peer.room.join(c.peer)
	})
}

// onMessage runs in the channel's reading goroutine.
func (c *control) onMessage(raw []byte, text bool) {
	if !c.afford() {
		return
	}
	if !text {
		c.refuse(events.Errorf(events.CodeBadJSON, "binary messages are not taken"), nil)
		return
	}
	message, err := events.Decode(events.FromSDK, raw)
	if err != nil {
		c.refuse(err, raw)
		return
	}
	p := c.peer
	switch m := message.(type) {
	case events.Tracks:
		if err := p.room.setTracks(p, m); err != nil {
			c.refuse(err, nil)
		}
	case events.Want:
		p.room.setWant(p, m)
	case events.Ping:
		c.send(events.Pong{Header: events.Head(events.ActionPong), N: m.N})
	case events.Resync:
		p.room.resync(p)
	case events.Moderate:
		if err := p.room.moderate(p, m); err != nil {
			c.refuse(err, raw)
		}
	case events.Goodbye:
		p.end(ending{reason: events.LeftByItself})
	}
}

// afford reports whether the sender may have one more message looked at. One
// that goes on far beyond its budget is disconnected.
func (c *control) afford() bool {
	credit := c.budget.spend(c.peer.sfu.now())
	switch {
	case credit >= 0:
		return true
	case credit > -1:
		c.refuse(events.Errorf(events.CodeBusy, "more than %d messages a second are not taken", floodRate), nil)
	case credit < -floodBurst:
		c.peer.end(ending{reason: events.LeftRemoved, code: events.CodeBusy, text: "too many messages"})
	}
	return false
}

// refuse answers a message that cannot be served. raw may be nil.
func (c *control) refuse(err error, raw []byte) {
	c.peer.sfu.count.BadMessages.Add(1)
	coded, ok := err.(*events.Error)
	if !ok {
		c.peer.sfu.log.Error("message failed", "key", c.peer.seat.key, "error", err)
		coded = events.Errorf(events.CodeInternal, "the message could not be served")
	}
	c.send(coded.For(events.RequestID(raw)))
}

// send queues a message. A receiver for which too much waits is disconnected.
func (c *control) send(m events.Message) { c.sendRaw(encode(m)) }

// sendRaw queues an encoded message, which must not be changed afterwards.
func (c *control) sendRaw(raw []byte) {
	c.mu.Lock()
	c.queue = append(c.queue, raw)
	c.bytes += len(raw)
	over := c.bytes > queueBytes && !c.over
	c.over = c.over || over
	c.mu.Unlock()
	if over {
		c.peer.end(ending{reason: events.LeftSilent})
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// encode writes a message as JSON, without the escapes that only HTML needs.
func encode(m events.Message) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		panic("sfu: a message of the contract cannot be encoded: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// write empties the queue until the connection ends.
func (c *control) write() {
	room := make(chan struct{}, 1)
	c.dc.SetBufferedAmountLowThreshold(aheadBytes / 2)
	c.dc.OnBufferedAmountLow(func() {
		select {
		case room <- struct{}{}:
		default:
		}
	})
	for {
		select {
		case <-c.peer.done:
			return
		case <-c.wake:
		case <-room:
		}
		for c.dc.BufferedAmount() < aheadBytes {
			raw := c.next()
			if raw == nil {
				break
			}
			if err := c.dc.SendText(string(raw)); err != nil {
				c.peer.sfu.log.Debug("data channel does not send", "key", c.peer.seat.key, "error", err)
				return
			}
			c.sent(len(raw))
		}
	}
}

func (c *control) sent(n int) {
	c.mu.Lock()
	c.bytes -= n
	c.mu.Unlock()
}

func (c *control) next() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return nil
	}
	raw := c.queue[0]
	c.queue[0] = nil
	c.queue = c.queue[1:]
	return raw
}

// drain waits until everything queued has been acknowledged, or not much longer
// than a round trip.
func (c *control) drain() {
	poll := time.NewTicker(drainEvery)
	defer poll.Stop()
	limit := time.NewTimer(drainWithin)
	defer limit.Stop()
	for {
		c.mu.Lock()
		waiting := c.bytes
		c.mu.Unlock()
		if waiting == 0 && c.dc.BufferedAmount() == 0 {
			return
		}
		select {
		case <-poll.C:
		case <-limit.C:
			return
		}
	}
}
