package room

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Bitrates of what is sent, in kbps on the wire at the sizes that the SDK sends.
const (
	audioKbps   = 48   // Opus at 32 kbps, with the headers of 50 packets a second
	tileKbps    = 150  // a camera at 180 lines
	speakerKbps = 1700 // a camera at 720 lines
	cameraKbps  = 2350 // all three layers of a camera: 180, 360 and 720 lines
	screenKbps  = 2500 // a screen at 1080 lines
	sharingKbps = 3000 // both layers of a screen
)

// Layout is what one participant sees and hears at most: the arithmetic behind
// a profile.
type Layout struct {
	// Audio is how many speakers are heard at once.
	Audio int
	// Speakers are cameras shown large, Tiles those shown small, Screens shared
	// screens.
	Speakers, Tiles, Screens int
	// Shares is whether whoever publishes may share a screen beside the camera.
	Shares bool
}

// Profile returns the profile of rooms with that layout and those limits.
func (l Layout) Profile(participants, publishers int) Profile {
	p := Profile{
		MaxParticipants: participants, MaxPublishers: publishers,
		AudioStreams: l.Audio, VideoStreams: l.Speakers + l.Tiles + l.Screens,
		ReceiveKbps: int64(l.Audio*audioKbps + l.Speakers*speakerKbps + l.Tiles*tileKbps + l.Screens*screenKbps),
		SendKbps:    audioKbps + cameraKbps,
		VideoCodecs: []string{"vp8"}, MaxOvercommit: Default().MaxOvercommit,
	}
	if l.Shares {
		p.SendKbps += sharingKbps
	}
	return p
}

// presets are profiles by the name of the occasion.
var presets = map[string]Profile{
	// Everybody may speak, be seen and share; a large speaker, or a screen, and a
	// strip of tiles.
	"meeting": Layout{Audio: 6, Speakers: 1, Tiles: 23, Screens: 1, Shares: true}.Profile(100, 100),
	// A few speak to many.
	"webinar": Layout{Audio: 4, Speakers: 1, Tiles: 7, Screens: 1, Shares: true}.Profile(1000, 10),
	// One speaks most of the time, everybody can be brought in.
	"classroom": Layout{Audio: 4, Speakers: 1, Tiles: 14, Screens: 1, Shares: true}.Profile(60, 30),
	// Very many watch a stage, on which hands are raised in turn.
	"townhall": Layout{Audio: 3, Speakers: 1, Tiles: 4, Screens: 1, Shares: true}.Profile(10_000, 20),
}

// Preset returns the profile of an occasion, or an error that lists those there
// are.
func Preset(name string) (Profile, error) {
	p, ok := presets[name]
	if !ok {
		return Profile{}, fmt.Errorf("preset is %q, expected one of %s", name, strings.Join(slices.Sorted(maps.Keys(presets)), ", "))
	}
	p.VideoCodecs = slices.Clone(p.VideoCodecs)
	return p, nil
}

// Streams is how many streams a room's people send and receive at most, all
// added up.
type Streams struct{ In, Out int }

// Streams counts the streams of a room in which so many publish a microphone and
// a camera each, screens of them a screen too, and so many only watch: nobody
// receives what they send themselves, nor more than the profile's receive
// streams.
func (p Profile) Streams(publishers, screens, viewers int) Streams {
	s := Streams{In: 2*publishers + screens}
	video := publishers + screens
	s.Out += viewers * (min(p.AudioStreams, publishers) + min(p.VideoStreams, video))
	for i := range publishers {
		own := 1
		if i < screens {
			own = 2
		}
		s.Out += min(p.AudioStreams, publishers-1) + min(p.VideoStreams, video-own)
	}
	return s
}

// MeanSeat is the load of one of so many seats when as many of them are on stage
// as may be, rounded up.
func (p Profile) MeanSeat(seats int) Load {
	if seats < 1 {
		return p.SeatLoad(Publisher)
	}
	onStage := min(seats, p.MaxPublishers)
	sum, n := p.Load(onStage, seats-onStage), int64(seats)
	return Load{Kbps: (sum.Kbps + n - 1) / n, PPS: (sum.PPS + n - 1) / n}
}

// Load is what a room of so many publishers and viewers is granted at least: the
// load of its seats.
func (p Profile) Load(publishers, viewers int) Load {
	return p.SeatLoad(Publisher).Times(publishers).Plus(p.SeatLoad(Viewer).Times(viewers))
}
