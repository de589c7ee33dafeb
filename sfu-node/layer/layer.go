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

// RID is the name of layer i.
func RID(i int) string { return rids[i] }

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
	// First has all it can use before the others have anything.
	First bool
	// Held does not go above Current now, except from nothing to the smallest.
	Held bool
}

// Kbps is the rate of layer i, or 0 for [None].
func (d Demand) Kbps(i int) int64 {
	if i == None {
		return 0
	}
	return d.Flows[i].Kbps
}

// Above returns the next layer above i that would serve d better, or [None].
func (d Demand) Above(i int) int {
	best := Choose(d)
	for i++; i <= best; i++ {
		if d.Flows[i].Live {
			return i
		}
	}
	return None
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

// UpShare is the share of the budget, in percent, that a stream may fill by
// going up a layer. Keeping what it has may fill all of it, so that a rate near
// the bound does not make a stream go up and down.
const UpShare = 90

// lastShare is the share of the budget, in percent, that keeping a smallest layer
// may fill: to lose the picture is worse than to be a little too much for a moment.
const lastShare = 130

// Allocate chooses a layer for each demand such that the sum of their rates
// stays within budget kbps. Those that are First get what serves them best, as
// far as it fits; then all others get their smallest layer, before any of them
// gets a larger one. Earlier demands have precedence over later ones. A demand
// that has live layers of which none fits gets [None]; the smallest ones that are
// there already may fill a little more than the budget. A budget of 0 means no
// bound. It allocates the result only.
func Allocate(budget int64, demands []Demand) []int {
	chosen := make([]int, len(demands))
	var used int64
	give := func(n, most int) {
		d, had := &demands[n], chosen[n]
		used -= d.Kbps(had)
		chosen[n] = fitting(d, most, budget, used)
		if chosen[n] == None {
			chosen[n] = had
		}
		used += d.Kbps(chosen[n])
	}
	for n, d := range demands {
		chosen[n] = None
		if d.First {
			give(n, Choose(d))
		}
	}
	for n, d := range demands {
		if !d.First {
			give(n, min(Choose(d), d.Above(None)))
		}
	}
	for n, d := range demands {
		if !d.First && chosen[n] != None {
			give(n, Choose(d))
		}
	}
	return chosen
}

// fitting returns the largest live layer up to most that fits beside what is
// used, or [None].
func fitting(d *Demand, most int, budget, used int64) int {
	smallest := d.Above(None)
	for i := most; i >= 0; i-- {
		if !d.Flows[i].Live || d.Held && i > max(d.Current, smallest) {
			continue
		}
		bound := budget
		switch {
		case i > d.Current:
			bound = budget * UpShare / 100
		case i == smallest:
			bound = budget * lastShare / 100
		}
		if budget == 0 || used+d.Flows[i].Kbps <= bound {
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
