package sfu

import (
	"testing"

	"github.com/pion/srtp/v3"
)

// The WebRTC stack's own sessions for media are gone once a participant is in: a
// newer stack in which they cannot be found is noticed here.
func TestNoSpareSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.join("anna")
	p, _ := w.peer(seat{"room", "key-anna"})
	waitFor(t, "the data channel is open", p.isOpen)
	transport := p.pc.SCTP().Transport()
	rtp, ok := sessionOf(transport, "srtpSession")
	rtcp, ok2 := sessionOf(transport, "srtcpSession")
	if !ok || !ok2 {
		t.Fatal("the WebRTC stack has other fields now")
	}
	deadRTP, deadRTCP := deadSessions()
	waitFor(t, "both sessions have ended", func() bool { return rtp.Load() == any(deadRTP) && rtcp.Load() == any(deadRTCP) })
	if _, _, err := rtp.Load().(*srtp.SessionSRTP).AcceptStream(); err == nil {
		t.Error("a session that has ended accepts a stream")
	}
}
