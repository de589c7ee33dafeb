package sfu

import (
	"sync/atomic"
	"time"
)

// ntpEpoch is how many seconds NTP time is ahead of Unix time.
const ntpEpoch = 2208988800

// ntp writes a time in NTP's 32.32 bit format (RFC 3550, section 4).
func ntp(t time.Time) uint64 {
	seconds := uint64(t.Unix() + ntpEpoch)
	return seconds<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}

// fromNTP returns NTP time as nanoseconds of the sender's clock.
func fromNTP(t uint64) int64 {
	return int64(t>>32)*int64(time.Second) + int64((t&0xffffffff)*uint64(time.Second)>>32)
}

// syncPoint is a sender report: at one instant, the sender's clock and its RTP
// clock showed these.
type syncPoint struct {
	clock     int64 // nanoseconds
	timestamp uint32
}

// senderClock maps the clock of one participant to the node's. All its sources
// share it, so that its sound and picture keep their distance.
type senderClock struct {
	offset atomic.Int64 // node − sender, nanoseconds; 0 is unknown
}

const (
	// The offset follows the fastest packets at once and slower ones by this
	// share, which is more than clocks drift.
	driftShare = 4096
	// A capture time further from arrival than this is not believed.
	believable = 5 * time.Second
)

// captured returns when a packet's media was captured, on the node's clock, if
// the sender has reported, else when it arrived.
func (c *senderClock) captured(p *syncPoint, timestamp, rate uint32, arrived time.Duration) time.Duration {
	if p == nil {
		return arrived
	}
	sender := p.clock + int64(int32(timestamp-p.timestamp))*int64(time.Second)/int64(rate)
	now := int64(arrived) - sender
	offset := c.offset.Load()
	switch {
	case offset == 0 || now < offset:
		offset = now
	default:
		offset += (now - offset) / driftShare
	}
	// Two sources may write at once; either value will do.
	c.offset.Store(offset)
	at := time.Duration(sender + offset)
	if at > arrived || arrived-at > believable {
		c.offset.Store(0) // the sender's clock was set: begin anew
		return arrived
	}
	return at
}
