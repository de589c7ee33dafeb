package sfu

import (
	"io"
	"net"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/pion/srtp/v3"
	"github.com/pion/webrtc/v4"
)

// deadSessions returns sessions that have ended: whoever asks them for something is
// told so.
var deadSessions = sync.OnceValues(func() (*srtp.SessionSRTP, *srtp.SessionSRTCP) {
	key, salt := make([]byte, 16), make([]byte, 12)
	c := &srtp.Config{Profile: srtp.ProtectionProfileAeadAes128Gcm, LoggerFactory: quiet{}, Keys: srtp.SessionKeys{
		LocalMasterKey: key, LocalMasterSalt: salt, RemoteMasterKey: key, RemoteMasterSalt: salt,
	}}
	rtp, err := srtp.NewSessionSRTP(ended{}, c)
	if err != nil {
		panic("sfu: no session: " + err.Error())
	}
	rtcp, err := srtp.NewSessionSRTCP(ended{}, c)
	if err != nil {
		panic("sfu: no session: " + err.Error())
	}
	return rtp, rtcp
})

// spareSessions ends the SRTP sessions that the WebRTC stack makes for every
// connection. Nothing ever gets to them, as media is opened and sealed by us, but
// they hold two buffers of 8 KB, eight sets of tables and four goroutines. The
// stack has no switch for it, so this reaches into a field that it does not show,
// and reports false, having done nothing, if that is not what it was when this was
// written. It is for when the stack has started all that it starts.
func spareSessions(t *webrtc.DTLSTransport) bool {
	rtp, ok := sessionOf(t, "srtpSession")
	rtcp, ok2 := sessionOf(t, "srtcpSession")
	if !ok || !ok2 {
		return false
	}
	was, ok := rtp.Load().(*srtp.SessionSRTP)
	was2, ok2 := rtcp.Load().(*srtp.SessionSRTCP)
	if !ok || !ok2 {
		return false
	}
	deadRTP, deadRTCP := deadSessions()
	rtp.Store(deadRTP)
	rtcp.Store(deadRTCP)
	_, _ = was.Close(), was2.Close() // only what reads from them can fail
	return true
}

func sessionOf(t *webrtc.DTLSTransport, name string) (*atomic.Value, bool) {
	f := reflect.ValueOf(t).Elem().FieldByName(name)
	if !f.IsValid() || f.Type() != reflect.TypeFor[atomic.Value]() {
		return nil, false
	}
	return (*atomic.Value)(unsafe.Pointer(f.UnsafeAddr())), true
}

// ended is a connection that has.
type ended struct{}

var _ net.Conn = ended{}

// The methods of [net.Conn].
func (ended) Read([]byte) (int, error)         { return 0, io.EOF }
func (ended) Write([]byte) (int, error)        { return 0, io.ErrClosedPipe }
func (ended) Close() error                     { return nil }
func (ended) LocalAddr() net.Addr              { return nil }
func (ended) RemoteAddr() net.Addr             { return nil }
func (ended) SetDeadline(time.Time) error      { return nil }
func (ended) SetReadDeadline(time.Time) error  { return nil }
func (ended) SetWriteDeadline(time.Time) error { return nil }
