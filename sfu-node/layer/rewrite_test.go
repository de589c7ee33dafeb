package layer

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// source makes the packets of one source, in its own numbers.
type source struct {
	seq     uint16
	ts      uint32
	picture uint16
	tl0     uint8
}

// packet is the next packet; frame says that it begins a new frame, 30 ms after
// the last.
func (s *source) packet(at time.Duration, frame bool) Packet {
	s.seq++
	if frame {
		s.ts += 2700
		s.picture = (s.picture + 1) & 0x7fff
		s.tl0++
	}
	return Packet{Sequence: s.seq, Timestamp: s.ts, At: at, Picture: &Descriptor{PictureID: s.picture, TL0: s.tl0}}
}

// must numbers a packet that has to be sent.
func must(t *testing.T, r *Rewriter, p Packet) Output {
	t.Helper()
	out, ok := r.Next(p)
	if !ok {
		t.Fatalf("packet %d refused", p.Sequence)
	}
	return out
}

func TestUnbrokenOverSwitches(t *testing.T) {
	r := NewRewriter(90000, 65530, 1<<32-5000) // both wrap soon
	sources := []*source{{seq: 100, ts: 5, picture: 32760, tl0: 250}, {seq: 65533, ts: 1 << 31, picture: 3, tl0: 9}, {seq: 40000, ts: 1<<32 - 10, picture: 20000, tl0: 100}}
	var last Output
	var lastAt time.Duration
	seen := false
	at := time.Second
	for n := range 60 {
		s := sources[n/7%len(sources)]
		if n%7 == 0 {
			s.seq += 500 // time has passed there too
			s.ts += 100_000
			s.picture += 50
		}
		for part := range 3 {
			p := s.packet(at, part == 0)
			if n%7 == 0 && part == 0 {
				r.Start(p)
			}
			out := must(t, &r, p)
			if seen {
				if out.Sequence-last.Sequence != 1 {
					t.Fatalf("frame %d: sequence %d follows %d", n, out.Sequence, last.Sequence)
				}
				wantTicks := ticks(at-lastAt, 90000)
				if got := out.Timestamp - last.Timestamp; got != wantTicks {
					t.Fatalf("frame %d: timestamp goes on by %d, %d have passed", n, got, wantTicks)
				}
				step := uint16(0)
				if part == 0 {
					step = 1
				}
				if (out.PictureID-last.PictureID)&0x7fff != step || out.TL0-last.TL0 != uint8(step) {
					t.Fatalf("frame %d: picture %d/%d follows %d/%d", n, out.PictureID, out.TL0, last.PictureID, last.TL0)
				}
			}
			last, lastAt, seen = out, at, true
		}
		at += 30 * ms
	}
}

func TestNothingBeforeAStart(t *testing.T) {
	r := NewRewriter(90000, 0, 0)
	s := source{seq: 10}
	if _, ok := r.Next(s.packet(0, true)); ok {
		t.Error("a packet without a start is sent")
	}
	early := s.packet(0, true)
	start := s.packet(0, true)
	r.Start(start)
	if _, ok := r.Next(early); ok {
		t.Error("a packet from before the start is sent")
	}
	if out := must(t, &r, start); out.Sequence != 1 || out.Timestamp != 1 {
		t.Errorf("first packet %+v", out)
	}
	r.Stop()
	if _, ok := r.Next(s.packet(0, true)); ok || r.Started() {
		t.Error("a packet after the stop is sent")
	}
}

func TestLossAndReorderingStayVisible(t *testing.T) {
	r := NewRewriter(90000, 1000, 0)
	s := source{seq: 65534}
	first := s.packet(0, true)
	r.Start(first)
	a := must(t, &r, first)
	lost, late := s.packet(0, false), s.packet(0, false)
	_ = lost
	next := must(t, &r, s.packet(0, false))
	if next.Sequence-a.Sequence != 3 {
		t.Errorf("the gap of 2 is %d", next.Sequence-a.Sequence-1)
	}
	if out := must(t, &r, late); out.Sequence-a.Sequence != 2 {
		t.Errorf("a late packet gets %d, the first had %d", out.Sequence, a.Sequence)
	}
	if after := must(t, &r, s.packet(0, false)); after.Sequence-next.Sequence != 1 {
		t.Errorf("after a late packet: %d follows %d", after.Sequence, next.Sequence)
	}
}

func TestSkip(t *testing.T) {
	r := NewRewriter(90000, 0, 0)
	s := source{seq: 10}
	p := s.packet(0, true)
	if r.Skip(p.Sequence) {
		t.Error("skipped without a source")
	}
	r.Start(p)
	must(t, &r, p)            // 11 → 1
	late := s.packet(0, true) // 12, comes later
	gap := s.packet(0, false) // 13, likewise
	if r.Skip(gap.Sequence) {
		t.Error("a packet that leaves a gap behind it is skipped")
	}
	must(t, &r, s.packet(0, true)) // 14 → 4
	padding := s.packet(0, false)  // 15
	if !r.Skip(padding.Sequence) {
		t.Error("padding in order is not skipped")
	}
	if out := must(t, &r, s.packet(0, true)); out.Sequence != 5 { // 16
		t.Errorf("after padding: %d, expected 5", out.Sequence)
	}
	if out := must(t, &r, late); out.Sequence != 2 {
		t.Errorf("a late packet from before the padding: %d, expected 2", out.Sequence)
	}
	if _, ok := r.Next(padding); ok {
		t.Error("padding is sent after it was skipped")
	}
}

func TestAnnounce(t *testing.T) {
	r := NewRewriter(90000, 0, 100)
	before := r.Announce(time.Second)
	if before != 101 {
		t.Errorf("the first announcement is %d", before)
	}
	s := source{seq: 1, ts: 77}
	p := s.packet(2*time.Second, true)
	r.Start(p)
	first := must(t, &r, p)
	if first.Timestamp != before+90000 {
		t.Errorf("a second after the announcement: %d", first.Timestamp-before)
	}
	late := s.packet(2100*ms, true)
	out := must(t, &r, late)
	promised := r.Announce(2200 * ms)
	if promised <= out.Timestamp || promised-out.Timestamp != ticks(100*ms, 90000)+1 {
		t.Errorf("announced %d after %d", promised, out.Timestamp)
	}
	if _, ok := r.Next(s.packet(2200*ms, true)); ok {
		t.Error("the old source goes on after the announcement")
	}
	// The new source's clock may lie a little behind: never below the promise.
	other := source{seq: 9}
	q := other.packet(2150*ms, true)
	r.Start(q)
	if out := must(t, &r, q); out.Timestamp != promised {
		t.Errorf("new source begins at %d, promised was %d", out.Timestamp, promised)
	}
}

// A frame of another layer at the same instant, as when all layers send key
// frames together, must not share the timestamp of the one before.
func TestTwoStartsAtOnce(t *testing.T) {
	r := NewRewriter(90000, 0, 0)
	a, b := source{seq: 5}, source{seq: 500}
	p := a.packet(time.Second, true)
	r.Start(p)
	first := must(t, &r, p)
	q := b.packet(time.Second, true)
	r.Start(q)
	if second := must(t, &r, q); second.Timestamp != first.Timestamp+1 || second.Sequence != first.Sequence+1 {
		t.Errorf("%+v follows %+v", second, first)
	}
}

func TestTimestampForReports(t *testing.T) {
	r := NewRewriter(48000, 0, 500)
	if got := r.Timestamp(time.Hour); got != 500 {
		t.Errorf("before anything was sent: %d", got)
	}
	s := source{seq: 1}
	p := s.packet(time.Second, true)
	r.Start(p)
	out := must(t, &r, p)
	if got := r.Timestamp(time.Second + 20*ms); got != out.Timestamp+960 {
		t.Errorf("20 ms later: %d more", got-out.Timestamp)
	}
}

// Long streams pass many wraps of the sequence number.
func TestManyWraps(t *testing.T) {
	r := NewRewriter(90000, 7, 0)
	s := source{}
	p := s.packet(0, true)
	r.Start(p)
	last := must(t, &r, p)
	for i := range 200_000 {
		p := s.packet(time.Duration(i)*ms, false)
		if i%1000 == 500 {
			if !r.Skip(p.Sequence) {
				t.Fatalf("packet %d is not skipped", i)
			}
			continue
		}
		out := must(t, &r, p)
		if out.Sequence-last.Sequence != 1 {
			t.Fatalf("packet %d: %d follows %d", i, out.Sequence, last.Sequence)
		}
		last = out
	}
}

// FuzzRewriter feeds random operations and compares with a slow version that
// keeps every packet's number in a table.
func FuzzRewriter(f *testing.F) {
	f.Add([]byte{0, 4, 4, 1, 4, 5, 2, 4, 3, 4, 4})
	f.Add([]byte{0, 4, 5, 5, 4, 1, 6, 4, 2, 0, 4})
	f.Fuzz(func(t *testing.T, ops []byte) {
		r := NewRewriter(90000, 65000, 1<<32-100_000)
		s := source{seq: 65500, ts: 42}
		given := map[uint16]uint16{} // of the present source: in → out
		var pending []Packet
		at := time.Second
		highest := uint16(65000)
		var top uint32
		started := false
		if len(ops) > 5000 {
			return
		}
		for _, op := range ops {
			at += 5 * ms
			switch op % 7 {
			case 0: // another source
				s = source{seq: uint16(op) * 257, ts: uint32(op) << 24}
				p := s.packet(at, true)
				r.Start(p)
				given, pending, started = map[uint16]uint16{}, nil, true
				check(t, &r, p, given, &highest, &top)
			case 1: // a packet that comes later
				pending = append(pending, s.packet(at, false))
			case 2: // and here it comes
				if len(pending) > 0 && started && s.seq-pending[0].Sequence < 1000 {
					if out, ok := r.Next(pending[0]); ok {
						note(t, given, pending[0].Sequence, out.Sequence)
					}
					pending = pending[1:]
				}
			case 3:
				p := s.packet(at, false)
				if !r.Skip(p.Sequence) {
					pending = append(pending, p)
				}
			case 6:
				promised := r.Announce(at)
				if started && top != 0 && int32(promised-top) <= 0 {
					t.Fatalf("announced %d, sent was %d", promised, top)
				}
				started = false
			default:
				p := s.packet(at, op%2 == 0)
				if started {
					check(t, &r, p, given, &highest, &top)
				} else if _, ok := r.Next(p); ok && !r.Started() {
					t.Fatal("sent without a source")
				}
			}
		}
	})
}

// check numbers a packet in order and checks that numbers only rise.
func check(t *testing.T, r *Rewriter, p Packet, given map[uint16]uint16, highest *uint16, top *uint32) {
	t.Helper()
	out := must(t, r, p)
	note(t, given, p.Sequence, out.Sequence)
	if int16(out.Sequence-*highest) <= 0 {
		t.Fatalf("sequence %d follows %d", out.Sequence, *highest)
	}
	*highest = out.Sequence
	*top = out.Timestamp
}

// note checks that no two packets of a source get the same number.
func note(t *testing.T, given map[uint16]uint16, in, out uint16) {
	t.Helper()
	for other, number := range given {
		if number == out && other != in && in-other < 1000 {
			t.Fatalf("packets %d and %d both get %d", other, in, out)
		}
	}
	given[in] = out
}

func BenchmarkNext(b *testing.B) {
	r := NewRewriter(90000, 0, 0)
	s := source{}
	p := s.packet(0, true)
	r.Start(p)
	b.ReportAllocs()
	for b.Loop() {
		p.Sequence++
		r.Next(p)
	}
}

// Frames are numbered on over switches, and keep their distances in between.
func TestFrameNumbersGoOn(t *testing.T) {
	r := NewRewriter(90000, 1, 1)
	var last uint16
	for n, c := range []struct {
		frame uint16
		start bool
		want  uint16 // above the last
	}{{65_530, true, 1}, {65_530, false, 0}, {65_533, false, 3}, {2, false, 5}, {40_000, true, 1}, {40_001, false, 1}} {
		p := Packet{Sequence: uint16(100 + n), Timestamp: uint32(n), At: time.Duration(n) * ms, Frame: c.frame, Described: true}
		if c.start {
			r.Start(p)
		}
		out := must(t, &r, p)
		if out.Frame-last != c.want {
			t.Errorf("packet %d: frame %d follows %d", n, out.Frame, last)
		}
		last = out.Frame
	}
}
