package sfu

import (
	"bytes"
	"testing"
	"time"

	"github.com/pion/rtp"
	theirs "github.com/pion/rtp/codecs"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/burst"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
)

const (
	vp9In, vp9Out = 98, 121
	av1In, av1Out = 45, 46
)

// svcBench is a line with three spatial layers, and a receiver of each.
type svcBench struct {
	*bench
	peer   *Peer
	reader *reader
	line   *line
	got    [layer.Count]recorder
}

func newSVCBench(t *testing.T, in uint8, out uint8, c codec) *svcBench {
	t.Helper()
	b := &svcBench{bench: newBench(events.Camera)}
	b.peer = b.pub.from.(*Peer)
	b.peer.pubs[events.Camera] = b.pub
	datagrams, err := burst.NewReader(taken(t), mtu, false)
	if err != nil {
		t.Fatal(err)
	}
	b.reader = &reader{sfu: b.sfu, datagrams: datagrams, batch: b.sfu.newBatch(0)}
	s := &section{source: events.Camera, rate: 90000}
	s.codecs[in] = c
	b.peer.intake.dependencyID = 12
	b.line = &line{ssrc: 1, section: s, up: newUplink(b.peer, s, 0, 1)}
	for i := range b.got {
		stream := b.receiver(&b.got[i])
		bound := *stream.bound.Load()
		bound.pts[c] = out
		stream.bound.Store(&bound)
		stream.aim(i)
	}
	return b
}

// arrive lets a packet of the line arrive.
func (b *svcBench) arrive(t *testing.T, raw []byte, header int, now time.Duration) {
	t.Helper()
	part, is := b.peer.intake.scalable(b.peer, b.line, raw, header)
	if !is {
		t.Fatal("the line is not taken apart")
	}
	b.line.svc.take(b.reader, 0, raw, part, now)
	b.reader.forward(now)
}

// vp9 is the payload of a whole frame of one spatial layer, two packets long.
func vp9(picture uint16, spatial uint8, key, begin bool) []byte {
	flags := byte(0x80 | 0x20) // picture id, layers
	if !key {
		flags |= 0x40 | 0x01 // predicted, and for no other layer
	}
	if begin {
		flags |= 0x08
	} else {
		flags |= 0x04
	}
	structure := []byte(nil)
	if key && begin && spatial == 0 {
		flags |= 0x02
		structure = []byte{0x50, 1, 64, 0, 180, 2, 128, 1, 104, 5, 0, 2, 208} // 180, 360 and 720 lines
	}
	p := append([]byte{flags, 0x80 | byte(picture>>8), byte(picture), spatial << 1, byte(picture)}, structure...)
	return append(p, spatial, byte(picture))
}

// Each receiver gets what its layer needs, without gaps, and pictures that end.
func TestScalableVP9(t *testing.T) {
	t.Parallel()
	b := newSVCBench(t, vp9In, vp9Out, codecVP9)
	sequence := uint16(65_500)
	for picture := range uint16(60) {
		now := time.Second + time.Duration(picture)*33*time.Millisecond
		for n := range 2 * layer.Count {
			spatial, begin := uint8(n/2), n%2 == 0
			h := rtp.Header{Version: 2, PayloadType: vp9In, SequenceNumber: sequence, Timestamp: uint32(picture) * 3000, SSRC: 1, Marker: n == 5}
			raw, err := (&rtp.Packet{Header: h, Payload: vp9(picture, spatial, picture%20 == 0, begin)}).Marshal()
			if err != nil {
				t.Fatal(err)
			}
			b.arrive(t, raw, h.MarshalSize(), now)
			sequence++
		}
	}
	for i, r := range b.got {
		checkRun(t, r.packets)
		if want := 57*2 + 3*2*(i+1); len(r.packets) != want {
			t.Fatalf("layer %d: %d packets, want %d", i, len(r.packets), want)
		}
		pictures := 0
		for n, p := range r.packets {
			var d theirs.VP9Packet
			if _, err := d.Unmarshal(p.Payload); err != nil {
				t.Fatal(err)
			}
			if int(d.SID) > i || d.P && int(d.SID) != i {
				t.Fatalf("layer %d gets a frame of layer %d, predicted: %v", i, d.SID, d.P)
			}
			if ends := int(d.SID) == i && d.E; p.Marker != ends {
				t.Fatalf("layer %d, packet %d: its picture's end is marked %v", i, n, p.Marker)
			}
			if p.Marker {
				pictures++
			}
		}
		if pictures != 60 {
			t.Errorf("layer %d: %d pictures", i, pictures)
		}
		if got, want := int(b.pub.layers[i].height.Load()), 180<<i; got != want {
			t.Errorf("layer %d is %d high, want %d", i, got, want)
		}
	}
	if due, _ := b.pub.keysDue(time.Hour); len(due) > 1 {
		t.Errorf("%d key frames are asked of one stream", len(due))
	}
}

// dependencies are a descriptor with a structure, as Chromium sends it with
// L3T3_KEY, and those of its first picture and the next.
var dependencies = []struct {
	ext     []byte
	spatial int
}{
	{[]byte{0xc0, 0x00, 0x03, 0x80, 0x08, 0x14, 0x85, 0x21, 0x4e, 0xaa, 0xaa, 0xa8, 0x00, 0x06, 0x00, 0x00, 0x40, 0x00, 0x10, 0x00, 0x02, 0xaa, 0x80, 0xa8, 0x00, 0x06, 0x00,
		0x00, 0x40, 0x00, 0x10, 0x00, 0x02, 0xa0, 0x00, 0xa8, 0x00, 0x06, 0x00, 0x00, 0x40, 0x00, 0x16, 0xd5, 0x49, 0x24, 0x1b, 0x55, 0x24, 0x90, 0x6d, 0x54, 0x92, 0x31, 0x57,
		0xe0, 0x01, 0x97, 0x4c, 0xa8, 0x64, 0x33, 0x0e, 0x22, 0x23, 0x96, 0xec, 0xa8, 0x65, 0x53, 0x04, 0x22, 0x43, 0x90, 0xec, 0xa8, 0x77, 0x53, 0x01, 0x3f, 0x00, 0xb3, 0x02,
		0x7f, 0x01, 0x67, 0x04, 0xff, 0x02, 0xcf}, 0},
	{[]byte{0xc5, 0x00, 0x04}, 1}, {[]byte{0x8a, 0x00, 0x05}, 2}, {[]byte{0x4a, 0x00, 0x05}, 2},
	{[]byte{0xc3, 0x00, 0x06}, 0}, {[]byte{0xc8, 0x00, 0x07}, 1}, {[]byte{0xcd, 0x00, 0x08}, 2},
}

func TestScalableAV1(t *testing.T) {
	t.Parallel()
	b := newSVCBench(t, av1In, av1Out, codecAV1)
	for i, d := range dependencies {
		h := rtp.Header{Version: 2, PayloadType: av1In, SequenceNumber: uint16(100 + i), Timestamp: uint32(i/4) * 3000, SSRC: 1}
		if err := h.SetExtensionWithProfile(12, d.ext, 0x1000); err != nil {
			t.Fatal(err)
		}
		payload := []byte{0x10, byte(d.spatial)}
		if i == 0 {
			payload[0] |= 0x08 // a coded video sequence begins
		}
		raw, err := (&rtp.Packet{Header: h, Payload: payload}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		b.arrive(t, raw, h.MarshalSize(), time.Second+time.Duration(i)*time.Millisecond)
	}
	for _, u := range b.line.svc.ups {
		u.flush()
	}
	for i, want := range [][]byte{{0, 0}, {0, 1, 1}, {0, 1, 2, 2, 2}} {
		var got []byte
		for _, p := range b.got[i].packets {
			got = append(got, p.Payload[1])
		}
		if !bytes.Equal(got, want) {
			t.Errorf("layer %d gets frames of %v, want %v", i, got, want)
		}
		checkRun(t, b.got[i].packets)
		if height := b.pub.layers[i].height.Load(); height != 180<<i {
			t.Errorf("layer %d is %d high", i, height)
		}
	}
}

// A descriptor leaves as it came but for the frame's number, and its length is what
// a run counts on.
func TestDescribe(t *testing.T) {
	t.Parallel()
	for _, transportCC := range []uint8{0, 3} {
		for n := layer.MinDependency; n <= layer.MaxDependency; n += 7 {
			bound := &binding{ssrc: 1, transportCC: transportCC, dependency: 7}
			e := &egress{sequence: 0x1234}
			dependency := bytes.Repeat([]byte{0xab}, n)
			at := make([]byte, 600)
			header := e.writeHeader(at, bound, 5, 6, av1Out, true, 9)
			header = e.describe(at, header, bound, dependency, 0x0102)
			if want := bound.header() + bound.described(n); header != want {
				t.Fatalf("%d bytes: the header is %d long, counted on %d", n, header, want)
			}
			var h rtp.Header
			if size, err := h.Unmarshal(at[:header+1]); err != nil || size != header {
				t.Fatalf("%d bytes: read %d of %d: %v", n, size, header, err)
			}
			dependency[1], dependency[2] = 1, 2
			if got := h.GetExtension(7); !bytes.Equal(got, dependency) {
				t.Fatalf("%d bytes: got % x", n, got)
			}
			if got := h.GetExtension(3); transportCC != 0 && !bytes.Equal(got, []byte{0x12, 0x34}) {
				t.Fatalf("%d bytes: the transport-wide number is % x", n, got)
			}
		}
	}
}
