// Package moto runs moto, which stands in for DynamoDB, EC2, SSM and
// EventBridge, on a free port of this machine, and puts right in front of it what
// would be wrong with several clients at a time.
package moto

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
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

// Server is a running moto behind a [front]. It ends with [Server.Stop], and with
// the program that started it, however that ends.
type Server struct {
	// URL is the endpoint for all services: the front's.
	URL     string
	process *process.Process
	front   *http.Server
}

// Start runs moto on the loopback interface, on a free port that it chooses
// itself, and returns once it listens. The context bounds the start only.
func Start(ctx context.Context, c Config) (*Server, error) {
	path, err := exec.LookPath("moto_server")
	if err != nil {
		return nil, ErrMissing
	}
	out := &output{to: c.Log, port: make(chan string, 1)}
	cmd := exec.Command(path, "-H", "127.0.0.1", "-p", "0")
	cmd.Env = append(os.Environ(), "MOTO_EC2_LOAD_DEFAULT_AMIS=false") // hundreds that nobody asks for, and half a second
	cmd.Stdout, cmd.Stderr = out, out
	p, err := process.Start(cmd)
	if err != nil {
		return nil, fmt.Errorf("start moto: %w", err)
	}
	s := &Server{process: p}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.StartTimeout, 30*time.Second))
	defer cancel()
	select {
	case port := <-out.port:
		if err = s.serve("127.0.0.1:" + port); err == nil {
			return s, nil
		}
	case <-p.Done():
		err = fmt.Errorf("moto ended at once: %w", p.Err())
	case <-ctx.Done():
		err = fmt.Errorf("moto does not start: %w", ctx.Err())
	}
	s.Stop()
	return nil, err
}

// serve puts the front before moto at host.
func (s *Server) serve(host string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen before moto: %w", err)
	}
	s.URL = "http://" + listener.Addr().String()
	s.front = &http.Server{Handler: newFront(&url.URL{Scheme: "http", Host: host}), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.front.Serve(listener) }() // until Stop closes it
	return nil
}

// Done is closed when moto has ended.
func (s *Server) Done() <-chan struct{} { return s.process.Done() }

// Stop ends moto; it keeps nothing.
func (s *Server) Stop() {
	s.process.Kill()
	<-s.process.Done()
	if s.front != nil {
		_ = s.front.Close()
	}
}

// output passes on what moto prints and finds the port in it.
type output struct {
	to   io.Writer // may be nil
	port chan string

	seen  []byte // until the port is found
	found bool
}

var running = regexp.MustCompile(`Running on http://127\.0\.0\.1:(\d+)\s`)

// Write implements [io.Writer]; only one goroutine calls it.
func (o *output) Write(p []byte) (int, error) {
	if !o.found {
		o.seen = append(o.seen, p...)
		if m := running.FindSubmatch(o.seen); m != nil {
			o.port <- string(m[1])
			o.found, o.seen = true, nil
		}
	}
	if o.to == nil {
		return len(p), nil
	}
	return o.to.Write(p)
}
