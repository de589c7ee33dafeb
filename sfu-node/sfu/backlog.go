package sfu

import (
	"github.com/spillway-sfu/spillway/sfu-node/framed"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
)

// Over TCP nothing gets lost on the way: what is too much waits before it. Sound
// must not wait behind pictures that will be late anyway, so pictures stop while
// their receiver's connection has a queue: at the end of a frame, and until a key
// frame after it has become short. The numbers go on without a gap, so nothing is
// asked for again.

const (
	// A frame that would begin while so much waits is not sent.
	framesWait = framed.QueueBytes / 2
	// A frame that has begun ends there all the same: the rest is for sound.
	pictureMost = framed.QueueBytes * 3 / 4
	// framesAgain is when pictures go on.
	framesAgain = framed.QueueBytes / 6
)

// keepsUp reports whether a receiver's connection takes the next packets of a
// picture.
func (s *stream) keepsUp(c *framed.Conn) bool {
	waits := c.Waiting()
	s.mu.Lock()
	stop := waits > pictureMost || waits > framesWait && (s.whole || s.current == layer.None)
	if !stop && !s.behind {
		s.mu.Unlock()
		return true
	}
	if stop && !s.behind {
		s.behind, s.current = true, layer.None
		s.numbers.Stop()
	}
	again := waits <= framesAgain
	if again {
		s.behind = false
	}
	pub, target := s.pub, s.target
	s.mu.Unlock()
	if again && pub != nil && target != layer.None {
		pub.requestKey(target, false)
	}
	return again
}
