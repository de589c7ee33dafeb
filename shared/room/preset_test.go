package room_test

import (
	"strings"
	"testing"

	"github.com/spillway-sfu/spillway/shared/room"
)

func TestPresetsMakeSense(t *testing.T) {
	for _, name := range []string{"meeting", "webinar", "classroom", "townhall"} {
		p, err := room.Preset(name)
		if err == nil {
			err = p.Validate()
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		p.VideoCodecs[0] = "changed"
		if again, _ := room.Preset(name); again.VideoCodecs[0] == "changed" {
			t.Errorf("%s: one caller's change reaches the next", name)
		}
	}
	if _, err := room.Preset("party"); err == nil || !strings.Contains(err.Error(), "classroom, meeting, townhall, webinar") {
		t.Errorf("%v", err)
	}
}

// A meeting of fifty, every camera on and shown small beside a large speaker,
// with three screens shared at 1080 lines.
func TestFiftyCamerasAndThreeScreens(t *testing.T) {
	p := room.Layout{Audio: 6, Speakers: 1, Tiles: 45, Screens: 3, Shares: true}.Profile(50, 50)
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	// In: 50 microphones, 50 cameras, 3 screens. Out: six voices each, and of 53
	// pictures less one's own the 49 that the profile bounds.
	if s := p.Streams(50, 3, 0); s != (room.Streams{In: 103, Out: 50 * (6 + 49)}) {
		t.Errorf("%+v", s)
	}
	// Each receives 6 × 48 + 1700 + 45 × 150 + 3 × 2500 kbps, and may send
	// 48 + 2350 + 3000.
	if p.ReceiveKbps != 16_238 || p.SendKbps != 5398 {
		t.Errorf("receives %d, sends %d kbps", p.ReceiveKbps, p.SendKbps)
	}
	load := p.Load(50, 0)
	if load.Kbps != 50*(16_238+5398) {
		t.Errorf("%v", load)
	}
	// 1.08 Gbps: more than a node of 937 Mbps carries, well within one of 1.876.
	if load.Fits(room.Load{Kbps: 937_000, PPS: 1 << 40}) || !load.Fits(room.Load{Kbps: 1_876_000, PPS: 1 << 40}) {
		t.Errorf("%v", load)
	}
}

// Eight present to 250, of whom two at a time may be brought to the stage.
func TestEightPresentersTwoGuestsAndTheAudience(t *testing.T) {
	p := room.Layout{Audio: 4, Speakers: 1, Tiles: 9}.Profile(258, 10)
	// Eight on stage: each hears and sees the other seven, of whom four are heard
	// at once; each listener sees all eight.
	if s := p.Streams(8, 0, 250); s != (room.Streams{In: 16, Out: 8*(4+7) + 250*(4+8)}) {
		t.Errorf("%+v", s)
	}
	// With two guests on stage ten send, and two fewer only listen.
	if s := p.Streams(10, 0, 248); s != (room.Streams{In: 20, Out: 10*(4+9) + 248*(4+10)}) {
		t.Errorf("%+v", s)
	}
	// A listener costs 4 × 48 + 1700 + 9 × 150 kbps; the stage 48 + 2350 more each.
	seat := p.SeatLoad(room.Viewer)
	if seat.Kbps != 3242 || p.SeatLoad(room.Publisher).Kbps-seat.Kbps != 2398 {
		t.Errorf("viewer %v, publisher %v", seat, p.SeatLoad(room.Publisher))
	}
	// All ten stage seats are claimed from the start, so a guest is never refused:
	// 258 × 3242 + 10 × 2398 kbps.
	if load := p.Load(10, 248); load.Kbps != 258*3242+10*2398 {
		t.Errorf("%v", load)
	}
	if mean := p.MeanSeat(258); !p.Load(10, 248).Fits(mean.Times(258)) || mean.Kbps != 3335 {
		t.Errorf("%v", mean)
	}
	if p.MeanSeat(3) != p.SeatLoad(room.Publisher) || p.MeanSeat(0) != p.SeatLoad(room.Publisher) {
		t.Error("a few are all on stage")
	}
	// Were everybody claimed as if on stage, it would be 1.69 times as much.
	if everybody, claimed := p.Load(258, 0).Kbps, p.Load(10, 248).Kbps; everybody*100/claimed != 169 {
		t.Errorf("%d against %d", everybody, claimed)
	}
}
