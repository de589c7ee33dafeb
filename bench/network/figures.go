package main

import (
	"slices"
	"time"
)

// figures are what a span of a call was like.
type figures struct {
	Scenario  string  `json:"scenario"`
	SFU       string  `json:"sfu"`
	Available int64   `json:"available_kbps"`
	Received  int64   `json:"received_kbps"`
	Frames    float64 `json:"frames_per_second"`
	Freezes   int     `json:"freezes"`
	Frozen    int64   `json:"frozen_ms"`
	Longest   int64   `json:"longest_ms"`
	Latency   int64   `json:"frame_latency_p95_ms"`
	Sound     int64   `json:"sound_latency_p95_ms"`
	SoundLost float64 `json:"sound_lost"`
	// Recovery is, after a change of the network, how long until pictures are late
	// by no more than lateBy, and again as large as fits. Negative is never.
	Recovery int64 `json:"recovery_ms,omitempty"`
}

const (
	// A picture that stands so long is a freeze: the mean distance of frames and
	// 150 ms (webrtc-stats, freezeCount).
	freeze = frameTime + 150*time.Millisecond
	// lateBy bounds, besides the way's own delay, a conversation.
	lateBy = 300 * time.Millisecond
	// steadyFor is how long things must be well to count as recovered.
	steadyFor = time.Second
)

// between measures a span.
func (r *receiver) between(from, to time.Duration) (f figures) {
	r.mu.Lock()
	defer r.mu.Unlock()
	span := (to - from).Seconds()
	for _, a := range r.bytes {
		if a.at >= from && a.at < to {
			f.Received += int64(a.size)
		}
	}
	f.Received = f.Received * 8 / int64(span*1000)
	var late []time.Duration
	last, frames := from, 0
	note := func(at time.Duration) {
		if gap := at - last; gap > freeze {
			f.Freezes++
			f.Frozen += gap.Milliseconds()
			f.Longest = max(f.Longest, gap.Milliseconds())
		}
		last = at
	}
	for _, s := range r.frames {
		if s.at >= from && s.at < to {
			note(s.at)
			frames++
			late = append(late, s.latency)
		}
	}
	note(to)
	f.Frames = float64(frames) / span
	f.Latency = percentile(late, 95)
	f.Sound, f.SoundLost = r.sound(from, to)
	return f
}

// sound returns how late sound was, and how much of it was lost.
func (r *receiver) sound(from, to time.Duration) (p95 int64, lost float64) {
	var late []time.Duration
	var first, last uint16
	for _, s := range r.sounds {
		if s.at < from || s.at >= to {
			continue
		}
		if len(late) == 0 {
			first, last = s.number, s.number
		}
		if int16(s.number-last) > 0 {
			last = s.number
		}
		late = append(late, s.latency)
	}
	return percentile(late, 95), max(0, 1-float64(len(late))/float64(last-first+1))
}

// recovered returns how long after from frames of at least a layer come, on time,
// for steadyFor; or -1.
func (r *receiver) recovered(from, to time.Duration, layer int) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	since, last := time.Duration(-1), from
	for _, s := range r.frames {
		if s.at < from || s.at >= to {
			continue
		}
		if s.latency > lateBy || s.layer < layer || s.at-last > freeze {
			since = -1
		} else if since < 0 {
			since = s.at
		}
		last = s.at
		if since >= 0 && s.at-since >= steadyFor {
			return (since - from).Milliseconds()
		}
	}
	return -1
}

func percentile(values []time.Duration, p int) int64 {
	if len(values) == 0 {
		return -1
	}
	slices.Sort(values)
	return values[(len(values)-1)*p/100].Milliseconds()
}
