package sfu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/framed"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
	"github.com/spillway-sfu/spillway/sfu-node/seal"
)

func addresses(list ...string) (all []netip.Addr) {
	for _, a := range list {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

type way struct {
	name      string
	addresses []netip.Addr
	networks  [2]webrtc.NetworkType
}

// Two people see and hear each other whichever way they get to the node, and each
// another way than the other.
func TestWaysToTheNode(t *testing.T) {
	t.Parallel()
	four := addresses("127.0.0.1")
	checkWays(t, []way{
		{"TCP", four, [2]webrtc.NetworkType{webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP4}},
		{"TCP and UDP", four, [2]webrtc.NetworkType{webrtc.NetworkTypeTCP4, webrtc.NetworkTypeUDP4}},
	})
}

// sixEnv makes the test binary run the test of IPv6 where that is the only address of
// its kind.
const sixEnv = "SPILLWAY_TEST_SIX"

// So they do over IPv6, to a node that has nothing else and to one that has both. The
// peers here take no loopback address of IPv6, so it needs a network namespace.
func TestWaysOverIPv6(t *testing.T) {
	address := os.Getenv(sixEnv)
	if address == "" {
		inNamespace(t, "fd00:7::1")
		return
	}
	six, both := addresses(address), addresses("127.0.0.1", address)
	checkWays(t, []way{
		{"UDP and TCP", six, [2]webrtc.NetworkType{webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP6}},
		{"one family each", both, [2]webrtc.NetworkType{webrtc.NetworkTypeUDP6, webrtc.NetworkTypeUDP4}},
		{"one family each, TCP", both, [2]webrtc.NetworkType{webrtc.NetworkTypeTCP6, webrtc.NetworkTypeTCP4}},
		{"IPv6 first", addresses(address, "127.0.0.1"), [2]webrtc.NetworkType{webrtc.NetworkTypeUDP6, webrtc.NetworkTypeUDP4}},
	})
}

// inNamespace runs the test again, alone in a namespace whose loopback device has an
// address more.
func inNamespace(t *testing.T, address string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs to make a network namespace, as root")
	}
	space := fmt.Sprintf("spillway-six-%d", os.Getpid())
	ip(t, "netns", "add", space)
	t.Cleanup(func() { ip(t, "netns", "del", space) })
	ip(t, "-n", space, "link", "set", "lo", "up")
	ip(t, "-n", space, "address", "add", address+"/128", "dev", "lo", "nodad")
	cmd := exec.Command("ip", "netns", "exec", space, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), sixEnv+"="+address)
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS")) {
		t.Errorf("in the namespace: %v\n%s", err, out)
	}
}

func checkWays(t *testing.T, ways []way) {
	t.Helper()
	for _, c := range ways {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, func(cfg *Config) { cfg.Addresses, cfg.TCP = c.addresses, true })
			var people []*person
			for i, name := range []string{"anna", "ben"} {
				p := w.join(name, func(_ *events.Offer, o *lightpeer.Options) { o.Networks = c.networks[i : i+1] })
				p.publishes(1, micOn, cameraOn)
				p.film("q", "h")
				people = append(people, p)
				checkWay(t, w, name, c.networks[i])
			}
			for i, p := range people {
				other := people[1-i].offer.Person.Identity
				p.until("sound and picture", func() bool {
					sound, ok := p.carrying(other, events.Microphone)
					picture, ok2 := p.carrying(other, events.Camera)
					return ok && ok2 && len(p.packets[sound.Mid]) > 20 && len(p.packets[picture.Mid]) > 20
				})
			}
			for cause := range drops {
				switch cause {
				case DropSeal, DropForged, DropMalformed, DropBacklog, DropWrite:
					if n := w.Counters().Dropped(cause); n != 0 {
						t.Errorf("%d packets count as dropped for %v", n, cause)
					}
				}
			}
		})
	}
}

// checkWay checks that somebody is where a network leads.
func checkWay(t *testing.T, w *world, name string, network webrtc.NetworkType) {
	t.Helper()
	p, _ := w.peer(seat{"room", "key-" + name})
	var at netip.AddrPort
	waitFor(t, "a way of "+name+"'s is chosen", func() bool {
		p.egress.mu.Lock()
		defer p.egress.mu.Unlock()
		at = p.egress.to
		return at.IsValid()
	})
	tcp := network == webrtc.NetworkTypeTCP4 || network == webrtc.NetworkTypeTCP6
	if (w.socket.connection(at) != nil) != tcp || !tcp && at.Addr().Is6() != (network == webrtc.NetworkTypeUDP6) {
		t.Errorf("%s, who has %v alone, is at %v", name, network, at)
	}
}

// Whoever leaves takes the connection along; who was thrown out is told why first.
func TestTCPEndsWithThePeer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(cfg *Config) { cfg.TCP = true })
	anna := w.join("anna", func(_ *events.Offer, o *lightpeer.Options) {
		o.Networks = []webrtc.NetworkType{webrtc.NetworkTypeTCP4}
	})
	ben := w.join("ben")
	ben.until("anna is here", func() bool { return ben.roster()["anna"] })
	p, _ := w.peer(seat{"room", "key-anna"})
	p.egress.mu.Lock()
	at := p.egress.to
	p.egress.mu.Unlock()
	if w.socket.connection(at) == nil {
		t.Fatalf("anna is at %v", at)
	}
	if n, f := w.Report().OverTCP, w.RoomFigures(time.Second); n != 1 || f[0].OverTCP != 1 || f[0].People != 2 {
		t.Errorf("%d people are over TCP, by room %+v", n, f)
	}
	w.Remove("room", "key-anna", 1, events.CodeRemoved)
	anna.until("why", func() bool { m, ok := last[events.Closing](anna); return ok && m.Code == events.CodeRemoved })
	for deadline := time.Now().Add(patience); w.socket.connection(at) != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the connection stays")
		}
	}
}

// onTCP gives a bench a TCP port, and returns a connection to it with its address.
func (b *bench) onTCP(t testing.TB) (net.Conn, netip.AddrPort) {
	t.Helper()
	if b.sfu.socket == nil {
		b.sfu.socket = &socket{closed: make(chan struct{})}
	}
	came := make(chan *framed.Conn, 1)
	if err := b.sfu.socket.listenTCP(addresses("127.0.0.1"), 0, func(c *framed.Conn) {
		came <- c
		_ = c.Serve(func(int) time.Time { return time.Time{} })
	}); err != nil {
		t.Fatal(err)
	}
	port := b.sfu.socket.framed
	t.Cleanup(func() { _ = port.Close() })
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port.Number()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return c, (<-came).Addr()
}

// sealed reads what came over one of two ways, as it is on the wire.
type sealed func() ([]byte, error)

func overTCP(c net.Conn) sealed {
	return func() ([]byte, error) {
		var head [2]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return nil, err
		}
		b := make([]byte, binary.BigEndian.Uint16(head[:]))
		_, err := io.ReadFull(c, b)
		return b, err
	}
}

func overUDP(c net.Conn) sealed {
	return func() ([]byte, error) {
		b := make([]byte, 2000)
		n, err := c.Read(b)
		return b[:n], err
	}
}

// A receiver that goes from UDP to TCP and back, and asks for packets again on either
// way, never gets two packets under one nonce.
func TestNoNonceTwiceOnTwoWays(t *testing.T) {
	for _, profile := range []seal.Profile{seal.AES128GCM, seal.AES128CM} {
		b := newBench(events.Camera)
		b.onWire(t, false)
		udp := loopback(t)
		_ = udp.SetReadDeadline(time.Now().Add(patience))
		tcp, stands := b.onTCP(t)
		s, opener := b.wired(t, udp, profile)
		s.aim(0)
		direct := s.peer.egress.to
		ways := []sealed{overUDP(udp), overTCP(tcp)}
		wires := map[[2]uint32][]byte{}
		seq := uint16(100)
		for n := range 60 {
			way := n / 10 % 2
			to := [2]netip.AddrPort{direct, stands}[way]
			s.peer.follow(&webrtc.ICECandidatePair{Remote: &webrtc.ICECandidate{Address: to.Addr().String(), Port: to.Port()}})
			sent := len(b.up[0].frame([]int{1000, 1001, 300}, &seq, uint16(n+1), time.Duration(n)*400*time.Millisecond))
			again := s.peer.sfu.takeBatch()
			before := b.sfu.count.Repeated.Load()
			for _, q := range s.sent.packets { // of this way and the one before
				if q.era > 0 && n%10%4 == 2 {
					s.repeat(q.sequence, again)
				}
			}
			again.release()
			sent += int(b.sfu.count.Repeated.Load() - before)
			for range sent {
				raw, err := ways[way]()
				if err != nil {
					t.Fatalf("frame %d: %v", n, err)
				}
				key := [2]uint32{binary.BigEndian.Uint32(raw[8:]), uint32(binary.BigEndian.Uint16(raw[2:]))}
				if first, ok := wires[key]; ok {
					t.Fatalf("frame %d: SSRC %d, number %d is sealed twice (the same bytes: %v)", n, key[0], key[1], bytes.Equal(first, raw))
				}
				wires[key] = bytes.Clone(raw)
				if _, _, err := opener.Open(raw); err != nil {
					t.Fatalf("frame %d: %v", n, err)
				}
			}
		}
		if n := b.sfu.count.Repeated.Load(); n < 25 {
			t.Errorf("%d packets were repeated: this shows nothing", n)
		}
		// What is tried all the same is refused.
		again := s.peer.sfu.takeBatch()
		e := &s.peer.egress
		e.mu.Lock()
		stream := e.sealer.Stream(4711)
		packet := make([]byte, 100)
		packet[0], packet[8], packet[9], packet[10], packet[11] = 0x80, 0, 0, 4711>>8, 4711&0xff
		for key := range wires {
			if key[0] == 4711 {
				binary.BigEndian.PutUint16(packet[2:], uint16(key[1]))
				if _, err := stream.Seal(packet, 12, 40); !errors.Is(err, seal.ErrUsed) {
					t.Errorf("number %d is sealed again: %v", key[1], err)
				}
			}
		}
		e.mu.Unlock()
		again.release()
	}
}

// Somebody who reads nothing from a TCP connection costs the others nothing: they get
// all of it, in order and while it is sent.
func TestSlowTCPSlowsNobody(t *testing.T) {
	b := newBench(events.Camera)
	b.onWire(t, false)
	good := loopback(t)
	_, opener := b.wired(t, good, seal.AES128GCM)
	deafConn, deafAt := b.onTCP(t)
	_ = deafConn.(*net.TCPConn).SetReadBuffer(4 << 10)
	deaf, _ := b.wired(t, loopback(t), seal.AES128GCM)
	deaf.peer.egress.to = deafAt
	late, _ := b.wired(t, loopback(t), seal.AES128GCM) // whose connection has ended
	late.peer.egress.to = netip.MustParseAddrPort("0.9.9.9:4000")
	for _, s := range *b.pub.receivers.Load() {
		s.aim(0)
	}
	seq := uint16(0)
	rounds := 0
	for deadline := time.Now().Add(patience); b.sfu.count.Dropped(DropBacklog) < 1000; rounds++ {
		if time.Now().After(deadline) {
			t.Fatalf("after %d frames a connection that nobody reads takes more", rounds)
		}
		id := uint16(rounds%10000 + 1)
		bodies := b.up[0].frame([]int{1000, 1001, 1000, 1001, 300}, &seq, id, time.Duration(rounds)*33*time.Millisecond)
		for i := range bodies {
			p, _ := receive(t, good, opener)
			if d, ok := layer.ParseVP8(p.Payload); !ok || d.PictureID != id || len(p.Payload) != len(bodies[i]) {
				t.Fatalf("frame %d, packet %d: picture %d in %d bytes", rounds, i, d.PictureID, len(p.Payload))
			}
		}
	}
	if n := b.sfu.count.Dropped(DropWrite); n != int64(5*rounds) {
		t.Errorf("%d packets to a connection that has ended count as not written, of %d", n, 5*rounds)
	}
}

func TestTCPAllocatesNothing(t *testing.T) {
	b := newBench(events.Camera)
	b.onWire(t, false)
	conn, at := b.onTCP(t)
	_ = conn.SetReadDeadline(time.Time{})
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	s, _ := b.wired(t, loopback(t), seal.AES128GCM)
	s.peer.egress.to = at
	s.aim(2)
	send := sender(b)
	for range historyLen {
		send()
	}
	if n := testing.AllocsPerRun(200, send); n > 0 {
		t.Errorf("%.1f allocations for a frame of 5 packets", n)
	}
}
