package sfu

import (
	"maps"
	"slices"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/sfu-node/layer"
	"github.com/spillway-sfu/spillway/sfu-node/pipe"
)

// A layer of another node's publication is fetched while a stream here carries it,
// or a further node fetches it from here, and once whatever their number: the
// flow's packets go the way of an uplink's.

// needs reports which layers of a publication a stream is sent or waits for, a bit
// for each.
func (s *stream) needs(pub *publication) (layers uint8) {
	if s.kind == webrtc.RTPCodecTypeVideo && s.peer.quiet.Load() {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.target != layer.None && (s.pub == pub || s.heir == pub) {
		layers |= 1 << s.target
	}
	if s.current != layer.None && s.pub == pub {
		layers |= 1 << s.current
	}
	return layers
}

// fetchAll fetches what is needed of other nodes' publications, and nothing else.
func (r *Room) fetchAll(now time.Duration) {
	for pub := range r.fars {
		r.fetch(pub)
	}
	for _, n := range r.neighbours {
		if n.unasked && n.link != nil {
			n.unasked = false
			r.ask(n)
		}
	}
}

func (r *Room) fetch(pub *publication) {
	f := pub.far
	needed, alive := pub.needed(), false
	for i := range f.fetched {
		feed := &pub.layers[i]
		need := needed&(1<<i) != 0
		switch u := f.fetched[i]; {
		case need && u == nil && f.via.link != nil && f.via.current && pub.listed.Load():
			u = newInflow(r, pub, i)
			f.fetched[i] = u
			u.ssrc = f.via.link.Expect(usualKbps(pub, i), inflow{u})
			feed.ssrc.Store(u.ssrc)
			f.via.unasked = true
		case !need && u != nil:
			r.release(pub, i)
		}
		alive = alive || f.fetched[i] != nil
	}
	if !alive && !pub.listed.Load() {
		delete(r.fars, pub)
	}
}

// usualKbps is about what a layer takes: as much as is told of it, or as such layers
// take.
func usualKbps(pub *publication, i int) int64 {
	switch {
	case pub.flows[i].Kbps > 0:
		return pub.flows[i].Kbps
	case !pub.video():
		return 40
	}
	return [layer.Count]int64{150, 500, 1700}[i]
}

// release stops to fetch one layer.
func (r *Room) release(pub *publication, i int) {
	f := pub.far
	if u := f.fetched[i]; u != nil {
		f.fetched[i] = nil
		pub.layers[i].ssrc.Store(0)
		f.via.unasked = true
		if f.via.link != nil {
			f.via.link.Forget(u.ssrc)
		}
	}
}

// unfetch stops to fetch a publication.
func (r *Room) unfetch(pub *publication) {
	for i := range pub.far.fetched {
		r.release(pub, i)
	}
}

// ask tells a neighbour everything that is wanted of it.
func (r *Room) ask(n *neighbour) {
	m := pipe.Wants{Room: r.name}
	for pub := range r.fars {
		for i, u := range pub.far.fetched {
			if u != nil && pub.far.via == n {
				m.Wants = append(m.Wants, pipe.Want{Publication: pub.far.name, Layer: i, Flow: u.ssrc})
			}
		}
	}
	slices.SortFunc(m.Wants, func(a, b pipe.Want) int { return int(a.Flow) - int(b.Flow) })
	n.link.Tell(m)
}

// askForKeys passes on which key frames are due.
func (r *Room) askForKeys(now time.Duration) {
	for pub := range r.fars {
		link := pub.far.via.link
		if link == nil || !pub.video() {
			continue
		}
		var first [layer.Count]bool
		for i := range pub.layers {
			k := &pub.layers[i].keys
			k.mu.Lock()
			first[i] = k.first
			k.mu.Unlock()
		}
		due, _ := pub.keysDue(now)
		for i := range pub.layers {
			if slices.Contains(due, pub.layers[i].ssrc.Load()) {
				r.sfu.count.KeysSent.Add(1)
				link.Tell(pipe.Key{Room: r.name, Publication: pub.far.name, Layer: i, First: first[i]})
			}
		}
	}
}

// newInflow makes the uplink that a fetched layer comes in by. Payload types are
// the numbers of codecs.
func newInflow(r *Room, pub *publication, i int) *uplink {
	kind := webrtc.NewRTPCodecType(pub.source.Kind())
	u := &uplink{room: r, clock: pub.far.clock, pub: pub, layer: i, rate: rate(kind), dependency: pipe.DependencyID}
	for c := codecOpus; c < codecs; c++ {
		u.codecs[c] = c
	}
	return u
}

// inflow makes a pipe's receiver of an uplink.
type inflow struct{ *uplink }

// Packet implements [pipe.Receiver].
func (in inflow) Packet(b []byte) (more bool) {
	if len(b) > mtu {
		return len(in.held) > 0
	}
	p := in.free()
	in.arrived(b)
	if !in.accept(p, p.buf[:copy(p.buf, b)], in.room.sfu.now()) {
		return len(in.held) > 0
	}
	if in.complete(p) {
		in.flush()
		return false
	}
	return true
}

// Flush implements [pipe.Receiver].
func (in inflow) Flush() { in.flush() }

// outflow is a layer that a neighbour wants.
type outflow struct {
	want pipe.Want
	flow *pipe.Flow
	pub  *publication // nil while there is none that is listed
	told *syncPoint
}

// send implements [outlet].
func (o *outflow) send(b *pipe.Batch) { o.flow.Send(b) }

func (o *outflow) end() {
	if o.pub != nil {
		o.pub.disconnect(o.want.Layer, o)
	}
	o.flow.Close()
}

const (
	// How many packets of a flow can be asked for again.
	videoMemory = 256
	audioMemory = 32
)

// onWants makes what a neighbour is sent what it wants.
func (r *Room) onWants(n *neighbour, m pipe.Wants) {
	keep := map[uint32]bool{}
	for _, w := range m.Wants {
		keep[w.Flow] = true
		if n.wants[w.Flow] != nil || w.Layer < 0 || w.Layer >= layer.Count {
			continue
		}
		memory := videoMemory
		if w.Source.Kind() == "audio" {
			memory = audioMemory
		}
		flow, err := n.link.Open(w.Flow, memory)
		if err != nil {
			r.sfu.log.Warn("a node asks for what it cannot have", "room", r.name, "peer", n.node, "error", err)
			continue
		}
		o := &outflow{want: w, flow: flow}
		n.wants[w.Flow] = o
		r.serve(n, o)
	}
	for number, o := range n.wants {
		if !keep[number] {
			o.end()
			delete(n.wants, number)
		}
	}
	r.unaimed = true // what goes on from here may have to be fetched, or no longer
}

// serve begins to send what a neighbour wants, if it is here.
func (r *Room) serve(n *neighbour, o *outflow) {
	pub := r.find(o.want.Publication)
	if pub == nil || pub.far != nil && pub.far.via == n {
		n.orphans = true
		return
	}
	o.pub = pub
	pub.connect(o.want.Layer, o)
	if pub.video() {
		pub.requestKey(o.want.Layer, true)
	}
	r.unaimed = true
}

// serveOrphans tries again what was wanted before it was here.
func (r *Room) serveOrphans(n *neighbour) {
	n.orphans = false
	for _, number := range slices.Sorted(maps.Keys(n.wants)) {
		if o := n.wants[number]; o.pub == nil {
			r.serve(n, o)
		}
	}
}

// tellClocks passes on the sender reports of what a neighbour is sent.
func (r *Room) tellClocks(n *neighbour, now time.Duration) {
	m := pipe.Clocks{Room: r.name}
	due := now-n.clocked >= clocksEvery
	for _, o := range n.wants {
		if o.pub == nil {
			continue
		}
		p := o.pub.layers[o.want.Layer].sync.Load()
		if p == nil || p == o.told || o.told != nil && !due {
			continue
		}
		o.told = p
		m.Clocks = append(m.Clocks, pipe.Clock{Publication: o.want.Publication, Layer: o.want.Layer, Nanos: p.clock, Timestamp: p.timestamp})
	}
	if due {
		n.clocked = now
	}
	if len(m.Clocks) > 0 {
		n.link.Tell(m)
	}
}
