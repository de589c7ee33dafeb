package main

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// histogram counts latencies in steps of 50 µs, up to two seconds.
type histogram struct {
	counts [2*time.Second/step + 1]atomic.Int64
}

const step = 50 * time.Microsecond

func (h *histogram) add(d time.Duration) { h.counts[min(max(d, 0), 2*time.Second)/step].Add(1) }

// plus adds what another has counted.
func (h *histogram) plus(o *histogram) {
	for i := range o.counts {
		h.counts[i].Add(o.counts[i].Load())
	}
}

func (h *histogram) at(q float64) time.Duration {
	var total, seen int64
	for i := range h.counts {
		total += h.counts[i].Load()
	}
	for i := range h.counts {
		if seen += h.counts[i].Load(); total > 0 && float64(seen) >= q*float64(total) {
			return time.Duration(i) * step
		}
	}
	return 0
}

// counts are a viewer's packets: how many came, and how many there were to come.
type counts struct{ came, due int64 }

// viewer is somebody who watches.
type viewer struct {
	of   *audience
	name string

	mu      sync.Mutex
	home    string
	joined  time.Duration // how long the first join took
	why     error         // why there is no home now
	counts  counts
	streams map[stream]uint16 // the highest number
	last    map[string]time.Time
	longest time.Duration // without a picture of somebody, since it was last set to 0
}

// stream is a section of one connection.
type stream struct {
	connection int
	mid        string
}

func (v *viewer) onHome(node string, why error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.home, v.why = node, why
}

func (v *viewer) onMedia(connection int, mid, from string, p *rtp.Packet) {
	now := time.Now()
	sent, stamped := lightpeer.SentAt(p)
	v.mu.Lock()
	home := v.home
	at := stream{connection, mid}
	if highest, known := v.streams[at]; !known {
		v.streams[at] = p.SequenceNumber
		v.counts.due++
	} else if ahead := int16(p.SequenceNumber - highest); ahead > 0 {
		v.streams[at] = p.SequenceNumber
		v.counts.due += int64(ahead)
	}
	v.counts.came++
	v.mu.Unlock()
	if stamped && v.of.measuring.Load() {
		v.of.latency(home).add(now.Sub(sent))
	}
}

func (v *viewer) onFrame(from string, _ events.Source) {
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if last, ok := v.last[from]; ok {
		v.longest = max(v.longest, now.Sub(last))
	}
	v.last[from] = now
}

// sees reports whether pictures of everybody on stage have come within a while.
func (v *viewer) sees(within time.Duration) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	fresh := 0
	for _, last := range v.last {
		if time.Since(last) < within {
			fresh++
		}
	}
	return fresh >= v.of.publishers
}
