package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/step"
)

// end is who holds the other end of a connection.
type end interface {
	receive(c *conn, m events.Message)
	hungUp(c *conn)
}

// conn is a WebSocket: what the gateway believes of it and what the client
// does may differ for a while.
type conn struct {
	id     string
	caller control.Caller
	end    end
	border events.Border
	// open is the gateway's view, live the client's.
	open, live bool
	n          uint64
}

// gateway carries messages between clients and functions. While it is down
// nothing passes and all connections break.
type gateway struct {
	t     *trial
	conns map[string]*conn
	order []*conn // the open ones, by age
	n     int
	down  bool
}

// dial opens a connection, or returns nil while that is impossible.
func (g *gateway) dial(caller control.Caller, border events.Border, e end) *conn {
	if g.down {
		return nil
	}
	g.n++
	c := &conn{id: fmt.Sprintf("c%d", g.n), caller: caller, end: e, border: border, open: true, live: true}
	c.caller.Connection = c.id
	g.conns[c.id] = c
	g.order = append(g.order, c)
	return c
}

// hangUp is the client's end of a connection; whether the gateway notices at
// once, late or never is its own affair.
func (g *gateway) hangUp(c *conn) {
	if c == nil || !c.live {
		return
	}
	c.live = false
	if g.t.fault(g.t.weather.halfOpen, "the gateway does not notice an end", c.id) {
		g.t.after(10*time.Minute, func() { g.forget(c) })
		return
	}
	g.t.after(g.t.delay(name(c.id), 10*time.Millisecond, time.Second), func() { g.disconnect(c) })
}

func (g *gateway) disconnect(c *conn) {
	if !c.open {
		return
	}
	g.forget(c)
	if g.t.fault(g.t.weather.lost, "$disconnect is lost", c.id) {
		return
	}
	if c.caller.Node != "" {
		g.t.call("closed", string(c.caller.Node), 10*time.Second, func(ctx context.Context, w *step.World) error { return w.Closed(ctx, c.caller) }, nil)
		return
	}
	g.t.call("disconnected", string(c.caller.Key), 10*time.Second, func(ctx context.Context, w *step.World) error { return w.Disconnected(ctx, c.caller) }, nil)
}

func (g *gateway) forget(c *conn) {
	c.open = false
	delete(g.conns, c.id)
}

// close ends a connection from the side of the functions, or with the gateway.
func (g *gateway) close(id string) {
	c := g.conns[id]
	if c == nil {
		return
	}
	g.forget(c)
	if c.live {
		c.live = false
		c.end.hungUp(c)
	}
}

// outage takes the gateway down for a while.
func (g *gateway) outage(d time.Duration) {
	g.t.note("the gateway is down for %s", d)
	g.down = true
	for _, c := range g.order {
		if c.open {
			g.close(c.id)
		}
	}
	g.order = nil
	g.t.after(d, func() { g.down = false; g.t.note("the gateway is up") })
}

// send carries a client's message to the function that serves its route.
func (g *gateway) send(c *conn, kind string, id string, serve func(context.Context, *step.World, control.Caller) error) {
	if c == nil || !c.live || g.down {
		return
	}
	c.n++
	who := string(c.caller.Key) + string(c.caller.Node)
	w := g.t.weather
	if g.t.fault(w.lost, kind+" is lost on its way in", who, g.t.count("in "+who)) {
		return
	}
	invoke := func() {
		g.t.call(kind, who, 10*time.Second, func(ctx context.Context, world *step.World) error {
			err := serve(ctx, world, c.caller)
			if err != nil {
				g.reply(ctx, world, c, id, err)
			}
			return err
		}, func(call *call, err error) { g.t.watch.refused(c, call, err) })
	}
	d := g.t.delay(mix(name(c.id), c.n), 5*time.Millisecond, 30*time.Millisecond)
	if g.t.fault(w.late, kind+" is late", who, g.t.count("late "+who)) {
		d += g.t.delay(mix(name(c.id), c.n, 1), 100*time.Millisecond, 6*time.Second)
	}
	g.t.after(d, invoke)
	if g.t.fault(w.twice, kind+" comes twice", who, g.t.count("twice "+who)) {
		g.t.after(d+g.t.delay(mix(name(c.id), c.n, 2), 0, 3*time.Second), invoke)
	}
}

// reply tells the caller of an error, as the functions do.
func (g *gateway) reply(ctx context.Context, w *step.World, c *conn, id string, err error) {
	var told *events.Error
	switch {
	case errors.As(err, &told):
	case errors.Is(err, step.ErrBusy):
		told = events.Errorf(events.CodeBusy, "too much is going on; try again")
		told.RetryAfterMs = 1000
	default:
		told = events.Errorf(events.CodeInternal, "something went wrong here; try again")
		told.RetryAfterMs = 2000
	}
	data, err := json.Marshal(told.For(id))
	if err == nil {
		_ = w.Push.Post(ctx, c.id, data) // lost like any other message
	}
}

// post carries a message to a client.
func (g *gateway) post(by *call, id string, data []byte) error {
	c := g.conns[id]
	switch {
	case g.down:
		return errFault
	case c == nil:
		return step.ErrGone
	case by.hit(g.t.weather.full, "429", "post"):
		return step.ErrBusy
	case by.hit(g.t.weather.lost, "lost on its way out", "post"):
		return nil
	}
	m, err := events.Decode(c.border, data)
	if err != nil {
		g.t.fail("%s sends what is no message: %v: %s", by.what, err, data)
		return nil
	}
	deliver := func() {
		if c.live {
			g.t.mark(name(c.id))
			c.end.receive(c, m)
		}
	}
	d := g.t.delay(mix(by.id, by.ops, 4), 5*time.Millisecond, 40*time.Millisecond)
	if by.hit(g.t.weather.late, "late", "post") {
		d += g.t.delay(mix(by.id, by.ops, 5), 100*time.Millisecond, 5*time.Second)
	}
	g.t.after(d, deliver)
	if by.hit(g.t.weather.twice, "delivered twice", "post") {
		g.t.after(d+g.t.delay(mix(by.id, by.ops, 6), 0, 2*time.Second), deliver)
	}
	return nil
}
