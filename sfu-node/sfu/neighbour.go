package sfu

import (
	"maps"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
	"github.com/spillway-sfu/spillway/sfu-node/pipe"
)

const (
	// membersAtOnce of 4 KB at the most stay within a pipe's frame.
	membersAtOnce = 100

	clocksEvery = 500 * time.Millisecond
)

// neighbour is a node that this one is joined to for a room. Room.mu guards it.
type neighbour struct {
	node string
	link *pipe.Link // nil while there is no pipe
	lost time.Duration

	// What it has said. What it said before a cut is kept while current is false.
	open     bool // it has the room too, and wants to hear of it
	current  bool // it has begun to tell of everybody
	seen     map[string]bool
	speaking []events.Speaker
	loudest  map[string]bool
	wants    map[uint32]*outflow // by number of the flow
	orphans  bool                // some of them are of nothing that is listed
	// viewers are on its side of the pipe; it withholds who some of them are.
	viewers   int
	withholds bool

	// What it has been told.
	told        map[string]bool // of whom
	news        map[string]bool // of whom to tell
	fresh       bool            // nothing yet
	withheld    bool            // not who its viewers are: there are too many on this side
	toldViewers int
	toldAbout   int64         // the revision of the room's metadata
	counted     time.Duration // when that was
	toldSpeaks  []events.Speaker
	toldLoudest []string
	toldFlows   map[*publication][layer.Count]layer.Flow
	unasked     bool // what is fetched from it has changed
	clocked     time.Duration
}

// setNeighbours makes these, with the pipes that stand, the nodes that the room is
// joined to. It reports whether the room has ended with that.
func (r *Room) setNeighbours(links map[string]*pipe.Link, epoch int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.epoch = epoch
	for node, n := range r.neighbours {
		if _, stays := links[node]; !stays {
			if n.link != nil {
				n.link.Tell(pipe.Shut{Room: r.name})
			}
			r.part(n)
			r.forgetAll(n)
			delete(r.neighbours, node)
		}
	}
	for node, l := range links {
		if r.neighbours[node] != nil {
			continue
		}
		n := &neighbour{node: node}
		r.neighbours[node] = n
		if l != nil {
			r.meet(n, l)
		}
	}
	return r.endIfEmpty()
}

// meet begins to talk to a neighbour over a pipe that stands.
func (r *Room) meet(n *neighbour, l *pipe.Link) {
	n.link = l
	n.wants = map[uint32]*outflow{}
	n.toldSpeaks, n.toldLoudest, n.toldFlows = nil, nil, map[*publication][layer.Count]layer.Flow{}
	l.Tell(pipe.Open{Room: r.name, Epoch: r.epoch})
	r.poke()
}

// up says that there is a pipe to a node.
func (r *Room) up(l *pipe.Link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.neighbours[l.Node()]; n != nil && n.link == nil {
		r.meet(n, l)
	}
}

// down says that a pipe is cut.
func (r *Room) down(l *pipe.Link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.neighbours[l.Node()]; n != nil && n.link == l {
		r.part(n)
	}
}

// part ends what goes to and comes from a neighbour. Those it told of are lost,
// not gone.
func (r *Room) part(n *neighbour) {
	for _, w := range n.wants {
		w.end()
	}
	n.wants = nil
	for pub := range r.fars {
		if pub.far.via == n {
			r.unfetch(pub)
		}
	}
	n.link, n.open, n.current, n.lost = nil, false, false, r.sfu.now()
	n.seen, n.speaking, n.loudest = nil, nil, nil
	for _, identity := range slices.Sorted(maps.Keys(r.remotes)) {
		if _, said := r.remotes[identity].words[n]; said {
			r.settle(identity)
		}
	}
	r.poke()
}

// forgetAll forgets everybody whom a neighbour has told of.
func (r *Room) forgetAll(n *neighbour) {
	n.viewers, n.withholds = 0, false
	for _, identity := range slices.Sorted(maps.Keys(r.remotes)) {
		r.unhear(n, identity)
	}
}

// take acts on what a neighbour says.
func (r *Room) take(l *pipe.Link, m pipe.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.neighbours[l.Node()]
	if n == nil || n.link != l {
		return
	}
	switch m := m.(type) {
	case pipe.Open:
		n.open, n.fresh = true, true
		n.told, n.news, n.withheld, n.toldAbout = map[string]bool{}, map[string]bool{}, false, 0
		for identity := range r.members {
			n.news[identity] = true
		}
		for identity := range r.remotes {
			n.news[identity] = true
		}
	case pipe.Shut:
		r.part(n)
		r.forgetAll(n)
		r.meet(n, l) // until this side, too, is told that they are parted
	case pipe.Roster:
		r.onRoster(n, m)
	case pipe.Layers:
		r.onLayers(n, m)
	case pipe.Speaking:
		r.onSpeaking(n, m)
	case pipe.Wants:
		r.onWants(n, m)
	case pipe.Key:
		if pub := r.find(m.Publication); pub != nil && m.Layer >= 0 && m.Layer < layer.Count {
			pub.requestKey(m.Layer, m.First)
		}
	case pipe.Clocks:
		r.onClocks(n, m)
	case pipe.Said:
		r.deliver(m, n)
		return
	}
	r.poke()
}

func (r *Room) onRoster(n *neighbour, m pipe.Roster) {
	n.viewers, n.withholds = max(0, m.Viewers), m.Withheld
	if m.Described != nil && len(m.Described.Text) <= events.MaxRoomMetadata {
		r.noteMetadata(*m.Described)
	}
	if m.Fresh {
		n.seen, n.current = map[string]bool{}, true
	}
	for _, member := range m.Members {
		if n.seen != nil {
			n.seen[member.Identity] = true
		}
		r.hear(n, member)
	}
	for _, identity := range m.Gone {
		r.unhear(n, identity)
	}
	if !m.Complete || n.seen == nil {
		return
	}
	for _, identity := range slices.Sorted(maps.Keys(r.remotes)) {
		if !n.seen[identity] {
			r.unhear(n, identity)
		} else {
			r.settle(identity) // what others say may be worth less than what it says
		}
	}
	n.seen = nil
}

func (r *Room) onLayers(n *neighbour, m pipe.Layers) {
	for _, said := range m.Publications {
		pub := r.find(said.Publication)
		if pub == nil || pub.far == nil || pub.far.via != n {
			continue
		}
		pub.flows = [layer.Count]layer.Flow{}
		for _, l := range said.Layers {
			if l.Index >= 0 && l.Index < layer.Count {
				pub.flows[l.Index] = layer.Flow{Live: true, Height: l.Height, Kbps: l.Kbps}
			}
		}
		r.unaimed = true
	}
}

func (r *Room) onClocks(n *neighbour, m pipe.Clocks) {
	for _, c := range m.Clocks {
		pub := r.find(c.Publication)
		if pub != nil && pub.far != nil && pub.far.via == n && c.Layer >= 0 && c.Layer < layer.Count {
			pub.layers[c.Layer].sync.Store(&syncPoint{clock: c.Nanos, timestamp: c.Timestamp})
		}
	}
}

// lookAround tells neighbours what has changed, and forgets those who are lost for
// long. It runs with each look.
func (r *Room) lookAround(now time.Duration) {
	for _, n := range r.neighbours {
		for identity := range r.roll.news {
			if n.open {
				n.news[identity] = true
			}
		}
		switch {
		case n.link == nil && now-n.lost > r.sfu.cfg.KeepLost:
			r.forgetAll(n)
		case n.link != nil && n.open:
			r.tellRoster(n, now)
			r.tellSpeaking(n)
			r.tellLayers(n)
			r.tellClocks(n, now)
			if n.orphans {
				r.serveOrphans(n)
			}
		}
	}
	clear(r.roll.news)
}

// tellRoster tells a neighbour of those who have changed.
func (r *Room) tellRoster(n *neighbour, now time.Duration) {
	viewers := r.viewersFor(n)
	recount := viewers != n.toldViewers && now-n.counted >= rosterEvery
	about := r.describedAs.Load()
	if len(n.news) == 0 && !n.fresh && !recount && about == n.toldAbout {
		return
	}
	part := pipe.Roster{Room: r.name, Viewers: viewers, Withheld: n.withheld}
	m := part
	m.Fresh = n.fresh
	if about != n.toldAbout {
		m.Described = &events.RoomMetadata{Text: r.metadata, Revision: about}
	}
	for _, identity := range slices.Sorted(maps.Keys(n.news)) {
		word, ok := r.wordFor(n, identity)
		switch {
		case ok:
			n.told[identity] = true
			m.Members = append(m.Members, word)
		case n.told[identity]:
			delete(n.told, identity)
			m.Gone = append(m.Gone, identity)
		}
		if len(m.Members)+len(m.Gone) >= membersAtOnce {
			n.link.Tell(m)
			m = part
		}
	}
	m.Complete = n.fresh
	if m.Complete || recount || m.Described != nil || len(m.Members)+len(m.Gone) > 0 {
		n.link.Tell(m)
		n.toldViewers, n.counted = viewers, now
	}
	n.fresh, n.toldAbout = false, about
	clear(n.news)
}

// tellLayers tells a neighbour which layers flow of what it has been told of.
func (r *Room) tellLayers(n *neighbour) {
	m := pipe.Layers{Room: r.name}
	for _, pub := range r.listed {
		if pub.heir != nil {
			pub = pub.heir
		}
		if !pub.video() || !n.told[pub.identity] || alike(n.toldFlows[pub], pub.flows) {
			continue
		}
		n.toldFlows[pub] = pub.flows
		said := pipe.Flowing{Publication: pub.name()}
		for i, f := range pub.flows {
			if f.Live {
				said.Layers = append(said.Layers, pipe.Layer{Index: i, Height: f.Height, Kbps: f.Kbps})
			}
		}
		m.Publications = append(m.Publications, said)
	}
	maps.DeleteFunc(n.toldFlows, func(pub *publication, _ [layer.Count]layer.Flow) bool { return !pub.listed.Load() })
	if len(m.Publications) > 0 {
		n.link.Tell(m)
	}
}

// alike reports whether a difference in flows is not worth a message.
func alike(a, b [layer.Count]layer.Flow) bool {
	for i := range a {
		if a[i].Live != b[i].Live || a[i].Height != b[i].Height || distance(int(a[i].Kbps), int(b[i].Kbps)) > int(a[i].Kbps)/8 {
			return false
		}
	}
	return true
}

// name names a publication to other nodes.
func (pub *publication) name() pipe.Publication {
	return pipe.Publication{Identity: pub.identity, Source: pub.source, Revision: pub.revision}
}

// find returns the publication, or incarnation of one, that a neighbour means.
func (r *Room) find(name pipe.Publication) *publication {
	for _, pub := range r.listed {
		if pub.name() == name {
			return pub
		}
		if pub.heir != nil && pub.heir.name() == name {
			return pub.heir
		}
	}
	return nil
}
