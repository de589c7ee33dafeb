package sfu

import (
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
)

const (
	drainWithin = 300 * time.Millisecond
	drainEvery  = 5 * time.Millisecond
)

// mailbox is what waits to be sent on a data channel. Putting never blocks; one
// goroutine, write, empties it.
type mailbox struct {
	peer  *Peer
	dc    *webrtc.DataChannel
	ahead int // bytes handed to SCTP at a time
	wake  chan struct{}

	mu    sync.Mutex
	queue [][]byte
	bytes int
}

func newMailbox(p *Peer, dc *webrtc.DataChannel, ahead int) *mailbox {
	return &mailbox{peer: p, dc: dc, ahead: ahead, wake: make(chan struct{}, 1)}
}

// put queues an encoded message, which must not be changed afterwards, and
// returns how many bytes wait.
func (m *mailbox) put(raw []byte) int {
	m.mu.Lock()
	m.queue = append(m.queue, raw)
	m.bytes += len(raw)
	waiting := m.bytes
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
	return waiting
}

// waiting is how many bytes wait.
func (m *mailbox) waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes
}

// write empties the queue until the connection ends.
func (m *mailbox) write() {
	room := make(chan struct{}, 1)
	m.dc.SetBufferedAmountLowThreshold(uint64(m.ahead / 2))
	m.dc.OnBufferedAmountLow(func() {
		select {
		case room <- struct{}{}:
		default:
		}
	})
	for {
		select {
		case <-m.peer.done:
			return
		case <-m.wake:
		case <-room:
		}
		for m.dc.BufferedAmount() < uint64(m.ahead) {
			raw := m.next()
			if raw == nil {
				break
			}
			if err := m.dc.SendText(string(raw)); err != nil {
				m.peer.sfu.log.Debug("data channel does not send", "key", m.peer.seat.key, "error", err)
				return
			}
			m.sent(len(raw))
		}
	}
}

func (m *mailbox) sent(n int) {
	m.mu.Lock()
	m.bytes -= n
	m.mu.Unlock()
}

func (m *mailbox) next() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.queue) == 0 {
		return nil
	}
	raw := m.queue[0]
	m.queue[0] = nil
	m.queue = m.queue[1:]
	return raw
}

// drain waits until everything queued has been acknowledged, or not much longer
// than a round trip.
func (m *mailbox) drain() {
	poll := time.NewTicker(drainEvery)
	defer poll.Stop()
	limit := time.NewTimer(drainWithin)
	defer limit.Stop()
	for {
		m.mu.Lock()
		waiting := m.bytes
		m.mu.Unlock()
		if waiting == 0 && m.dc.BufferedAmount() == 0 {
			return
		}
		select {
		case <-poll.C:
		case <-limit.C:
			return
		}
	}
}
