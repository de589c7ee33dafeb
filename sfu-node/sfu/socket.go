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

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/sfu-node/burst"
)

// socket is the one UDP port of a node. There is a socket on it for each core,
// among which the kernel divides participants, each with a goroutine that reads.
// What the WebRTC stack is to see is handed to it through ReadFromAddrPort.
//
// It says that it is bound to the address that participants are told, whatever it
// is bound to, because that is what the ICE agents announce.
type socket struct {
	*net.UDPConn // the first
	conns        []*net.UDPConn
	announced    *net.UDPAddr

	handed  chan datagram
	closed  chan struct{}
	once    sync.Once
	reading sync.WaitGroup
}

// datagram is one for the WebRTC stack.
type datagram struct {
	buf  *[mtu]byte
	n    int
	from netip.AddrPort
}

var (
	_ ice.AddrPortReaderWriter = (*socket)(nil)

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

// listen binds to loopback when nothing else is announced, else to every
// address of the machine: a public address is often not its own.
func listen(announced []netip.Addr, port int) (*socket, error) {
	network, bind := "udp4", net.IPv4zero
	if announced[0].Is6() {
		network, bind = "udp6", net.IPv6unspecified
	}
	if !slices.ContainsFunc(announced, func(a netip.Addr) bool { return !a.IsLoopback() }) {
		bind = announced[0].AsSlice()
	}
	conns, err := burst.Listen(network, &net.UDPAddr{IP: bind, Port: port}, min(runtime.GOMAXPROCS(0), maxSockets))
	if err != nil {
		return nil, err
	}
	for _, c := range conns {
		// The kernel may grant less; the drops then show in its counters.
		_ = c.SetReadBuffer(bufferBytes)
		_ = c.SetWriteBuffer(bufferBytes)
	}
	bound := conns[0].LocalAddr().(*net.UDPAddr).Port
	return &socket{
		UDPConn: conns[0], conns: conns, announced: &net.UDPAddr{IP: announced[0].AsSlice(), Port: bound},
		handed: make(chan datagram, maxHanded), closed: make(chan struct{}),
	}, nil
}

func (s *socket) port() int { return s.announced.Port }

// LocalAddr implements [net.PacketConn] with the announced address.
func (s *socket) LocalAddr() net.Addr { return s.announced }

// hand gives the WebRTC stack a copy of a datagram. It reports false when the
// stack does not keep up.
func (s *socket) hand(b []byte, from netip.AddrPort) bool {
	d := datagram{buf: datagrams.Get().(*[mtu]byte), from: from}
	d.n = copy(d.buf[:], b)
	select {
	case s.handed <- d:
		return true
	default:
		datagrams.Put(d.buf)
		return false
	}
}

// ReadFromAddrPort implements [ice.AddrPortReaderWriter]: it returns what is
// handed.
func (s *socket) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case d := <-s.handed:
		n := copy(b, d.buf[:d.n])
		datagrams.Put(d.buf)
		return n, d.from, nil
	case <-s.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

// WriteToAddrPort implements [ice.AddrPortReaderWriter].
func (s *socket) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return s.WriteToUDPAddrPort(b, to)
}

// Close closes all sockets, and waits for those who read from them.
func (s *socket) Close() error {
	var err error
	s.once.Do(func() {
		for _, c := range s.conns {
			err = errors.Join(err, c.Close())
		}
		close(s.closed)
	})
	s.reading.Wait()
	return err
}

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
