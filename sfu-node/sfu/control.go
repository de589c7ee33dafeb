package sfu

import (
	"bytes"
	"encoding/json"
	"sync"

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
)

// control is the data channel of one peer. Sending never blocks.
type control struct {
	*mailbox
	opening sync.Once

	// Touched by the reading goroutine only:
	budget  budget
	changes budget // of metadata of others; see mayDescribe
}

func newControl(p *Peer, dc *webrtc.DataChannel) *control {
	c := &control{mailbox: newMailbox(p, dc, aheadBytes), budget: budget{credit: floodBurst}, changes: budget{credit: describeBurst, counted: p.sfu.now()}}
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
		if !spareSessions(c.peer.pc.SCTP().Transport()) {
			c.peer.sfu.log.Debug("the WebRTC stack keeps sessions that nobody uses", "key", c.peer.seat.key)
		}
		c.begin()
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
	case events.Describe:
		if err := p.room.describe(p, m); err != nil {
			c.refuse(err, nil)
		}
	case events.Stats:
		if err := p.room.takeStats(p, m); err != nil {
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
	case events.Data:
		c.refuse(events.Errorf(events.CodeUnknownAction, "data is not taken on this channel: there is one for it"), nil)
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
	if waiting := c.put(raw); waiting > queueBytes {
		c.peer.end(ending{reason: events.LeftSilent})
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
