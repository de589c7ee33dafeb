package sfu

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"pgregory.net/rapid"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// forgetful is a socket that loses each tenth RTP packet that it is to send, unless it
// is of a stream that repeats others.
type forgetful struct {
	net.PacketConn
	mu   sync.Mutex
	sent int
	lost int
}

func (l *forgetful) WriteTo(b []byte, to net.Addr) (int, error) {
	l.mu.Lock()
	lose := false
	if isMedia(b) && !isRTCP(b) && b[1]&0x7f == 96 {
		l.sent++
		lose = l.sent%10 == 0
	}
	if lose {
		l.lost++
	}
	l.mu.Unlock()
	if lose {
		return len(b), nil
	}
	return l.PacketConn.WriteTo(b, to)
}

// What a publisher's packets lose on their way is asked for, comes again on the
// stream for retransmission, and is forwarded in its place.
func TestLostPacketsOfAPublisherComeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	way := &forgetful{PacketConn: conn}
	anna := w.join("anna", func(_ *events.Offer, o *lightpeer.Options) { o.Socket = way })
	ben := w.join("ben", viewer)
	anna.publishes(1, cameraOn)
	anna.film("q")
	ben.until("200 packets, none of them left out", func() bool {
		s, ok := ben.carrying("anna", events.Camera)
		return ok && len(ben.packets[s.Mid]) > 200 && complete(ben.packets[s.Mid][:180])
	})
	way.mu.Lock()
	defer way.mu.Unlock()
	if way.lost < 10 {
		t.Errorf("the test lost %d packets only", way.lost)
	}
}

// complete reports whether packets leave no number out, in whatever order.
func complete(packets []*rtp.Packet) bool {
	first, seen := packets[0].SequenceNumber, map[uint16]bool{}
	for _, p := range packets {
		seen[p.SequenceNumber-first] = true
	}
	for i := range uint16(len(packets) - 20) {
		if !seen[i] {
			return false
		}
	}
	return true
}

// A packet is waited for from when a later one came until it came, in any order,
// also where numbers wrap.
func TestMissing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		start := uint16(rapid.IntRange(0, 1<<16-1).Draw(t, "start"))
		m := &missing{}
		m.expect(start, 0)
		newest, absent := start, map[uint16]bool{}
		for _, step := range rapid.SliceOfN(rapid.IntRange(-5, 5), 0, 100).Draw(t, "steps") {
			sequence := newest + uint16(step)
			if int16(sequence-start) < 0 {
				continue
			}
			for s := newest + 1; step > 0 && s != sequence; s++ {
				absent[s] = true
			}
			delete(absent, sequence)
			if step > 0 {
				newest = sequence
			}
			if fresh := m.expect(sequence, 0); fresh != (step > 1) {
				t.Fatalf("step of %d: %v", step, fresh)
			}
		}
		if len(absent) > maxMissing {
			return
		}
		list, _ := m.ask(time.Second)
		if len(list) != len(absent) || slices.ContainsFunc(list, func(s uint16) bool { return !absent[s] }) {
			t.Fatalf("asks for %v, %v are missing", list, absent)
		}
	})
}

func TestMissingIsAskedForSomeTimes(t *testing.T) {
	t.Parallel()
	m := &missing{}
	m.expect(10, 0)
	m.expect(13, 0)
	asked, now := 0, time.Duration(0)
	for more := true; more; now += time.Millisecond {
		var list []uint16
		list, more = m.ask(now)
		asked += len(list)
	}
	if asked != 2*askMost || now < (askMost-1)*askAgain {
		t.Errorf("asked %d times within %v", asked, now)
	}
	m.expect(15, now)
	if !m.recovered(14) || m.recovered(14) || m.recovered(12) {
		t.Error("a packet is missing until it came or was given up")
	}
	m.expect(15+2*maxMissing, now)
	if list, more := m.ask(now); len(list) != 0 || more {
		t.Error("a gap that is too large is asked for")
	}
	for s := range uint16(3 * maxMissing) {
		m.expect(1000+2*s, now)
	}
	if list, _ := m.ask(now); len(list) != maxMissing || list[len(list)-1] != 1000+6*maxMissing-3 {
		t.Errorf("%d of the newest are asked for", len(list))
	}
}

func TestReception(t *testing.T) {
	t.Parallel()
	r := &reception{}
	if _, ok := r.report(1, 0); ok {
		t.Error("a report on nothing")
	}
	at := time.Duration(0)
	for i := range 100 {
		at += 20 * time.Millisecond
		if i%4 == 3 {
			continue
		}
		r.note(uint16(65500+i), uint32(960*i), 48000, at)
	}
	r.reported, r.reportedAt = 7, at-time.Second
	got, _ := r.report(1, at)
	if got.LastSequenceNumber != 65536+62 || got.TotalLost != 24 || got.FractionLost != 24*256/99 || got.Jitter != 0 || got.LastSenderReport != 7 || got.Delay != 65536 {
		t.Errorf("%+v", got)
	}
	for i := 100; i < 120; i++ {
		at += 20 * time.Millisecond
		r.note(uint16(65500+i), uint32(960*i), 48000, at+time.Duration(i%2)*10*time.Millisecond)
	}
	if got, _ = r.report(1, at); got.FractionLost != 256/21 || got.TotalLost != 25 || got.Jitter < 200 || got.Jitter > 480 {
		t.Errorf("%+v", got)
	}
}

// FuzzExtension compares with another implementation of RFC 8285.
func FuzzExtension(f *testing.F) {
	for _, profile := range []uint16{rtp.ExtensionProfileOneByte, rtp.ExtensionProfileTwoByte} {
		h := rtp.Header{Version: 2, Extension: true, ExtensionProfile: profile, CSRC: []uint32{1}}
		for id := range uint8(3) {
			if err := h.SetExtension(id+1, []byte(fmt.Sprint("mid", id))); err != nil {
				f.Fatal(err)
			}
		}
		b, err := h.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint8(2))
	}
	f.Add([]byte{0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xbe, 0xde, 0, 1, 0x1f, 0, 0, 0}, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, id uint8) {
		var h rtp.Header
		n, err := h.Unmarshal(b)
		if err != nil || id == 0 || id > 14 {
			return
		}
		got, want := extensionOf(b, n, id), h.GetExtension(id)
		if h.ExtensionProfile != rtp.ExtensionProfileOneByte && h.ExtensionProfile != rtp.ExtensionProfileTwoByte {
			want = nil
		}
		if string(got) != string(want) {
			t.Errorf("extension %d is %q, expected %q", id, got, want)
		}
	})
}
