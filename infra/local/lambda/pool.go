package lambda

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// invocation is one call of a function on its way through line and environment.
type invocation struct {
	id      string
	payload []byte
	started time.Time // when it was handed to an environment

	// Set before done is closed, by whoever ends it.
	response []byte
	err      error
	done     chan struct{}
}

// phase is what an environment is doing, as its pool sees it.
type phase int

const (
	starting  phase = iota // has not asked for work yet
	idle                   // waits for work
	busy                   // has an invocation
	returning              // has answered and is about to ask for the next
)

// pool holds the environments of one function and the line before them.
//
// Invariant: whoever waits in line has an environment on its way, or all
// environments allowed are there already; an idle environment means that nobody
// waits.
type pool struct {
	function Function
	region   string
	arn      string
	log      *slog.Logger

	mu     sync.Mutex
	closed bool
	env    []string // of environments that are started from now on
	set    int      // how often env was changed
	all    map[*environment]phase
	idle   []*environment // the last one is used first, as it is the warmest
	line   []*invocation
	stats  Stats
}

// submit hands the invocation to an idle environment or puts it in line.
func (p *pool) submit(inv *invocation) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	if n := len(p.idle); n > 0 {
		env := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.all[env] = busy
		env.work <- inv // has room for one, and idle means empty
		return nil
	}
	if len(p.line) >= p.function.Queue {
		p.stats.Throttles++
		return ErrTooManyRequests
	}
	p.line = append(p.line, inv)
	p.grow()
	return nil
}

// grow starts environments for those in line whom none of the present ones is
// about to serve. The caller holds mu.
func (p *pool) grow() {
	coming := 0
	for _, ph := range p.all {
		if ph == starting || ph == returning {
			coming++
		}
	}
	for ; coming < len(p.line) && len(p.all) < p.function.Environments && !p.closed; coming++ {
		p.stats.ColdStarts++
		env := newEnvironment(p)
		p.all[env] = starting
		go env.run()
	}
}

// next gives an environment that asks for work the first in line, or registers
// it as idle; then its work arrives on env.work.
func (p *pool) next(env *environment) *invocation {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.all[env]; !ok { // it died while it asked
		return nil
	}
	if env.set != p.set {
		p.all[env] = returning // it was well: nobody in line ends with it
		go env.end(errRetired)
		return nil
	}
	if len(p.line) > 0 {
		inv := p.line[0]
		p.line = p.line[1:]
		p.all[env] = busy
		return inv
	}
	p.all[env] = idle
	p.idle = append(p.idle, env)
	return nil
}

// configure gives environments that are started from now on other variables, and
// ends those that there are when they have nothing to do.
func (p *pool) configure(vars []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.env = vars
	p.set++
	for _, env := range p.idle {
		p.all[env] = returning
		go env.end(errRetired)
	}
	p.idle = nil
}

// answered notes that an environment will ask for work soon, so that none is
// started in its stead.
func (p *pool) answered(env *environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.all[env]; ok {
		p.all[env] = returning
	}
}

// forget removes an environment that has ended. One that never became ready
// takes the first in line with it, who would otherwise wait for nobody; others
// in line get a new environment.
func (p *pool) forget(env *environment, why error) {
	p.mu.Lock()
	var failed *invocation
	if p.all[env] == starting && len(p.line) > 0 {
		failed, p.line = p.line[0], p.line[1:]
	}
	delete(p.all, env)
	p.idle = slices.DeleteFunc(p.idle, func(e *environment) bool { return e == env })
	p.grow()
	p.mu.Unlock()
	if failed != nil {
		p.finish(failed, nil, why)
	}
}

// finish ends an invocation. Each is finished exactly once: by the environment
// that holds it, or by the pool while it is in line.
func (p *pool) finish(inv *invocation, response []byte, err error) {
	var took time.Duration
	if !inv.started.IsZero() {
		took = time.Since(inv.started)
	}
	p.mu.Lock()
	p.stats.Invocations++
	p.stats.TotalMs += took.Milliseconds()
	p.stats.MaxMs = max(p.stats.MaxMs, took.Milliseconds())
	level := slog.LevelWarn
	if fe, ok := err.(*FunctionError); ok {
		if fe.crashed {
			level = slog.LevelError
		}
		p.stats.Errors++
		if fe.Type == typeTimeout {
			p.stats.Timeouts++
		}
	}
	p.mu.Unlock()
	if err != nil {
		p.log.Log(context.Background(), level, "invocation failed", "request", inv.id, "ms", took.Milliseconds(), "error", err)
	} else {
		p.log.Debug("invoked", "request", inv.id, "ms", took.Milliseconds(), "bytes", len(inv.payload))
	}
	inv.response, inv.err = response, err
	close(inv.done)
}

func (p *pool) snapshot() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Environments = len(p.all)
	return s
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	line := p.line
	p.line = nil
	var envs []*environment
	for env := range p.all {
		envs = append(envs, env)
	}
	p.mu.Unlock()
	for _, inv := range line {
		p.finish(inv, nil, ErrClosed)
	}
	for _, env := range envs {
		env.end(ErrClosed)
	}
	for _, env := range envs {
		<-env.gone
	}
}
