// Package lambda runs Lambda functions the way the Lambda service does: each
// function is a bootstrap binary, run in several execution environments, each
// with a Runtime API of its own and one invocation in flight at a time.
//
// Environments are started on demand, reused, and thrown away when they crash,
// exceed the function's timeout or fail to initialise. Beyond a function's limit
// of environments invocations wait in a bounded line, which Lambda itself does
// not offer: one machine has fewer environments than an account.
//
// Source: "Using the Lambda runtime API for custom runtimes", AWS Lambda
// Developer Guide, API version 2018-06-01.
package lambda

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"
)

// MaxPayload bounds request and response of an invocation, in bytes.
const MaxPayload = 6 << 20

// Function describes one Lambda function. Zero fields take the values named.
type Function struct {
	Name string
	// Bootstrap is the path of the binary.
	Bootstrap string
	// Env is the function's own environment, as KEY=VALUE. Nothing else is
	// inherited from the calling process; what Lambda itself sets is added.
	Env []string
	// Timeout is how long one invocation may take (10 s).
	Timeout time.Duration
	// InitTimeout is how long an environment may take until it asks for its first
	// invocation (10 s, as in Lambda).
	InitTimeout time.Duration
	// Environments is how many may run at a time (4).
	Environments int
	// Queue is how many invocations may wait for an environment (100).
	Queue int
	// Output takes what the environments print; nil discards it. Unless it is an
	// *os.File its Write must allow concurrent calls.
	Output io.Writer
}

func (f Function) withDefaults() (Function, error) {
	if f.Name == "" || f.Bootstrap == "" {
		return f, fmt.Errorf("function %q: name and bootstrap are needed", f.Name)
	}
	path, err := filepath.Abs(f.Bootstrap)
	if err != nil {
		return f, fmt.Errorf("function %s: %w", f.Name, err)
	}
	f.Bootstrap = path
	if f.Timeout == 0 {
		f.Timeout = 10 * time.Second
	}
	if f.InitTimeout == 0 {
		f.InitTimeout = 10 * time.Second
	}
	if f.Environments == 0 {
		f.Environments = 4
	}
	if f.Queue == 0 {
		f.Queue = 100
	}
	return f, nil
}

// Service holds functions and their environments. Its methods may be called by
// several goroutines.
type Service struct {
	pools map[string]*pool
}

// New makes a Service. Nothing is started before the first invocation.
func New(region, account string, log *slog.Logger, functions ...Function) (*Service, error) {
	s := &Service{pools: map[string]*pool{}}
	for _, f := range functions {
		f, err := f.withDefaults()
		if err != nil {
			return nil, err
		}
		s.pools[f.Name] = &pool{
			function: f,
			region:   region,
			arn:      fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", region, account, f.Name),
			log:      log.With("function", f.Name),
			all:      map[*environment]phase{},
			env:      f.Env,
		}
	}
	return s, nil
}

// Invoke runs the function once and returns its response. When ctx ends first
// Invoke returns its error and the invocation goes on, as it does in Lambda when
// a caller gives up.
//
// Errors: [*FunctionError] when the function failed, crashed or took too long;
// [ErrTooManyRequests], [ErrNotFound], [ErrTooLarge], [ErrClosed].
func (s *Service) Invoke(ctx context.Context, function string, payload []byte) ([]byte, error) {
	p, ok := s.pools[function]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, function)
	}
	if len(payload) > MaxPayload {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(payload))
	}
	inv := &invocation{id: newID(), payload: payload, done: make(chan struct{})}
	if err := p.submit(inv); err != nil {
		return nil, err
	}
	select {
	case <-inv.done:
		return inv.response, inv.err
	case <-ctx.Done():
		return nil, fmt.Errorf("invoke %s: %w", function, ctx.Err())
	}
}

// Configure gives a function another environment, as UpdateFunctionConfiguration
// does: invocations that begin from now on see it. Environments at work finish
// first.
func (s *Service) Configure(function string, env []string) error {
	p, ok := s.pools[function]
	if !ok {
		return fmt.Errorf("%w: %s", ErrNotFound, function)
	}
	p.configure(env)
	return nil
}

// Stats are counters since the start.
type Stats struct {
	Invocations int64 `json:"invocations"`
	// Errors counts invocations that ended in a [*FunctionError], timeouts and
	// crashes among them.
	Errors     int64 `json:"errors"`
	Timeouts   int64 `json:"timeouts"`
	Throttles  int64 `json:"throttles"`
	ColdStarts int64 `json:"coldStarts"`
	// Environments is how many run now.
	Environments int `json:"environments"`
	// TotalMs and MaxMs are what invocations took, from dispatch to response.
	TotalMs int64 `json:"totalMs"`
	MaxMs   int64 `json:"maxMs"`
}

// Stats returns the counters of each function.
func (s *Service) Stats() map[string]Stats {
	all := map[string]Stats{}
	for name, p := range s.pools {
		all[name] = p.snapshot()
	}
	return all
}

// Close ends all environments and fails what is running or waiting with
// [ErrClosed]. It returns when every process is gone.
func (s *Service) Close() {
	for _, p := range s.pools {
		p.close()
	}
}

// newID makes an id of the form Lambda uses: a random UUID (RFC 9562, 5.4).
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // cannot fail
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
