package sfu

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
	"github.com/spillway-sfu/spillway/sfu-node/speaker"
)

const (
	// A room looks at itself this often, and at once when poked, but then not
	// again before restFor.
	lookEvery = 125 * time.Millisecond
	restFor   = 20 * time.Millisecond

	rosterEvery   = 250 * time.Millisecond
	speakersEvery = 225 * time.Millisecond
	layersEvery   = 250 * time.Millisecond
)

// Room is the participants of one room on this node. Its state changes in
// messages and in its look (one goroutine): what changed is told, streams get
// publications, publications get layers.
type Room struct {
	sfu  *SFU
	name string

	wake chan struct{} // poke → run
	stop chan struct{} // leave → run

	stopping sync.Once
	// contested says that some receiver has fewer audio streams than there are
	// microphones, so that the begin of a voice must be noticed at once.
	contested atomic.Bool
	// congested says that some receiver's way carries less than what it is sent.
	congested atomic.Bool
	// describedAs is the revision of the room's metadata.
	describedAs atomic.Int64

	mu       sync.Mutex
	peers    map[*Peer]bool   // everybody seated
	members  map[string]*Peer // those whose data channel is open, by identity
	arrivals []*Peer          // the members in order of arrival
	listed   []*publication   // in order of listing
	listings int64

	roll     roll
	audience audience
	metadata string // as of describedAs
	// What follows is of rooms that spread over several nodes; see remote.go.
	neighbours map[string]*neighbour // by node
	remotes    map[string]*remote    // by identity
	epoch      int64                 // of their tree
	fars       map[*publication]bool // those of other nodes that are listed or fetched

	detector   *speaker.Detector[string]
	heard      [maxLevels]heard
	spoken     []string // who speaks, as last acted on
	told       []events.Speaker
	toldAt     time.Duration
	unassigned bool // streams may have to change
	unaimed    bool // layers may have to change
	aimedAt    time.Duration
	demands    []layer.Demand // scratch
}

func newRoom(s *SFU, name string) *Room {
	r := &Room{
		sfu: s, name: name,
		wake: make(chan struct{}, 1), stop: make(chan struct{}),
		peers: map[*Peer]bool{}, members: map[string]*Peer{},
		roll:       newRoll(),
		neighbours: map[string]*neighbour{}, remotes: map[string]*remote{}, fars: map[*publication]bool{},
		detector: speaker.New[string](),
	}
	go r.run()
	return r
}

// run looks until the room is empty.
func (r *Room) run() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-tick.C:
		case <-r.wake:
		}
		r.look()
		rest := time.NewTimer(restFor)
		select {
		case <-r.stop:
			rest.Stop()
			return
		case <-rest.C:
		}
	}
}

// poke makes the room look soon.
func (r *Room) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// look does what is due.
func (r *Room) look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.sfu.now()
	r.listen(now)
	r.inherit(now)
	r.takeStock()
	r.lookAround(now)
	if r.roll.due(r.audience, now) {
		r.tellMembers(now)
	}
	// A stream map names only people whom the receiver knows of: it waits for
	// the roster.
	if r.unassigned && !r.roll.dirty() {
		r.unassigned = false
		r.assign(now)
		r.unaimed = true
	}
	if r.unaimed || now-r.aimedAt >= layersEvery {
		r.unaimed = false
		r.aimedAt = now
		r.aimAll(now)
		r.tellUnused(now)
		r.fetchAll(now)
	} else if r.congested.Swap(false) {
		r.aimShort(now)
	}
	r.askForKeys(now)
}

// tell sends encoded messages to all members.
func (r *Room) tell(messages ...[]byte) {
	for _, raw := range messages {
		for _, p := range r.arrivals {
			p.control.sendRaw(raw)
		}
	}
}

// enter seats a peer that may connect.
func (r *Room) enter(p *Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.room = r
	p.current = p.revision
	r.peers[p] = true
}

// join makes a connected peer a member. It has left already if its seat is gone.
func (r *Room) join(p *Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.peers[p] {
		return
	}
	p.joined = time.Now()
	if old := r.members[p.person.Identity]; old != nil {
		p.joined = old.joined
		if !p.continues(old) {
			r.dismiss(old)
		}
	}
	r.members[p.person.Identity] = p
	r.arrivals = append(r.arrivals, p)
	r.roll.change(p.person.Identity)
	r.count()
	r.snapshot(p)
	// It knows everybody now, so its streams need not wait for the others to hear
	// of it.
	audio, video := r.candidates()
	if r.assignTo(p, audio, video, r.sfu.now()) {
		r.contested.Store(true)
	}
	if r.aimPeer(p, r.sfu.now()) {
		r.sendStreams(p)
	}
	r.unassigned = true
	r.poke()
}

// leave takes a peer out; before is the connection that goes on in its place, or
// nil. It reports whether the room is empty and stopped.
func (r *Room) leave(p, before *Peer) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.peers[p] {
		return false
	}
	delete(r.peers, p)
	if now := r.members[p.person.Identity]; now != nil && now.earlier == p {
		now.earlier = nil
	}
	switch {
	case r.members[p.person.Identity] != p:
	case before != nil && r.peers[before]:
		r.restore(p, before)
	default:
		delete(r.members, p.person.Identity)
		r.roll.remove(p.person.Identity)
		r.detector.Remove(p.person.Identity)
	}
	r.dismiss(p)
	r.settle(p.person.Identity)
	return r.endIfEmpty()
}

// endIfEmpty stops a room that is of no use to anybody. It reports whether it did.
func (r *Room) endIfEmpty() bool {
	if len(r.peers) > 0 || len(r.neighbours) > 0 {
		r.poke()
		return false
	}
	r.stopping.Do(func() { close(r.stop) })
	return true
}

// dismiss ends what a peer sends and receives.
func (r *Room) dismiss(p *Peer) {
	r.arrivals = slices.DeleteFunc(r.arrivals, func(q *Peer) bool { return q == p })
	for _, pub := range p.pubs {
		r.disown(pub)
		if pub.heir != nil {
			r.handOver(pub)
		}
		r.unlist(pub)
	}
	for _, streams := range [2][]*stream{p.audio, p.video} {
		for _, s := range streams {
			s.carry(nil, 0)
		}
	}
}

// setTracks makes a participant's publications what it says they are.
func (r *Room) setTracks(p *Peer, m events.Tracks) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.person.Role != events.Publisher {
		return events.Errorf(events.CodeTokenNoPermission, "viewers do not publish")
	}
	if m.Revision <= p.tracksRevision || r.members[p.person.Identity] != p {
		return nil
	}
	now := map[events.Source]events.Track{}
	for _, t := range m.Tracks {
		if !p.person.MayPublish(t.Source) {
			return events.Errorf(events.CodeTokenNoPermission, "the token does not allow to publish %s", t.Source)
		}
		if p.pubs[t.Source] == nil {
			return events.Errorf(events.CodeBadField, "tracks lists %s, for which the offer has no section", t.Source)
		}
		now[t.Source] = t
	}
	p.tracksRevision = m.Revision
	for source, old := range r.pubsBefore(p) {
		if _, goesOn := now[source]; !goesOn {
			r.unlist(old)
		}
	}
	for source, pub := range p.pubs {
		t, ok := now[source]
		if !ok {
			r.unlist(pub)
			continue
		}
		r.list(pub, t)
	}
	r.roll.change(p.person.Identity)
	r.unassigned = true
	r.poke()
	return nil
}

func (r *Room) list(pub *publication, t events.Track) {
	pub.track = t
	if pub.muted.Swap(t.Muted) != t.Muted {
		// What comes after a pause begins anew.
		pub.interrupt()
		r.unaimed = true
	}
	if old := r.predecessor(pub); old != nil {
		pub.listed.Store(true)
		r.hold(pub, old)
		return
	}
	if !pub.listed.Swap(true) {
		r.listings++
		pub.listedAt = r.listings
		r.listed = append(r.listed, pub)
	}
}

func (r *Room) unlist(pub *publication) {
	r.disown(pub)
	if !pub.listed.Swap(false) {
		return
	}
	r.listed = slices.DeleteFunc(r.listed, func(q *publication) bool { return q == pub })
	for _, s := range pub.all() {
		s.carry(nil, 0)
		s.peer.untold = true
	}
	r.unassigned = true
}

// setWant notes what a participant asks to see.
func (r *Room) setWant(p *Peer, m events.Want) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.Revision <= p.wantRevision {
		return
	}
	p.wantRevision = m.Revision
	p.only = m.Only
	p.want = make(map[view]events.WantedVideo, len(m.Video))
	p.wanted = p.wanted[:0]
	for _, v := range m.Video {
		at := view{v.Participant, v.Source}
		if _, twice := p.want[at]; !twice {
			p.wanted = append(p.wanted, v)
		}
		p.want[at] = v
	}
	slices.SortStableFunc(p.wanted, func(a, b events.WantedVideo) int { return rankPinned(a) - rankPinned(b) })
	r.unassigned = true
	r.poke()
}

func rankPinned(v events.WantedVideo) int {
	if v.Pinned {
		return 0
	}
	return 1
}

// resync sends a member the roster anew.
func (r *Room) resync(p *Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.members[p.person.Identity] == p {
		r.snapshot(p)
		r.sendStreams(p)
	}
}

func (r *Room) snapshot(p *Peer) {
	for _, raw := range r.roll.snapshot(r, p.person.Identity) {
		p.control.sendRaw(raw)
	}
}
