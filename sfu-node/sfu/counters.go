package sfu

import (
	"log/slog"
	"sync/atomic"
)

// Drop is why a packet was not forwarded.
type Drop int

// The causes.
const (
	DropViewer      Drop = iota // somebody sent it who may not publish it
	DropUnlisted                // its source is not published
	DropMuted                   // its source is muted
	DropMalformed               // it is no RTP of the codec agreed on
	DropLate                    // it precedes a switch
	DropCodec                   // the receiver has no such codec
	DropQuiet                   // the receiver shows no sign of life
	DropWrite                   // the socket did not take it
	DropUnconnected             // the receiver's handshake is not done
	DropSeal                    // its number was sealed before
	DropForged                  // the participant's keys did not seal it, or it came before
	DropStranger                // it is media from where no participant is
	DropHanded                  // the WebRTC stack does not keep up with what is for it
	DropBacklog                 // the receiver's TCP connection does not keep up
	drops
)

var dropNames = [drops]string{"viewer", "unlisted", "muted", "malformed", "late", "codec", "quiet", "write", "unconnected", "seal", "forged", "stranger", "handed", "backlog"}

// String names the cause as logs do.
func (d Drop) String() string { return dropNames[d] }

// Counters are totals since the start of the process. Reading and adding may
// happen at the same time.
type Counters struct {
	PacketsIn, BytesIn   atomic.Int64 // RTP from participants, header and payload
	PacketsOut, BytesOut atomic.Int64 // RTP to participants
	PipedIn              atomic.Int64 // RTP packets from other nodes
	PipedOut             atomic.Int64 // RTP packets to other nodes
	Nacks                atomic.Int64 // negative acknowledgements from receivers
	Repeated             atomic.Int64 // packets sent again
	Reported             atomic.Int64 // packets that receivers have reported on
	ReportedLost         atomic.Int64 // of those, lost: in 256ths of a packet
	Probes               atomic.Int64 // packets of padding sent to find out what a way carries
	KeysAsked            atomic.Int64 // picture loss indications from receivers
	KeysSent             atomic.Int64 // picture loss indications to publishers
	Joins                atomic.Int64
	BadMessages          atomic.Int64 // messages on the data channel that were refused
	DataIn, DataOut      atomic.Int64 // messages of applications: taken, and handed to receivers
	DataDropped          atomic.Int64 // of those, not handed to a receiver that does not keep up
	DataLimited          atomic.Int64 // refused because their sender sends too much
	dropped              [drops]atomic.Int64
}

// Dropped returns how many packets were dropped for a cause. A packet that many
// would have received may count once for each of them.
func (c *Counters) Dropped(d Drop) int64 { return c.dropped[d].Load() }

func (c *Counters) drop(d Drop) { c.dropped[d].Add(1) }

// Counts are some of the [Counters] at one moment.
type Counts struct {
	BytesIn, Nacks, Repeated, KeysAsked, KeysSent, Dropped, BadMessages int64
}

func (c *Counters) counts() Counts {
	n := Counts{
		BytesIn: c.BytesIn.Load(), Nacks: c.Nacks.Load(), Repeated: c.Repeated.Load(),
		KeysAsked: c.KeysAsked.Load(), KeysSent: c.KeysSent.Load(), BadMessages: c.BadMessages.Load(),
	}
	for d := range drops {
		n.Dropped += c.Dropped(d)
	}
	return n
}

// totals are the counters by the names that logs and metrics have for them, those
// of dropped packets left out.
func (c *Counters) totals() []total {
	return []total{
		{"packetsIn", "RTP packets from participants", &c.PacketsIn}, {"bytesIn", "bytes of RTP from participants", &c.BytesIn},
		{"packetsOut", "RTP packets to participants", &c.PacketsOut}, {"bytesOut", "bytes of RTP to participants", &c.BytesOut},
		{"pipedIn", "RTP packets from other nodes", &c.PipedIn}, {"pipedOut", "RTP packets to other nodes", &c.PipedOut},
		{"nacks", "negative acknowledgements from receivers", &c.Nacks}, {"repeated", "packets sent again", &c.Repeated},
		{"reported", "packets that receivers have reported on", &c.Reported}, {"reportedLost", "of those, lost, in 256ths of a packet", &c.ReportedLost},
		{"probes", "packets of padding sent to find out what a way carries", &c.Probes},
		{"keysAsked", "picture loss indications from receivers", &c.KeysAsked}, {"keysSent", "picture loss indications to publishers", &c.KeysSent},
		{"joins", "connections taken", &c.Joins}, {"badMessages", "messages on the data channel that were refused", &c.BadMessages},
		{"dataIn", "messages of applications taken", &c.DataIn}, {"dataOut", "messages of applications handed to receivers", &c.DataOut},
		{"dataDropped", "messages of applications kept from receivers that do not keep up", &c.DataDropped},
		{"dataLimited", "messages of applications refused because their sender sends too much", &c.DataLimited},
	}
}

type total struct {
	name, help string
	value      *atomic.Int64
}

// LogValue implements [slog.LogValuer].
func (c *Counters) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, t := range c.totals() {
		attrs = append(attrs, slog.Int64(t.name, t.value.Load()))
	}
	for d := range drops {
		if n := c.dropped[d].Load(); n > 0 {
			attrs = append(attrs, slog.Int64("dropped_"+d.String(), n))
		}
	}
	return slog.GroupValue(attrs...)
}
