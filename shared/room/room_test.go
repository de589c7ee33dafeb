package room_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway-sfu/spillway/shared/room"
)

func TestAsManyAsGoIntoFitAndNotOneMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := room.Load{Kbps: rapid.Int64Range(0, 50).Draw(t, "kbps"), PPS: rapid.Int64Range(0, 50).Draw(t, "pps")}
		available := room.Load{Kbps: rapid.Int64Range(-10, 1000).Draw(t, "akbps"), PPS: rapid.Int64Range(-10, 1000).Draw(t, "apps")}
		n := l.Into(available)
		if n < 0 {
			t.Fatalf("%d", n)
		}
		if n > 0 && !l.Times(n).Fits(available) {
			t.Fatalf("%d times %v does not fit %v", n, l, available)
		}
		if l.Kbps > 0 && l.PPS > 0 && available.Kbps >= 0 && available.PPS >= 0 && l.Times(n+1).Fits(available) {
			t.Fatalf("%v goes into %v more than %d times", l, available, n)
		}
	})
}

func TestSeatLoad(t *testing.T) {
	p := room.Default()
	viewer, publisher := p.SeatLoad(room.Viewer), p.SeatLoad(room.Publisher)
	if viewer.Kbps != p.ReceiveKbps || publisher.Kbps != p.ReceiveKbps+p.SendKbps {
		t.Errorf("viewer %v, publisher %v", viewer, publisher)
	}
	// 4 Mbps in packets of 7000 bits, and six audio streams of 50 a second.
	if viewer.PPS != 571+300 || publisher.PPS != viewer.PPS+428+50 {
		t.Errorf("viewer %v, publisher %v", viewer, publisher)
	}
}

func TestProfilesThatMakeNoSense(t *testing.T) {
	if err := room.Default().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*room.Profile){
		"nobody":         func(p *room.Profile) { p.MaxParticipants = 0 },
		"audio streams":  func(p *room.Profile) { p.AudioStreams = 17 },
		"video streams":  func(p *room.Profile) { p.VideoStreams = 50 },
		"no kbps":        func(p *room.Profile) { p.ReceiveKbps = 0 },
		"negative kbps":  func(p *room.Profile) { p.SendKbps = -1 },
		"unknown codec":  func(p *room.Profile) { p.VideoCodecs = []string{"vp8", "divx"} },
		"codec twice":    func(p *room.Profile) { p.VideoCodecs = []string{"vp8", "vp8"} },
		"no video codec": func(p *room.Profile) { p.VideoCodecs = nil },
	} {
		p := room.Default()
		change(&p)
		if p.Validate() == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestRevisionsGrow(t *testing.T) {
	at := time.UnixMilli(1_790_000_000_000)
	first := room.Revision(0).Next(at)
	if !first.Time().Equal(at) {
		t.Errorf("%v", first.Time())
	}
	if second := first.Next(at.Add(-time.Second)); second != first+1 {
		t.Errorf("%d after %d by a clock that is late", second, first)
	}
	if third := first.Next(at.Add(time.Second)); third != first+1000 {
		t.Errorf("%d after %d", third, first)
	}
}

func TestBlocksOfARoom(t *testing.T) {
	r := room.New("r", "eu-north-1", room.Default(), time.Now())
	a := r.WithBlock(room.BlockRef{Index: 0, Seats: 4}).WithBlock(room.BlockRef{Index: 1, Seats: 8})
	if a.SeatsLeft != r.SeatsLeft-12 || a.Granted() != 12 || a.NextBlock != r.NextBlock || a.Revision != r.Revision+2 {
		t.Errorf("%+v", a)
	}
	b := a.WithoutBlock(0)
	if b.SeatsLeft != r.SeatsLeft-8 || b.NextBlock != r.NextBlock || b.Ref(0) != nil || a.Ref(0) == nil {
		t.Errorf("%+v from %+v", b, a)
	}
	if c := b.WithFull(1, true); !c.Ref(1).Full || b.Ref(1).Full {
		t.Error("the room before was changed")
	}
	if d := b.WithoutBlock(7); d.Revision != b.Revision {
		t.Error("a block that was not there was given back")
	}
}

func TestARoomMadeAnewHasLaterRevisions(t *testing.T) {
	at := time.UnixMilli(1_790_000_000_000)
	r := room.New("r", "eu-north-1", room.Default(), at)
	for range 500 { // a busy second
		r = r.WithBlock(room.BlockRef{Index: r.NextBlock, Seats: 1}).WithoutBlock(r.NextBlock)
	}
	if again := room.New("r", "eu-north-1", room.Default(), at.Add(time.Second+time.Millisecond)); again.Revision <= r.Revision || again.NextBlock <= r.NextBlock {
		t.Errorf("revision %d after %d, block %d after %d", again.Revision, r.Revision, again.NextBlock, r.NextBlock)
	}
}
