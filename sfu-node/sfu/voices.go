package sfu

import (
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/pipe"
)

// listen brings the speaker detector up to date and tells who speaks.
func (r *Room) listen(now time.Duration) {
	for _, pub := range r.listed {
		if pub.source != events.Microphone {
			continue
		}
		for _, h := range pub.levels.take(&r.heard) {
			r.detector.Observe(pub.identity, h.level, h.at)
		}
	}
	r.detector.Tick(now)
	speaking := r.speaking(nil)
	names := make([]string, 0, len(speaking))
	for _, s := range speaking {
		names = append(names, s.Participant)
	}
	if !slices.Equal(names, r.spoken) {
		r.spoken = names
		r.unassigned = true
	}
	if now-r.toldAt < speakersEvery {
		return
	}
	say := speaking[:min(len(speaking), maxSpeakers)]
	if sameSpeakers(say, r.told) {
		return
	}
	r.told, r.toldAt = say, now
	r.tell(encode(events.Speakers{Header: events.Head(events.ActionSpeakers), Speakers: say}))
}

const (
	// maxSpeakers bounds who is named as speaking at once.
	maxSpeakers = 16
	// levelStep is the change in dB that is worth a message.
	levelStep = 4
)

func sameSpeakers(a, b []events.Speaker) bool {
	return slices.EqualFunc(a, b, func(x, y events.Speaker) bool {
		return x.Participant == y.Participant && distance(x.Level, y.Level) < levelStep
	})
}

// speaking lists who speaks, in the whole room or, for a neighbour, on this side of
// it. The detector's order stays what it is; others come in by their loudness.
func (r *Room) speaking(except *neighbour) []events.Speaker {
	var all []events.Speaker
	for _, h := range r.detector.Speaking() {
		all = append(all, events.Speaker{Participant: h.Key, Level: h.Level})
	}
	for _, n := range r.neighbours {
		if n == except {
			continue
		}
		for _, s := range n.speaking {
			if !slices.ContainsFunc(all, func(o events.Speaker) bool { return o.Participant == s.Participant }) {
				all = append(all, s)
			}
		}
	}
	if len(r.neighbours) == 0 {
		return all
	}
	// Who was said to speak before stays ahead of who is hardly louder.
	rank := func(s events.Speaker) int {
		level := s.Level
		if i := slices.Index(r.spoken, s.Participant); i >= 0 {
			level -= max(0, lead-i)
		}
		return level
	}
	slices.SortStableFunc(all, func(a, b events.Speaker) int { return rank(a) - rank(b) })
	return all
}

// lead is how many dB louder somebody must be to come before the dominant speaker.
const lead = 12

// loudestFor lists whose sound a neighbour may ask for: everybody's while there are
// no more microphones than a participant may have streams, else those who speak or
// spoke last.
func (r *Room) loudestFor(n *neighbour) []string {
	audio, _ := r.candidates()
	var microphones []*publication
	for _, pub := range audio {
		if pub.source == events.Microphone && (pub.far == nil || pub.far.via != n) {
			microphones = append(microphones, pub)
		}
	}
	if len(microphones) > events.MaxAudioStreams {
		slices.SortStableFunc(microphones, func(a, b *publication) int {
			return int(r.lastSpoke(b.identity) - r.lastSpoke(a.identity))
		})
		microphones = microphones[:events.MaxAudioStreams]
	}
	names := make([]string, 0, len(microphones))
	for _, pub := range microphones {
		names = append(names, pub.identity)
	}
	slices.Sort(names)
	return names
}

// tellSpeaking tells a neighbour who speaks on this side of it.
func (r *Room) tellSpeaking(n *neighbour) {
	speaks, loudest := r.speaking(n), r.loudestFor(n)
	speaks = speaks[:min(len(speaks), maxSpeakers)]
	if sameSpeakers(speaks, n.toldSpeaks) && slices.Equal(loudest, n.toldLoudest) {
		return
	}
	n.toldSpeaks, n.toldLoudest = speaks, loudest
	n.link.Tell(pipe.Speaking{Room: r.name, Speakers: speaks, Loudest: loudest})
}

func (r *Room) onSpeaking(n *neighbour, m pipe.Speaking) {
	n.speaking = m.Speakers
	for _, s := range m.Speakers {
		if rem := r.remotes[s.Participant]; rem != nil {
			rem.spoke = r.sfu.now()
		}
	}
	loudest := make(map[string]bool, len(m.Loudest))
	for _, identity := range m.Loudest {
		loudest[identity] = true
	}
	n.loudest = loudest
	r.unassigned = true
}
