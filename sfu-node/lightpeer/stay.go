package lightpeer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/pion/rtp"

	"github.com/spillway-sfu/spillway/events"
)

// Staying says how to be in a room for good.
type Staying struct {
	// Joining is the first join; later ones are as it is, but for the session, and
	// avoid only nodes that did not answer.
	Joining Joining
	// Options are those of each connection. Its callbacks OnMessage and OnPacket
	// are not called.
	Options Options
	// Socket makes the socket of each connection; nil leaves that to the connection.
	Socket func() (net.PacketConn, error)
	// Playing is published over each connection.
	Playing Playing
	// PingEvery is how often a sign of life is asked for; as often as the SDK does
	// when 0. Three that do not come are silence.
	PingEvery time.Duration
	// OnMedia gets each packet with a payload, of whom the node has said to be on its
	// section, of each connection in turn; may be nil.
	OnMedia func(connection int, mid, from string, p *rtp.Packet)
	// Crowd is how many people would come back together if the node died.
	Crowd int
	// OnFrame is told of each whole picture, and each packet of sound, of somebody,
	// as it would be shown: during a change of home by the old connection until the
	// new one has a first one. It may run at the same time as itself; may be nil.
	OnFrame func(from string, source events.Source)
	// OnHome is told of each change: the new home, or why there is none at the
	// moment; may be nil.
	OnHome func(node string, why error)
}

// The SDK's times; see sdk/src/state.ts, pulse.ts and retry.ts.
const (
	pingEvery     = 500 * time.Millisecond
	silentPings   = 3
	connectAgain  = 4 * time.Second
	settleWithin  = 15 * time.Second
	settleSilent  = 3 * time.Second // beside an old home that shows no life
	settleLook    = 30 * time.Millisecond
	backEach      = time.Second / 400
	promptTries   = 2
	backoffFirst  = 250 * time.Millisecond
	backoffMost   = 8 * time.Second
	attemptWithin = 25 * time.Second
	joinPatience  = 20 * time.Second
	backPatience  = 180 * time.Second
	recently      = time.Second
)

// Stay joins and stays until ctx is done, then says goodbye. As the SDK does, it
// changes its home when the node asks for it or shows no life: by a second
// connection, beside which the first goes on until what it carried comes over the
// second. It returns nil after ctx is done, or why it is in the room no more.
func Stay(ctx context.Context, o Staying) error {
	if o.PingEvery <= 0 {
		o.PingEvery = pingEvery
	}
	s := &stay{Staying: o, shown: map[feed]shown{}}
	at, err := s.change(ctx, nil, nil, nil, false)
	for err == nil {
		var cause cause
		cause, err = s.await(ctx, at)
		if err != nil {
			break
		}
		switch cause {
		case asked:
			at, err = s.change(ctx, at, nil, nil, false)
		case silent:
			at, err = s.change(ctx, at, []string{at.node}, errSilent, true)
		case ended:
			at.close()
			at, err = s.change(ctx, nil, at.avoid(), errEnded, true)
		}
	}
	if at != nil {
		at.leave()
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// cause is why a home is changed.
type cause int

const (
	asked  cause = iota // by the node
	silent              // the node shows no life
	ended               // the connection is closed
)

var (
	errSilent = errors.New("lightpeer: the node shows no life")
	errEnded  = errors.New("lightpeer: the connection ended")
)

// feed is what somebody publishes.
type feed struct {
	from   string
	source events.Source
}

// shown is where a feed comes from, and when it last came.
type shown struct {
	line int
	at   time.Time
}

type stay struct {
	Staying
	mu    sync.Mutex
	lines int
	shown map[feed]shown
}

// await returns when there is a reason to leave a line.
func (s *stay) await(ctx context.Context, at *line) (cause, error) {
	tick := time.NewTicker(s.PingEvery)
	defer tick.Stop()
	quiet := time.NewTimer(s.silentAfter())
	defer quiet.Stop()
	for n := int64(1); ; {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case code := <-at.closing:
			if !code.Retryable() {
				return 0, events.Errorf(code, "the node ends the session")
			}
			return ended, nil
		case <-at.client.Closed():
			return ended, nil
		case <-at.moves:
			return asked, nil
		case <-tick.C:
			_ = at.client.Ping(n) // what does not get through shows as silence
			n++
		case <-quiet.C:
			left := s.silentAfter() - at.silence()
			if left <= 0 {
				return silent, nil
			}
			quiet.Reset(left)
		}
	}
}

// change takes another home, and returns it, or the old one when that is better.
// Without an old one it is a join, or a return when back is set.
func (s *stay) change(ctx context.Context, old *line, avoid []string, why error, back bool) (*line, error) {
	if why != nil && s.OnHome != nil {
		s.OnHome("", why)
	}
	patience := joinPatience
	if old != nil || back {
		patience = backPatience
	}
	began := time.Now()
	var after time.Duration
	for tries := 0; ; tries++ {
		if tries > 0 || old != nil || back {
			if err := s.pause(ctx, old, why, delay(tries, after, s.Crowd)); err != nil {
				return s.kept(ctx, old, err)
			}
		}
		next, err := s.attempt(ctx, old, why, avoid)
		if err == nil && next != old {
			s.settle(ctx, old, next)
			if next.over() && ctx.Err() == nil {
				avoid, err = append(avoid, next.node), errEnded
				s.forget(next)
			} else {
				if old != nil {
					old.leave()
				}
				if s.OnHome != nil {
					s.OnHome(next.node, nil)
				}
				return next, nil
			}
		}
		if err != nil && ctx.Err() == nil && old != nil && old.over() {
			old.close()
			old = nil
		}
		var refused events.Error
		after = 0
		switch {
		case err == nil || ctx.Err() != nil || errors.Is(err, errRecovered):
			return s.kept(ctx, old, err)
		case errors.As(err, &refused):
			if !refused.Code.Retryable() || time.Since(began) > patience {
				if old == nil {
					return nil, err
				}
				return s.kept(ctx, old, err)
			}
			after = time.Duration(refused.RetryAfterMs) * time.Millisecond
		case time.Since(began) > patience:
			return nil, err
		}
		if old == nil {
			why = err
		}
	}
}

// errRecovered says that the old home shows life again.
var errRecovered = errors.New("lightpeer: the old home is back")

// kept returns an old home as the one to stay at.
func (s *stay) kept(ctx context.Context, old *line, err error) (*line, error) {
	if ctx.Err() != nil {
		return old, ctx.Err()
	}
	if old == nil {
		return nil, err
	}
	if s.OnHome != nil {
		s.OnHome(old.node, nil)
	}
	return old, nil
}

// pause waits, but not for longer than an old home that was silent is.
func (s *stay) pause(ctx context.Context, old *line, why error, d time.Duration) error {
	tick := time.NewTicker(settleLook)
	defer tick.Stop()
	for until := time.Now().Add(d); time.Now().Before(until); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if recovered(old, why) {
				return errRecovered
			}
		}
	}
	return nil
}

// attempt makes one more connection, and gives it up if the old home recovers.
func (s *stay) attempt(ctx context.Context, old *line, why error, avoid []string) (*line, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, attemptWithin, errors.New("lightpeer: no answer"))
	defer cancel()
	type result struct {
		line *line
		err  error
	}
	done := make(chan result, 1)
	go func() {
		l, err := s.open(ctx, old, avoid)
		done <- result{l, err}
	}()
	tick := time.NewTicker(s.PingEvery)
	defer tick.Stop()
	for n := int64(1_000_000); ; n++ {
		select {
		case r := <-done:
			return r.line, r.err
		case <-tick.C:
			if old == nil {
				continue
			}
			_ = old.client.Ping(n)
			if recovered(old, why) {
				cancel()
				if r := <-done; r.line != nil {
					s.forget(r.line)
				}
				return old, errRecovered
			}
		}
	}
}

// open joins once, and begins to publish.
func (s *stay) open(ctx context.Context, old *line, avoid []string) (*line, error) {
	s.mu.Lock()
	s.lines++
	l := newLine(s, s.lines)
	s.mu.Unlock()
	opt := s.Options
	opt.OnPacket, opt.OnMessage = l.onPacket, l.onMessage
	if s.Socket != nil {
		var err error
		if opt.Socket, err = s.Socket(); err != nil {
			return nil, fmt.Errorf("lightpeer: open socket: %w", err)
		}
	}
	client, err := New(opt)
	if err != nil {
		return nil, err
	}
	l.client = client
	j := s.Joining
	j.Session, j.From = rand.Text(), ""
	if old != nil && !old.over() {
		j.From = old.session
	}
	if l.number > 1 {
		j.Avoid, j.ConnectWithin = avoid, connectAgain
	}
	l.session = j.Session
	answer, err := client.Join(ctx, j)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	l.node = answer.Node
	l.hear()
	if tracks := s.Playing.Tracks(); len(tracks) > 0 {
		if err := client.Send(events.Tracks{Header: events.Head(events.ActionTracks), Revision: 1, Tracks: tracks}); err != nil {
			return nil, errors.Join(err, client.Close())
		}
		playing, stop := context.WithCancel(context.Background())
		l.stop = stop
		l.work.Go(func() { _ = client.Play(playing, s.Playing) }) // its end shows as the connection's
	}
	return l, nil
}
