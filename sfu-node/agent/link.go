package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/spillway-sfu/spillway/events"
)

const writeWithin = 5 * time.Second

// link is one socket to the gateway.
type link struct {
	slot  int
	conn  *websocket.Conn
	hello time.Time // when hello was sent

	once    sync.Once
	ready   chan struct{} // closed by the welcome
	dead    chan struct{} // closed when reading has ended
	closing sync.Once

	beats int // heartbeats sent on it since it was heard; guarded by Agent.mu
}

func (l *link) welcomed() bool {
	select {
	case <-l.ready:
		return true
	default:
		return false
	}
}

func (l *link) close(why string) {
	l.closing.Do(func() { go func() { _ = l.conn.Close(websocket.StatusNormalClosure, why) }() })
}

// write sends one message. A link that does not take it is closed.
func (l *link) write(ctx context.Context, raw []byte) error {
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	err := l.conn.Write(ctx, websocket.MessageText, raw)
	if err != nil {
		l.close("write failed")
	}
	return err
}

// keep holds a slot's socket open until the agent is closed.
func (a *Agent) keep(slot int) {
	for failures := 0; a.wanted(); {
		l, err := a.open(slot)
		if err != nil {
			a.log.Warn("no socket to the control plane", "slot", slot, "failures", failures+1, "error", err)
			a.pause(a.backoff(failures))
			failures++
			continue
		}
		failures = 0
		a.serve(l)
	}
}

// wanted reports whether sockets are to be open.
func (a *Agent) wanted() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.closing && a.ctx.Err() == nil
}

// serve lets a socket live, and replaces it when it is old: the new one is
// welcomed before the old one goes. It returns when there is none.
func (a *Agent) serve(l *link) {
	defer func() { a.uninstall(l) }()
	rotate := time.NewTimer(a.rotation())
	defer rotate.Stop()
	for {
		select {
		case <-a.ctx.Done():
			l.close("node stops")
			<-l.dead
			return
		case <-l.dead:
			a.log.Info("socket to the control plane is gone", "slot", l.slot)
			return
		case <-rotate.C:
			fresh, err := a.open(l.slot)
			if err != nil {
				a.log.Warn("socket could not be replaced yet", "slot", l.slot, "error", err)
				rotate.Reset(a.backoff(3))
				continue
			}
			// Who read the node a moment before still posts to the old one.
			old := l
			time.AfterFunc(a.cfg.Linger, func() { old.close("replaced") })
			l = fresh
			rotate.Reset(a.rotation())
		}
	}
}

// rotation is when to replace a socket: jittered, so that the slots of a node
// and the nodes of a fleet do not do it together.
func (a *Agent) rotation() time.Duration {
	return time.Duration(float64(a.cfg.Rotate) * (0.95 + 0.1*rand.Float64()))
}

// backoff is how long to wait after so many failures in a row.
func (a *Agent) backoff(failures int) time.Duration {
	d := a.cfg.RetryFirst << min(failures, 16)
	if d <= 0 || d > a.cfg.RetryMost {
		d = a.cfg.RetryMost
	}
	return d/2 + rand.N(d/2+1)
}

func (a *Agent) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-a.ctx.Done():
	}
}

// open dials, says hello and waits for the welcome.
func (a *Agent) open(slot int) (*link, error) {
	ctx, cancel := context.WithTimeout(a.ctx, a.cfg.WelcomeWithin)
	defer cancel()
	u, err := url.Parse(a.cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("gateway address: %w", err)
	}
	q := u.Query()
	a.mu.Lock()
	q.Set("access_token", a.token)
	a.mu.Unlock()
	u.RawQuery = q.Encode()
	conn, response, err := websocket.Dial(ctx, u.String(), nil)
	if err != nil {
		if response != nil {
			return nil, fmt.Errorf("dial gateway: status %d", response.StatusCode)
		}
		return nil, errors.New("dial gateway: " + withoutURL(err))
	}
	conn.SetReadLimit(events.MaxMessage)
	l := &link{slot: slot, conn: conn, hello: time.Now(), ready: make(chan struct{}), dead: make(chan struct{})}
	a.work(func() { a.read(l) })

	hello, err := encode(events.Hello{
		Header: events.Head(events.ActionHello), Node: a.cfg.Node, Boot: a.cfg.Boot, Slot: slot,
		Addresses: a.cfg.Addresses, Fingerprint: a.cfg.Fingerprint, PipePort: a.cfg.PipePort, Build: a.cfg.Build,
	})
	if err == nil {
		err = l.write(ctx, hello)
	}
	if err != nil {
		l.close("hello failed")
		return nil, fmt.Errorf("say hello: %w", err)
	}
	select {
	case <-l.ready:
		return l, nil
	case <-l.dead:
		return nil, errors.New("say hello: socket closed instead of a welcome")
	case <-ctx.Done():
		l.close("no welcome")
		return nil, fmt.Errorf("say hello: %w", ctx.Err())
	}
}

// withoutURL keeps the token out of logs: the errors of dialling quote the
// address.
func withoutURL(err error) string {
	var dial *url.Error
	if errors.As(err, &dial) {
		return dial.Err.Error()
	}
	return "failed"
}

// read takes messages until the socket ends.
func (a *Agent) read(l *link) {
	defer close(l.dead)
	defer func() { _ = l.conn.CloseNow() }()
	for {
		kind, raw, err := l.conn.Read(a.ctx)
		if err != nil {
			return
		}
		if kind == websocket.MessageText {
			a.take(l, raw)
		}
	}
}

// welcome installs a link. One whose welcome is for another process or a past
// generation is closed.
func (a *Agent) welcome(l *link, w events.Welcome) {
	if w.Node != a.cfg.Node || w.Boot != a.cfg.Boot || w.Slot != l.slot {
		a.log.Warn("welcome for somebody else", "slot", l.slot, "node", w.Node)
		l.close("not for us")
		return
	}
	a.mu.Lock()
	first, ok := a.lease.welcome(w, l.hello)
	if ok {
		a.links[l.slot] = l
	}
	a.mu.Unlock()
	if !ok {
		l.close("past generation")
		return
	}
	l.once.Do(func() { close(l.ready) })
	a.out.poke()
	if first {
		a.log.Info("welcome", "generation", w.Generation, "heartbeatMs", w.HeartbeatMs, "leaseMs", w.LeaseMs)
		select {
		case a.beat <- struct{}{}:
		default:
		}
	}
}

func (a *Agent) uninstall(l *link) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.links[l.slot] == l {
		a.links[l.slot] = nil
	}
}

// usable lists the open links, the one used longest ago first.
func (a *Agent) usable() []*link {
	a.mu.Lock()
	defer a.mu.Unlock()
	var links []*link
	for i := range a.links {
		if l := a.links[(a.next+i)%len(a.links)]; l != nil {
			links = append(links, l)
		}
	}
	a.next = (a.next + 1) % len(a.links)
	return links
}

// write sends a message over one link, or over another if that does not take
// it. It returns the link that did.
func (a *Agent) write(raw []byte) (*link, bool) {
	for _, l := range a.usable() {
		if l.write(a.ctx, raw) == nil {
			return l, true
		}
		a.uninstall(l)
	}
	return nil, false
}

// encode writes a message for the gateway, which takes no more than a frame.
func encode(m events.Message) ([]byte, error) {
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	if len(raw) > events.MaxFrame {
		return nil, fmt.Errorf("encode: %d bytes are more than a frame", len(raw))
	}
	return raw, nil
}
