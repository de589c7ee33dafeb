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
	drops
)

var dropNames = [drops]string{"viewer", "unlisted", "muted", "malformed", "late", "codec", "quiet", "write", "unconnected", "seal", "forged", "stranger", "handed"}

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

// LogValue implements [slog.LogValuer].
func (c *Counters) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.Int64("packetsIn", c.PacketsIn.Load()), slog.Int64("bytesIn", c.BytesIn.Load()),
		slog.Int64("packetsOut", c.PacketsOut.Load()), slog.Int64("bytesOut", c.BytesOut.Load()),
		slog.Int64("pipedIn", c.PipedIn.Load()), slog.Int64("pipedOut", c.PipedOut.Load()),
		slog.Int64("nacks", c.Nacks.Load()), slog.Int64("repeated", c.Repeated.Load()), slog.Int64("probes", c.Probes.Load()),
		slog.Int64("keysAsked", c.KeysAsked.Load()), slog.Int64("keysSent", c.KeysSent.Load()),
		slog.Int64("joins", c.Joins.Load()), slog.Int64("badMessages", c.BadMessages.Load()),
		slog.Int64("dataIn", c.DataIn.Load()), slog.Int64("dataOut", c.DataOut.Load()),
		slog.Int64("dataDropped", c.DataDropped.Load()), slog.Int64("dataLimited", c.DataLimited.Load()),
	}
	for d := range drops {
		if n := c.dropped[d].Load(); n > 0 {
			attrs = append(attrs, slog.Int64("dropped_"+d.String(), n))
		}
	}
	return slog.GroupValue(attrs...)
}
