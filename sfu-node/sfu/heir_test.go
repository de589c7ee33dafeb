package sfu

import (
	"slices"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
)

// heirOf is a second incarnation of a bench's publication, which receivers wait for.
func (b *bench) heirOf() *bench {
	h := newBench(b.pub.source)
	b.pub.from.(*Peer).room.hold(h.pub, b.pub)
	return h
}

// Receivers of a picture go over to its next incarnation at a key frame of that, and
// not before or back; to them it is one stream.
func TestThePictureOfAnHeirBeginsAtAKeyFrame(t *testing.T) {
	t.Parallel()
	const before, after = 1, 2 // marks in the pictures
	old := newBench(events.Camera)
	var r recorder
	old.receiver(&r, codecVP8).aim(0)
	at := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
	old.up[0].take(raw(vp8In, 1, 1000, vp8(1, before, true, true)), at(0))
	heir := old.heirOf()
	if keys := &heir.pub.layers[0].keys; !keys.wanted || !keys.first {
		t.Error("the heir is not asked for a key frame")
	}
	heir.up[0].take(raw(vp8In, 700, 900_000, vp8(90, after, true, false)), at(20))
	old.up[0].take(raw(vp8In, 2, 4000, vp8(2, before, true, false)), at(33))
	heir.up[1].take(raw(vp8In, 40, 5, vp8(7, after, true, true)), at(40)) // of a layer too large
	old.up[0].take(raw(vp8In, 3, 7000, vp8(3, before, true, false)), at(66))
	heir.up[0].take(raw(vp8In, 701, 903_000, vp8(91, after, true, true)), at(70))
	old.up[0].take(raw(vp8In, 4, 10_000, vp8(4, before, true, false)), at(99))
	old.up[0].take(raw(vp8In, 5, 13_000, vp8(5, before, true, true)), at(120))
	heir.up[0].take(raw(vp8In, 702, 906_000, vp8(92, after, true, false)), at(130))
	var got []byte
	for _, p := range r.packets {
		got = append(got, layerOf(p))
		if !slices.Equal(p.CSRC, []uint32{old.pub.csrc}) {
			t.Errorf("a packet is named %v, the publication is %d", p.CSRC, old.pub.csrc)
		}
	}
	if !slices.Equal(got, []byte{before, before, before, after, after}) {
		t.Errorf("sent were pictures of %v", got)
	}
	checkRun(t, r.packets)
}

// Receivers of sound go over at the next packet, and get none of the earlier
// incarnation from then on: nothing is heard twice.
func TestTheSoundOfAnHeirIsHeardOnce(t *testing.T) {
	t.Parallel()
	old := newBench(events.Microphone)
	var r recorder
	old.receiver(&r, codecOpus)
	said := func(b *bench, seq uint16, ts uint32, word byte, ms int) {
		b.up[layer.Count-1].take(raw(opusIn, seq, ts, []byte{word}), time.Duration(ms)*time.Millisecond)
	}
	said(old, 601, 80_960, 'a', 0)
	heir := old.heirOf()
	said(old, 602, 81_920, 'b', 20)
	said(heir, 500, 70_000, 'c', 40)
	said(old, 603, 82_880, 'c', 41) // which is later than the heir's by its numbers
	said(old, 604, 83_840, 'd', 60)
	said(heir, 501, 70_960, 'd', 61)
	var got string
	for _, p := range r.packets {
		got += string(p.Payload)
	}
	if got != "abcd" {
		t.Errorf("heard was %q", got)
	}
	checkRun(t, r.packets)
}

// A ping on the channel on which nothing is sent again is answered.
func TestAPingThatMayBeLostIsAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.join("anna")
	n := int64(0)
	anna.until("an answer", func() bool {
		n++ // each may be lost, or come before the channel is open
		_ = anna.Ping(n)
		pong, ok := last[events.Pong](anna)
		return ok && pong.N > 0 && pong.N <= n
	})
}
