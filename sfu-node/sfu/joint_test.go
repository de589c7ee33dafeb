package sfu

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/seal"
)

// Frames of two publishers, complete at the same time, become one run for each who
// receives both, and everybody gets what they would have got of each alone.
func TestFramesLeaveTogether(t *testing.T) {
	for _, c := range []struct {
		second int // bytes of a packet of the second publisher; the first's are 1,000
		runs   int // for each receiver
	}{{1000, 1}, {1000 - maxPadding/2, 1}, {500, 2}, {1100, 2}} {
		t.Run(fmt.Sprint(c.second), func(t *testing.T) {
			b := newBench(events.Camera)
			b.onWire(t, false)
			other := newPublication(b.pub.from.(*Peer), events.Screen)
			other.listed.Store(true)
			second := &uplink{room: b.up[0].room, clock: b.up[0].clock, pub: other, ssrc: 9, rate: videoRate, codecs: b.up[0].codecs, in: &newPeer(b.sfu, events.Offer{}).intake.mu}
			first := b.up[0]
			first.in = &b.pub.from.(*Peer).intake.mu
			var reads []func() rtp.Packet
			for range 2 {
				at := loopback(t)
				one, opener := b.wired(t, at, seal.AES128GCM)
				one.aim(0)
				two := newStream(one.peer, one.kind, "6")
				bound := *one.bound.Load()
				bound.ssrc, bound.rtx, bound.sealing = 5000, 5001, nil
				two.bound.Store(&bound)
				two.carry(other, 0)
				two.aim(0)
				reads = append(reads, func() rtp.Packet { p, _ := receive(t, at, opener); return p })
			}
			r := &reader{sfu: b.sfu, batch: b.sfu.newBatch(0)}
			now := time.Second
			for i, u := range []*uplink{first, second} {
				size := []int{1000, c.second}[i]
				for n := range 3 {
					payload := append(vp8(1, 0, n == 0, true), bytes.Repeat([]byte{byte(i)}, size+n%2)...)
					packet := raw(vp8In, uint16(10+2*n), 3000, payload)
					if n == 2 {
						packet[1] |= 0x80
					}
					q := u.free()
					if !u.accept(q, packet, now) {
						t.Fatal("a packet is not accepted")
					}
					r.hold(u, q, now)
				}
			}
			r.forwardReady()
			if n := len(r.batch.runs); n != 2*c.runs {
				t.Errorf("%d runs, want %d", n, 2*c.runs)
			}
			if len(first.held)+len(second.held)+len(r.ready) != 0 {
				t.Error("something is still held")
			}
			r.batch.flush()
			for _, read := range reads {
				for i := range 6 {
					p := read()
					if want := []uint32{4711, 5000}[i/3]; p.SSRC != want || p.Payload[len(p.Payload)-1] != byte(i/3) {
						t.Errorf("packet %d: %v", i, p.Header)
					}
				}
			}
		})
	}
}

// An uplink whose intake is in use is not waited for while others are locked.
func TestABusyIntakeIsForwardedApart(t *testing.T) {
	b := newBench(events.Camera)
	var d discard
	b.receiver(&d, codecVP8).aim(0)
	first := b.up[0]
	first.in = &b.pub.from.(*Peer).intake.mu
	other := newBench(events.Camera)
	other.receiver(&d, codecVP8).aim(0)
	second := other.up[0]
	second.in = &other.pub.from.(*Peer).intake.mu
	r := &reader{sfu: b.sfu, batch: b.sfu.newBatch(0)}
	for _, u := range []*uplink{first, second} {
		q := u.free()
		if !u.accept(q, raw(vp8In, 1, 3000, vp8(1, 0, true, true)), time.Second) {
			t.Fatal("a packet is not accepted")
		}
		r.hold(u, q, time.Second)
	}
	second.in.Lock()
	r.forwardTogether()
	if d.packets != 1 || len(r.ready) != 1 || r.ready[0] != second {
		t.Errorf("%d packets are forwarded, %d uplinks wait", d.packets, len(r.ready))
	}
	second.in.Unlock()
	if r.forwardReady(); d.packets != 2 || len(r.ready) != 0 {
		t.Errorf("%d packets are forwarded in the end", d.packets)
	}
}

// Forwarding what several uplinks hold allocates nothing.
func TestFramesTogetherAllocateNothing(t *testing.T) {
	var d discard
	r := &reader{}
	var ups []*uplink
	for range 3 {
		b := newBench(events.Camera)
		r.sfu, r.batch = b.sfu, b.sfu.newBatch(0)
		for range 10 {
			b.receiver(&d, codecVP8).aim(0)
		}
		u := b.up[0]
		u.in = &b.pub.from.(*Peer).intake.mu
		ups = append(ups, u)
	}
	sequence := uint16(0)
	packet := raw(vp8In, 1, 3000, vp8(1, 0, true, true))
	packet[1] |= 0x80
	look := func() {
		sequence++
		packet[2], packet[3] = byte(sequence>>8), byte(sequence)
		for _, u := range ups {
			q := u.free()
			q.buf = q.buf[:copy(q.buf[:mtu], packet)]
			if u.accept(q, q.buf, time.Second) {
				r.hold(u, q, time.Second)
			}
		}
		r.forwardReady()
	}
	for range 2 * historyLen {
		look()
	}
	before := d.packets
	if n := testing.AllocsPerRun(200, look); n > 0 {
		t.Errorf("%.1f allocations for three packets to ten receivers each", n)
	}
	if n := d.packets - before; n != 201*30 {
		t.Errorf("%d packets are forwarded", n)
	}
}
