package main

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/spillway-sfu/spillway/bench/others"
)

const (
	framesPerSecond = 30
	frameTime       = time.Second / framesPerSecond
	soundTime       = 20 * time.Millisecond
	soundBytes      = 80 // 32 kbit/s

	packetBytes = 1100
	// A key frame is so many times as long as another.
	keyFactor = 4
)

// Where a packet's payload says what it is: behind VP8's descriptor (RFC 7741), with
// a picture id of 15 bits, TL0PICIDX and TID, and a key frame's header.
const (
	descriptor = 6
	layerAt    = descriptor + 10
	frameAt    = layerAt + 1
	timeAt     = frameAt + 4
	stampEnd   = timeAt + 8
)

// layers are those of a 720p camera as the SDK sends it.
var layers = []struct {
	rid    string
	kbps   int
	height uint16
}{{"q", 150, 180}, {"h", 500, 360}, {"f", 1700, 720}}

// publisher sends a camera and a voice. Frames vary in size, key frames are long,
// and asking for one layer's makes all layers begin anew, as in browsers.
type publisher struct {
	peer   *others.Peer
	key    atomic.Bool
	random *rand.Rand
	epoch  time.Time
}

// publish sends the named layers until ctx is done.
func (p *publisher) publish(ctx context.Context, from int) {
	picture, sound := time.NewTicker(frameTime), time.NewTicker(soundTime)
	defer picture.Stop()
	defer sound.Stop()
	p.key.Store(true)
	var frames, sounds uint32
	for {
		select {
		case <-ctx.Done():
			return
		case <-sound.C:
			sounds++
			payload := make([]byte, soundBytes)
			p.stamp(payload, 0, 0)
			_ = p.peer.Microphone.Write(payload, sounds*960, sounds == 1, 20)
		case <-picture.C:
			frames++
			key := p.key.Swap(false)
			for i := range layers[from:] {
				if p.peer.Camera[layers[from+i].rid].Active() {
					p.frame(from+i, frames, key)
				}
			}
		}
	}
}

func (p *publisher) frame(i int, number uint32, key bool) {
	l := layers[i]
	size := int(float64(l.kbps) * 1000 / 8 / framesPerSecond * (0.7 + 0.6*p.random.Float64()))
	if key {
		size *= keyFactor
	}
	packets := (size + packetBytes - 1) / packetBytes
	for n := range packets {
		payload := make([]byte, max(stampEnd, size/packets))
		payload[0] = 0x80
		copy(payload[1:], []byte{0xe0, 0x80 | byte(number>>8), byte(number), byte(number), 0})
		if n == 0 {
			payload[0] |= 0x10
			payload[descriptor] = 0x11
			if key {
				payload[descriptor] = 0x10
				copy(payload[descriptor+3:], []byte{0x9d, 0x01, 0x2a})
				binary.LittleEndian.PutUint16(payload[descriptor+6:], l.height*16/9)
				binary.LittleEndian.PutUint16(payload[descriptor+8:], l.height)
			}
		}
		p.stamp(payload, i, number)
		_ = p.peer.Camera[l.rid].Write(payload, number*90000/framesPerSecond, n == packets-1, 0)
	}
}

func (p *publisher) stamp(payload []byte, layer int, frame uint32) {
	payload[layerAt] = byte(layer)
	binary.BigEndian.PutUint32(payload[frameAt:], frame)
	binary.BigEndian.PutUint64(payload[timeAt:], uint64(time.Since(p.epoch)))
}
