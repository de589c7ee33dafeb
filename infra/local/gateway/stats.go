package gateway

import (
	"maps"
	"strconv"
	"sync"

	"github.com/gobwas/ws"
)

// billedUnit is what API Gateway bills as one message, in bytes.
const billedUnit = 32 << 10

// Stats are counters since the start.
type Stats struct {
	// Open is the number of connections now.
	Open int `json:"open"`
	// Connects counts handshakes by outcome: accepted, or the status refused with.
	Connects map[string]int64 `json:"connects"`
	// In counts what came in by route, $connect and $disconnect among them.
	In map[string]int64 `json:"in"`
	// Lost counts what came in over networks that were cut.
	Lost int64 `json:"lost"`
	// Out is the number of messages sent to clients, whoever asked for it.
	Out int64 `json:"out"`
	// BilledUnits is what API Gateway would charge for: messages in both
	// directions, per 32 KB.
	BilledUnits int64 `json:"billedUnits"`
	// ErrorFrames counts what the gateway itself had to say, by message.
	ErrorFrames map[string]int64 `json:"errorFrames"`
	// Posts counts calls of the management API by status.
	Posts map[string]int64 `json:"posts"`
	// Disconnects counts connections that are over by close code.
	Disconnects map[string]int64 `json:"disconnects"`
}

// counters count; they may be used by several goroutines.
type counters struct {
	mu sync.Mutex
	s  Stats
}

func bump(m *map[string]int64, key string) {
	if *m == nil {
		*m = map[string]int64{}
	}
	(*m)[key]++
}

func units(bytes int) int64 { return int64(max(1, (bytes+billedUnit-1)/billedUnit)) }

func (c *counters) connect(outcome string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bump(&c.s.Connects, outcome)
}

func (c *counters) lost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Lost++
}

// in counts an event. $connect and $disconnect are not billed as messages.
func (c *counters) in(route string, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bump(&c.s.In, route)
	if route != routeConnect && route != routeDisconnect {
		c.s.BilledUnits += units(bytes)
	}
}

func (c *counters) out(bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Out++
	c.s.BilledUnits += units(bytes)
}

func (c *counters) errorFrame(message string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bump(&c.s.ErrorFrames, message)
}

func (c *counters) post(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bump(&c.s.Posts, strconv.Itoa(status))
}

func (c *counters) disconnect(code ws.StatusCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bump(&c.s.Disconnects, strconv.Itoa(int(code)))
}

// Stats returns the counters.
func (a *WebSocket) Stats() Stats {
	a.mu.Lock()
	open := len(a.open)
	a.mu.Unlock()
	c := &a.counters
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.s
	s.Open = open
	for _, m := range []*map[string]int64{&s.Connects, &s.In, &s.ErrorFrames, &s.Posts, &s.Disconnects} {
		if *m = maps.Clone(*m); *m == nil {
			*m = map[string]int64{}
		}
	}
	return s
}
