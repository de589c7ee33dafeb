package bandwidth

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// A way that was narrow for a while is used again soon after it has become wide,
// and what is gained stays. That costs no queue meanwhile, and no more probes than
// are allowed.
func TestAWayThatIsWideAgainIsUsedSoon(t *testing.T) {
	const (
		from  = 10 * time.Second
		after = 30 * time.Second
	)
	for _, narrow := range []int64{300, 500, 800} {
		for i, lasts := range []time.Duration{5, 8, 12, 20, 45} {
			t.Run(fmt.Sprintf("%d kbps for %d s", narrow, lasts), func(t *testing.T) {
				lasts *= time.Second
				c := newCall(t, link{kbps: func(at time.Duration) int64 {
					if at -= time.Hour; at > from && at < from+lasts {
						return narrow
					}
					return 3000
				}, delay: 25 * time.Millisecond, jitter: 2 * time.Millisecond}, 150, 500, 1700)
				c.link.random = rand.New(rand.NewPCG(uint64(i), uint64(narrow)))
				c.run(from + lasts + after)
				back, losses := time.Duration(-1), 0
				for _, s := range c.between(from+lasts, from+lasts+after) {
					switch full := s.sent == 1748; {
					case full && back < 0:
						back = s.at - from - lasts
					case !full && back >= 0:
						losses++
					}
				}
				if back < 0 || back > 4*time.Second {
					t.Errorf("the largest layer is back after %v", back)
				}
				if losses > 0 {
					t.Errorf("it is lost again for %d ms", 100*losses)
				}
				if got := mean(c.between(from+3*time.Second, from+lasts), queue); got > 100 {
					t.Errorf("on the narrow way packets waited for %.0f ms", got)
				}
				if share := (float64(c.probes-firstSavings) - probeFloor*c.now.Seconds() + probeFloor*3600) / float64(c.media); share > 0.021 {
					t.Errorf("probes were %.1f %% of what was sent", 100*share)
				}
			})
		}
	}
}
