package sfu

import (
	"maps"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
)

// roll keeps the numbered changes of a room's roster. Its room's lock guards it.
type roll struct {
	seq     int64
	changed map[string]bool // identities, not told yet
	gone    map[string]bool
	news    map[string]bool // identities of which other nodes have not been told yet
	listed  map[string]bool // identities that the roster has, as last told
	anew    map[*Peer]bool  // who is to get the whole roster instead of what changed
	renewed bool            // everybody is
	// described says that the room's metadata has changed since it was told.
	described bool
	flushed   time.Duration
	ever      bool

	// What was last told of the audience, and when that was.
	viewers, here int
	counted       time.Duration
}

func newRoll() roll {
	return roll{changed: map[string]bool{}, gone: map[string]bool{}, news: map[string]bool{}, listed: map[string]bool{}}
}

// change notes that a member is new or different.
func (r *roll) change(identity string) {
	r.changed[identity], r.news[identity] = true, true
	delete(r.gone, identity)
}

// remove notes that somebody is no member any more.
func (r *roll) remove(identity string) {
	r.gone[identity], r.news[identity] = true, true
	delete(r.changed, identity)
}

// turnOver makes everybody get the whole roster next.
func (r *roll) turnOver() { r.renewed = true }

// renew makes one member get the whole roster next.
func (r *roll) renew(p *Peer) {
	if r.anew == nil {
		r.anew = map[*Peer]bool{}
	}
	r.anew[p] = true
}

func (r *roll) dirty() bool { return r.renewed || r.described || len(r.changed)+len(r.gone) > 0 }

// due reports whether changes are to be told now: the first at once, those that
// follow it together, and what only the number of viewers is about less often.
func (r *roll) due(a audience, now time.Duration) bool {
	return r.dirty() && (!r.ever || now-r.flushed >= rosterEvery) || r.recount(a, now)
}

// recount reports whether the number of viewers is to be told by itself.
func (r *roll) recount(a audience, now time.Duration) bool {
	return (a.all != r.viewers || a.here != r.here) && now-r.counted >= countEvery
}

// flush returns the changes as encoded messages of at most MaxChannel bytes: none
// where everybody gets the whole roster.
func (r *roll) flush(room *Room, now time.Duration) [][]byte {
	r.flushed, r.ever = now, true
	a := room.audience
	if r.renewed {
		r.renewed, r.described = false, false
		clear(r.changed)
		clear(r.gone)
		r.listed = room.listing()
		r.noteCount(a, now)
		return nil
	}
	var members []events.Member
	for _, identity := range slices.Sorted(maps.Keys(r.changed)) {
		if m, ok := room.memberOf(identity); ok && room.shows(m.Role) {
			members = append(members, m)
			r.listed[identity] = true
		} else {
			r.gone[identity] = true
		}
	}
	maps.DeleteFunc(r.gone, func(identity string, _ bool) bool { return !r.listed[identity] })
	gone := slices.Sorted(maps.Keys(r.gone))
	for _, identity := range gone {
		delete(r.listed, identity)
	}
	recount := r.recount(a, now)
	clear(r.changed)
	clear(r.gone)
	var messages [][]byte
	for _, part := range parts(members) {
		messages = append(messages, r.delta(a, part, nil))
	}
	for part := range slices.Chunk(gone, goneAtOnce) {
		messages = append(messages, r.delta(a, nil, part))
	}
	if r.described {
		r.described = false
		r.seq++
		messages = append(messages, encode(events.Delta{Header: events.Head(events.ActionDelta), Seq: r.seq, Viewers: a.all, ViewersHere: a.here, RoomMetadata: &room.metadata}))
	}
	if recount && len(messages) == 0 {
		messages = append(messages, r.delta(a, nil, nil))
	}
	if len(messages) > 0 {
		r.noteCount(a, now)
	}
	return messages
}

func (r *roll) noteCount(a audience, now time.Duration) {
	r.viewers, r.here, r.counted = a.all, a.here, now
}

// goneAtOnce identities of MaxName bytes, escaped, stay within MaxChannel.
const goneAtOnce = 40

func (r *roll) delta(a audience, changed []events.Member, gone []string) []byte {
	r.seq++
	return encode(events.Delta{Header: events.Head(events.ActionDelta), Seq: r.seq, Viewers: a.all, ViewersHere: a.here, Changed: changed, Gone: gone})
}

// listing is whom the roster lists.
func (r *Room) listing() map[string]bool {
	listed := map[string]bool{}
	for identity := range r.members {
		listed[identity] = true
	}
	for identity := range r.remotes {
		listed[identity] = true
	}
	maps.DeleteFunc(listed, func(identity string, _ bool) bool { return !r.shows(r.roleOf(identity)) })
	return listed
}

// snapshot returns the whole roster of one member as encoded messages: who is
// listed, and itself. Changes not told yet
// are in it, and will be told again: they are states, not differences.
func (r *roll) snapshot(room *Room, self string) [][]byte {
	var members []events.Member
	add := func(identity string) {
		if room.shows(room.roleOf(identity)) || identity == self {
			m, _ := room.memberOf(identity)
			members = append(members, m)
		}
	}
	for _, p := range room.arrivals {
		if room.members[p.person.Identity] == p {
			add(p.person.Identity)
		}
	}
	for _, identity := range slices.Sorted(maps.Keys(room.remotes)) {
		if room.members[identity] == nil {
			add(identity)
		}
	}
	a := room.audience
	split := parts(members)
	if len(split) == 0 {
		split = [][]events.Member{{}}
	}
	if room.metadata != "" {
		split = append([][]events.Member{{}}, split...) // it may be as large as a part
	}
	var messages [][]byte
	for i, part := range split {
		metadata := ""
		if i == 0 {
			metadata = room.metadata
		}
		messages = append(messages, encode(events.Snapshot{
			Header: events.Head(events.ActionSnapshot), Seq: r.seq, Part: i, Parts: len(split),
			Room: room.name, Self: self, Viewers: a.all, ViewersHere: a.here, RoomMetadata: metadata, Members: part,
		}))
	}
	return messages
}

// envelope is more than what a message has around its members: its fields, and
// room and identity at their longest.
const envelope = 2048

// parts splits members such that each part fits a message.
func parts(members []events.Member) [][]events.Member {
	var split [][]events.Member
	size := 0
	for i, m := range members {
		n := len(encode(rosterEntry{m})) + 1
		if i == 0 || size+n > events.MaxChannel-envelope {
			split = append(split, nil)
			size = 0
		}
		size += n
		split[len(split)-1] = append(split[len(split)-1], m)
	}
	return split
}

// rosterEntry lets a member be encoded by itself, to be measured.
type rosterEntry struct{ events.Member }

// Validate implements [events.Message].
func (rosterEntry) Validate() error { return nil }

// member is the peer as others see it. The caller holds Room.mu.
func (p *Peer) member() events.Member {
	m := events.Member{
		Identity: p.person.Identity, Name: p.person.Name, Metadata: p.describes(), Role: p.person.Role,
		Node: p.sfu.cfg.Node, JoinedMs: p.joined.UnixMilli(), Tracks: []events.Track{},
	}
	if p.tracksRevision == 0 && p.earlier != nil {
		p = p.earlier // until it says what it publishes
	}
	for _, source := range sourceOrder {
		if pub := p.pubs[source]; pub != nil && pub.listed.Load() {
			m.Tracks = append(m.Tracks, pub.track)
		}
	}
	return m
}

var sourceOrder = [...]events.Source{events.Microphone, events.Camera, events.Screen, events.ScreenAudio}
