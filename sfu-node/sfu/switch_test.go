package sfu

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

func (p *person) wants(revision int64, only bool, video ...events.WantedVideo) {
	p.t.Helper()
	p.send(events.Want{Header: events.Head(events.ActionWant), Revision: revision, Video: video, Only: only})
}

// layerOf reads which layer a camera frame of [camera] is.
func layerOf(p *rtp.Packet) byte { return p.Payload[7] }

// Layers change on key frames, and the receiver sees one unbroken stream.
func TestLayerSwitching(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.join("anna"), w.join("ben")
	anna.publishes(1, cameraOn)
	anna.film("q", "h", "f")
	var mid string
	ben.until("the camera", func() bool {
		s, ok := ben.carrying("anna", events.Camera)
		mid = s.Mid
		return ok && len(ben.packets[mid]) > 0
	})
	for n, c := range []struct {
		height int
		layer  byte
	}{{720, 2}, {180, 0}, {360, 1}, {90, 0}, {2000, 2}} {
		ben.wants(int64(n+1), false, events.WantedVideo{Participant: "anna", Source: events.Camera, Height: c.height})
		ben.until(fmt.Sprintf("layer %d for %d pixels", c.layer, c.height), func() bool {
			got := ben.packets[mid]
			return len(got) > 0 && layerOf(got[len(got)-1]) == c.layer
		})
	}
	ben.mu.Lock()
	defer ben.mu.Unlock()
	checkUnbroken(t, ben.packets[mid])
	checkKeyAtSwitches(t, ben.packets[mid])
}

// checkKeyAtSwitches checks that each layer or source begins with a key frame.
func checkKeyAtSwitches(t *testing.T, packets []*rtp.Packet) {
	t.Helper()
	packets = inOrder(packets)
	for i, p := range packets {
		if i > 0 && layerOf(p) == layerOf(packets[i-1]) && p.CSRC[0] == packets[i-1].CSRC[0] {
			continue
		}
		if p.Payload[0]&0x10 == 0 || p.Payload[6]&1 != 0 {
			t.Fatalf("packet %d of layer %d begins without a key frame", i, layerOf(p))
		}
	}
}

// One receive stream shows one person, then another, as asked.
func TestSourceSwitching(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.join("anna"), w.join("ben")
	carl := w.join("carl", viewer, func(_ *events.Offer, o *lightpeer.Options) { o.Audio, o.Video = 1, 1 })
	for _, p := range []*person{anna, ben} {
		p.publishes(1, cameraOn)
		p.film("q", "h")
	}
	show := func(revision int64, who string) events.Stream {
		t.Helper()
		carl.wants(revision, true, events.WantedVideo{Participant: who, Source: events.Camera, Height: 180})
		var s events.Stream
		carl.until("the picture of "+who, func() bool {
			var ok bool
			s, ok = carl.carrying(who, events.Camera)
			got := carl.packets[s.Mid]
			return ok && len(got) > 0 && got[len(got)-1].CSRC[0] == s.CSRC
		})
		return s
	}
	shown := []events.Stream{}
	for n, who := range []string{"anna", "ben", "anna", "ben"} {
		shown = append(shown, show(int64(n+1), who))
	}
	carl.mu.Lock()
	defer carl.mu.Unlock()
	packets := carl.packets[shown[0].Mid]
	checkUnbroken(t, packets)
	checkKeyAtSwitches(t, packets)
	// Each packet carries the name of the publication that was announced for its
	// timestamp. Before the first wish the stream may have shown anybody.
	for _, p := range packets {
		if int32(p.Timestamp-shown[0].Timestamp) < 0 {
			continue
		}
		i := len(shown) - 1
		for i > 0 && int32(p.Timestamp-shown[i].Timestamp) < 0 {
			i--
		}
		if p.CSRC[0] != shown[i].CSRC {
			t.Fatalf("a packet at %d carries %d, announced was %d from %d on", p.Timestamp, p.CSRC[0], shown[i].CSRC, shown[i].Timestamp)
		}
	}
}

func TestOffAndOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben, carl := w.join("anna"), w.join("ben"), w.join("carl")
	anna.publishes(1, cameraOn)
	ben.publishes(1, cameraOn)
	sees := func(want ...string) func() bool {
		return func() bool {
			m, ok := last[events.Streams](carl)
			var names []string
			for _, s := range m.Streams {
				names = append(names, s.Participant)
			}
			slices.Sort(names)
			return ok && slices.Equal(names, want)
		}
	}
	carl.until("both", sees("anna", "ben"))
	carl.wants(1, false, events.WantedVideo{Participant: "anna", Source: events.Camera, Off: true})
	carl.until("only who is not off", sees("ben"))
	carl.wants(2, true, events.WantedVideo{Participant: "anna", Source: events.Camera, Height: 90})
	carl.until("only who is asked for", sees("anna"))
	carl.wants(1, false) // older: ignored
	carl.wants(3, true)
	carl.until("nobody", sees())
}

// While muted nothing is sent; afterwards the streams go on unbroken.
func TestMute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.join("anna"), w.join("ben")
	anna.publishes(1, micOn, cameraOn)
	anna.film("q", "h", "f")
	var sound, picture events.Stream
	flowing := func(more int) func() bool {
		return func() bool {
			var ok, ok2 bool
			sound, ok = ben.carrying("anna", events.Microphone)
			picture, ok2 = ben.carrying("anna", events.Camera)
			return ok && ok2 && len(ben.packets[sound.Mid]) > more && len(ben.packets[picture.Mid]) > more
		}
	}
	ben.until("media", flowing(5))
	anna.publishes(2, events.Track{Source: events.Microphone, Muted: true}, events.Track{Source: events.Camera, Muted: true, Width: 1280, Height: 720})
	before := w.Counters().Dropped(DropMuted)
	ben.until("the muted camera gives its stream back", func() bool {
		_, shown := ben.carrying("anna", events.Camera)
		return !shown
	})
	waitFor(t, "dropped packets", func() bool { return w.Counters().Dropped(DropMuted) > before+20 })
	ben.mu.Lock()
	had := len(ben.packets[sound.Mid])
	ben.mu.Unlock()
	anna.publishes(3, micOn, cameraOn)
	ben.until("media after the pause", flowing(had+10))
	ben.mu.Lock()
	defer ben.mu.Unlock()
	checkUnbroken(t, ben.packets[sound.Mid])
	if p := ben.packets[sound.Mid][had]; !p.Marker && ben.packets[sound.Mid][had+1].Marker == false {
		t.Error("sound comes back without a marker")
	}
}

// A publication that ends, and one whose publisher leaves, is taken from the map
// of streams.
func TestEndedPublicationsLeaveTheMap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.join("anna"), w.join("ben")
	count := func(n int) func() bool {
		return func() bool { m, ok := last[events.Streams](ben); return ok && len(m.Streams) == n }
	}
	anna.publishes(1, micOn, cameraOn)
	ben.until("sound and picture", count(2))
	anna.publishes(2, micOn)
	ben.until("sound only", count(1))
	anna.publishes(3, micOn, cameraOn)
	ben.until("sound and picture again", count(2))
	anna.send(events.Goodbye{Header: events.Head(events.ActionGoodbye)})
	ben.until("nothing", count(0))
}

// waitFor polls what cannot be waited for otherwise.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: never came to pass", what)
		}
	}
}

// With fewer streams than microphones, those who speak are heard.
func TestTheLoudestAreHeard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	listener := w.join("listener", viewer, func(_ *events.Offer, o *lightpeer.Options) { o.Audio, o.Video = 2, 0 })
	var people []*person
	for i := range 4 {
		p := w.join(fmt.Sprint("p", i), func(_ *events.Offer, o *lightpeer.Options) { o.Audio, o.Video = 1, 1 })
		p.publishes(1, micOn)
		people = append(people, p)
	}
	stop := make(chan struct{})
	ended := make(chan struct{})
	loud := make(chan int, 1)
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		speaker := -1
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case speaker = <-loud:
			case <-tick.C:
			}
			for i, p := range people {
				level := uint8(80)
				if i == speaker {
					level = 25
				}
				_ = p.Microphone().Write([]byte{0xf8, 0xff, 0xfe}, uint32(n)*960, false, level)
			}
		}
	}()
	defer func() { close(stop); <-ended }()
	for _, i := range []int{3, 0, 2, 1} {
		loud <- i
		who := fmt.Sprint("p", i)
		var s events.Stream
		listener.until(who+" is heard", func() bool {
			var ok bool
			s, ok = listener.carrying(who, events.Microphone)
			got := listener.packets[s.Mid]
			return ok && len(got) > 0 && got[len(got)-1].CSRC[0] == s.CSRC
		})
		listener.until(who+" is named as speaking", func() bool {
			m, ok := last[events.Speakers](listener)
			return ok && len(m.Speakers) > 0 && m.Speakers[0].Participant == who
		})
	}
	listener.mu.Lock()
	defer listener.mu.Unlock()
	for _, packets := range listener.packets {
		checkUnbroken(t, packets)
	}
}
