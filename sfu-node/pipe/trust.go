package pipe

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spillway-sfu/spillway/sfu-node/seal"
)

var (
	errUnnamed    = errors.New("pipe: no assignment names this certificate")
	errUnassigned = errors.New("pipe: the control plane has parted the nodes")
	errSilent     = errors.New("pipe: nothing is heard any more")
	errReplaced   = errors.New("pipe: the peer has dialled anew")
	errBehind     = errors.New("pipe: the peer does not keep up with what it is told")
)

// fingerprint is a certificate's as RFC 8122, section 5, writes it.
func fingerprint(certificate []byte) string {
	sum := sha256.Sum256(certificate)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

// shown is the fingerprint of the certificate that the other side showed.
func shown(s tls.ConnectionState) string {
	if len(s.PeerCertificates) == 0 {
		return ""
	}
	return fingerprint(s.PeerCertificates[0].Raw)
}

// named finds the peer whose certificate was shown.
func (m *Mesh) named(s tls.ConnectionState) *joined {
	print := shown(s)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range m.peers {
		if print != "" && strings.EqualFold(j.peer.Fingerprint, print) {
			return j
		}
	}
	return nil
}

// Certificates are self-signed: all that is checked of them is that they are the
// ones that the control plane has named. Sessions are not resumed, because that
// would pass the check by.

func (m *Mesh) serverTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{m.cfg.Certificate}, NextProtos: []string{protocol},
		ClientAuth: tls.RequireAnyClientCert, SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if m.named(s) == nil || s.NegotiatedProtocol != protocol {
				return errUnnamed
			}
			return nil
		},
	}
}

func (m *Mesh) clientTLS(p Peer) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{m.cfg.Certificate}, NextProtos: []string{protocol},
		InsecureSkipVerify: true, // names and issuers mean nothing here; VerifyConnection checks
		VerifyConnection: func(s tls.ConnectionState) error {
			if !strings.EqualFold(shown(s), p.Fingerprint) || s.NegotiatedProtocol != protocol {
				return errUnnamed
			}
			return nil
		},
	}
}

// greet exchanges first signs of life.
func greet(ctx context.Context, conn net.Conn) error {
	until, ok := ctx.Deadline()
	if !ok {
		until = time.Now().Add(handshakeWithin)
	}
	if err := conn.SetDeadline(until); err != nil {
		return err
	}
	if _, err := conn.Write(frame(kindAlive, nil)); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	if _, _, err := readFrame(conn, nil); err != nil {
		return fmt.Errorf("wait for a greeting: %w", err)
	}
	return conn.SetDeadline(time.Time{})
}

// exportLabel is that of the keys for what a pipe carries.
const exportLabel = "EXPERIMENTAL-spillway-pipe-media"

// keys are those of the TLS session for sealing (RFC 8446, section 7.5).
func keys(s tls.ConnectionState) (client, server seal.Key, err error) {
	material, err := s.ExportKeyingMaterial(exportLabel, nil, seal.AES128GCM.ExportLen())
	if err != nil {
		return client, server, fmt.Errorf("pipe: export keys: %w", err)
	}
	return seal.Split(seal.AES128GCM, material)
}
