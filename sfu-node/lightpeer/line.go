package lightpeer

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"

	"github.com/spillway-sfu/spillway/events"
)

// line is one connection of somebody who stays.
type line struct {
	of     *stay
	number int // later ones have higher numbers

	client  *Client
	node    string
	session string
	heard   atomic.Int64 // Unix nanoseconds
	moves   chan struct{}
	closing chan events.Code
	gone    atomic.Bool // closed because its node goes
	stop    context.CancelFunc
	work    sync.WaitGroup

	mu       sync.Mutex
	revision int64
	feeds    map[string]feed // by section
}

func newLine(of *stay, number int) *line {
	return &line{of: of, number: number, moves: make(chan struct{}, 1), closing: make(chan events.Code, 1), feeds: map[string]feed{}, stop: func() {}}
}

func (s *stay) silentAfter() time.Duration { return silentPings * s.PingEvery }

func (l *line) hear() { l.heard.Store(time.Now().UnixNano()) }

// silence is how long nothing has come.
func (l *line) silence() time.Duration { return time.Since(time.Unix(0, l.heard.Load())) }

// over reports whether the connection has ended.
func (l *line) over() bool {
	select {
	case <-l.client.Closed():
		return true
	default:
		return false
	}
}

// avoid is where not to go after this line's end.
func (l *line) avoid() []string {
	if l.gone.Load() {
		return []string{l.node}
	}
	return nil
}

// mapped reports whether the node has said what is on which stream.
func (l *line) mapped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.revision > 0
}

func (l *line) onMessage(m events.Message) {
	l.hear()
	switch m := m.(type) {
	case events.Streams:
		l.mu.Lock()
		defer l.mu.Unlock()
		if m.Revision <= l.revision {
			return
		}
		l.revision = m.Revision
		clear(l.feeds)
		for _, s := range m.Streams {
			if !s.Paused {
				l.feeds[s.Mid] = feed{s.Participant, s.Source}
			}
		}
	case events.Move:
		select {
		case l.moves <- struct{}{}:
		default:
		}
	case events.Closing:
		l.gone.Store(m.Code == events.CodeNodeGone)
		select {
		case l.closing <- m.Code:
		default:
		}
	}
}

func (l *line) onPacket(mid string, p *rtp.Packet) {
	l.hear()
	l.mu.Lock()
	f, known := l.feeds[mid]
	l.mu.Unlock()
	if known && len(p.Payload) > 0 && l.of.OnMedia != nil {
		l.of.OnMedia(l.number, mid, f.from, p)
	}
	if !known || len(p.Payload) == 0 || f.source.Kind() == "video" && !p.Marker {
		return
	}
	l.of.show(l.number, f)
}

// goodbyeWithin is how long a goodbye may take; the node notices otherwise.
const goodbyeWithin = 300 * time.Millisecond

// leave says goodbye and closes.
func (l *line) leave() {
	if !l.over() && l.client.Send(events.Goodbye{Header: events.Head(events.ActionGoodbye)}) == nil {
		select { // the node hangs up when it has heard it
		case <-l.client.Closed():
		case <-time.After(goodbyeWithin):
		}
	}
	l.close()
}

func (l *line) close() {
	l.stop()
	_ = l.client.Close() // nobody uses it any more
	l.work.Wait()
}

// recovered reports whether a home that was left for its silence shows life.
func recovered(old *line, why error) bool {
	return old != nil && errors.Is(why, errSilent) && !old.over() && old.silence() < old.of.silentAfter()/2
}

// delay is how long to wait before an attempt.
func delay(tries int, after time.Duration, crowd int) time.Duration {
	spread := time.Duration(rand.Float64() * float64(crowd) * float64(backEach))
	if tries == 0 || after > 0 && tries <= promptTries {
		return after + spread
	}
	backoff := min(backoffMost, backoffFirst<<min(tries, 8))
	return after + max(spread, backoff/2+rand.N(backoff/2))
}

// show takes one frame of a feed over a line.
func (s *stay) show(number int, f feed) {
	s.mu.Lock()
	ok := number >= s.shown[f].line
	if ok {
		s.shown[f] = shown{number, time.Now()}
	}
	s.mu.Unlock()
	if ok && s.OnFrame != nil {
		s.OnFrame(f.from, f.source)
	}
}
