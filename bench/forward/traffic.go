package main

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// traffic is what publishers send.
type traffic string

const (
	// frames is a camera of 720p: frames of five packets at once, split as browsers
	// do, 30 times a second.
	frames traffic = ""
	// paced is the same number of packets, evenly spread.
	paced traffic = "paced"
	// gallery is a small tile: a camera of 180p, a packet for each frame, and sound.
	gallery traffic = "gallery"
)

const (
	// bodyBytes makes RTP payloads of 1,200 bytes; as browsers split frames, some
	// have one byte more.
	bodyBytes = 1200 - descriptor
	// descriptor is VP8's, with 15-bit picture id, TL0PICIDX and TID.
	descriptor = 6
	// stampAt is where a body says who sent what when, behind a frame's header.
	stampAt = descriptor + 10
)

// flow is packets of one source.
type flow struct {
	source events.Source
	every  time.Duration
	burst  int // packets at once
	frame  int // packets of a frame
	bytes  int // of a packet's payload
}

// flows are those of one publisher.
func (t traffic) flows() []flow {
	switch t {
	case paced:
		return []flow{{events.Camera, time.Second / 150, 1, 5, descriptor + bodyBytes}}
	case gallery:
		return []flow{
			{events.Camera, time.Second / 20, 1, 1, 900},
			{events.Microphone, 20 * time.Millisecond, 1, 1, 80},
		}
	}
	return []flow{{events.Camera, time.Second / 30, 5, 5, descriptor + bodyBytes}}
}

func (t traffic) tracks() []events.Track {
	if t == gallery {
		return []events.Track{{Source: events.Camera, Width: 320, Height: 180}, {Source: events.Microphone}}
	}
	return []events.Track{{Source: events.Camera, Width: 1280, Height: 720}}
}

// publisher sends what the row's traffic is.
type publisher struct {
	client *lightpeer.Client
	number uint32
	key    atomic.Bool
	sent   atomic.Int64
}

// publish sends one flow; share moves its begin, so that publishers do not send
// at the same time.
func (g *generator) publish(p *publisher, f flow, share float64) {
	sender, clock := p.client.Camera("f"), time.Duration(90)
	if f.source == events.Microphone {
		sender, clock = p.client.Microphone(), 48
	}
	body := make([]byte, f.bytes+1)
	next := time.Now().Add(time.Duration(share * float64(f.every)))
	start := next
	number, picture, at := uint32(0), uint16(1), 0
	key := true
	for {
		select {
		case <-g.stopping:
			return
		case <-time.After(time.Until(next)):
		}
		next = next.Add(f.every)
		stamp := uint32(time.Since(start) * clock / time.Millisecond)
		for range f.burst {
			number++
			size := f.bytes
			if at >= f.frame/2 && f.frame > 1 {
				size++
			}
			head(body, picture, at == 0, key)
			binary.BigEndian.PutUint32(body[stampAt:], p.number)
			binary.BigEndian.PutUint32(body[stampAt+4:], number)
			binary.BigEndian.PutUint64(body[stampAt+8:], uint64(time.Now().UnixNano()))
			if at++; sender.Write(body[:size], stamp, at == f.frame, 0) == nil {
				p.sent.Add(1)
			}
			if at == f.frame {
				picture, at = picture+1, 0
				key = f.source == events.Camera && p.key.Swap(false)
			}
		}
	}
}

// head writes a payload descriptor (RFC 7741, section 4.2) and the begin of a
// frame.
func head(b []byte, picture uint16, start, key bool) {
	b[0] = 0x80
	if start {
		b[0] |= 0x10
	}
	b[1], b[2], b[3], b[4], b[5] = 0xe0, 0x80|byte(picture>>8&0x7f), byte(picture), byte(picture), 0
	b[6] = 1
	if key {
		b[6] = 0
	}
}
