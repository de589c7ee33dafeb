package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spillway-sfu/spillway/bench"
	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/infra/local/harness"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
	"github.com/spillway-sfu/spillway/shared/token"
)

// audience is everybody in the room.
type audience struct {
	options
	stack     *harness.Stack
	cancel    context.CancelFunc
	staying   context.Context
	work      sync.WaitGroup
	viewers   []*viewer
	measuring atomic.Bool

	mu        sync.Mutex
	latencies map[string]*histogram // by home
	out       map[string]error      // who is out for good
}

func newAudience(o options, stack *harness.Stack) *audience {
	a := &audience{options: o, stack: stack, latencies: map[string]*histogram{}, out: map[string]error{}}
	a.staying, a.cancel = context.WithCancel(context.Background())
	return a
}

// leave lets everybody go, and waits.
func (a *audience) leave() {
	a.cancel()
	a.work.Wait()
}

func (a *audience) latency(home string) *histogram {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.latencies[home]
	if h == nil {
		h = &histogram{}
		a.latencies[home] = h
	}
	return h
}

// stay has somebody in the room until everybody leaves. home is told of each home.
func (a *audience) stay(name string, role events.Role, s lightpeer.Staying, home func(string, error)) error {
	minted, err := a.stack.Mint(token.Claims{Identity: name, Name: name, Room: roomName, Join: true,
		CanPublish: role == events.Publisher, CanSubscribe: true, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		return err
	}
	s.Joining = lightpeer.Joining{URL: a.stack.Socket, Token: minted, Role: role}
	s.Options.Loopback, s.Options.Content, s.Options.Mute = true, true, true
	s.PingEvery, s.Crowd, s.OnHome = a.ping, max(1, len(a.viewers)/max(1, a.nodes)), home
	a.work.Go(func() {
		if err := lightpeer.Stay(a.staying, s); err != nil {
			a.mu.Lock()
			a.out[name] = err
			a.mu.Unlock()
			home("", err)
		}
	})
	return nil
}

// gather brings everybody in: those on stage first, then the viewers, some at a time.
func (a *audience) gather(ctx context.Context, out io.Writer) error {
	for i := range a.publishers {
		if err := a.perform(ctx, fmt.Sprintf("stage-%d", i)); err != nil {
			return err
		}
	}
	began := time.Now()
	turns := make(chan struct{}, a.joining)
	late := time.After(a.within)
	tell := time.NewTicker(10 * time.Second)
	defer tell.Stop()
	for i := 0; i < a.options.viewers; {
		select {
		case turns <- struct{}{}:
			i++
		case <-tell.C:
			fmt.Fprintf(os.Stderr, "%d have asked to join after %.0f s; load average %s\n", i, time.Since(began).Seconds(), loadAverage())
			continue
		case <-late:
			fmt.Fprintf(out, "%d of %d could be asked in within %v\n", i, a.options.viewers, a.within)
			a.options.viewers = i
			continue
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := a.watch(fmt.Sprintf("viewer-%d", i-1), func() { <-turns }); err != nil {
			return err
		}
	}
	if !a.settle(ctx, a.back) {
		fmt.Fprintf(out, "not everybody sees the stage: %s\n", a.lacking())
	}
	var took []float64
	for _, v := range a.viewers {
		v.mu.Lock()
		took = append(took, float64(v.joined.Milliseconds()))
		v.mu.Unlock()
	}
	fmt.Fprintf(out, "%d viewers asked to join, %d at a time, within %.0f s: %s; load average %s\n",
		len(a.viewers), a.joining, time.Since(began).Seconds(), bench.Spread(took), loadAverage())
	return ctx.Err()
}

// perform brings somebody onto the stage, and returns when they are there.
func (a *audience) perform(ctx context.Context, name string) error {
	there := make(chan error, 64)
	err := a.stay(name, events.Publisher, lightpeer.Staying{
		Options: lightpeer.Options{Audio: 1, Video: 1}, Playing: lightpeer.Playing{Layers: []string{"q"}, Stamp: true},
	}, func(_ string, why error) {
		select {
		case there <- why:
		default:
		}
	})
	if err != nil {
		return err
	}
	select {
	case why := <-there:
		return why
	case <-time.After(a.back):
		return fmt.Errorf("%s does not come in", name)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watch begins to bring a viewer in; done is called when that has come out.
func (a *audience) watch(name string, done func()) error {
	v := &viewer{of: a, name: name, streams: map[stream]uint16{}, last: map[string]time.Time{}}
	a.viewers = append(a.viewers, v)
	asked := time.Now()
	var once sync.Once
	return a.stay(v.name, events.Viewer, lightpeer.Staying{
		Options: lightpeer.Options{Audio: 1, Video: max(1, a.publishers)}, OnMedia: v.onMedia, OnFrame: v.onFrame,
	}, func(node string, why error) {
		v.onHome(node, why)
		once.Do(func() {
			v.mu.Lock()
			v.joined = time.Since(asked)
			v.mu.Unlock()
			done()
		})
	})
}

// settle waits until all viewers see everybody on stage.
func (a *audience) settle(ctx context.Context, within time.Duration) bool {
	for end := time.Now().Add(within); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		if !slices.ContainsFunc(a.viewers, func(v *viewer) bool { return !v.sees(time.Second) }) {
			return true
		}
	}
	return false
}

// lacking says who has no home, or no picture.
func (a *audience) lacking() string {
	homeless, blind := 0, 0
	var why error
	for _, v := range a.viewers {
		sees := v.sees(time.Second)
		v.mu.Lock()
		switch {
		case v.home == "":
			homeless++
			why = v.why
		case !sees:
			blind++
		}
		v.mu.Unlock()
	}
	return fmt.Sprintf("%d have no home (of one: %v), %d no picture of everybody", homeless, why, blind)
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(text))[0]
}

// kill ends a node's process at once.
func kill(n *node) error { return syscall.Kill(n.pid, syscall.SIGKILL) }
