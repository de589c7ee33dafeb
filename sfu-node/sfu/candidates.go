package sfu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pion/ice/v4"
)

// mux lets the WebRTC stack use the port, in one family or both.
func (s *socket) mux() ice.UDPMux {
	var muxes []ice.UDPMux
	for _, f := range s.faces {
		muxes = append(muxes, ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: f, Logger: quiet{}}))
	}
	if len(muxes) == 1 {
		return muxes[0]
	}
	return ice.NewMultiUDPMuxDefault(muxes...)
}

// openTCP opens the TCP side of the port, if there is to be one.
func (s *SFU) openTCP() error {
	if !s.cfg.TCP {
		return nil
	}
	return s.socket.listenTCP(s.cfg.Addresses, s.cfg.TCPPort, s.serve)
}

// TCPPort is the TCP port that media arrive on; 0 is none.
func (s *SFU) TCPPort() int {
	if s.socket.framed == nil {
		return 0
	}
	return s.socket.framed.Number()
}

// candidates are the lines of an answer that say where else this node can be reached
// than at the first address of each family on UDP, which the stack announces.
//
// A host candidate on TCP ranks below all on UDP: media over it stall where a packet
// is lost. The node waits for connections (RFC 6544, sections 4.1, 4.2 and 4.5).
func (s *SFU) candidates() string {
	const (
		overUDP, overTCP = 126, 90
		passive          = 4 << 13
	)
	priority := func(kind, local uint32) uint32 { return kind<<24 | local<<8 | 255 }
	var b strings.Builder
	for i, a := range s.cfg.Addresses {
		if !slices.ContainsFunc(s.socket.faces, func(f *face) bool { return f.announced.IP.Equal(a.AsSlice()) }) {
			fmt.Fprintf(&b, "a=candidate:%d 1 udp %d %s %d typ host\r\n", i+2, priority(overUDP, uint32(65000-i)), a, s.Port())
		}
	}
	for i, a := range s.cfg.Addresses {
		if port := s.TCPPort(); port != 0 {
			fmt.Fprintf(&b, "a=candidate:%d 1 tcp %d %s %d typ host tcptype passive\r\n", 100+i, priority(overTCP, passive+8191-uint32(i)), a, port)
		}
	}
	return b.String()
}

// withCandidates adds lines to the first section of an answer, the one that all
// others are bundled with.
func withCandidates(answer, lines string) string {
	const marker = "a=end-of-candidates"
	before, after, ok := strings.Cut(answer, marker)
	if !ok {
		return answer
	}
	return before + lines + marker + after
}
