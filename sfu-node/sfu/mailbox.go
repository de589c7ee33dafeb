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

// mailbox is what waits to be sent on a data channel. Putting never blocks: a
// goroutine empties it, which is there while there is something to send.
type mailbox struct {
	peer  *Peer
	dc    *webrtc.DataChannel
	ahead int // bytes handed to SCTP at a time

	mu      sync.Mutex
	queue   [][]byte
	bytes   int
	open    bool
	writing bool // the goroutine is there
	failed  bool // the channel takes no more
}

func newMailbox(p *Peer, dc *webrtc.DataChannel, ahead int) *mailbox {
	return &mailbox{peer: p, dc: dc, ahead: ahead}
}

// begin sends from now on what is put: the channel has opened.
func (m *mailbox) begin() {
	m.dc.SetBufferedAmountLowThreshold(uint64(m.ahead / 2))
	m.dc.OnBufferedAmountLow(m.write)
	m.mu.Lock()
	m.open = true
	m.mu.Unlock()
	m.write()
}

// put queues an encoded message, which must not be changed afterwards, and
// returns how many bytes wait.
func (m *mailbox) put(raw []byte) int {
	m.mu.Lock()
	m.queue = append(m.queue, raw)
	m.bytes += len(raw)
	waiting := m.bytes
	m.mu.Unlock()
	m.write()
	return waiting
}

// waiting is how many bytes wait.
func (m *mailbox) waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes
}

// write makes the queue be emptied as far as SCTP takes it.
func (m *mailbox) write() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open && !m.writing && !m.failed && m.takes() {
		m.writing = true
		go m.empty()
	}
}

// takes reports whether something is to be sent and may be. The caller holds m.mu.
func (m *mailbox) takes() bool {
	return len(m.queue) > 0 && m.dc.BufferedAmount() < uint64(m.ahead)
}

func (m *mailbox) empty() {
	for sent := 0; ; {
		raw := m.next(sent)
		if raw == nil {
			return
		}
		if err := m.dc.SendText(string(raw)); err != nil {
			m.peer.sfu.log.Debug("data channel does not send", "key", m.peer.seat.key, "error", err)
			m.mu.Lock()
			m.writing, m.failed = false, true
			m.mu.Unlock()
			return
		}
		sent = len(raw)
	}
}

// next counts so many bytes as sent and takes what is to be sent next. With nil
// nobody writes any more.
func (m *mailbox) next(sent int) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytes -= sent
	if !m.takes() {
		m.writing = false
		return nil
	}
	raw := m.queue[0]
	m.queue[0] = nil
	if m.queue = m.queue[1:]; len(m.queue) == 0 {
		m.queue = nil
	}
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
