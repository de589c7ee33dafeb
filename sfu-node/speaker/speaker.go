// Package speaker finds out who of a room speaks, from the loudness that each
// audio packet carries (RFC 6464).
//
// The method is that of I. Volfin and I. Cohen, "Dominant speaker
// identification for multipoint videoconferencing", Computer Speech and
// Language 27 (2013), which other conference servers use too: the speech
// activity of each participant is scored over an immediate, a medium and a long
// interval, and somebody takes the floor from the dominant speaker when all
// three scores are sufficiently higher. Short noises raise only the immediate
// score and change nothing.
//
// The package is pure: time comes in as an argument. A [Detector] is not safe
// for concurrent use.
package speaker

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Silence is the level of silence, in -dBov as in RFC 6464; 0 is the loudest.
const Silence = 127

// The intervals of the paper, in units of one audio packet of 20 ms, and its
// thresholds. An immediate interval has immediateParts loudness sub-bands, a
// medium one mediumParts immediate ones, a long one longParts medium ones.
const (
	frame          = 20 * time.Millisecond
	immediateParts = 13
	mediumParts    = 5
	longParts      = 10
	frames         = mediumParts * longParts

	mediumThreshold = 7 // active sub-bands that make an immediate interval active
	longThreshold   = 4 // active immediate intervals that make a medium one active

	immediateRate = 0.78 // λ of the three activity scores
	mediumRate    = 24.0
	longRate      = 47.0

	immediateLead = 3.0 // C1, C2 and C3: how far ahead a challenger must be
	mediumLead    = 2.0
	longLead      = 0.0

	minScore = 1e-10
)

// A participant who was heard within recent counts as speaking for
// [Detector.Speaking] when the medium interval is active enough.
const (
	bandWidth     = 5  // dB per sub-band of an immediate interval
	speakingParts = 2  // active immediate intervals, of mediumParts, that make one speak
	defaultFloor  = 70 // -dBov: quieter is background until something is learned

	// Somebody who pauses for less than hold still counts as speaking: pauses
	// between words are no news.
	hold = 600 * time.Millisecond
)

// Detector follows the participants of one room, each under a key of type K.
// The zero value is not ready: use [New].
type Detector[K cmp.Ordered] struct {
	who      map[K]*activity
	dominant K
	has      bool
}

// New makes a detector of nobody.
func New[K cmp.Ordered]() *Detector[K] {
	return &Detector[K]{who: map[K]*activity{}}
}

// activity is one participant's recent loudness.
type activity struct {
	bands [frames]uint8 // active sub-bands of each frame, a ring
	next  int           // where the next frame goes
	at    time.Duration // when the last frame ended
	known bool
	level float64 // smoothed loudness in dB above silence
	floor float64 // the quietest lately, in dB above silence
	spoke time.Duration
	ever  bool

	immediate, medium, long float64
}

// Observe takes the level of one audio packet of k that arrived at the time at.
// Levels above [Silence] count as silence.
func (d *Detector[K]) Observe(k K, level uint8, at time.Duration) {
	a := d.who[k]
	if a == nil {
		a = &activity{floor: Silence - defaultFloor}
		d.who[k] = a
	}
	a.advance(at - frame)
	a.add(Silence-int(min(level, Silence)), at)
}

// Remove forgets k. If it was dominant, nobody is until the next [Detector.Tick].
func (d *Detector[K]) Remove(k K) {
	delete(d.who, k)
	if d.has && d.dominant == k {
		d.has = false
	}
}

// Tick judges anew, at the time at. It returns the dominant speaker and whether
// there is one: whoever spoke last stays dominant through silence. Call it every
// 100 to 300 ms.
func (d *Detector[K]) Tick(at time.Duration) (K, bool) {
	for _, a := range d.who {
		a.advance(at)
		a.score()
	}
	var best K
	lead := 0.0
	found := false
	cur := d.who[d.dominant]
	if !d.has {
		cur = nil
	}
	for k, a := range d.who {
		if !a.speaking() || d.has && k == d.dominant {
			continue
		}
		ahead := a.medium
		if cur != nil {
			i, m, l := math.Log(a.immediate/cur.immediate), math.Log(a.medium/cur.medium), math.Log(a.long/cur.long)
			if i <= immediateLead || m <= mediumLead || l <= longLead {
				continue
			}
			ahead = m
		}
		if !found || ahead > lead || ahead == lead && k < best {
			best, lead, found = k, ahead, true
		}
	}
	if found {
		d.dominant, d.has = best, true
	}
	return d.dominant, d.has
}

// Heard is somebody who speaks.
type Heard[K cmp.Ordered] struct {
	Key K
	// Level is the smoothed loudness in -dBov.
	Level int
}

// Speaking lists who speaks as of the last [Detector.Tick], the dominant speaker
// first if it still speaks, then the louder ones first.
func (d *Detector[K]) Speaking() []Heard[K] {
	var heard []Heard[K]
	for k, a := range d.who {
		if a.ever && a.at-a.spoke < hold {
			heard = append(heard, Heard[K]{k, Silence - int(a.level)})
		}
	}
	slices.SortFunc(heard, func(x, y Heard[K]) int {
		return cmp.Or(d.rank(x.Key)-d.rank(y.Key), cmp.Compare(x.Level, y.Level), cmp.Compare(x.Key, y.Key))
	})
	return heard
}

func (d *Detector[K]) rank(k K) int {
	if d.has && d.dominant == k {
		return 0
	}
	return 1
}

// LastSpoke returns when k was last found speaking, and false if it never was.
func (d *Detector[K]) LastSpoke(k K) (time.Duration, bool) {
	a := d.who[k]
	if a == nil || !a.ever {
		return 0, false
	}
	return a.spoke, true
}

// advance fills the time up to at, in which no packet came, with silence:
// senders that use discontinuous transmission send little of it.
func (a *activity) advance(at time.Duration) {
	if !a.known {
		return
	}
	missing := int((at - a.at) / frame)
	for range min(missing, frames) {
		a.push(0)
		a.level *= 0.8
	}
	if missing > 0 {
		a.at += time.Duration(missing) * frame
	}
}

// add takes one frame of the given loudness in dB above silence.
func (a *activity) add(loudness int, at time.Duration) {
	l := float64(loudness)
	a.level += (l - a.level) * 0.2
	// The floor falls at once and rises slowly, at most to where speech may
	// begin: steady noise counts as background after some seconds.
	if l > 0 {
		if l < a.floor {
			a.floor = l
		} else {
			a.floor = min(a.floor+0.02, Silence-defaultFloor+20)
		}
	}
	above := max(0, l-max(a.floor, Silence-defaultFloor))
	a.push(uint8(min(immediateParts, above/bandWidth*3)))
	if !a.known || at > a.at {
		a.at = at
	}
	a.known = true
}

func (a *activity) push(bands uint8) {
	a.bands[a.next] = bands
	a.next = (a.next + 1) % frames
}

// score computes the three activity scores from the ring.
func (a *activity) score() {
	medium := 0 // active frames of the newest medium interval
	long := 0   // active medium intervals
	for m := range longParts {
		active := 0
		for i := range mediumParts {
			at := (a.next - 1 - m*mediumParts - i + 2*frames) % frames
			if a.bands[at] >= mediumThreshold {
				active++
			}
		}
		if m == 0 {
			medium = active
		}
		if active >= longThreshold {
			long++
		}
	}
	newest := int(a.bands[(a.next-1+frames)%frames])
	for i := 1; i < 3; i++ { // a pause between syllables is no silence
		newest = max(newest, int(a.bands[(a.next-1-i+frames)%frames]))
	}
	a.immediate = likelihood(newest, immediateParts, 0.5, immediateRate)
	a.medium = likelihood(medium, mediumParts, 0.5, mediumRate)
	a.long = likelihood(long, longParts, 0.5, longRate)
	if a.speaking() {
		a.spoke = a.at
		a.ever = true
	}
}

// speaking reports whether enough of the newest medium interval is active.
func (a *activity) speaking() bool {
	active := 0
	for i := range mediumParts {
		if a.bands[(a.next-1-i+frames)%frames] >= mediumThreshold {
			active++
		}
	}
	return active >= speakingParts
}

// likelihood is the paper's activity score: the log-likelihood ratio of n
// active parts out of total under speech, binomial with probability p, against
// silence, exponential with rate lambda.
func likelihood(n, total int, p, lambda float64) float64 {
	lgamma := func(x int) float64 { v, _ := math.Lgamma(float64(x)); return v }
	binomial := lgamma(total+1) - lgamma(n+1) - lgamma(total-n+1)
	s := binomial + float64(n)*math.Log(p) + float64(total-n)*math.Log(1-p) - math.Log(lambda) + lambda*float64(n)
	return max(s, minScore)
}
