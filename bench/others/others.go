// Package others starts SFUs that speak another contract than ours, and joins their
// rooms with the WebRTC stack of our own light peers, so that measurements compare
// SFUs and not clients.
package others

import (
	"fmt"
	"net"
	"os/exec"
	"syscall"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// Seat is what somebody is to be in a room.
type Seat struct {
	Room, Name string
	// Publishes says that a camera is sent, and nothing received.
	Publishes bool
	// Camera are the RIDs of the camera's layers; one "" is a camera without layers.
	Camera []string
	// Sound says that a microphone is sent, too.
	Sound bool
	// Media are the options of the connection that carries the media.
	Media lightpeer.Options
	// OnKey is told that a key frame of a layer is wanted.
	OnKey func(rid string)
	// Height is in how many lines a camera is watched; nil leaves that to the SFU.
	Height func(publisher string) int
}

// Peer is somebody in a room. Close it.
type Peer struct {
	// PC is the connection on which media comes, or goes when it publishes.
	PC         *webrtc.PeerConnection
	Camera     map[string]*lightpeer.Sender // by RID; the only one is "f", too
	Microphone *lightpeer.Sender
	Close      func() error
}

// FreePort is one on which nothing listened a moment ago.
func FreePort() (int, error) {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// Listening waits until somebody listens on a port of this machine.
func Listening(port int, patience time.Duration) error {
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp4", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(end) {
			return fmt.Errorf("nothing listens on port %d: %w", port, err)
		}
	}
}

// Stop ends a process, at first politely, and waits for its end.
func Stop(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		_ = cmd.Process.Kill()
		<-ended
	}
}
