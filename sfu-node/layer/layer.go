// Package layer holds the arithmetic of one receive stream: which simulcast
// layer of a publication it should carry, and which sequence number, timestamp
// and VP8 picture id each forwarded packet gets, so that the receiver sees one
// unbroken stream however often layer and source change.
//
// The package is pure: time comes in as an argument, nothing is read from a
// socket and nothing blocks. Its values are not safe for concurrent use.
package layer

import "time"

// Count is the number of simulcast layers a publication may have.
const Count = 3

// None says that no layer is chosen.
const None = -1

// rids are the simulcast layers from the smallest to the largest, by the RID
// that Spillway's SDK gives them (RFC 8852): a quarter, half and all of the
// captured height.
var rids = [Count]string{"q", "h", "f"}

// Index returns the layer that a RID names. A publication without simulcast has
// one layer and an empty RID; it counts as the largest.
func Index(rid string) (int, bool) {
	if rid == "" {
		return Count - 1, true
	}
	for i, r := range rids {
		if r == rid {
			return i, true
		}
	}
	return None, false
}

// Height returns how many pixels of height layer i is meant to have when captured
// is the height of the source. It is 0 when captured is. Encoders that find a
// picture too small for three layers deviate from it.
func Height(i, captured int) int {
	return captured >> (Count - 1 - i)
}

// Flow is what is known of one layer of a publication.
type Flow struct {
	// Live layers have sent a packet recently.
	Live bool
	// Kbps is the layer's measured rate; 0 when not known yet.
	Kbps int64
	// Height is the layer's picture height in pixels; 0 when not known, which
	// counts as too small.
	Height int
}

// Demand is one receive stream's claim on its receiver's budget.
type Demand struct {
	// Height is the largest useful picture height in pixels.
	Height int
	// Current is the layer carried now, or [None].
	Current int
	Flows   [Count]Flow
}

// Choose returns the layer that serves d best regardless of rate: the smallest
// live layer that is at least as high as wanted, else the largest live one. It
// returns [None] when none is live.
func Choose(d Demand) int {
	best := None
	for i := range Count {
		if !d.Flows[i].Live {
			continue
		}
		best = i
		if h := d.Flows[i].Height; h > 0 && h >= d.Height {
			return i
		}
	}
	return best
}

// upShare is the share of the budget, in percent, that a stream may fill by
// going up a layer. Keeping what it has may fill all of it, so that a rate near
// the bound does not make a stream go up and down.
const upShare = 90

// Allocate chooses a layer for each demand such that the sum of their rates
// stays within budget kbps; the first demands have precedence. A demand that
// has live layers of which none fits gets [None]. A budget of 0 means no bound.
// It allocates the result only.
func Allocate(budget int64, demands []Demand) []int {
	chosen := make([]int, len(demands))
	var used int64
	for n, d := range demands {
		i := Choose(d)
		for budget > 0 && i != None {
			bound := budget
			if i > d.Current {
				bound = budget * upShare / 100
			}
			if used+d.Flows[i].Kbps <= bound {
				break
			}
			i = below(d, i)
		}
		chosen[n] = i
		if i != None {
			used += d.Flows[i].Kbps
		}
	}
	return chosen
}

// below returns the largest live layer under i, or [None].
func below(d Demand, i int) int {
	for i--; i >= 0; i-- {
		if d.Flows[i].Live {
			return i
		}
	}
	return None
}

// ticks converts a span to units of an RTP clock, rounded down. Negative spans
// count as 0.
func ticks(d time.Duration, rate uint32) uint32 {
	if d <= 0 {
		return 0
	}
	whole := d / time.Second
	rest := d % time.Second
	return uint32(uint64(whole)*uint64(rate) + uint64(rest)*uint64(rate)/uint64(time.Second))
}
