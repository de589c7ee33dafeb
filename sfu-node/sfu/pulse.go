package sfu

import (
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/events"
)

// budget is how many more messages a sender may have looked at.
type budget struct {
	credit  float64
	counted time.Duration
}

// spend takes one message and returns what is left, which may be negative.
func (b *budget) spend(now time.Duration) float64 {
	b.credit = min(floodBurst, b.credit+(now-b.counted).Seconds()*floodRate)
	b.counted = now
	b.credit--
	return b.credit
}

// pulseBytes is how much may wait to be sent: an answer that waits is of no use.
const pulseBytes = 4 << 10

// answerPings answers on the channel for signs of life, on which packets may be
// lost and nothing waits for them. What is not a ping, or comes too often, is
// left unanswered.
func answerPings(p *Peer, dc *webrtc.DataChannel) {
	b := budget{credit: floodBurst}
	dc.OnOpen(func() {
		hear(p, dc, func(raw []byte, _ bool) {
			if b.spend(p.sfu.now()) < 0 || dc.BufferedAmount() > pulseBytes {
				return
			}
			message, err := events.Decode(events.FromSDK, raw)
			ping, ok := message.(events.Ping)
			if err != nil || !ok {
				p.sfu.count.BadMessages.Add(1)
				return
			}
			pong := encode(events.Pong{Header: events.Head(events.ActionPong), N: ping.N})
			if err := dc.SendText(string(pong)); err != nil {
				p.sfu.log.Debug("pulse channel does not send", "key", p.seat.key, "error", err)
			}
		}, func() {})
	})
}
