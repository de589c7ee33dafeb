package sfu

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"

	"github.com/spillway-sfu/spillway/sfu-node/burst"
)

// Frames of several publishers that are complete when the reader looks leave
// together: what one receiver is owed of all of them becomes one run, as far as the
// packets are about as long.

// joint is a reader's scratch for it.
type joint struct {
	ready  []*uplink // those that hold complete frames
	later  []*uplink
	locked []*sync.Mutex
	owed   []owed
}

// owed is what one stream is to get of what an uplink holds.
type owed struct {
	order  uint64 // by receiver, then as the frames came
	stream *stream
	from   *uplink
}

// forwardReady forwards what the uplinks hold whose frames are complete.
func (r *reader) forwardReady() {
	if len(r.ready) > 1 {
		r.forwardTogether()
	}
	for _, u := range r.ready {
		u.in.Lock()
		u.ready = false
		u.flushTo(r.batch)
		u.in.Unlock()
	}
	clear(r.ready)
	r.ready = r.ready[:0]
}

// forwardTogether forwards what more than one uplink hold. Those whose intake is in
// use it leaves: to wait for it with others locked could be for ever.
func (r *reader) forwardTogether() {
	for i, u := range r.ready {
		if !slices.Contains(r.locked, u.in) {
			if !u.in.TryLock() {
				r.later = append(r.later, u)
				continue
			}
			r.locked = append(r.locked, u.in)
		}
		if u.ready = false; len(u.held) == 0 {
			continue
		}
		for _, s := range u.publish() {
			r.owed = append(r.owed, owed{uint64(s.peer.number)<<16 | uint64(i), s, u})
		}
	}
	slices.SortFunc(r.owed, func(a, b owed) int { return cmp.Compare(a.order, b.order) })
	for i, o := range r.owed {
		more := i+1 < len(r.owed) && r.owed[i+1].stream.peer == o.stream.peer
		o.stream.forward(o.from.feed(), o.from.held, r.batch, more)
	}
	for _, u := range r.ready {
		if !slices.Contains(r.later, u) {
			u.held = u.held[:0]
		}
	}
	for _, mu := range r.locked {
		mu.Unlock()
	}
	r.ready = append(r.ready[:0], r.later...)
	clear(r.owed)
	clear(r.later)
	r.owed, r.later, r.locked = r.owed[:0], r.later[:0], r.locked[:0]
}

// goesOn returns the run to a destination that the batch ends with, if packets of
// whole bytes, filled up to its size, can go on with it; else nil.
func (b *batch) goesOn(to netip.AddrPort, whole, packets int) *burst.Run {
	if len(b.runs) == 0 {
		return nil
	}
	r := &b.runs[len(b.runs)-1]
	switch {
	case r.To != to || r.Size < whole || r.Size-whole > maxPadding:
	case len(r.Data)%r.Size != 0: // its last packet is shorter
	case len(r.Data)/r.Size+packets > burst.MaxSegments || len(r.Data)+packets*r.Size > burst.MaxBytes:
	default:
		return r
	}
	return nil
}
