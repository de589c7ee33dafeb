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
	flushed time.Duration
	ever    bool
}

func newRoll() roll {
	return roll{changed: map[string]bool{}, gone: map[string]bool{}, news: map[string]bool{}}
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

func (r *roll) dirty() bool { return len(r.changed)+len(r.gone) > 0 }

// due reports whether changes are to be told now: the first at once, those that
// follow it together.
func (r *roll) due(now time.Duration) bool {
	return r.dirty() && (!r.ever || now-r.flushed >= rosterEvery)
}

// flush returns the changes as encoded messages of at most MaxChannel bytes.
func (r *roll) flush(room *Room, now time.Duration) [][]byte {
	r.flushed, r.ever = now, true
	var members []events.Member
	for _, identity := range slices.Sorted(maps.Keys(r.changed)) {
		if m, ok := room.memberOf(identity); ok {
			members = append(members, m)
		}
	}
	gone := slices.Sorted(maps.Keys(r.gone))
	clear(r.changed)
	clear(r.gone)
	var messages [][]byte
	for _, part := range parts(members) {
		messages = append(messages, r.delta(part, nil))
	}
	for part := range slices.Chunk(gone, goneAtOnce) {
		messages = append(messages, r.delta(nil, part))
	}
	return messages
}

// goneAtOnce identities of MaxName bytes, escaped, stay within MaxChannel.
const goneAtOnce = 40

func (r *roll) delta(changed []events.Member, gone []string) []byte {
	r.seq++
	return encode(events.Delta{Header: events.Head(events.ActionDelta), Seq: r.seq, Changed: changed, Gone: gone})
}

// snapshot returns the whole roster as encoded messages. Changes not told yet
// are in it, and will be told again: they are states, not differences.
func (r *roll) snapshot(room *Room, self string) [][]byte {
	members := make([]events.Member, 0, len(room.arrivals))
	for _, p := range room.arrivals {
		if room.members[p.person.Identity] == p {
			m, _ := room.memberOf(p.person.Identity)
			members = append(members, m)
		}
	}
	for _, identity := range slices.Sorted(maps.Keys(room.remotes)) {
		if room.members[identity] == nil {
			m, _ := room.memberOf(identity)
			members = append(members, m)
		}
	}
	split := parts(members)
	if len(split) == 0 {
		split = [][]events.Member{{}}
	}
	var messages [][]byte
	for i, part := range split {
		messages = append(messages, encode(events.Snapshot{
			Header: events.Head(events.ActionSnapshot), Seq: r.seq, Part: i, Parts: len(split),
			Room: room.name, Self: self, Members: part,
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
		Identity: p.person.Identity, Name: p.person.Name, Metadata: p.person.Metadata, Role: p.person.Role,
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
