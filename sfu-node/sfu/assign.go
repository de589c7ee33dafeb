package sfu

import (
	"cmp"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
)

// Heights in pixels for publications that a receiver has not asked for.
const (
	unaskedCamera = 360
	unaskedScreen = 720
)

// place decides what each stream carries: what is chosen and carried already
// stays where it is, the rest goes to the other streams, in order. The zero P
// means nothing. The result has the length of streams.
func place[P comparable](streams, chosen []P) []P {
	var nothing P
	placed := make([]P, len(streams))
	missing := make([]P, 0, len(chosen))
	for _, c := range chosen {
		if i := slices.Index(streams, c); i >= 0 {
			placed[i] = c
		} else {
			missing = append(missing, c)
		}
	}
	for i := range placed {
		if placed[i] == nothing && len(missing) > 0 {
			placed[i] = missing[0]
			missing = missing[1:]
		}
	}
	return placed
}

// assign gives every member's streams the publications it is to receive, and
// tells those for whom something changed. The caller holds Room.mu.
func (r *Room) assign(now time.Duration) {
	audio, video := r.candidates()
	contested := false
	for _, p := range r.arrivals {
		contested = r.assignTo(p, audio, video, now) || contested
	}
	r.contested.Store(contested)
}

// assignTo gives one member's streams what they are to carry. It reports whether
// there are more voices than streams.
func (r *Room) assignTo(p *Peer, audio, video []*publication, now time.Duration) bool {
	p.order = chooseVideo(p, video, p.order[:0])
	p.untold = carryAll(p.video, p.order, now) || p.untold
	chosen, short := chooseAudio(p, audio)
	p.untold = carryAll(p.audio, chosen, now) || p.untold
	if p.untold {
		r.sendStreams(p)
	}
	return short
}

// candidates lists what may be received: audio with those who speak first, video
// with those who spoke last first. Screens come before cameras.
func (r *Room) candidates() (audio, video []*publication) {
	for _, pub := range r.listed {
		switch {
		case !pub.available(), !pub.loudEnough():
		case pub.video():
			video = append(video, pub)
		default:
			audio = append(audio, pub)
		}
	}
	spoke := func(pub *publication) time.Duration {
		return r.lastSpoke(pub.identity)
	}
	speaks := func(pub *publication) int {
		if i := slices.Index(r.spoken, pub.identity); i >= 0 {
			return i
		}
		return len(r.spoken)
	}
	slices.SortStableFunc(video, func(a, b *publication) int {
		return cmp.Or(cmp.Compare(b.source, a.source), cmp.Compare(spoke(b), spoke(a)), cmp.Compare(a.listedAt, b.listedAt))
	})
	slices.SortStableFunc(audio, func(a, b *publication) int {
		return cmp.Or(cmp.Compare(b.source, a.source), speaks(a)-speaks(b), cmp.Compare(a.listedAt, b.listedAt))
	})
	return audio, video
}

// chooseVideo appends what p is to see to chosen, at most one for each stream:
// what it asks for, then, unless it wants nothing else, the others in order.
func chooseVideo(p *Peer, video, chosen []*publication) []*publication {
	most := len(p.video)
	for _, v := range p.wanted {
		if len(chosen) == most {
			return chosen
		}
		if v.Off {
			continue
		}
		for _, pub := range video {
			if pub.source == v.Source && pub.identity == v.Participant && v.Participant != p.person.Identity {
				chosen = append(chosen, pub)
			}
		}
	}
	if p.only {
		return chosen
	}
	// Those that cannot be decoded come last: nothing is sent of them.
	for _, foreign := range []bool{false, true} {
		for _, pub := range video {
			if len(chosen) >= most {
				return chosen
			}
			if pub.identity == p.person.Identity || p.video[0].foreign(pub) != foreign {
				continue
			}
			if _, asked := p.want[view{pub.identity, pub.source}]; !asked {
				chosen = append(chosen, pub)
			}
		}
	}
	return chosen
}

// chooseAudio returns what p is to hear. With a stream for everybody, everybody
// has one and keeps it. Else those who speak have precedence, then those who
// are carried already. short says that there is not a stream for everybody.
func chooseAudio(p *Peer, audio []*publication) (chosen []*publication, short bool) {
	for _, pub := range audio {
		if pub.identity != p.person.Identity {
			chosen = append(chosen, pub)
		}
	}
	if len(chosen) <= len(p.audio) {
		return chosen, false
	}
	rank := func(pub *publication) int {
		switch {
		case pub.source == events.ScreenAudio:
			return 0
		case slices.Contains(p.room.spoken, pub.identity):
			return 1
		case slices.ContainsFunc(p.audio, func(s *stream) bool { return s.carries == pub }):
			return 2
		}
		return 3
	}
	slices.SortStableFunc(chosen, func(a, b *publication) int { return rank(a) - rank(b) })
	return chosen[:len(p.audio)], true
}

// carryAll makes streams carry what is chosen. It reports whether any changed.
func carryAll(streams []*stream, chosen []*publication, now time.Duration) bool {
	had := make([]*publication, len(streams))
	for i, s := range streams {
		had[i] = s.carries
	}
	changed := false
	for i, pub := range place(had, chosen) {
		if pub != had[i] {
			streams[i].carry(pub, now)
			changed = true
		}
	}
	return changed
}

// sendStreams tells a member what its streams carry.
func (r *Room) sendStreams(p *Peer) {
	p.untold = false
	p.streamsRevision++
	m := events.Streams{Header: events.Head(events.ActionStreams), Revision: p.streamsRevision, Streams: []events.Stream{}}
	for _, streams := range [2][]*stream{p.audio, p.video} {
		for _, s := range streams {
			if s.carries == nil {
				continue
			}
			m.Streams = append(m.Streams, events.Stream{
				Mid: s.mid, Participant: s.carries.identity, Source: s.carries.source,
				CSRC: s.carries.csrc, Timestamp: s.first, Paused: s.paused, Undecodable: s.foreign(s.carries),
			})
			s.undecodable = s.foreign(s.carries)
		}
	}
	raw := encode(m)
	for len(raw) > events.MaxChannel {
		// Only identities of many escaped characters get here: the receiver then
		// does not learn of the last streams and does not show them.
		m.Streams = m.Streams[:len(m.Streams)-1]
		raw = encode(m)
	}
	p.control.sendRaw(raw)
}

// aimAll chooses the layer of each video stream within its receiver's bound.
// The caller holds Room.mu.
func (r *Room) aimAll(now time.Duration) {
	for _, pub := range r.listed {
		pub.measure(now)
	}
	for _, p := range r.arrivals {
		if r.aimPeer(p, now) {
			r.sendStreams(p)
		}
	}
}

// aimPeer reports whether a stream was paused or is no longer.
func (r *Room) aimPeer(p *Peer, now time.Duration) bool {
	changed := false
	r.demands = r.demands[:0]
	streams := make([]*stream, 0, len(p.order))
	for _, pub := range r.byPriority(p) {
		i := slices.IndexFunc(p.video, func(s *stream) bool { return s.carries == pub })
		if i < 0 {
			continue
		}
		s := p.video[i]
		if foreign := s.foreign(pub); foreign || s.undecodable {
			changed = changed || foreign != s.undecodable
			if foreign {
				s.aim(layer.None)
				continue
			}
		}
		streams = append(streams, s)
		r.demands = append(r.demands, layer.Demand{
			Height: wantedHeight(p, pub), Current: s.aimed(), Flows: expected(pub),
			First: p.want[pub.view()].Pinned, Held: now < s.held.until,
		})
	}
	budget := p.budget(now)
	chosen := layer.Allocate(budget, r.demands)
	p.breakSilence(r.demands, chosen, now)
	p.say(budget, r.demands, chosen, now)
	for i, chosen := range chosen {
		s := streams[i]
		s.held.note(r.demands[i], chosen, s.paused, now)
		s.aim(chosen)
		if paused := chosen == layer.None; paused != s.paused {
			s.paused = paused
			changed = true
		}
	}
	return changed
}

// expected returns what flows of a publication, or, before anything does, all
// layers at no rate: one of them will.
func expected(pub *publication) [layer.Count]layer.Flow {
	flows := pub.flows
	for _, f := range flows {
		if f.Live {
			return assume(flows)
		}
	}
	for i := range flows {
		flows[i] = layer.Flow{Live: true, Height: layer.Height(i, pub.track.Height)}
	}
	return flows
}

func wantedHeight(p *Peer, pub *publication) int {
	if v, ok := p.want[pub.view()]; ok {
		return v.Height
	}
	if pub.source == events.Screen {
		return unaskedScreen
	}
	return unaskedCamera
}

// foreign reports whether a publication comes in a codec that the receiver of the
// stream did not offer. Before anything has come, it does not.
func (s *stream) foreign(pub *publication) bool {
	bound, c := s.bound.Load(), codec(pub.codec.Load())
	return bound != nil && pub.video() && c != codecNone && c < codecs && bound.pts[c] == 0
}
