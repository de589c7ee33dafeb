package main

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const (
	// A receiver that cannot go on for so long asks for a key frame, and again
	// after as long, as browsers do.
	stuckFor = 250 * time.Millisecond
	// Packets further ahead than this are of no use.
	furthest = 2000
)

const (
	// A browser shows frames a little later than they are complete, so that those
	// which take longer do not make the picture stand: as late as the latest of the
	// last time. That falls slowly.
	playoutFalls = 100 * time.Millisecond // a second
	playoutMost  = time.Second
)

// shown is one frame as it was shown.
type shown struct {
	at      time.Duration
	latency time.Duration
	layer   int
}

// heard is one packet of sound.
type heard struct {
	at, latency time.Duration
	number      uint16
}

// receiver puts frames together in order, as a browser does before it decodes.
type receiver struct {
	pc    *webrtc.PeerConnection
	epoch time.Time

	mu      sync.Mutex
	frames  []shown
	sounds  []heard
	bytes   []arrival
	packets map[uint16]*rtp.Packet
	next    uint16 // the first packet of the next frame
	begun   bool
	ssrc    uint32        // of the picture
	playout time.Duration // how late frames are shown
	moved   time.Duration // when a frame was last complete
	asked   time.Duration
	keys    int
}

type arrival struct {
	at   time.Duration
	size int
}

func newReceiver(epoch time.Time) *receiver {
	return &receiver{epoch: epoch, packets: map[uint16]*rtp.Packet{}}
}

// take is told of each packet.
func (r *receiver) take(_ string, p *rtp.Packet) {
	now := time.Since(r.epoch)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.begun && len(p.Payload) == 0 && p.SSRC == r.ssrc {
		r.packets[p.SequenceNumber] = p // padding takes a number
		r.advance(now)
	}
	if len(p.Payload) < stampEnd {
		return
	}
	r.bytes = append(r.bytes, arrival{now, len(p.Payload) + 12})
	if len(p.Payload) == soundBytes {
		r.sounds = append(r.sounds, heard{now, now - sentAt(p), p.SequenceNumber})
		return
	}
	if r.begun && int16(p.SequenceNumber-r.next) < 0 {
		return
	}
	r.packets[p.SequenceNumber] = p
	if !r.begun {
		if !startsKey(p) {
			delete(r.packets, p.SequenceNumber)
			r.ask(now, p.SSRC)
			return
		}
		r.begun, r.next, r.moved, r.ssrc = true, p.SequenceNumber, now, p.SSRC
	}
	r.advance(now)
	if now-r.moved > stuckFor {
		r.ask(now, p.SSRC)
	}
}

// advance shows what is complete; a complete key frame makes what is before it
// dispensable.
func (r *receiver) advance(now time.Duration) {
	for {
		if p := r.packets[r.next]; p != nil && len(p.Payload) == 0 {
			delete(r.packets, r.next)
			r.next++
			continue
		}
		if last, ok := r.complete(r.next); ok {
			r.show(r.next, last, now)
			continue
		}
		key, last, found := uint16(0), uint16(0), false
		for seq, p := range r.packets {
			if startsKey(p) {
				if l, ok := r.complete(seq); ok && (!found || int16(seq-key) < 0) {
					key, last, found = seq, l, true
				}
			}
		}
		if !found {
			return
		}
		r.show(key, last, now)
	}
}

// complete returns the last packet of the frame that begins with first.
func (r *receiver) complete(first uint16) (last uint16, ok bool) {
	for last = first; ; last++ {
		p := r.packets[last]
		if p == nil || len(p.Payload) == 0 || last == first && p.Payload[0]&0x10 == 0 {
			return 0, false
		}
		if p.Marker {
			return last, true
		}
	}
}

func (r *receiver) show(first, last uint16, now time.Duration) {
	p := r.packets[first]
	sent := sentAt(p)
	if n := len(r.frames); n > 0 {
		r.playout -= time.Duration(float64(playoutFalls) * (now - r.moved).Seconds())
	}
	r.playout = min(max(r.playout, now-sent), playoutMost)
	at := max(now, sent+r.playout)
	r.frames = append(r.frames, shown{at, at - sent, int(p.Payload[layerAt])})
	r.next, r.moved = last+1, now
	for seq := range r.packets {
		if d := int16(seq - r.next); d < 0 || d > furthest {
			delete(r.packets, seq)
		}
	}
}

func (r *receiver) ask(now time.Duration, ssrc uint32) {
	if r.pc == nil || r.asked != 0 && now-r.asked < stuckFor {
		return
	}
	r.asked = now
	r.keys++
	_ = r.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: ssrc}})
}

func startsKey(p *rtp.Packet) bool {
	return len(p.Payload) > descriptor && p.Payload[0]&0x10 != 0 && p.Payload[descriptor]&1 == 0
}

func sentAt(p *rtp.Packet) time.Duration {
	return time.Duration(binary.BigEndian.Uint64(p.Payload[timeAt:]))
}
