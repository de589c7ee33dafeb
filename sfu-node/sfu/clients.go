package sfu

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spillway-sfu/spillway/events"
)

// told is what a participant's browser has said last of how it fares. Room.mu guards
// it.
type told struct {
	stats   events.Stats
	at      time.Duration
	ever    bool
	freezes int64 // since the room was last measured
}

// statsFresh is how long what a browser has said counts.
const statsFresh = 3 * events.StatsEveryMs * time.Millisecond

// takeStats notes how a participant's browser fares. One that tells too often is
// refused, and nothing of it is counted.
func (r *Room) takeStats(p *Peer, m events.Stats) error {
	now := r.sfu.now()
	r.mu.Lock()
	if p.told.ever && now-p.told.at < events.StatsLeastMs*time.Millisecond {
		r.mu.Unlock()
		err := events.Errorf(events.CodeRateLimited, "stats are taken every %d ms", events.StatsLeastMs)
		err.RetryAfterMs = events.StatsLeastMs
		return err
	}
	p.told = told{stats: m, at: now, ever: true, freezes: p.told.freezes + int64(m.Freezes)}
	r.mu.Unlock()
	r.sfu.clients.add(m)
	return nil
}

// clients counts what the browsers of all participants have said since the start.
type clients struct {
	rtt, jitter, sendLoss, receiveLoss, send, receive histogram
	limited                                           [len(limits)]atomic.Int64
	freezes                                           atomic.Int64
}

// limits are the values of [events.LimitedBy].
var limits = [...]events.LimitedBy{events.LimitedByNothing, events.LimitedByCPU, events.LimitedByBandwidth, events.LimitedByOther}

// histogram counts values by upper bounds, the last of which is none.
type histogram struct {
	buckets [maxBounds + 1]atomic.Int64
	sum     atomic.Int64
}

const maxBounds = 8

// The upper bounds of buckets.
var (
	msBounds   = [maxBounds]int64{10, 25, 50, 100, 200, 400, 800, 1600}
	lossBounds = [maxBounds]int64{0, 5, 10, 20, 50, 100, 200, 500}
	kbpsBounds = [maxBounds]int64{50, 150, 500, 1000, 2000, 4000, 8000, 16000}
)

func (h *histogram) add(bounds [maxBounds]int64, v int64) {
	i := 0
	for i < maxBounds && v > bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(v)
}

func (c *clients) add(m events.Stats) {
	if m.RTTMs > 0 {
		c.rtt.add(msBounds, int64(m.RTTMs))
	}
	c.jitter.add(msBounds, int64(m.JitterMs))
	c.sendLoss.add(lossBounds, int64(m.SendLossPermille))
	c.receiveLoss.add(lossBounds, int64(m.ReceiveLossPermille))
	c.send.add(kbpsBounds, m.SendKbps)
	c.receive.add(kbpsBounds, m.ReceiveKbps)
	c.freezes.Add(int64(m.Freezes))
	for i, by := range limits {
		if m.LimitedBy == by {
			c.limited[i].Add(1)
		}
	}
}

// write writes what is counted as Prometheus reads it.
func (c *clients) write(b *strings.Builder) {
	for _, h := range []struct {
		name, help string
		bounds     [maxBounds]int64
		values     *histogram
	}{
		{"client_rtt_milliseconds", "Round-trip times that browsers have measured.", msBounds, &c.rtt},
		{"client_jitter_milliseconds", "Worst jitter of what browsers receive.", msBounds, &c.jitter},
		{"client_send_loss_permille", "Packets of browsers lost on the way here, in thousandths.", lossBounds, &c.sendLoss},
		{"client_receive_loss_permille", "Packets lost on the way to browsers, in thousandths.", lossBounds, &c.receiveLoss},
		{"client_send_kbps", "What browsers send.", kbpsBounds, &c.send},
		{"client_receive_kbps", "What browsers receive.", kbpsBounds, &c.receive},
	} {
		h.values.write(b, h.name, h.help, h.bounds)
	}
	fmt.Fprint(b, "# HELP spillway_client_limited_total Reports of browsers by what limits the pictures they send.\n# TYPE spillway_client_limited_total counter\n")
	for i, by := range limits {
		fmt.Fprintf(b, "spillway_client_limited_total{by=%q} %d\n", string(by), c.limited[i].Load())
	}
	fmt.Fprintf(b, "# HELP spillway_client_freezes_total How often received pictures stood still.\n# TYPE spillway_client_freezes_total counter\nspillway_client_freezes_total %d\n", c.freezes.Load())
}

func (h *histogram) write(b *strings.Builder, name, help string, bounds [maxBounds]int64) {
	fmt.Fprintf(b, "# HELP spillway_%s %s\n# TYPE spillway_%s histogram\n", name, help, name)
	n := int64(0)
	for i, most := range bounds {
		n += h.buckets[i].Load()
		fmt.Fprintf(b, "spillway_%s_bucket{le=\"%d\"} %d\n", name, most, n)
	}
	n += h.buckets[maxBounds].Load()
	fmt.Fprintf(b, "spillway_%s_bucket{le=\"+Inf\"} %d\nspillway_%s_sum %d\nspillway_%s_count %d\n", name, n, name, h.sum.Load(), name, n)
}
