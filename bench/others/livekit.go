package others

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// LiveKit is LiveKit's server. Its peers speak its signalling (livekit_rtc.proto).
type LiveKit struct {
	cmd  *exec.Cmd
	dir  string
	port int
}

const (
	liveKitKey    = "bench"
	liveKitSecret = "a secret of the measurement, and of nobody else"
)

// LiveKitConfig is how LiveKit is to run.
type LiveKitConfig struct {
	// Binary is its program.
	Binary string
	// Congestion is its answer to full networks, in its configuration's words.
	Congestion string
	// Command makes the command that is started; nil starts the program as it is.
	Command func(name string, args ...string) *exec.Cmd
}

// StartLiveKit starts a server on the loopback interface. Stop it.
func StartLiveKit(c LiveKitConfig) (*LiveKit, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	media, err := FreePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-livekit-")
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`port: %d
bind_addresses: ["127.0.0.1"]
rtc:
  udp_port: %d
  node_ip: 127.0.0.1
  use_external_ip: false
  enable_loopback_candidate: true
  interfaces: {includes: [lo]}
  congestion_control: {%s}
keys: {%s: %q}
logging: {level: error}
`, port, media, c.Congestion, liveKitKey, liveKitSecret)
	file := filepath.Join(dir, "livekit.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	command := exec.Command
	if c.Command != nil {
		command = c.Command
	}
	l := &LiveKit{cmd: command(c.Binary, "--config", file), dir: dir, port: port}
	if err := l.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := Listening(port, 20*time.Second); err != nil {
		l.Stop()
		return nil, fmt.Errorf("livekit-server: %w", err)
	}
	return l, nil
}

// PID is the server's process.
func (l *LiveKit) PID() int { return l.cmd.Process.Pid }

// Stop ends the server.
func (l *LiveKit) Stop() {
	Stop(l.cmd)
	_ = os.RemoveAll(l.dir)
}
