package lightpeer

import (
	"context"
	"time"
)

// settle waits until all that came lately over the old line comes over the new
// one. A new one that falls silent meanwhile is closed.
func (s *stay) settle(ctx context.Context, old, next *line) {
	if old == nil {
		return
	}
	tick := time.NewTicker(settleLook)
	defer tick.Stop()
	ping := time.NewTicker(s.PingEvery)
	defer ping.Stop()
	began := time.Now()
	for !s.settled(old, next) {
		select {
		case <-ctx.Done():
			return
		case <-next.client.Closed():
			return
		case <-old.client.Closed():
			return
		case <-ping.C:
			_ = old.client.Ping(time.Now().UnixMilli()) // shows as silence
			_ = next.client.Ping(time.Now().UnixMilli())
		case <-tick.C:
			if next.silence() > s.silentAfter() {
				next.close()
				return
			}
			within := settleWithin
			if old.silence() > s.silentAfter() {
				within = settleSilent
			}
			if time.Since(began) > within {
				return
			}
		}
	}
}

func (s *stay) settled(old, next *line) bool {
	if !next.mapped() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.shown {
		if f.line == old.number && time.Since(f.at) < recently {
			return false
		}
	}
	return true
}

// forget ends a line that came to nothing; what it showed is the old one's again.
func (s *stay) forget(l *line) {
	l.leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	for f, where := range s.shown {
		if where.line == l.number {
			where.line = 0
			s.shown[f] = where
		}
	}
}
