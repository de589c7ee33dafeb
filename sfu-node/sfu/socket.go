package sfu

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"
)

// socket is the one UDP socket of a node. It says that it is bound to the
// address that participants are told, whatever it is bound to, because that is
// what the ICE agents announce.
type socket struct {
	*net.UDPConn
	announced *net.UDPAddr
	// report takes RTCP; it is set before anything is read.
	report func(b []byte, from netip.AddrPort) (taken bool)
}

var _ ice.AddrPortReaderWriter = (*socket)(nil)

// bufferBytes is asked of the kernel for each direction: at 100,000 packets a
// second it holds some 20 ms.
const bufferBytes = 4 << 20

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
	conn, err := net.ListenUDP(network, &net.UDPAddr{IP: bind, Port: port})
	if err != nil {
		return nil, err
	}
	// The kernel may grant less; the drops then show in its counters.
	_ = conn.SetReadBuffer(bufferBytes)
	_ = conn.SetWriteBuffer(bufferBytes)
	bound := conn.LocalAddr().(*net.UDPAddr).Port
	return &socket{UDPConn: conn, announced: &net.UDPAddr{IP: announced[0].AsSlice(), Port: bound}}, nil
}

func (s *socket) port() int { return s.announced.Port }

// LocalAddr implements [net.PacketConn] with the announced address.
func (s *socket) LocalAddr() net.Addr { return s.announced }

// ReadFromAddrPort implements [ice.AddrPortReaderWriter]. What participants report
// is taken on the way.
func (s *socket) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := s.ReadFromUDPAddrPort(b)
		if err != nil || !isRTCP(b[:n]) || !s.report(b[:n], from) {
			return n, from, err
		}
	}
}

// WriteToAddrPort implements [ice.AddrPortReaderWriter].
func (s *socket) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return s.WriteToUDPAddrPort(b, to)
}

// newCertificate makes the DTLS certificate of this life of the node and its
// fingerprint.
func newCertificate() (webrtc.Certificate, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return webrtc.Certificate{}, "", err
	}
	certificate, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return webrtc.Certificate{}, "", err
	}
	prints, err := certificate.GetFingerprints()
	if err != nil {
		return webrtc.Certificate{}, "", err
	}
	return *certificate, strings.ToUpper(prints[0].Value), nil
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
