package sfu

import (
	"bytes"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/spillway-sfu/spillway/events"
)

func compound(t testing.TB, packets ...rtcp.Packet) []byte {
	t.Helper()
	b, err := rtcp.Marshal(packets)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReportsOfAReceiver(t *testing.T) {
	t.Parallel()
	rr := &rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: 4711}}}
	pli := &rtcp.PictureLossIndication{MediaSSRC: 4711}
	for _, c := range []struct {
		name        string
		raw         []byte
		nacks, keys int64
	}{
		{"nothing", nil, 0, 0},
		{"a report", compound(t, rr), 0, 0},
		{"a sender's report", compound(t, &rtcp.SenderReport{SSRC: 1}, pli), 0, 1},
		{"picture loss", compound(t, rr, pli), 0, 1},
		{"of another stream", compound(t, rr, &rtcp.PictureLossIndication{MediaSSRC: 1}), 0, 0},
		{"full intra request", compound(t, &rtcp.FullIntraRequest{MediaSSRC: 4711, FIR: []rtcp.FIREntry{{SSRC: 4711, SequenceNumber: 1}}}), 0, 1},
		{"losses", compound(t, rr, &rtcp.TransportLayerNack{MediaSSRC: 4711, Nacks: []rtcp.NackPair{{PacketID: 1}, {PacketID: 40}}}, pli), 2, 1},
		{"cut off", compound(t, rr, pli)[:38], 0, 0},
	} {
		b := newBench(events.Camera)
		s := b.receiver(&discard{}, codecVP8)
		s.peer.video = []*stream{s}
		s.aim(0)
		b.up[0].take(raw(vp8In, 1, 10, vp8(1, 0, true, true)), time.Second)
		s.peer.onReports(c.raw, 0)
		if nacks, keys := b.sfu.count.Nacks.Load(), b.sfu.count.KeysAsked.Load(); nacks != c.nacks || keys != c.keys {
			t.Errorf("%s: %d losses, %d key frames", c.name, nacks, keys)
		}
		if due, _ := b.pub.keysDue(time.Minute); int64(len(due)) != c.keys {
			t.Errorf("%s: %d requests go to the publisher", c.name, len(due))
		}
	}
}

// FuzzReports feeds anything as a compound packet.
func FuzzReports(f *testing.F) {
	f.Add([]byte{0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2})
	f.Add([]byte{0x84, 206, 0, 1, 0, 0, 0, 1})
	f.Add([]byte{0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0x12, 0x67, 0, 9, 255, 255})
	f.Fuzz(func(t *testing.T, packet []byte) {
		b := newBench(events.Camera)
		s := b.receiver(&discard{}, codecVP8)
		s.peer.video = []*stream{s}
		s.peer.onReports(packet, 0)
	})
}

func TestHistoryForgets(t *testing.T) {
	t.Parallel()
	var h history
	buf := make([]byte, mtu)
	if _, _, ok := h.copyTo(buf, nil, 7); ok {
		t.Error("an empty history knows a packet")
	}
	for i := range uint16(historyLen + 10) {
		p := &packet{codec: codecVP8, payload: []byte{byte(i >> 8), byte(i)}}
		p.in.SequenceNumber = i
		h.keep([]*packet{p}, time.Duration(i)*time.Millisecond)
	}
	if _, _, ok := h.copyTo(buf, nil, 9); ok {
		t.Error("an overwritten packet is still known")
	}
	for i := uint16(10); i < historyLen+10; i++ {
		if k, n, ok := h.copyTo(buf, nil, i); !ok || k.codec != codecVP8 || !bytes.Equal(buf[:n], []byte{byte(i >> 8), byte(i)}) {
			t.Fatalf("packet %d: % x, %v", i, buf[:n], ok)
		}
	}
}

// Packets of a frame, which differ by a byte, make one run; the last may be as
// short as it likes, and nothing is filled up by much.
func TestEquals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sizes   []int
		n, size int
	}{
		{[]int{100}, 1, 100},
		{[]int{1100, 1101, 1100, 1101}, 4, 1101},
		{[]int{1100, 1100, 300}, 3, 1100},
		{[]int{1100, 300, 1100}, 2, 1100},
		{[]int{100, 1100}, 1, 100},
		{[]int{1000, 1000 - maxPadding, 1000 + maxPadding}, 2, 1000},
		{[]int{1000, 1000 + maxPadding, 1001}, 3, 1000 + maxPadding},
	} {
		var plan []planned
		for _, n := range c.sizes {
			plan = append(plan, planned{payload: make([]byte, n)})
		}
		if n, size := equals(plan); n != c.n || size != c.size {
			t.Errorf("%v: %d packets of %d, expected %d of %d", c.sizes, n, size, c.n, c.size)
		}
	}
}
