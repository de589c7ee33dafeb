// Package moto runs moto, which stands in for DynamoDB, EC2, SSM and
// EventBridge, on a free port of this machine.
package moto

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/spillway-sfu/spillway/infra/local/process"
)

// ErrMissing says that moto is not installed, and how to install it.
var ErrMissing = errors.New("moto_server is missing: pip install 'moto[server]==5.2.1'")

// Config says how moto is run.
type Config struct {
	// Log takes what moto prints; nil drops it.
	Log io.Writer
	// StartTimeout bounds the start; 0 means 30 s.
	StartTimeout time.Duration
}

// Server is a running moto. It ends with [Server.Stop], and with the program
// that started it, however that ends.
type Server struct {
	// URL is the endpoint for all services.
	URL     string
	process *process.Process
}

// Start runs moto on a free port of the loopback interface and returns once it
// answers. The context bounds the start only.
func Start(ctx context.Context, c Config) (*Server, error) {
	path, err := exec.LookPath("moto_server")
	if err != nil {
		return nil, ErrMissing
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, "-H", "127.0.0.1", "-p", strconv.Itoa(port))
	cmd.Env = append(os.Environ(), "MOTO_EC2_LOAD_DEFAULT_AMIS=false") // hundreds that nobody asks for, and half a second
	cmd.Stdout, cmd.Stderr = c.Log, c.Log
	p, err := process.Start(cmd)
	if err != nil {
		return nil, fmt.Errorf("start moto: %w", err)
	}
	s := &Server{URL: fmt.Sprintf("http://127.0.0.1:%d", port), process: p}
	timeout := c.StartTimeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := s.wait(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Done is closed when moto has ended.
func (s *Server) Done() <-chan struct{} { return s.process.Done() }

// Stop ends moto; it keeps nothing.
func (s *Server) Stop() { s.process.Kill(); <-s.process.Done() }

// wait asks until moto answers.
func (s *Server) wait(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/moto-api/", nil)
		if err != nil {
			return err
		}
		if r, err := http.DefaultClient.Do(req); err == nil {
			_ = r.Body.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("moto does not answer")
		case <-s.process.Done():
			return fmt.Errorf("moto ended at once: %w", s.process.Err())
		case <-tick.C:
		}
	}
}

// freePort finds a port that nothing listens on. Somebody else may take it
// before moto does, in which case moto ends at once.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
