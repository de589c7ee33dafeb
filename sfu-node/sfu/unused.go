package sfu

import (
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
)

// A layer that nobody is sent, here or by another node, costs its publisher bits
// and work for nothing. The publisher is told to stop it, and to begin again the
// moment that somebody is to have it. The smallest layer is always sent: it is what
// comes first to whoever comes.

const (
	// unusedFor is how long a layer has to be of no use before it is stopped.
	unusedFor = 4 * time.Second
	// resumeFor is how long a layer that was asked for again counts as flowing.
	resumeFor = 3 * time.Second
)

// usage is what is known of the use of a publication's layers; Room.mu guards it.
type usage struct {
	used    [layer.Count]time.Duration // when it last was of use
	stopped [layer.Count]bool          // its publisher has been told to stop it
	resumed [layer.Count]time.Duration // when its publisher was told to go on
}

// pending reports whether a layer does not flow, but will if it is wanted.
func (u *usage) pending(i int, now time.Duration) bool {
	return u.stopped[i] || u.resumed[i] != 0 && now-u.resumed[i] < resumeFor
}

// needed returns the layers of a publication that somebody is to have, a bit for
// each.
func (pub *publication) needed() (layers uint8) {
	for _, s := range pub.all() {
		layers |= s.needs(pub)
	}
	for i := range pub.layers {
		if len(pub.layers[i].outs()) > 0 {
			layers |= 1 << i
		}
	}
	return layers
}

// judge decides which layers are to be sent, of those that flow or were stopped.
// It reports whether that has changed.
func (pub *publication) judge(now time.Duration) (changed bool) {
	u, needed, smallest := &pub.usage, pub.needed(), true
	for i := range pub.layers {
		flows := pub.flows[i].Live
		if !flows && !u.stopped[i] {
			continue
		}
		if smallest || needed&(1<<i) != 0 || u.used[i] == 0 {
			u.used[i] = now
		}
		smallest = false
		stop := now-u.used[i] >= unusedFor
		if stop == u.stopped[i] {
			continue
		}
		u.stopped[i], changed = stop, true
		if !stop {
			u.resumed[i] = now
		}
	}
	return changed
}

// tellUnused tells the publishers of this node whose layers have come into or out
// of use. The caller holds Room.mu.
func (r *Room) tellUnused(now time.Duration) {
	for _, p := range r.arrivals {
		changed := false
		for _, source := range []events.Source{events.Camera, events.Screen} {
			if pub := p.pubs[source]; pub != nil && pub.listed.Load() && !pub.muted.Load() {
				changed = pub.judge(now) || changed
			}
		}
		if changed {
			p.control.send(p.useful())
		}
	}
}

// useful is what to tell a publisher: its videos of which something is stopped.
func (p *Peer) useful() events.Layers {
	m := events.Layers{Header: events.Head(events.ActionLayers), Sources: []events.SourceLayers{}}
	for _, source := range []events.Source{events.Camera, events.Screen} {
		pub := p.pubs[source]
		if pub == nil || pub.usage.stopped == [layer.Count]bool{} {
			continue
		}
		l := events.SourceLayers{Source: source}
		for i, stopped := range pub.usage.stopped {
			if !stopped {
				l.Rids = append(l.Rids, layer.RID(i))
			}
		}
		m.Sources = append(m.Sources, l)
	}
	return m
}
