package sfu

import (
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
)

func TestWhoSharesAScreenIsCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.join("anna")
	screen := events.Track{Source: events.Screen, Width: 1280, Height: 720}
	muted := screen
	muted.Muted = true
	for i, c := range []struct {
		tracks []events.Track
		want   int
	}{{[]events.Track{cameraOn}, 0}, {[]events.Track{cameraOn, screen}, 1}, {[]events.Track{muted}, 0}, {[]events.Track{screen}, 1}, {nil, 0}} {
		anna.publishes(int64(i+1), c.tracks...)
		for end := time.Now().Add(patience); w.Report().Screens != c.want; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d share a screen, want %d with %+v", w.Report().Screens, c.want, c.tracks)
			}
		}
	}
	if got := w.Report(); got.People != 1 {
		t.Errorf("%+v", got)
	}
}
