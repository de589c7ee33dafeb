package sfu

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/sfu-node/burst"
	"github.com/spillway-sfu/spillway/sfu-node/framed"
)

// socket is the media port of a node. On UDP there is a socket for each core, among
// which the kernel divides participants, each with a goroutine that reads; on TCP,
// if there is any, one for each connection. A connection goes by a stand-in address,
// so from here on there is no difference between the two.
type socket struct {
	conns  []*burst.Conn
	framed *framed.Port // nil without TCP
	faces  []*face      // one for each family that is announced
	number int

	closed  chan struct{}
	once    sync.Once
	reading sync.WaitGroup
}

// face is what the WebRTC stack sees of the port in one address family. What it is to
// see is handed to it through ReadFromAddrPort.
//
// It says that it is bound to the address that participants are told, whatever it
// is bound to, because that is what the ICE agents announce.
type face struct {
	socket    *socket
	announced *net.UDPAddr
	handed    chan datagram
}

// datagram is one for the WebRTC stack.
type datagram struct {
	buf  *[mtu]byte
	n    int
	from netip.AddrPort
}

var (
	_ ice.AddrPortReaderWriter = (*face)(nil)

	datagrams = sync.Pool{New: func() any { return new([mtu]byte) }}
)

const (
	// bufferBytes is asked of the kernel for each direction: at 100,000 packets a
	// second it holds some 20 ms.
	bufferBytes = 4 << 20
	// maxHanded is how many datagrams may wait for the WebRTC stack.
	maxHanded = 1024
	// maxSockets bounds the sockets of a port.
	maxSockets = 16
)

// families tells which address families are among addresses.
func families(addresses []netip.Addr) (four, six bool) {
	for _, a := range addresses {
		four, six = four || a.Is4(), six || a.Is6()
	}
	return four, six
}

// bindTo is where to listen when addresses are announced: on loopback when nothing
// else is, else on every address of the machine: a public address is often not its
// own. Unspecified IPv6 stands for both families when both are announced.
func bindTo(announced []netip.Addr) netip.Addr {
	four, six := families(announced)
	switch {
	case four && six:
		return netip.IPv6Unspecified()
	case !slices.ContainsFunc(announced, func(a netip.Addr) bool { return !a.IsLoopback() }):
		return announced[0]
	case six:
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// listen opens the UDP side of the media port.
func listen(announced []netip.Addr, port int) (*socket, error) {
	four, six := families(announced)
	network := "udp4"
	switch {
	case four && six:
		network = "udp"
	case six:
		network = "udp6"
	}
	conns, err := burst.Listen(network, &net.UDPAddr{IP: bindTo(announced).AsSlice(), Port: port}, min(runtime.GOMAXPROCS(0), maxSockets), bufferBytes)
	if err != nil {
		return nil, err
	}
	s := &socket{conns: conns, number: conns[0].LocalAddr().(*net.UDPAddr).Port, closed: make(chan struct{})}
	for _, a := range announced {
		if !slices.ContainsFunc(s.faces, func(f *face) bool { return f.takes(a) }) {
			s.faces = append(s.faces, &face{
				socket: s, announced: &net.UDPAddr{IP: a.AsSlice(), Port: s.number}, handed: make(chan datagram, maxHanded),
			})
		}
	}
	return s, nil
}

// listenTCP opens the TCP side. serve reads a connection until it ends.
func (s *socket) listenTCP(announced []netip.Addr, port int, serve func(*framed.Conn)) error {
	four, six := families(announced)
	l, err := framed.Listen(netip.AddrPortFrom(bindTo(announced), uint16(port)), four && six)
	if err != nil {
		return err
	}
	s.framed = framed.Open(framed.Config{Listener: l, Six: !four, Size: mtu, Serve: serve})
	return nil
}

func (s *socket) port() int { return s.number }

// hand gives the WebRTC stack a copy of a datagram. It reports false when the
// stack does not keep up.
func (s *socket) hand(b []byte, from netip.AddrPort) bool {
	for _, f := range s.faces {
		if f.takes(from.Addr()) {
			return f.hand(b, from)
		}
	}
	return false
}

// write sends one datagram that is no part of a burst.
func (s *socket) write(b []byte, to netip.AddrPort) (int, error) {
	if !framed.Stands(to) {
		return s.conns[0].WriteToUDPAddrPort(b, to)
	}
	if c := s.connection(to); c != nil && c.Say(b) {
		return len(b), nil
	}
	return 0, errBacklog
}

// errBacklog says that a TCP connection has ended or does not keep up.
var errBacklog = errors.New("no room on a TCP connection")

// connection is the TCP connection that an address stands for, or nil.
func (s *socket) connection(a netip.AddrPort) *framed.Conn {
	if s.framed == nil || !framed.Stands(a) {
		return nil
	}
	return s.framed.Find(a)
}

// Close closes all of the port, and waits for those who read from it.
func (s *socket) Close() error {
	var err error
	s.once.Do(func() {
		if s.framed != nil {
			err = s.framed.Close()
		}
		for _, c := range s.conns {
			err = errors.Join(err, c.Close())
		}
		close(s.closed)
	})
	s.reading.Wait()
	return err
}

// takes reports whether an address is of this family.
func (f *face) takes(a netip.Addr) bool { return a.Is4() == (f.announced.IP.To4() != nil) }

func (f *face) hand(b []byte, from netip.AddrPort) bool {
	d := datagram{buf: datagrams.Get().(*[mtu]byte), from: from}
	d.n = copy(d.buf[:], b)
	select {
	case f.handed <- d:
		return true
	default:
		datagrams.Put(d.buf)
		return false
	}
}

// LocalAddr implements [net.PacketConn] with the announced address.
func (f *face) LocalAddr() net.Addr { return f.announced }

// ReadFromAddrPort implements [ice.AddrPortReaderWriter]: it returns what is
// handed.
func (f *face) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case d := <-f.handed:
		n := copy(b, d.buf[:d.n])
		datagrams.Put(d.buf)
		return n, d.from, nil
	case <-f.socket.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

// WriteToAddrPort implements [ice.AddrPortReaderWriter].
func (f *face) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return f.socket.write(b, to)
}

// ReadFrom implements [net.PacketConn].
func (f *face) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := f.ReadFromAddrPort(b)
	return n, net.UDPAddrFromAddrPort(from), err
}

// WriteTo implements [net.PacketConn].
func (f *face) WriteTo(b []byte, to net.Addr) (int, error) {
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, net.InvalidAddrError(to.String())
	}
	at := udp.AddrPort()
	return f.socket.write(b, netip.AddrPortFrom(at.Addr().Unmap(), at.Port()))
}

// Reading by the WebRTC stack waits until the port is closed, and writing does not
// wait. So there are no deadlines.

// SetDeadline implements [net.PacketConn].
func (f *face) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements [net.PacketConn].
func (f *face) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements [net.PacketConn].
func (f *face) SetWriteDeadline(time.Time) error { return nil }

// Close closes the whole port: the WebRTC stack closes it in all families.
func (f *face) Close() error { return f.socket.Close() }

// identity is the certificate of this life of the node: for DTLS with
// participants, and for TLS with other nodes.
type identity struct {
	dtls        webrtc.Certificate
	tls         tls.Certificate
	fingerprint string
}

func newIdentity() (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	certificate, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return identity{}, err
	}
	prints, err := certificate.GetFingerprints()
	if err != nil {
		return identity{}, err
	}
	id := identity{dtls: *certificate, fingerprint: strings.ToUpper(prints[0].Value)}
	text, err := certificate.PEM()
	if err != nil {
		return identity{}, err
	}
	id.tls, err = tls.X509KeyPair([]byte(text), []byte(text))
	return id, err
}

// quiet swallows the WebRTC stack's own log: what matters of it reaches us as
// state changes and errors.
type quiet struct{}

var (
	_ logging.LeveledLogger = quiet{}
	_ logging.LoggerFactory = quiet{}
)

// NewLogger implements [logging.LoggerFactory].
func (q quiet) NewLogger(string) logging.LeveledLogger { return q }

// The methods of [logging.LeveledLogger].
func (quiet) Trace(string)          {}
func (quiet) Tracef(string, ...any) {}
func (quiet) Debug(string)          {}
func (quiet) Debugf(string, ...any) {}
func (quiet) Info(string)           {}
func (quiet) Infof(string, ...any)  {}
func (quiet) Warn(string)           {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Error(string)          {}
func (quiet) Errorf(string, ...any) {}
