package sfu

import (
	"fmt"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/pipe"
)

const (
	// dataBytes is how much reliable data may wait for a receiver that does not
	// keep up; what is beyond is dropped.
	dataBytes = 1 << 20
	// dataAhead is how much is handed to SCTP at a time: little, because the
	// control channel waits behind it.
	dataAhead = 32 << 10
	// lossyBytes is how much may be under way to a receiver of data that is sent
	// once.
	lossyBytes = 16 << 10
)

// dataLines are the channels on which applications talk.
type dataLines struct {
	peer     *Peer
	reliable *mailbox
	lossy    *webrtc.DataChannel

	mu     sync.Mutex
	budget dataBudget    // over both
	told   time.Duration // when the participant was last told that it sends too much
}

// dataBudget is what a sender may send.
type dataBudget struct {
	messages, bytes float64
	counted         time.Duration
}

// spend takes one message of n bytes. It reports false, and takes nothing, when
// the sender has to wait.
func (b *dataBudget) spend(n int, now time.Duration) bool {
	passed := (now - b.counted).Seconds()
	b.counted = now
	b.messages = min(events.DataPerSecond*events.DataBurst, b.messages+passed*events.DataPerSecond)
	b.bytes = min(events.DataBytes*events.DataBurst, b.bytes+passed*events.DataBytes)
	if b.messages < 1 || b.bytes < float64(n) {
		return false
	}
	b.messages--
	b.bytes -= float64(n)
	return true
}

// prepareData makes the channels for data.
func (p *Peer) prepareData() error {
	yes, no, never := true, false, uint16(0)
	reliableID, lossyID := uint16(events.DataID), uint16(events.LossyID)
	reliable, err := p.pc.CreateDataChannel(events.DataLabel, &webrtc.DataChannelInit{Negotiated: &yes, Ordered: &yes, ID: &reliableID})
	if err != nil {
		return fmt.Errorf("prepare data channel: %w", err)
	}
	lossy, err := p.pc.CreateDataChannel(events.LossyLabel, &webrtc.DataChannelInit{Negotiated: &yes, Ordered: &no, MaxRetransmits: &never, ID: &lossyID})
	if err != nil {
		return fmt.Errorf("prepare lossy channel: %w", err)
	}
	d := &dataLines{peer: p, reliable: newMailbox(p, reliable, dataAhead), lossy: lossy,
		told:   -time.Second,
		budget: dataBudget{messages: events.DataPerSecond * events.DataBurst, bytes: events.DataBytes * events.DataBurst}}
	p.data = d
	reliable.OnOpen(func() {
		d.reliable.begin()
		hear(p, reliable, func(raw []byte, _ bool) { d.take(raw, false) }, func() {})
	})
	lossy.OnOpen(func() { hear(p, lossy, func(raw []byte, _ bool) { d.take(raw, true) }, func() {}) })
	return nil
}

// take reads what the participant says to others. Its first message may be here
// before that of the control channel: then it is no member yet, and says it to
// nobody.
func (d *dataLines) take(raw []byte, lossy bool) {
	p := d.peer
	now := p.sfu.now()
	d.mu.Lock()
	ok := d.budget.spend(len(raw), now)
	tell := !ok && now-d.told >= time.Second
	if tell {
		d.told = now
	}
	d.mu.Unlock()
	if !ok {
		p.sfu.count.DataLimited.Add(1)
		if tell {
			err := events.Errorf(events.CodeRateLimited, "more than %d messages or %d KB of data a second are not taken", events.DataPerSecond, events.DataBytes>>10)
			err.RetryAfterMs = 1000
			p.control.send(*err)
		}
		return
	}
	message, err := events.Decode(events.FromSDK, raw)
	data, isData := message.(events.Data)
	switch {
	case err != nil:
		p.control.refuse(err, nil)
	case !isData:
		p.control.refuse(events.Errorf(events.CodeUnknownAction, "only data is taken on this channel"), nil)
	case p.person.NoData:
		p.control.refuse(events.Errorf(events.CodeTokenNoPermission, "the token does not allow to send data"), nil)
	default:
		p.sfu.count.DataIn.Add(1)
		p.room.say(p, data, lossy)
	}
}

// say delivers what a member says.
func (r *Room) say(p *Peer, m events.Data, lossy bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.members[p.person.Identity]; now == nil || now != p && now.earlier != p {
		return
	}
	r.deliver(pipe.Said{Room: r.name, From: p.person.Identity, To: m.To, Lossy: lossy,
		Data: encode(events.DataFrom{Header: events.Head(events.ActionData), From: p.person.Identity, Topic: m.Topic, Payload: m.Payload})}, nil)
}

// deliver hands what somebody said to those members for whom it is, but whoever
// said it, and to the neighbours who may have others, but that which it came from.
// A room's nodes are a tree, so it comes to each of them once. The caller holds
// Room.mu.
func (r *Room) deliver(m pipe.Said, from *neighbour) {
	elsewhere := len(m.To) == 0
	for _, identity := range m.To {
		p := r.members[identity]
		elsewhere = elsewhere || p == nil
		if p != nil && identity != m.From {
			p.data.send(m.Data, m.Lossy)
		}
	}
	if len(m.To) == 0 {
		for identity, p := range r.members {
			if identity != m.From {
				p.data.send(m.Data, m.Lossy)
			}
		}
	}
	for _, n := range r.neighbours {
		if elsewhere && n != from && n.open && n.link != nil {
			n.link.Tell(m)
		}
	}
}

// send passes a message on to the participant, unless too much waits already.
func (d *dataLines) send(raw []byte, lossy bool) {
	count := &d.peer.sfu.count
	switch {
	case lossy && d.lossy.ReadyState() == webrtc.DataChannelStateOpen && d.lossy.BufferedAmount() < lossyBytes:
		if err := d.lossy.SendText(string(raw)); err != nil {
			count.DataDropped.Add(1)
			return
		}
	case lossy || d.reliable.waiting() > dataBytes:
		count.DataDropped.Add(1)
		return
	default:
		d.reliable.put(raw)
	}
	count.DataOut.Add(1)
}
