package sfu

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/burst"
	"github.com/spillway-sfu/spillway/sfu-node/seal"
)

// inward makes what a sealed packet of five goes through from the socket's buffer
// to ten receivers, a frame at each call.
func inward(t testing.TB) (b *bench, frame func()) {
	b = newBench(events.Camera)
	b.onWire(t, false)
	for range 10 {
		s, _ := b.wired(t, loopback(t), seal.AES128GCM)
		s.aim(2)
	}
	p := b.pub.from.(*Peer)
	key, _, err := seal.Split(seal.AES128GCM, bytes.Repeat([]byte{9}, seal.AES128GCM.ExportLen()))
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.NewSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	if p.intake.opener, err = seal.NewOpener(key); err != nil {
		t.Fatal(err)
	}
	u := b.up[2]
	u.in = &p.intake.mu
	section := &section{source: events.Camera, rate: u.rate, codecs: u.codecs}
	p.intake.lines = []*line{{ssrc: u.ssrc, section: section, up: u}}
	datagrams, err := burst.NewReader(taken(t), mtu, false)
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{sfu: b.sfu, datagrams: datagrams, batch: b.sfu.newBatch(0)}
	plain := raw(vp8In, 0, 0, append(vp8(1, 2, true, true), make([]byte, 1092)...))
	binary.BigEndian.PutUint32(plain[8:], u.ssrc)
	header, _ := seal.HeaderLen(plain)
	sequence := uint16(0)
	return b, func() {
		now := time.Duration(sequence) * time.Millisecond
		r.lock(p)
		for i := range 5 {
			buf := datagrams.Swap(i, nil)
			datagrams.Swap(i, buf)
			copy(buf[:cap(buf)], plain)
			sequence++
			binary.BigEndian.PutUint16(buf[2:], sequence)
			buf[1] = vp8In
			if i == 4 {
				buf[1] |= 0x80
			}
			n, err := sealer.Stream(u.ssrc).Seal(buf[:cap(buf)], header, len(plain))
			if err != nil {
				t.Fatal(err)
			}
			p.onRTP(r, i, buf[:n], now)
		}
		r.forward(now)
	}
}

// The whole way of a frame, from the buffers it was read into, allocates nothing.
func TestTheWayInAllocatesNothing(t *testing.T) {
	b, frame := inward(t)
	for range historyLen {
		frame()
	}
	before := b.sfu.count.PacketsOut.Load()
	if n := testing.AllocsPerRun(200, frame); n > 0 {
		t.Errorf("%.1f allocations for a frame of 5 packets to 10 receivers", n)
	}
	if n := b.sfu.count.PacketsOut.Load() - before; n != 201*5*10 {
		t.Errorf("%d packets went out; %v", n, b.sfu.count.LogValue())
	}
}

// BenchmarkWayIn measures a frame of five packets from the buffers it was read into
// to ten receivers, and the sealing that the test itself does.
func BenchmarkWayIn(b *testing.B) {
	_, frame := inward(b)
	b.ReportAllocs()
	for b.Loop() {
		frame()
	}
}

// Packets that come evenly spaced do not wait for each other for long; those that
// come together do again.
func TestSpacedPacketsDoNotWait(t *testing.T) {
	b := newBench(events.Camera)
	b.receiver(&discard{}, codecVP8).aim(0)
	u := b.up[0]
	u.in = &u.pub.from.(*Peer).intake.mu
	r := &reader{sfu: b.sfu, batch: b.sfu.newBatch(0)}
	seq := uint16(0)
	arrives := func(now time.Duration) (waits bool) {
		seq++
		packet := raw(vp8In, seq, uint32(seq/5), vp8(seq/5+1, 0, seq%5 == 0, true))
		packet[1] &^= 0x80
		u.accept(u.free(), packet, now)
		if u.spread(now) {
			u.flushTo(r.batch)
			return false
		}
		r.wait(u, now)
		return true
	}
	now := time.Second
	for i := range 20 {
		now += 7 * time.Millisecond
		if waits := arrives(now); waits != (i < spreadAfter) {
			t.Fatalf("packet %d waits: %v", i, waits)
		}
		r.gather(now + gatherFor)
		if len(u.held) > 0 {
			t.Fatalf("packet %d is still held", i)
		}
	}
	for range 2 {
		if !arrives(now + time.Millisecond) {
			t.Error("packets that come together do not wait for each other")
		}
	}
	if r.gather(now + time.Millisecond); len(u.held) != 2 {
		t.Errorf("%d packets are held", len(u.held))
	}
}
