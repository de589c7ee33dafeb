package sfu

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtp"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/burst"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
	"github.com/spillway-sfu/spillway/sfu-node/seal"
)

func loopback(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetReadBuffer(4 << 20)
	return c
}

// taken is a socket as a node has it.
func taken(t testing.TB) *burst.Conn {
	t.Helper()
	c, err := burst.Take(loopback(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// onWire makes the bench send to the network.
func (b *bench) onWire(t testing.TB, plain bool) {
	b.sfu.bursts = []*burst.Socket{burst.NewSocket(taken(t), plain)}
}

const transportID, rtxOut, rtxSSRC = 5, 121, 4712

// wired adds a receiver at a socket, and returns what opens what it gets.
func (b *bench) wired(t testing.TB, at *net.UDPConn, profile seal.Profile) (*stream, *seal.Opener) {
	t.Helper()
	key, _, err := seal.Split(profile, bytes.Repeat([]byte{7}, profile.ExportLen()))
	if err != nil {
		t.Fatal(err)
	}
	s := b.receiver(nil, codecVP8, codecOpus)
	bound := s.bound.Load()
	bound.transportCC, bound.rtx, bound.rtxPts[codecVP8] = transportID, rtxSSRC, rtxOut
	if s.peer.egress.sealer, err = seal.NewSealer(key); err != nil {
		t.Fatal(err)
	}
	s.peer.egress.to = at.LocalAddr().(*net.UDPAddr).AddrPort()
	s.peer.video = []*stream{s}
	opener, err := seal.NewOpener(key)
	if err != nil {
		t.Fatal(err)
	}
	return s, opener
}

func receive(t testing.TB, c *net.UDPConn, o *seal.Opener) (p rtp.Packet, size int) {
	t.Helper()
	buf := make([]byte, 2000)
	_ = c.SetReadDeadline(time.Now().Add(patience))
	size, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	opened, _, err := o.Open(buf[:size])
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Unmarshal(opened); err != nil {
		t.Fatal(err)
	}
	return p, size
}

// frame gives an uplink one frame in packets of the given sizes.
func (u *uplink) frame(sizes []int, seq *uint16, id uint16, now time.Duration) (bodies [][]byte) {
	for i, n := range sizes {
		payload := append(vp8(id, byte(u.layer), i == 0, true), bytes.Repeat([]byte{byte(*seq)}, n)...)
		bodies = append(bodies, payload)
		b := raw(vp8In, *seq, uint32(id)*3000, payload)
		b[1] &^= 0x80
		u.accept(&u.packets[len(u.held)], b, now)
		*seq++
	}
	u.flush()
	return bodies
}

// What arrives is what was sent, with the receiver's numbers, however it left.
func TestOnTheWire(t *testing.T) {
	for _, profile := range []seal.Profile{seal.AES128GCM, seal.AES128CM} {
		for _, plain := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v plain=%v", profile, plain), func(t *testing.T) {
				b := newBench(events.Camera)
				b.onWire(t, plain)
				conns := []*net.UDPConn{loopback(t), loopback(t)}
				var openers []*seal.Opener
				var streams []*stream
				for _, c := range conns {
					s, o := b.wired(t, c, profile)
					s.aim(0)
					openers, streams = append(openers, o), append(streams, s)
				}
				seq := uint16(65530)
				var bodies [][]byte
				for id := range uint16(4) {
					bodies = append(bodies, b.up[0].frame([]int{1000, 1001, 1000, 1001, 300}, &seq, id+1, time.Duration(id)*33*time.Millisecond)...)
				}
				for i, c := range conns {
					checkWire(t, c, openers[i], bodies, b.pub.csrc)
				}
				checkRepeats(t, conns[0], openers[0], streams[0], bodies)
				if n := b.sfu.count.PacketsOut.Load(); n != int64(2*len(bodies)+2) {
					t.Errorf("%d packets are counted, %d were sent", n, 2*len(bodies)+2)
				}
			})
		}
	}
}

func checkWire(t *testing.T, c *net.UDPConn, o *seal.Opener, bodies [][]byte, csrc uint32) {
	t.Helper()
	var got []*rtp.Packet
	for i, body := range bodies {
		p, size := receive(t, c, o)
		got = append(got, &p)
		if !bytes.Equal(p.Payload[6:], body[6:]) {
			t.Fatalf("packet %d: another payload", i)
		}
		if d, ok := layer.ParseVP8(p.Payload); !ok || d.PictureID != uint16(1+i/5) {
			t.Errorf("packet %d: picture %d", i, d.PictureID)
		}
		if ext := p.GetExtension(transportID); len(ext) != 2 || binary.BigEndian.Uint16(ext) != uint16(i) {
			t.Errorf("packet %d: transport-wide number % x", i, ext)
		}
		if p.PayloadType != vp8Out || p.SSRC != 4711 || !slices.Equal(p.CSRC, []uint32{csrc}) {
			t.Errorf("packet %d: %+v", i, p.Header)
		}
		if want := [5]byte{1, 0, 1, 0, 0}[i%5]; p.PaddingSize != want {
			t.Errorf("packet %d of %d bytes has %d of padding", i, size, p.PaddingSize)
		}
	}
	checkRun(t, got)
}

// checkRepeats asks for two packets, one of them twice.
func checkRepeats(t *testing.T, c *net.UDPConn, o *seal.Opener, s *stream, bodies [][]byte) {
	t.Helper()
	first := s.numbers.Started()
	if !first {
		t.Fatal("nothing was sent")
	}
	b := s.peer.sfu.takeBatch()
	last := uint16(0)
	for _, q := range s.sent.packets {
		if q.era > 0 && q.original == uint16(65530+len(bodies)-1-65536) {
			last = q.sequence
		}
	}
	s.repeat(last, b)
	s.repeat(last, b) // too soon
	s.repeat(last-3, b)
	s.repeat(last+1, b) // never sent
	b.release()
	for _, back := range []int{0, 3} {
		p, _ := receive(t, c, o)
		if p.SSRC != rtxSSRC || p.PayloadType != rtxOut || binary.BigEndian.Uint16(p.Payload) != last-uint16(back) {
			t.Fatalf("repeated: %+v of %d", p.Header, binary.BigEndian.Uint16(p.Payload))
		}
		if body := bodies[len(bodies)-1-back]; !bytes.Equal(p.Payload[2+6:], body[6:]) {
			t.Error("another payload is repeated")
		}
	}
}

// Both profiles, both ways of writing, with real peers.
func TestProfilesWithRealPeers(t *testing.T) {
	t.Parallel()
	for _, profile := range []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80} {
		for _, plain := range []bool{false, true} {
			w := newWorld(t, func(c *Config) { c.Plain = plain })
			only := func(_ *events.Offer, o *lightpeer.Options) { o.Profile = profile }
			anna, ben := w.join("anna", only), w.join("ben", only)
			anna.publishes(1, micOn, cameraOn)
			anna.film("q")
			ben.until("sound and picture", func() bool {
				sound, ok := ben.carrying("anna", events.Microphone)
				picture, ok2 := ben.carrying("anna", events.Camera)
				return ok && ok2 && len(ben.packets[sound.Mid]) > 20 && len(ben.packets[picture.Mid]) > 20
			})
			for cause, name := range map[Drop]string{DropSeal: "sealed before", DropForged: "forged"} {
				if n := w.Counters().Dropped(cause); n != 0 {
					t.Errorf("%v, plain=%v: %d packets count as %s", profile, plain, n, name)
				}
			}
		}
	}
}

func TestTheWireAllocatesNothing(t *testing.T) {
	if raced {
		t.Skip("the race detector makes pools forget at random, so batches are made anew")
	}
	for _, c := range []struct {
		profile seal.Profile
		plain   bool
	}{{seal.AES128GCM, false}, {seal.AES128GCM, true}, {seal.AES128CM, false}, {seal.AES128CM, true}} {
		b := newBench(events.Camera)
		b.onWire(t, c.plain)
		for range 10 {
			s, _ := b.wired(t, loopback(t), c.profile)
			s.aim(2)
		}
		send := sender(b)
		for range historyLen {
			send()
		}
		if n := testing.AllocsPerRun(200, send); n > 0 {
			t.Errorf("%v, plain=%v: %.1f allocations for a frame of 5 packets to 10 receivers", c.profile, c.plain, n)
		}
	}
}

// sender sends a frame of 5 packets of 1,200 bytes at each call.
func sender(b *bench) func() {
	var packets [5][]byte
	for i := range packets {
		packets[i] = raw(vp8In, 0, 0, append(vp8(1, 2, i == 0, true), make([]byte, 1092-i%2)...))
		packets[i][1] &^= 0x80
	}
	seq := uint16(0)
	u := b.up[2]
	return func() {
		for _, p := range packets {
			seq++
			binary.BigEndian.PutUint16(p[2:], seq)
			u.accept(&u.packets[len(u.held)], p, time.Duration(seq)*time.Millisecond)
		}
		u.flush()
	}
}

// BenchmarkWire measures a packet's whole way out to 100 receivers: numbers,
// header, seal, and the kernel with the loopback's receiving half.
func BenchmarkWire(b *testing.B) {
	for _, c := range []struct {
		name    string
		profile seal.Profile
		plain   bool
	}{{"GCM segmented", seal.AES128GCM, false}, {"GCM plain", seal.AES128GCM, true}, {"CM segmented", seal.AES128CM, false}} {
		b.Run(c.name, func(b *testing.B) {
			w := newBench(events.Camera)
			w.onWire(b, c.plain)
			for range 100 {
				s, _ := w.wired(b, loopback(b), c.profile)
				s.aim(2)
			}
			send := sender(w)
			send()
			b.ReportAllocs()
			before := w.sfu.count.PacketsOut.Load()
			for b.Loop() {
				send()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(w.sfu.count.PacketsOut.Load()-before), "ns/packet")
		})
	}
}
