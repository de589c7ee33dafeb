package sfu

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// twoPaths is a client's socket with a second one beside it: checks leave by both,
// media by the second only once told to, everything else by the first. So the pair
// of the second is valid, and never nominated.
type twoPaths struct {
	net.PacketConn
	second  net.PacketConn
	checks  atomic.Bool // go by the second too
	media   atomic.Bool // goes by the second
	checked atomic.Int64
	sent    atomic.Int64 // by the second
}

func newTwoPaths(t *testing.T) *twoPaths {
	t.Helper()
	second, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Close() })
	return &twoPaths{PacketConn: newPlug(t), second: second}
}

func (p *twoPaths) WriteTo(b []byte, to net.Addr) (int, error) {
	switch {
	case isMedia(b) && p.media.Load():
		p.sent.Add(1)
		return p.second.WriteTo(b, to)
	case p.checks.Load() && isPlainCheck(b):
		if _, err := p.second.WriteTo(b, to); err == nil {
			p.checked.Add(1)
		}
	}
	return p.PacketConn.WriteTo(b, to)
}

// isPlainCheck reports whether a datagram is a binding request that nominates
// nothing (RFC 8445, section 7.1).
func isPlainCheck(b []byte) bool {
	const request, useCandidate = 0x0001, 0x0025
	if len(b) < 20 || binary.BigEndian.Uint16(b) != request {
		return false
	}
	for rest := b[20:]; len(rest) >= 4; {
		size := 4 + (int(binary.BigEndian.Uint16(rest[2:]))+3)/4*4
		if binary.BigEndian.Uint16(rest) == useCandidate || size > len(rest) {
			return false
		}
		rest = rest[size:]
	}
	return true
}

// Media that comes on a pair that has passed its check is taken, nominated or not;
// what comes from elsewhere is not.
func TestMediaOnAPairThatIsNotNominated(t *testing.T) {
	w := newWorld(t)
	way := newTwoPaths(t)
	anna := w.join("anna", func(_ *events.Offer, o *lightpeer.Options) { o.Socket = way })
	keepAlive(t, anna)
	ben := w.join("ben")
	anna.publishes(1, cameraOn)
	anna.film("q", "h", "f")
	count := func() int {
		ben.mu.Lock()
		defer ben.mu.Unlock()
		n := 0
		for _, list := range ben.packets {
			n += len(list)
		}
		return n
	}
	waitFor(t, "the camera", func() bool { return count() > 5 })

	way.media.Store(true)
	waitFor(t, "media from where nobody is", func() bool { return w.Counters().Dropped(DropStranger) > 5 })
	had := count()
	way.checks.Store(true)
	waitFor(t, "a check on the second path", func() bool { return way.checked.Load() > 0 })
	waitFor(t, "the camera by the second path", func() bool { return count() > had+20 })

	w.mu.Lock()
	defer w.mu.Unlock()
	e := &w.peers[seat{"room", "key-anna"}].egress
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.to != netip.MustParseAddrPort(way.LocalAddr().String()) {
		t.Errorf("what anna is to have goes to %v, though %v is the pair in use", e.to, way.LocalAddr())
	}
}

// Addresses are forgotten, the oldest first and all of them at the end, and never
// taken from somebody else.
func TestPathsAreBounded(t *testing.T) {
	var l links
	at := func(port int) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(port))
	}
	p, q := &Peer{done: make(chan struct{})}, &Peer{done: make(chan struct{})}
	l.move(q, netip.AddrPort{}, at(9))
	l.admit(p, at(1))
	l.move(p, netip.AddrPort{}, at(1))
	for port := 1; port <= maxPaths+3; port++ {
		l.admit(p, at(port))
	}
	if got := l.find(at(9)); got != q {
		t.Error("an address in use was taken away")
	}
	if l.find(at(1)) != p {
		t.Error("the address in use is forgotten")
	}
	if l.find(at(2)) != nil || l.find(at(maxPaths+3)) != p {
		t.Error("it is not the oldest address that is forgotten")
	}
	l.move(p, at(1), at(20))
	if l.find(at(20)) != p {
		t.Error("the new address is not known")
	}
	close(p.done)
	l.leave(p)
	l.admit(p, at(30))
	if m := *l.peers.Load(); len(m) != 1 || m[at(9)] != q {
		t.Errorf("what is left: %d addresses", len(m))
	}
}
