package trial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/step"
)

// died is the panic that ends a function in the middle.
type died struct{}

var errFault = errors.New("the service failed")

// call is one invocation of a function: a coroutine that runs until its next
// request to the outside, which takes time in which others go on. It is what
// step.World sees of the world.
type call struct {
	t      *trial
	kind   string
	what   string // kind and caller
	id     uint64
	ops    uint64
	began  int64
	ends   int64 // the function's deadline
	spread uint64
	// strands are its coroutines, the function itself first; now is the one that
	// runs.
	strands []*strand
	now     *strand
	// What it has attempted of the store, and what it has made.
	commits, writes, conflicts int
	made                       [][]control.Change
	// struck counts the faults that hit it.
	struck int
	dead   bool
	err    error
}

// call invokes a function on behalf of who. then, if not nil, runs when it ends,
// unless it dies.
func (t *trial) call(kind, who string, limit time.Duration, f func(context.Context, *step.World) error, then func(*call, error)) {
	what := kind + " " + who
	c := &call{t: t, kind: kind, what: what, id: mix(name(what), t.count(what)), began: t.clock.now, ends: t.clock.now + int64(limit)}
	w := &step.World{Store: c, Push: c, Instances: c, Bus: c, Tickets: tickets{}, Settings: t.set, Log: t.log(c), Now: t.now,
		Spread: func() uint64 { c.spread++; return mix(t.cfg.Seed, c.id, c.spread) >> 33 },
		Pause:  func(_ context.Context, d time.Duration) error { c.wait(d); return nil }}
	w.AtOnce = c.atOnce
	if t.weather.tokenLasts > 0 {
		w.NodeToken = t.nodeTokenFor
	}
	main := c.strand(func() { c.err = f(context.Background(), w) }, func() {
		delete(t.calls, c)
		t.mark(c.id)
		if t.finished != nil {
			t.finished(c)
		}
		if !c.dead && then != nil {
			then(c, c.err)
		}
	})
	t.calls[c] = true
	t.after(t.delay(c.id, time.Millisecond, 20*time.Millisecond), main.resume)
}

// strand is a coroutine of a call: the function itself, or one of those that it
// runs side by side.
type strand struct {
	c    *call
	next func() (time.Duration, bool)
	stop func()
	// yield is what the strand waits by.
	yield func(time.Duration) bool
	ended func()
	over  bool
}

// parked is the wait of a strand that another one resumes.
const parked = time.Duration(-1)

func (c *call) strand(f func(), ended func()) *strand {
	s := &strand{c: c, ended: ended}
	s.next, s.stop = iter.Pull(func(yield func(time.Duration) bool) {
		defer func() {
			if r := recover(); r != nil {
				if _, ok := r.(died); !ok {
					panic(r)
				}
				c.dead = true
			}
		}()
		s.yield = yield
		f()
	})
	c.strands = append(c.strands, s)
	return s
}

// resume lets a strand go on to its next request.
func (s *strand) resume() {
	if s.over || s.c.dead {
		return
	}
	s.c.now = s
	d, ok := s.next()
	switch {
	case s.c.dead: // one that dies takes the others along
		s.c.stop()
		s.c.strands[0].ended()
	case !ok:
		s.over = true
		s.ended()
	case d != parked:
		s.c.t.after(d, s.resume)
	}
}

// stop ends all strands where they are.
func (c *call) stop() {
	c.dead = true
	for _, s := range c.strands {
		s.over = true
		s.stop()
	}
}

// atOnce runs functions side by side: each of their requests takes its own time.
func (c *call) atOnce(each []func()) {
	parent, left := c.now, len(each)
	for _, f := range each {
		s := c.strand(f, func() {
			if left--; left == 0 {
				c.t.after(0, parent.resume)
			}
		})
		c.t.after(0, s.resume)
	}
	if left > 0 && !parent.yield(parked) {
		panic(died{})
	}
}

// delay is how long something takes, calm or not.
func (t *trial) delay(id uint64, from, to time.Duration) time.Duration {
	if t.calm {
		return from
	}
	d := dice{seed: mix(t.cfg.Seed, id)}
	return d.between(from, to)
}

// wait lets time pass for the call. A function whose deadline has passed is
// ended.
func (c *call) wait(d time.Duration) {
	if c.t.clock.now+int64(d) > c.ends {
		c.t.note("%s runs out of time", c.what)
		panic(died{})
	}
	if c.t.calm && d < 10*time.Millisecond {
		return
	}
	if !c.now.yield(d) {
		panic(died{})
	}
}

// request is the way of a request to a service; answer the way back. The
// function may die on either.
func (c *call) request(what string) {
	c.ops++
	c.wait(c.t.delay(mix(c.id, c.ops), time.Millisecond, 8*time.Millisecond))
	c.mayDie("before", what)
	if s := c.t.scripted("slow", c.what, what); s != nil {
		c.struck++
		c.wait(s.lasts)
	} else if c.hit(c.t.weather.slow, "slow", what) {
		c.wait(c.t.delay(mix(c.id, c.ops, 1), 100*time.Millisecond, 3*time.Second))
	}
}

func (c *call) answer(what string) {
	c.mayDie("after", what)
	c.wait(c.t.delay(mix(c.id, c.ops, 2), time.Millisecond, 4*time.Millisecond))
}

func (c *call) mayDie(when, what string) {
	if c.hit(c.t.weather.dies, "dies "+when, what) {
		panic(died{})
	}
}

// hit decides whether a fault hits the present request.
func (c *call) hit(p float64, fault, what string) bool {
	if s := c.t.scripted(fault, c.what, what); s != nil {
		c.struck++
		return true
	}
	if c.t.calm || p <= 0 {
		return false
	}
	id := mix(c.t.cfg.Seed, c.id, c.ops, name(fault))
	if unit(id) >= p || c.t.cfg.Muted[id] {
		return false
	}
	c.struck++
	c.t.strike(id, fmt.Sprintf("%s, request %d (%s): %s", c.what, c.ops, what, fault))
	return true
}

// scripted is a fault that a scenario wants: the first time that the function's
// caller and request match.
type scripted struct {
	fault, call, request string
	// lasts is for how long a request is slow.
	lasts time.Duration
	done  bool
}

func (t *trial) scripted(fault, call, request string) *scripted {
	for _, s := range t.script {
		if !s.done && s.fault == fault && s.call == call && s.request == request {
			s.done = true
			t.strike(0, call+", "+request+": "+fault+" (scripted)")
			return s
		}
	}
	return nil
}

// Get implements [step.Store].
func (c *call) Get(ctx context.Context, consistent bool, keys ...step.Key) (step.Items, error) {
	c.request("get")
	if err := c.storeFault("get"); err != nil {
		return step.Items{}, err
	}
	items, err := c.t.store.get(ctx, c, consistent, keys)
	c.answer("get")
	return items, err
}

// Find implements [step.Store].
func (c *call) Find(ctx context.Context, q step.Query) (step.Items, error) {
	what := fmt.Sprintf("find %T", q)
	c.request(what)
	if err := c.storeFault(what); err != nil {
		return step.Items{}, err
	}
	items, err := c.t.store.find(ctx, q)
	c.answer(what)
	return items, err
}

func (c *call) storeFault(what string) error {
	if c.hit(c.t.weather.busy, "throttled", what) {
		return step.ErrBusy
	}
	if c.hit(c.t.weather.failed, "failed", what) {
		return errFault
	}
	return nil
}

// Commit implements [step.Store].
func (c *call) Commit(ctx context.Context, changes []control.Change) error {
	what := fmt.Sprintf("%T", changes[0])[len("control."):]
	c.request(what)
	c.commits++
	c.writes += len(changes)
	if c.held(changes) {
		c.conflicts++
		return step.ErrConflict
	}
	err := c.storeFault(what)
	if err == nil && c.hit(c.t.weather.conflict/float64(4-min(len(changes), 3)), "conflict", what) {
		err = step.ErrConflict
	}
	if err != nil {
		return err
	}
	if err = c.t.store.commit(ctx, c, changes); err == nil {
		c.made = append(c.made, changes)
	} else {
		c.conflicts++
	}
	if err == nil && c.hit(c.t.weather.unsure, "made, answer lost", what) {
		// The SDK sends the same request again. A transaction is recognised by its
		// token; a single write meets what it has written itself.
		switch {
		case c.t.delay(mix(c.id, c.ops, 3), 0, 2) == 0:
			err = errFault
		case len(changes) == 1:
			err = c.t.store.commit(ctx, c, changes)
		}
	}
	c.answer(what)
	return err
}

// Post implements [step.Push].
func (c *call) Post(_ context.Context, connection string, data []byte) error {
	c.request("post")
	err := c.t.gateway.post(c, connection, data)
	c.answer("post")
	return err
}

// Close implements [step.Push].
func (c *call) Close(_ context.Context, connection string) error {
	c.request("close")
	c.t.gateway.close(connection)
	return nil
}

// Launch implements [step.Instances].
func (c *call) Launch(_ context.Context, l fleet.Launch) control.LaunchOutcome {
	c.request("launch")
	out := c.t.ec2.launch(c, l)
	c.answer("launch")
	return out
}

// Terminate implements [step.Instances].
func (c *call) Terminate(_ context.Context, x control.Termination) error {
	c.request("terminate")
	if c.hit(c.t.weather.ec2Unsure, "failed", "terminate") {
		return errFault
	}
	c.t.ec2.terminate(x)
	c.answer("terminate")
	return nil
}

// List implements [step.Instances].
func (c *call) List(context.Context) ([]control.Instance, error) {
	c.request("list instances")
	if c.hit(c.t.weather.ec2Unsure/3, "failed", "list instances") {
		return nil, errFault
	}
	return c.t.ec2.list(), nil
}

// RequestCapacity implements [step.Bus].
func (c *call) RequestCapacity(context.Context, string, string) error {
	c.request("request capacity")
	if !c.hit(c.t.weather.busLost, "lost", "request capacity") {
		c.t.after(c.t.delay(mix(c.id, c.ops), 50*time.Millisecond, 500*time.Millisecond), c.t.capacity)
	}
	return nil
}

// log puts decisions into the trace.
func (t *trial) log(c *call) *slog.Logger {
	if t.cfg.Trace == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(traced{t, c}, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case slog.TimeKey, slog.LevelKey, "tookMs", "storeRequests", "readUnits", "writeUnits", "inputs":
			return slog.Attr{}
		}
		return a
	}}))
}

type traced struct {
	t *trial
	c *call
}

var _ io.Writer = traced{}

// Write implements [io.Writer].
func (w traced) Write(line []byte) (int, error) {
	w.t.note("  %s: %s", w.c.what, line[:len(line)-1])
	return len(line), nil
}
