package sfu

import (
	"cmp"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
	"github.com/spillway-sfu/spillway/sfu-node/pipe"
)

// A room that spreads over several nodes is one room on each of them: who is
// elsewhere is a remote, whose publications are listed, assigned and forwarded as
// those of this node are. Where they differ is where their packets come from
// (fetch.go) and who tells of them (neighbour.go).
//
// The nodes of a room form a tree. Each tells each neighbour of everybody whom it
// does not know from that neighbour, so everybody is told of once. While the tree
// changes there may be a ring for a moment: a member's path ends what would go
// round.

// remote is a participant of another node. Room.mu guards it.
type remote struct {
	identity string
	// words is what each neighbour says of it, best the one that counts, via whose
	// that is.
	words map[*neighbour]pipe.Member
	best  pipe.Member
	via   *neighbour
	lost  bool // no neighbour is there to vouch for it: it is kept for a while

	pubs  map[events.Source]*publication
	clock senderClock
	spoke time.Duration
}

// far is what a publication of another node has besides. Room.mu guards it.
type far struct {
	room    *Room
	name    pipe.Publication
	via     *neighbour
	clock   *senderClock
	fetched [layer.Count]*uplink // by layer; nil for those that are not
}

// kickKeys implements [origin].
func (f *far) kickKeys() { f.room.poke() }

// ahead orders what neighbours say: the latest session, then the shortest way.
func ahead(a, b pipe.Member) int {
	return cmp.Or(cmp.Compare(b.Revision, a.Revision), cmp.Compare(len(a.Path), len(b.Path)), cmp.Compare(a.Node, b.Node))
}

// hear takes what a neighbour says of somebody.
func (r *Room) hear(n *neighbour, m pipe.Member) {
	if slices.Contains(m.Path, r.sfu.cfg.Node) || len(m.Path) == 0 || m.Revision < 1 {
		r.unhear(n, m.Identity)
		return
	}
	rem := r.remotes[m.Identity]
	if rem == nil {
		rem = &remote{identity: m.Identity, words: map[*neighbour]pipe.Member{}, pubs: map[events.Source]*publication{}}
		r.remotes[m.Identity] = rem
	}
	rem.words[n] = m
	r.settle(m.Identity)
}

// unhear forgets what a neighbour said of somebody.
func (r *Room) unhear(n *neighbour, identity string) {
	if rem := r.remotes[identity]; rem != nil {
		delete(rem.words, n)
		r.settle(identity)
	}
}

// settle makes of somebody what follows from what is said of them now.
func (r *Room) settle(identity string) {
	rem := r.remotes[identity]
	if rem == nil {
		return
	}
	var via *neighbour
	for n, m := range rem.words {
		if n.link != nil && n.current {
			if c := ahead(m, rem.words[via]); via == nil || c < 0 || c == 0 && n.node < via.node {
				via = n
			}
		}
	}
	if len(rem.words) == 0 {
		for _, pub := range rem.pubs {
			r.withdraw(pub)
		}
		delete(r.remotes, identity)
		if r.members[identity] == nil {
			r.roll.remove(identity)
		} else {
			r.roll.change(identity)
		}
		return
	}
	rem.lost = via == nil
	if via != nil {
		rem.via, rem.best = via, rem.words[via]
	}
	r.publish(rem)
	r.roll.change(identity)
	r.unassigned = true
}

// publish lists what is published of a remote, by the latest session that does, as
// far as it can be had. A session that is new and has not said what it publishes
// does not end what the one before does.
func (r *Room) publish(rem *remote) {
	for _, source := range sourceOrder {
		pub := rem.pubs[source]
		via, said := rem.offer(source, pub)
		if pub != nil && pub.heir != nil && via != nil && pub.listed.Load() {
			continue // its time is over when the heir has come
		}
		if pub != nil && (via == nil || !pub.listed.Load() || pub.revision == said.Revision && pub.far.via != via) {
			r.withdraw(pub)
			delete(rem.pubs, source)
			pub = nil
		}
		if via == nil || r.hasLater(rem.identity, source, said.Revision) {
			continue
		}
		if pub == nil || pub.revision != said.Revision {
			pub = r.newFar(rem, via, source, said)
			rem.pubs[source] = pub
		}
		r.list(pub, trackOf(rem.words[via], source))
	}
}

// offer chooses of which neighbour a publication is to be had: of one that has the
// latest incarnation; where it is had now, if that is one, else on the shortest way.
func (rem *remote) offer(source events.Source, now *publication) (via *neighbour, said pipe.Published) {
	for n, m := range rem.words {
		p, ok := m.Published[source]
		if !ok || n.link == nil || !n.current || m.Unreachable {
			continue
		}
		better := via == nil || p.Revision > said.Revision
		if !better && p.Revision == said.Revision && (now == nil || now.far.via != via) {
			better = now != nil && now.far.via == n || cmp.Or(len(m.Path)-len(rem.words[via].Path), cmp.Compare(n.node, via.node)) < 0
		}
		if better {
			via, said = n, p
		}
	}
	return via, said
}

// hasLater reports whether a participant of this node publishes something, at
// least as late.
func (r *Room) hasLater(identity string, source events.Source, revision int64) bool {
	p := r.members[identity]
	if p == nil {
		return false
	}
	for _, q := range [...]*Peer{p, p.earlier} {
		if q != nil && q.pubs[source] != nil && q.pubs[source].listed.Load() && q.pubs[source].revision >= revision {
			return true
		}
	}
	return false
}

func trackOf(m pipe.Member, source events.Source) events.Track {
	for _, t := range m.Tracks {
		if t.Source == source {
			return t
		}
	}
	return events.Track{Source: source}
}

func (r *Room) newFar(rem *remote, via *neighbour, source events.Source, said pipe.Published) *publication {
	f := &far{
		room: r, via: via, clock: &rem.clock,
		name: pipe.Publication{Identity: rem.identity, Source: source, Revision: said.Revision},
	}
	pub := &publication{identity: rem.identity, source: source, revision: said.Revision, from: f, csrc: said.CSRC, far: f}
	r.fars[pub] = true
	return pub
}

// withdraw takes a publication back for good.
func (r *Room) withdraw(pub *publication) {
	prior := pub.prior
	r.disown(pub)
	if rem := r.remotes[pub.identity]; prior != nil && prior.far != nil && (rem == nil || rem.pubs[pub.source] != prior) {
		defer r.unlist(prior) // it was there for this one only
	}
	if pub.heir != nil {
		r.handOver(pub)
	}
	r.unlist(pub)
	r.unaimed = true // it need not be fetched any more
}

// elsewhere finds what receivers have of a publication whose participant has
// changed nodes.
func (r *Room) elsewhere(pub *publication) *publication {
	for _, old := range r.listed {
		if old == pub || old.identity != pub.identity || old.source != pub.source || old.far == nil && pub.far == nil {
			continue
		}
		if heir := old.heir; heir != nil {
			r.handOver(old)
			old = heir
		}
		if old.prior != nil {
			return nil
		}
		return old
	}
	return nil
}

// goesOn reports whether other nodes are still sent this incarnation.
func (pub *publication) goesOn() bool {
	for i := range pub.layers {
		if len(pub.layers[i].outs()) > 0 {
			return true
		}
	}
	return false
}

// memberOf is somebody as others see them: by the latest session, wherever it is.
func (r *Room) memberOf(identity string) (events.Member, bool) {
	p, rem := r.members[identity], r.remotes[identity]
	var m events.Member
	switch {
	case p == nil && rem == nil:
		return events.Member{}, false
	case rem == nil:
		return p.member(), true
	case p != nil && p.current >= rem.best.Revision:
		m = p.member()
	default:
		m = rem.best.Member
		m.Unreachable = m.Unreachable || rem.lost
	}
	m.Tracks, _ = r.published(identity, nil)
	return m, true
}

// published is what is had of somebody, not counting what a neighbour has sent here.
func (r *Room) published(identity string, except *neighbour) ([]events.Track, map[events.Source]pipe.Published) {
	tracks, more := []events.Track{}, map[events.Source]pipe.Published{}
	for _, pub := range r.listed {
		if pub.identity != identity {
			continue
		}
		if h := pub.heir; h != nil && !h.isFrom(except) {
			pub = h
		}
		if !pub.isFrom(except) {
			tracks = append(tracks, pub.track)
			more[pub.source] = pipe.Published{CSRC: pub.csrc, Revision: pub.revision}
		}
	}
	return tracks, more
}

func (pub *publication) isFrom(n *neighbour) bool {
	return n != nil && pub.far != nil && pub.far.via == n
}

// wordFor is what a neighbour is to be told of somebody. It reports false when
// that is nothing: all that is known is known from there.
func (r *Room) wordFor(n *neighbour, identity string) (pipe.Member, bool) {
	var said pipe.Member
	if p := r.members[identity]; p != nil {
		said = pipe.Member{Member: p.member(), Revision: p.current}
	}
	if rem := r.remotes[identity]; rem != nil {
		var via *neighbour
		local := said.Revision
		for m, word := range rem.words {
			if m == n || slices.Contains(word.Path, n.node) || word.Revision <= local {
				continue
			}
			word.Unreachable = word.Unreachable || m.link == nil || !m.current
			if via == nil || ahead(word, said) < 0 {
				via, said = m, word
			}
		}
	}
	if said.Revision == 0 || n.withheld && said.Role == events.Viewer {
		return said, false
	}
	said.Path = append(slices.Clone(said.Path), r.sfu.cfg.Node)
	said.Tracks, said.Published = r.published(identity, n)
	return said, true
}

// lastSpoke is when somebody last spoke.
func (r *Room) lastSpoke(identity string) time.Duration {
	at, _ := r.detector.LastSpoke(identity)
	if rem := r.remotes[identity]; rem != nil {
		at = max(at, rem.spoke)
	}
	return at
}

// loudEnough reports whether a publication may be asked for: of the microphones of
// other nodes only the loudest are.
func (pub *publication) loudEnough() bool {
	return pub.far == nil || pub.source != events.Microphone || pub.far.via.loudest[pub.identity]
}
