package gateway

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Faults makes the gateway as unreliable as the real one may be, and the networks
// that lead to it. Each field but Down, Cut and MaxDelayMs is the share, 0 to 1, of
// events that the fault befalls.
type Faults struct {
	// Down: all connections break at once, with nobody told, and handshakes and
	// posts get 503.
	Down bool `json:"down"`
	// Cut is a principal, as the authorizer names it, whose network is cut: what it
	// sends is lost, what is posted to it gets 200 and is lost, no connection ends for
	// it, and no new one comes up.
	Cut string `json:"cut"`
	// LoseDisconnects: the $disconnect route is not called.
	LoseDisconnects float64 `json:"loseDisconnects"`
	// RefusePosts: a post gets 429 and is not delivered.
	RefusePosts float64 `json:"refusePosts"`
	// DropPosts: a post gets 200 and is not delivered.
	DropPosts float64 `json:"dropPosts"`
	// RepeatPosts: a post is delivered twice.
	RepeatPosts float64 `json:"repeatPosts"`
	// ReorderPosts: a post is delivered after the one that follows it on the same
	// connection, or after a second.
	ReorderPosts float64 `json:"reorderPosts"`
	// DelayPosts: a post is delivered after a random time up to MaxDelayMs
	// milliseconds.
	DelayPosts float64 `json:"delayPosts"`
	MaxDelayMs int64   `json:"maxDelayMs"`
}

// Validate reports the first field that is out of range.
func (f Faults) Validate() error {
	for _, s := range []struct {
		name  string
		share float64
	}{
		{"loseDisconnects", f.LoseDisconnects}, {"refusePosts", f.RefusePosts}, {"dropPosts", f.DropPosts},
		{"repeatPosts", f.RepeatPosts}, {"reorderPosts", f.ReorderPosts}, {"delayPosts", f.DelayPosts},
	} {
		if !(s.share >= 0 && s.share <= 1) {
			return fmt.Errorf("%s is %v, expected a share from 0 to 1", s.name, s.share)
		}
	}
	if f.MaxDelayMs < 0 || f.MaxDelayMs > 600_000 {
		return fmt.Errorf("maxDelayMs is %d, expected 0 to 600000", f.MaxDelayMs)
	}
	if f.DelayPosts > 0 && f.MaxDelayMs == 0 {
		return fmt.Errorf("delayPosts needs maxDelayMs")
	}
	return nil
}

// holdTime is how long a post waits for another one to overtake it.
const holdTime = time.Second

// fate is what befalls one post.
type fate struct {
	refuse, drop, hold bool
	copies             int
	delay              time.Duration
}

// mischief decides who is hit. It may be used by several goroutines.
type mischief struct {
	mu     sync.Mutex
	faults Faults
	random *rand.Rand
}

func (m *mischief) set(f Faults) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = f
}

func (m *mischief) get() Faults {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.faults
}

// cut reports whether the network of who is connected is cut.
func (m *mischief) cut(c *connection) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.faults.Cut != "" && c.authorizer["principalId"] == m.faults.Cut
}

// hit draws once. The caller holds mu.
func (m *mischief) hit(share float64) bool { return share > 0 && m.random.Float64() < share }

func (m *mischief) loseDisconnect() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hit(m.faults.LoseDisconnects)
}

func (m *mischief) post() fate {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := fate{
		refuse: m.hit(m.faults.RefusePosts),
		drop:   m.hit(m.faults.DropPosts),
		hold:   m.hit(m.faults.ReorderPosts),
		copies: 1,
	}
	if m.hit(m.faults.RepeatPosts) {
		f.copies = 2
	}
	if m.hit(m.faults.DelayPosts) {
		f.delay = time.Duration(1+m.random.Int64N(m.faults.MaxDelayMs)) * time.Millisecond
	}
	return f
}
