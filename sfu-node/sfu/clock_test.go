package sfu

import (
	"testing"
	"time"
)

func TestNTP(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 4, 5, 6, 123456789, time.UTC)
	back := fromNTP(ntp(at)) - ntpEpoch*int64(time.Second)
	if diff := back - at.UnixNano(); diff < -2 || diff > 2 {
		t.Errorf("%v comes back %d ns off", at, diff)
	}
}

// The capture times of a sender's sound and picture keep their distance on the
// node's clock, and are never after arrival.
func TestSenderClock(t *testing.T) {
	t.Parallel()
	var c senderClock
	const senderAhead = 3 * time.Hour
	sound := &syncPoint{clock: int64(senderAhead), timestamp: 1000}
	picture := &syncPoint{clock: int64(senderAhead), timestamp: 500_000}
	if got := c.captured(nil, 7, 48000, time.Second); got != time.Second {
		t.Errorf("without a report: %v", got)
	}
	var lastSound, lastPicture time.Duration
	for i := range 500 {
		sent := time.Duration(i) * 20 * time.Millisecond
		soundAt := c.captured(sound, 1000+uint32(i)*960, 48000, sent+30*time.Millisecond)
		// The picture takes 50 ms longer to encode, and some packets come late.
		delay := 80*time.Millisecond + time.Duration(i%5)*10*time.Millisecond
		pictureAt := c.captured(picture, 500_000+uint32(i)*1800, 90000, sent+delay)
		if i > 0 {
			if d := pictureAt - soundAt; d < -5*time.Millisecond || d > 5*time.Millisecond {
				t.Fatalf("packet %d: the picture is %v from its sound", i, d)
			}
			if soundAt <= lastSound || pictureAt <= lastPicture {
				t.Fatalf("packet %d: time goes back", i)
			}
		}
		if soundAt > sent+30*time.Millisecond || pictureAt > sent+delay {
			t.Fatalf("packet %d: captured after it arrived", i)
		}
		lastSound, lastPicture = soundAt, pictureAt
	}
	// A sender's clock that jumps back is not believed, then learned anew.
	jumped := &syncPoint{clock: 0, timestamp: 0}
	arrived := 20 * time.Second
	if got := c.captured(jumped, 0, 48000, arrived); got != arrived {
		t.Errorf("after a jump: captured %v before arrival", arrived-got)
	}
	if got := c.captured(jumped, 960, 48000, arrived+25*time.Millisecond); got > arrived+25*time.Millisecond || got < arrived {
		t.Errorf("after learning anew: %v", got)
	}
}

func TestKeyRequestsAreMerged(t *testing.T) {
	t.Parallel()
	b := newBench("camera")
	pub := b.pub
	due := func(now time.Duration) int { ssrcs, _ := pub.keysDue(now); return len(ssrcs) }
	for range 5 {
		pub.requestKey(1, true)
	}
	if n := due(time.Second); n != 1 {
		t.Fatalf("%d requests for one layer", n)
	}
	pub.requestKey(1, false)
	if n := due(time.Second + 10*time.Millisecond); n != 0 {
		t.Error("a second request right after the first")
	}
	if _, wait := pub.keysDue(time.Second + 10*time.Millisecond); wait != keyEvery-10*time.Millisecond {
		t.Errorf("the next one waits %v", wait)
	}
	pub.requestKey(1, true)
	if n := due(time.Second + firstKeyEvery); n != 1 {
		t.Error("a receiver without a picture waits as long as others")
	}
	pub.requestKey(1, false)
	pub.gotKey(1)
	if n := due(time.Minute); n != 0 {
		t.Error("a request that a key frame has served is sent")
	}
}
