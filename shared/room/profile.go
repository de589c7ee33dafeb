// Package room holds what a room is: its profile, its participants and their
// roles, and the arithmetic that turns a profile into the load of one seat.
//
// The package is pure: no clock, no randomness, no input or output.
package room

import (
	"fmt"
	"slices"
)

// Name is a room's name, chosen by the customer.
type Name string

// Role is what a participant may do in a room.
type Role string

// The roles. A publisher sends and receives, a viewer receives.
const (
	Publisher Role = "publisher"
	Viewer    Role = "viewer"
)

// Load is what a seat costs, what a node carries, or what it may still take.
type Load struct {
	Kbps int64 // kilobits per second, both directions added up
	PPS  int64 // packets per second, both directions added up
}

// Plus returns l + o.
func (l Load) Plus(o Load) Load { return Load{l.Kbps + o.Kbps, l.PPS + o.PPS} }

// Minus returns l - o, which may be negative.
func (l Load) Minus(o Load) Load { return Load{l.Kbps - o.Kbps, l.PPS - o.PPS} }

// Times returns l multiplied by n.
func (l Load) Times(n int) Load { return Load{l.Kbps * int64(n), l.PPS * int64(n)} }

// Fits reports whether l can be taken out of available in both dimensions.
func (l Load) Fits(available Load) bool {
	return l.Kbps <= available.Kbps && l.PPS <= available.PPS
}

// Into returns how many times l fits into available; 0 when l is zero, or when
// available is negative anywhere.
func (l Load) Into(available Load) int {
	n := int64(-1)
	for _, d := range [2][2]int64{{l.Kbps, available.Kbps}, {l.PPS, available.PPS}} {
		if d[1] < 0 {
			return 0
		}
		if d[0] <= 0 {
			continue
		}
		if k := d[1] / d[0]; n < 0 || k < n {
			n = k
		}
	}
	return int(max(n, 0))
}

// Profile is a room's limits. Because it bounds what one participant can send
// and receive, a seat's load is known before it is taken and does not change
// when others begin to publish.
type Profile struct {
	MaxParticipants int
	// MaxPublishers is how many may be on stage at once: publishers, not viewers.
	MaxPublishers int
	// AudioStreams and VideoStreams bound the receive streams of a participant.
	AudioStreams int
	VideoStreams int
	// ReceiveKbps and SendKbps bound what one participant receives and sends.
	ReceiveKbps int64
	SendKbps    int64
	// VideoCodecs are those publishers may use, the preferred one first.
	VideoCodecs []string
	// MaxOvercommit bounds what is granted on a node with such a room on it, in
	// percent of what the node carries, where measured load shows that seats use
	// less than they claim. 100 or less forbids it.
	MaxOvercommit int
}

// Default is the profile of a room that nobody declared: a meeting in which
// everybody may publish a 720p camera and a screen.
func Default() Profile {
	return Profile{
		MaxParticipants: 500,
		MaxPublishers:   500,
		AudioStreams:    6,
		VideoStreams:    25,
		ReceiveKbps:     4000,
		SendKbps:        3000,
		VideoCodecs:     []string{"vp8"},
		MaxOvercommit:   200,
	}
}

// Sizes of packets that turn kbps into packets per second: video in packets
// near the path's MTU, as libwebrtc cuts frames, half of them filled; audio in
// one packet per 20 ms.
const (
	bitsPerVideoPacket = 7000
	audioPPS           = 50
)

// Validate reports the first limit that makes no sense.
func (p Profile) Validate() error {
	switch {
	case p.MaxParticipants < 1:
		return fmt.Errorf("maxParticipants is %d, at least 1 is needed", p.MaxParticipants)
	case p.MaxPublishers < 0 || p.MaxPublishers > p.MaxParticipants:
		return fmt.Errorf("maxPublishers is %d, expected 0 to maxParticipants, which is %d", p.MaxPublishers, p.MaxParticipants)
	case p.AudioStreams < 0 || p.AudioStreams > 16:
		return fmt.Errorf("audioStreams is %d, expected 0 to 16", p.AudioStreams)
	case p.VideoStreams < 0 || p.VideoStreams > 49:
		return fmt.Errorf("videoStreams is %d, expected 0 to 49", p.VideoStreams)
	case p.ReceiveKbps < 1:
		return fmt.Errorf("receiveKbps is %d, at least 1 is needed", p.ReceiveKbps)
	case p.SendKbps < 0:
		return fmt.Errorf("sendKbps is %d, it cannot be negative", p.SendKbps)
	case len(p.VideoCodecs) == 0:
		return fmt.Errorf("videoCodecs is empty")
	}
	for i, c := range p.VideoCodecs {
		if !slices.Contains(videoCodecs, c) {
			return fmt.Errorf("videoCodecs names %.32q, expected vp8, h264, vp9 or av1", c)
		}
		if slices.Contains(p.VideoCodecs[:i], c) {
			return fmt.Errorf("videoCodecs names %s twice", c)
		}
	}
	return nil
}

// videoCodecs are those that nodes forward.
var videoCodecs = []string{"vp8", "h264", "vp9", "av1"}

// SeatLoad is the load of one seat: a viewer's is what it may receive, a
// publisher's that and what it may send.
func (p Profile) SeatLoad(role Role) Load {
	load := Load{
		Kbps: p.ReceiveKbps,
		PPS:  p.ReceiveKbps*1000/bitsPerVideoPacket + int64(p.AudioStreams)*audioPPS,
	}
	if role == Publisher {
		load = load.Plus(Load{Kbps: p.SendKbps, PPS: p.SendKbps*1000/bitsPerVideoPacket + audioPPS})
	}
	return load
}
