package agent

import (
	"context"
	"sync"
	"time"

	"github.com/spillway-sfu/spillway/events"
)

const (
	// An answer is of no use once its participant has asked again several times; a
	// departure is, until the list of everybody says the same.
	answerWithin = 10 * time.Second
	leftWithin   = 2 * time.Minute

	maxQueued = 10_000
)

// outbox holds messages until some socket takes them.
type outbox struct {
	wake chan struct{} // something to do → sendAll

	mu    sync.Mutex
	queue []queued
	idle  []chan struct{} // closed when the queue is empty
}

type queued struct {
	raw   []byte
	until time.Time
}

func newOutbox() outbox { return outbox{wake: make(chan struct{}, 1)} }

// send queues a message, which is given up after within. It does not block.
func (a *Agent) send(m events.Message, within time.Duration) {
	raw, err := encode(m)
	if err != nil {
		a.log.Error("message cannot be sent", "error", err)
		return
	}
	a.out.mu.Lock()
	defer a.out.mu.Unlock()
	if len(a.out.queue) >= maxQueued {
		a.log.Error("too many messages wait for a socket: one is dropped", "bytes", len(raw))
		return
	}
	a.out.queue = append(a.out.queue, queued{raw: raw, until: time.Now().Add(within)})
	a.out.poke()
}

func (o *outbox) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// next takes the oldest message that is still of use.
func (o *outbox) next(now time.Time) (queued, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) > 0 && now.After(o.queue[0].until) {
		o.queue = o.queue[1:]
	}
	if len(o.queue) == 0 {
		for _, c := range o.idle {
			close(c)
		}
		o.idle = nil
		return queued{}, false
	}
	return o.queue[0], true
}

// done removes the message that next returned.
func (o *outbox) done() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = o.queue[1:]
}

// drain waits until the queue is empty or ctx is done.
func (o *outbox) drain(ctx context.Context) {
	o.mu.Lock()
	empty := make(chan struct{})
	if len(o.queue) == 0 {
		close(empty)
	} else {
		o.idle = append(o.idle, empty)
	}
	o.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	}
}

// sendAll writes what is queued, in order, over whichever socket takes it, until
// the agent is closed. Without a socket it waits for one.
func (a *Agent) sendAll() {
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-a.out.wake:
		}
		for {
			q, ok := a.out.next(time.Now())
			if !ok {
				break
			}
			if _, ok := a.write(q.raw); !ok {
				break // a new socket wakes us
			}
			a.out.done()
		}
	}
}
