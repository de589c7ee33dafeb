package sfu

import (
	"net"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
	"github.com/spillway-sfu/spillway/sfu-node/seal"
)

// Whoever does not keep up on TCP loses pictures, in whole frames and up to a key
// frame, and no sound at all.
func TestSoundGoesFirstOnASlowConnection(t *testing.T) {
	b := newBench(events.Camera)
	b.onWire(t, false)
	conn, at := b.onTCP(t)
	_ = conn.(*net.TCPConn).SetReadBuffer(128 << 10)
	picture, opener := b.wired(t, loopback(t), seal.AES128GCM)
	peer := picture.peer
	peer.follow(&webrtc.ICECandidatePair{Remote: &webrtc.ICECandidate{Address: at.Addr().String(), Port: at.Port()}})
	voice := newPublication(b.pub.from.(*Peer), events.Microphone)
	voice.listed.Store(true)
	mic := &uplink{room: b.up[0].room, clock: b.up[0].clock, pub: voice, layer: layer.Count - 1, ssrc: 9, rate: 48000}
	mic.codecs[opusIn] = codecOpus
	sound := newStream(peer, webrtc.RTPCodecTypeAudio, "6")
	bound := &binding{ssrc: 4800, audio: true}
	bound.pts[codecOpus] = opusOut
	sound.bound.Store(bound)
	sound.carry(voice, 0)
	picture.aim(0)

	frames, sounds, videoSeq := uint16(0), 0, uint16(0)
	round := func(key bool) {
		frames++
		u, now := b.up[0], time.Duration(frames)*33*time.Millisecond
		for n := range 5 {
			one := raw(vp8In, videoSeq, uint32(frames)*3000, append(vp8(frames, 0, n == 0, key), make([]byte, 1000)...))
			if one[1] &^= 0x80; n == 4 {
				one[1] |= 0x80
			}
			u.accept(&u.packets[len(u.held)], one, now)
			videoSeq++
		}
		u.flush()
		mic.take(raw(opusIn, uint16(sounds), uint32(sounds)*960, make([]byte, 80)), now)
		sounds++
	}
	behind := func() bool {
		picture.mu.Lock()
		defer picture.mu.Unlock()
		return picture.behind
	}
	round(true)
	for !behind() {
		if round(false); frames > 5000 {
			t.Fatal("nothing stops the pictures of a connection that nobody reads")
		}
	}
	before := frames
	for range 100 {
		round(false)
	}
	type taken struct {
		voice, pictures []rtp.Packet
	}
	came, enough := make(chan taken, 1), make(chan int, 1)
	go func() {
		var got taken
		defer func() { came <- got }()
		next, most := overTCP(conn), 1<<30
		for len(got.voice) < most {
			b, err := next()
			if err != nil {
				return
			}
			opened, _, err := opener.Open(b)
			var p rtp.Packet
			if err != nil || p.Unmarshal(opened) != nil {
				t.Errorf("a packet cannot be opened: %v", err)
				return
			}
			if p.SSRC == 4800 {
				got.voice = append(got.voice, p)
			} else {
				got.pictures = append(got.pictures, p)
			}
			select {
			case most = <-enough:
			default:
			}
		}
	}()
	keys := &b.pub.layers[0].keys
	asked := func() bool {
		keys.mu.Lock()
		defer keys.mu.Unlock()
		return keys.wanted
	}
	for deadline := time.Now().Add(patience); !asked(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the queue has become short, and nobody asks for a key frame")
		}
		round(false)
	}
	again := frames + 1
	for i := range 3 {
		round(i == 0)
	}
	// What tells the reader that this is all; it may read on until then.
	enough <- sounds + 1
	round(false)
	got := <-came
	for i, p := range got.voice {
		if p.SequenceNumber != got.voice[0].SequenceNumber+uint16(i) {
			t.Fatalf("sound %d of %d has the number %d after %d", i, sounds, p.SequenceNumber, got.voice[i-1].SequenceNumber)
		}
	}
	if len(got.voice) != sounds {
		t.Errorf("%d of %d packets of sound came", len(got.voice), sounds)
	}
	checkFrames(t, got.pictures, before, again)
}

// checkFrames checks that frames are whole and in one run of numbers, up to one, and
// from a key frame on.
func checkFrames(t *testing.T, packets []rtp.Packet, before, again uint16) {
	t.Helper()
	seen, last := map[uint32]int{}, uint32(0)
	for i, p := range packets {
		if p.SequenceNumber != packets[0].SequenceNumber+uint16(i) {
			t.Fatalf("picture packet %d has the number %d, the first has %d", i, p.SequenceNumber, packets[0].SequenceNumber)
		}
		if seen[p.Timestamp]++; p.Timestamp == last {
			continue
		}
		if last != 0 && seen[last] != 5 {
			t.Errorf("of a frame %d packets came", seen[last])
		}
		if d, ok := layer.ParseVP8(p.Payload); i > 0 && p.Timestamp-last > 3000 && (!ok || !d.Key) {
			t.Error("after a gap something else than a key frame comes")
		}
		last = p.Timestamp
	}
	gone := int(again) - int(before)
	if n := len(seen); n < int(before)-1 || n > int(before)+gone/2 || n < 4 {
		t.Errorf("%d frames came; %d were sent before the queue was full, and again from %d on", n, before, again)
	}
}
