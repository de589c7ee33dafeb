package lambda

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/spillway-sfu/spillway/infra/local/process"
)

// environment is one execution environment: a bootstrap process and the Runtime
// API that only it knows. It takes one invocation at a time, because it asks
// for the next only after the last.
//
// Goroutines: run owns the process from start to end; the handlers of the
// Runtime API run on the HTTP server's.
type environment struct {
	pool *pool
	name string
	vars []string // the function's, as they were when it was started
	set  int      // which of the pool's that are
	// work carries the invocation for an environment that waits idle; never more
	// than one, since handing it over ends the idleness.
	work chan *invocation
	// ending is closed when the environment is to stop, gone when it has.
	ending chan struct{}
	gone   chan struct{}

	mu      sync.Mutex
	ready   bool        // has asked for its first invocation
	current *invocation // being worked on
	limit   *time.Timer // on current
	why     error       // why the environment ends, if that is known
	dead    bool        // nobody will look at current again
}

// newEnvironment makes an environment of a pool whose mu the caller holds.
func newEnvironment(p *pool) *environment {
	return &environment{pool: p, name: newID(), vars: p.env, set: p.set, work: make(chan *invocation, 1),
		ending: make(chan struct{}), gone: make(chan struct{})}
}

// run starts the process, waits for its end and cleans up.
func (e *environment) run() {
	defer close(e.gone)
	began := time.Now()
	e.pool.log.Debug("environment starts", "environment", e.name)
	how := e.serve()
	e.mu.Lock()
	if e.why == nil {
		e.why = exited(e.name, how)
	}
	current, why := e.current, e.why
	e.current, e.dead = nil, true
	if e.limit != nil {
		e.limit.Stop()
	}
	e.mu.Unlock()
	e.end(why)
	e.pool.log.Debug("environment ended", "environment", e.name, "after", time.Since(began), "why", why)
	e.pool.forget(e, why) // from here on nobody hands it work
	if current != nil {
		e.pool.finish(current, nil, why)
	}
	select {
	case inv := <-e.work: // handed over, never picked up
		e.pool.finish(inv, nil, why)
	default:
	}
}

// serve runs the process with its Runtime API and returns how it ended.
func (e *environment) serve() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the Runtime API: %w", err)
	}
	server := &http.Server{Handler: e.api(), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()

	cmd := exec.Command(e.pool.function.Bootstrap)
	cmd.Dir = filepath.Dir(e.pool.function.Bootstrap)
	cmd.Env = e.env(listener.Addr().String())
	cmd.Stdout, cmd.Stderr = e.pool.function.Output, e.pool.function.Output
	proc, err := process.Start(cmd)
	if err != nil {
		return err
	}
	limit := time.AfterFunc(e.pool.function.InitTimeout, e.initTimedOut)
	defer limit.Stop()
	select {
	case <-proc.Done():
	case <-e.ending:
		proc.Kill()
	}
	return proc.Err()
}

// env is what Lambda sets for a custom runtime, and then the function's own.
// Source: "Defined runtime environment variables", Lambda Developer Guide.
func (e *environment) env(api string) []string {
	f := e.pool.function
	return append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + api,
		"AWS_LAMBDA_FUNCTION_NAME=" + f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256",
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/" + f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME=[$LATEST]" + e.name,
		"AWS_REGION=" + e.pool.region,
		"AWS_DEFAULT_REGION=" + e.pool.region,
		"LAMBDA_TASK_ROOT=" + filepath.Dir(f.Bootstrap),
		"_HANDLER=bootstrap",
		"PATH=/usr/local/bin:/usr/bin:/bin:/opt/bin",
		"LANG=en_US.UTF-8",
		"TZ=:UTC",
	}, e.vars...)
}

// take waits until there is an invocation for this environment and starts its
// clock. It returns nil when the environment ends first.
func (e *environment) take(ctx context.Context) (*invocation, error) {
	e.mu.Lock()
	if e.current != nil {
		e.mu.Unlock()
		return nil, errors.New("the last invocation is not answered yet")
	}
	e.ready = true
	e.mu.Unlock()
	inv := e.pool.next(e)
	if inv == nil {
		select {
		case inv = <-e.work:
		case <-e.ending:
			return nil, nil
		case <-ctx.Done():
			return nil, nil
		}
	}
	e.mu.Lock()
	if e.dead {
		e.mu.Unlock()
		e.pool.finish(inv, nil, e.why)
		return nil, nil
	}
	defer e.mu.Unlock()
	inv.started = time.Now()
	e.current = inv
	e.limit = time.AfterFunc(e.pool.function.Timeout, func() { e.timedOut(inv) })
	return inv, nil
}

// settle ends the current invocation if it is the one named.
func (e *environment) settle(id string, response []byte, err error) bool {
	e.mu.Lock()
	inv := e.current
	if inv == nil || inv.id != id {
		e.mu.Unlock()
		return false
	}
	e.current = nil
	e.limit.Stop()
	e.mu.Unlock()
	e.pool.answered(e)
	e.pool.finish(inv, response, err)
	return true
}

// timedOut answers for an environment that takes too long and ends it: Lambda
// never uses one again after that.
func (e *environment) timedOut(inv *invocation) {
	why := timedOut(inv.id, e.pool.function.Timeout)
	if e.settle(inv.id, nil, why) {
		e.end(why)
	}
}

func (e *environment) initTimedOut() {
	e.mu.Lock()
	ready := e.ready
	e.mu.Unlock()
	if !ready {
		e.end(&FunctionError{Type: typeInit, crashed: true,
			Message: fmt.Sprintf("Init timed out after %.2f seconds", e.pool.function.InitTimeout.Seconds())})
	}
}

// end stops the environment. The first reason given is the one that counts.
func (e *environment) end(why error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.why == nil {
		e.why = why
	}
	select {
	case <-e.ending:
	default:
		close(e.ending)
	}
}
