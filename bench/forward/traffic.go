package main

import (
	"encoding/binary"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spillway-sfu/spillway/events"
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
	// meeting is a camera in three layers, and sound of the first few people.
	// Everybody sees the first one in 720p and the others in 180p.
	meeting traffic = "meeting"
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

// rids are a camera's layers, the smallest first.
var rids = []string{"q", "h", "f"}

// flow is packets of one source.
type flow struct {
	source events.Source
	rid    string
	every  time.Duration
	burst  int // packets at once
	frame  int // packets of a frame
	bytes  int // of a packet's payload
}

// talking is how many people have their microphone on in a meeting.
const talking = 3

// flows are those of publisher i.
func (t traffic) flows(i int) []flow {
	full := flow{events.Camera, "f", time.Second / 30, 5, 5, descriptor + bodyBytes}
	small := flow{events.Camera, "q", time.Second / 20, 1, 1, 900}
	sound := flow{events.Microphone, "", 20 * time.Millisecond, 1, 1, 80}
	switch t {
	case paced:
		return []flow{{events.Camera, "f", time.Second / 150, 1, 5, descriptor + bodyBytes}}
	case gallery:
		small.rid = "f"
		return []flow{small, sound}
	case meeting:
		camera := []flow{small, {events.Camera, "h", time.Second / 30, 2, 2, 1000}, full}
		if i >= talking {
			return camera
		}
		return append(camera, sound)
	}
	return []flow{full}
}

// settles is how long it takes until everything is as it stays: where there are
// layers, an SFU first finds out which it can send.
func (t traffic) settles() time.Duration {
	if t == meeting {
		return 10 * time.Second
	}
	return 3 * time.Second
}

// voices is how many of so many publishers have their microphone on.
func (t traffic) voices(publishers int) int {
	switch t {
	case gallery:
		return publishers
	case meeting:
		return min(publishers, talking)
	}
	return 0
}

// height is in how many lines publisher i is watched.
func (t traffic) height(i int) int {
	if t == gallery || t == meeting && i > 0 {
		return 180
	}
	return 720
}

// wanted is the layer in which publisher i is watched.
func (t traffic) wanted(i int) string {
	if t == meeting && i > 0 {
		return "q"
	}
	return "f"
}

// tracks are those of publisher i.
func (t traffic) tracks(i int) []events.Track {
	var tracks []events.Track
	switch t {
	case gallery:
		tracks = append(tracks, events.Track{Source: events.Camera, Width: 320, Height: 180})
	default:
		tracks = append(tracks, events.Track{Source: events.Camera, Width: 1280, Height: 720})
	}
	if i < t.voices(i+1) {
		tracks = append(tracks, events.Track{Source: events.Microphone})
	}
	return tracks
}

// publisher sends what the row's traffic is.
type publisher struct {
	*peer
	number uint32
	keys   [3]atomic.Bool // asked for, by layer
	sent   []atomic.Int64 // by flow
}

// askKey notes that a key frame of a layer is wanted; "" is the only one's.
func (p *publisher) askKey(rid string) {
	for i, r := range rids {
		if r == rid || rid == "" {
			p.keys[i].Store(true)
		}
	}
}

// publish sends one flow; share moves its begin, so that publishers do not send
// at the same time.
func (g *generator) publish(p *publisher, index int, f flow, share float64) {
	sender, clock, key := p.camera[f.rid], time.Duration(90), new(atomic.Bool)
	if f.source == events.Microphone {
		sender, clock = p.microphone, 48
	} else {
		key = &p.keys[slices.Index(rids, f.rid)]
	}
	body := make([]byte, f.bytes+1)
	next := time.Now().Add(time.Duration(share * float64(f.every)))
	start := next
	number, picture, at := uint32(0), uint16(1), 0
	now := true // a key frame is
	for {
		select {
		case <-g.stopping:
			return
		case <-time.After(time.Until(next)):
		}
		next = next.Add(f.every)
		if g.paused.Load() && at == 0 {
			continue
		}
		stamp := uint32(time.Since(start) * clock / time.Millisecond)
		for range f.burst {
			number++
			size := f.bytes
			if at >= f.frame/2 && f.frame > 1 {
				size++
			}
			head(body, picture, at == 0, now)
			binary.BigEndian.PutUint32(body[stampAt:], p.number<<8|uint32(index))
			binary.BigEndian.PutUint32(body[stampAt+4:], number)
			binary.BigEndian.PutUint64(body[stampAt+8:], uint64(time.Now().UnixNano()))
			if at++; sender.Write(body[:size], stamp, at == f.frame, 0) == nil {
				p.sent[index].Add(1)
			}
			if at == f.frame {
				picture, at = picture+1, 0
				now = key.Swap(false)
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
