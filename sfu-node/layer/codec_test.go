package layer

import (
	"bytes"
	"testing"

	"github.com/pion/rtp/codecs"
)

func TestParseVP8(t *testing.T) {
	key := []byte{0x00, 0x00, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x41} // 640 × 360, vertical scale 1
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, c := range []struct {
		name string
		p    []byte
		ok   bool
		want Descriptor
	}{
		{"empty", nil, false, Descriptor{}},
		{"one byte", []byte{0x10}, false, Descriptor{}},
		{"no extension, key frame", join([]byte{0x10}, key), true, Descriptor{Start: true, Key: true, Height: 360}},
		{"no extension, other frame", []byte{0x10, 0x01}, true, Descriptor{Start: true}},
		{"second partition", []byte{0x11, 0x00}, true, Descriptor{}},
		{"not the start", []byte{0x00, 0x00}, true, Descriptor{}},
		{"long picture id", []byte{0x90, 0x80, 0x81, 0x02, 0x01}, true, Descriptor{Start: true, PictureID: 0x102, Long: true, pictureAt: 2}},
		{"short picture id", []byte{0x90, 0x80, 0x7f, 0x01}, true, Descriptor{Start: true, PictureID: 0x7f, pictureAt: 2}},
		{"everything", join([]byte{0x90, 0xf0, 0xff, 0xff, 0x09, 0x21}, key), true,
			Descriptor{Start: true, Key: true, Height: 360, PictureID: 0x7fff, Long: true, TL0: 9, pictureAt: 2, tl0At: 4}},
		{"key frame cut off before its height", []byte{0x10, 0x00, 0x00}, true, Descriptor{Start: true, Key: true}},
		{"extension cut off", []byte{0x90, 0x80}, false, Descriptor{}},
		{"picture id cut off", []byte{0x90, 0x80, 0x80}, false, Descriptor{}},
		{"TL0PICIDX cut off", []byte{0x90, 0x40}, false, Descriptor{}},
		{"no payload after the descriptor", []byte{0x90, 0xf0, 0x80, 0x01, 0x02, 0x03}, false, Descriptor{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := ParseVP8(c.p)
			if ok != c.ok || ok && got != c.want {
				t.Errorf("got %+v, %v", got, ok)
			}
		})
	}
}

// FuzzVP8 compares the parser with pion's, and checks that writing changes the
// two fields and nothing else.
func FuzzVP8(f *testing.F) {
	f.Add([]byte{0x90, 0xf0, 0xff, 0xff, 0x09, 0x21, 0x00, 1, 2}, uint16(5), uint8(6))
	f.Add([]byte{0x90, 0x80, 0x7f, 0x01}, uint16(0x1234), uint8(0))
	f.Add([]byte{0x10, 0x00}, uint16(1), uint8(1))
	f.Fuzz(func(t *testing.T, p []byte, id uint16, tl0 uint8) {
		d, ok := ParseVP8(p)
		if !ok {
			return
		}
		var theirs codecs.VP8Packet
		if _, err := theirs.Unmarshal(p); err != nil {
			t.Fatalf("we take what pion refuses: %v", err)
		}
		if d.PictureID != theirs.PictureID || d.TL0 != theirs.TL0PICIDX || d.Start != (theirs.S == 1 && theirs.PID == 0) {
			t.Fatalf("we read %+v, pion %+v", d, theirs)
		}
		writesOnlyWhatItShould(t, ParseVP8, p, id, tl0)
	})
}

// FuzzVP9 does the same for VP9.
func FuzzVP9(f *testing.F) {
	f.Add([]byte{0xac, 0x92, 0x34, 0x00, 0x07, 0x01}, uint16(5), uint8(6))
	f.Add([]byte{0xae, 0x81, 0x02, 0x00, 0x07, 0x18, 0x02, 0x80, 0x01, 0x68, 0x01, 0x04, 0x01, 0x09}, uint16(0x1234), uint8(0))
	f.Add([]byte{0xf8, 0x7f, 0x40, 0x03, 0x02, 0x01}, uint16(1), uint8(1))
	f.Fuzz(func(t *testing.T, p []byte, id uint16, tl0 uint8) {
		d, ok := ParseVP9(p)
		if !ok {
			return
		}
		var theirs codecs.VP9Packet
		if _, err := theirs.Unmarshal(p); err != nil {
			t.Fatalf("we take what pion refuses: %v", err)
		}
		if d.PictureID != theirs.PictureID || d.TL0 != theirs.TL0PICIDX || d.Start != theirs.B || d.Key != (theirs.B && !theirs.P && theirs.SID == 0) {
			t.Fatalf("we read %+v, pion %+v", d, theirs)
		}
		if n := len(theirs.Height); theirs.V && theirs.Y && d.Height != int(theirs.Height[n-1]) {
			t.Fatalf("we read a height of %d, pion %v", d.Height, theirs.Height)
		}
		writesOnlyWhatItShould(t, ParseVP9, p, id, tl0)
	})
}

func writesOnlyWhatItShould(t *testing.T, parse func([]byte) (Descriptor, bool), p []byte, id uint16, tl0 uint8) {
	t.Helper()
	d, _ := parse(p)
	before := bytes.Clone(p)
	d.Write(p, id, tl0)
	again, ok := parse(p)
	if !ok {
		t.Fatal("unreadable after writing")
	}
	mask := uint16(0x7f)
	if d.Long {
		mask = 0x7fff
	}
	if d.HasPictureID() && again.PictureID != id&mask || d.HasTL0() && again.TL0 != tl0 {
		t.Fatalf("wrote %d and %d, read %+v", id, tl0, again)
	}
	again.Write(p, d.PictureID, d.TL0)
	if !bytes.Equal(before, p) {
		t.Fatalf("writing back gives % x, it was % x", p, before)
	}
}

func TestParseVP9(t *testing.T) {
	for _, c := range []struct {
		name string
		p    []byte
		ok   bool
		want Descriptor
	}{
		{"empty", nil, false, Descriptor{}},
		{"key frame, no fields", []byte{0x08, 1}, true, Descriptor{Start: true, Key: true}},
		{"predicted", []byte{0x48, 1}, true, Descriptor{Start: true, Predicted: true}},
		{"end, not needed above", []byte{0x45, 1}, true, Descriptor{Predicted: true, End: true, Unreferenced: true}},
		{"not the begin", []byte{0x00, 1}, true, Descriptor{}},
		{"short picture id", []byte{0x88, 0x7f, 1}, true, Descriptor{Start: true, Key: true, PictureID: 0x7f, pictureAt: 1}},
		{"long picture id", []byte{0x88, 0x81, 0x02, 1}, true, Descriptor{Start: true, Key: true, PictureID: 0x102, Long: true, pictureAt: 1}},
		{"layers and TL0PICIDX", []byte{0xa8, 0x81, 0x02, 0x00, 0x09, 1}, true,
			Descriptor{Start: true, Key: true, PictureID: 0x102, Long: true, TL0: 9, pictureAt: 1, tl0At: 4}},
		{"upper spatial layer", []byte{0xa8, 0x81, 0x02, 0x02, 0x09, 1}, true, Descriptor{Start: true, Spatial: 1, PictureID: 0x102, Long: true, TL0: 9, pictureAt: 1, tl0At: 4}},
		{"sizes and a group", []byte{0x8a, 0x01, 0x18, 0x02, 0x80, 0x01, 0x68, 0x01, 0x04, 0x01, 9}, true,
			Descriptor{Start: true, Key: true, PictureID: 1, Height: 360, pictureAt: 1, structureAt: 2}},
		{"flexible, two references", []byte{0xd8, 0x01, 0x03, 0x02, 9}, true, Descriptor{Start: true, Predicted: true, PictureID: 1, pictureAt: 1}},
		{"more references than there may be", []byte{0xd8, 0x01, 0x03, 0x03, 0x03, 0x02, 9}, false, Descriptor{}},
		{"picture id cut off", []byte{0x88, 0x81}, false, Descriptor{}},
		{"layers cut off", []byte{0xa8, 0x01}, false, Descriptor{}},
		{"TL0PICIDX cut off", []byte{0xa8, 0x01, 0x00}, false, Descriptor{}},
		{"sizes cut off", []byte{0x8a, 0x01, 0x10, 0x02}, false, Descriptor{}},
		{"group cut off", []byte{0x8a, 0x01, 0x08, 0x02, 0x04}, false, Descriptor{}},
		{"nothing after the descriptor", []byte{0x88, 0x01}, false, Descriptor{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := ParseVP9(c.p)
			if ok != c.ok || ok && got != c.want {
				t.Errorf("got %+v, %v", got, ok)
			}
		})
	}
}

func TestKeyFrame(t *testing.T) {
	for _, c := range []struct {
		name  string
		codec Codec
		p     []byte
		want  bool
	}{
		{"opus", CodecOpus, []byte{1}, true},
		{"unknown", "h265", []byte{0x10, 0x00}, false},
		{"vp8 key", CodecVP8, []byte{0x10, 0x00}, true},
		{"vp8 other", CodecVP8, []byte{0x10, 0x01}, false},
		{"h264 parameter set", CodecH264, []byte{0x67, 1}, true},
		{"h264 slice", CodecH264, []byte{0x61, 1}, false},
		{"h264 aggregate with parameter set", CodecH264, []byte{0x78, 0, 2, 0x09, 0x10, 0, 2, 0x67, 1}, true},
		{"h264 aggregate without", CodecH264, []byte{0x78, 0, 2, 0x09, 0x10, 0, 2, 0x61, 1}, false},
		{"h264 aggregate cut off", CodecH264, []byte{0x78, 0xff, 0xff, 0x09}, false},
		{"h264 fragment that begins one", CodecH264, []byte{0x7c, 0x87, 1}, true},
		{"h264 later fragment", CodecH264, []byte{0x7c, 0x07, 1}, false},
		{"vp9 key, no layers", CodecVP9, []byte{0x88, 0x01, 1}, true},
		{"vp9 predicted", CodecVP9, []byte{0xc8, 0x01}, false},
		{"vp9 not the begin", CodecVP9, []byte{0x80, 0x01}, false},
		{"vp9 lowest layer", CodecVP9, []byte{0xa8, 0x81, 0x02, 0x00, 0x01, 1}, true},
		{"vp9 upper layer", CodecVP9, []byte{0xa8, 0x81, 0x02, 0x02}, false},
		{"vp9 cut off", CodecVP9, []byte{0xa8, 0x81}, false},
		{"av1 new sequence", CodecAV1, []byte{0x18, 1}, true},
		{"av1 other", CodecAV1, []byte{0x10, 1}, false},
		{"empty", CodecAV1, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := KeyFrame(c.codec, c.p); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func FuzzKeyFrame(f *testing.F) {
	f.Add([]byte{0x78, 0, 2, 0x09, 0x10, 0, 2, 0x67, 1})
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, c := range []Codec{CodecVP8, CodecH264, CodecVP9, CodecAV1} {
			KeyFrame(c, p) // must not panic
		}
	})
}

func TestRED(t *testing.T) {
	// Two blocks: 3 bytes of redundancy under type 111, then the primary.
	p := []byte{0x80 | 111, 0x0f, 0x00, 0x03, 111, 1, 2, 3, 9, 8}
	r, ok := ParseRED(p)
	if !ok || !bytes.Equal(r.Primary(p), []byte{9, 8}) {
		t.Fatalf("%+v, %v", r, ok)
	}
	r.Write(p, 96)
	if p[0] != 0x80|96 || p[4] != 96 || !bytes.Equal(p[5:], []byte{1, 2, 3, 9, 8}) || p[1] != 0x0f {
		t.Errorf("rewritten to % x", p)
	}
	if r, ok := ParseRED([]byte{111, 7}); !ok || !bytes.Equal(r.Primary([]byte{111, 7}), []byte{7}) {
		t.Error("a primary alone is not read")
	}
	for _, bad := range [][]byte{nil, {0x80 | 111, 0}, {0x80 | 111, 0, 0, 9, 111, 1}, bytes.Repeat([]byte{0x80 | 111, 0, 0, 0}, 9)} {
		if _, ok := ParseRED(bad); ok {
			t.Errorf("% x is taken", bad)
		}
	}
}

func FuzzRED(f *testing.F) {
	f.Add([]byte{0x80 | 111, 0x0f, 0x00, 0x03, 111, 1, 2, 3, 9, 8})
	f.Fuzz(func(t *testing.T, p []byte) {
		r, ok := ParseRED(p)
		if !ok {
			return
		}
		before := bytes.Clone(r.Primary(p))
		r.Write(p, 111)
		if !bytes.Equal(before, r.Primary(p)) {
			t.Error("rewriting types changed the sound")
		}
	})
}
