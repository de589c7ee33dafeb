package pipe

import (
	"errors"
	"net"
	"net/netip"

	"github.com/spillway-sfu/spillway/sfu-node/burst"
)

// read begins to read all sockets. Where the kernel does not divide by flows it
// divides by peers, and all flows of one are read by one goroutine.
func (m *Mesh) read() error {
	if err := burst.Steer(m.udps, numberAt); err != nil {
		m.log.Warn("what comes over one pipe is read on one core", "error", err)
	}
	readers := make([]*reader, len(m.udps))
	for i, udp := range m.udps {
		m.bursts = append(m.bursts, burst.NewSocket(udp, m.cfg.Plain))
		var err error
		if readers[i], err = newReader(m, i); err != nil {
			return err
		}
	}
	for _, r := range readers {
		m.reading.Go(r.run)
	}
	return nil
}

func (m *Mesh) closeUDP() (err error) {
	for _, udp := range m.udps {
		err = errors.Join(err, udp.Close())
	}
	return err
}

// listen takes one port for both TCP and UDP, this with n sockets.
func listen(bind netip.AddrPort, n int) (*net.TCPListener, []*burst.Conn, error) {
	const tries = 20
	family := "4"
	if bind.Addr().Is6() {
		family = "6"
	}
	for try := 0; ; try++ {
		tcp, err := net.ListenTCP("tcp"+family, net.TCPAddrFromAddrPort(bind))
		if err != nil {
			return nil, nil, err
		}
		port := uint16(tcp.Addr().(*net.TCPAddr).Port)
		udps, err := burst.Listen("udp"+family, net.UDPAddrFromAddrPort(netip.AddrPortFrom(bind.Addr(), port)), n, bufferBytes)
		if err == nil {
			return tcp, udps, nil
		}
		_ = tcp.Close()
		if bind.Port() != 0 || try == tries {
			return nil, nil, err
		}
	}
}
