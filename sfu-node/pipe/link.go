package pipe

import (
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spillway-sfu/spillway/sfu-node/seal"
)

// queueBytes is how much may wait to be told to a peer that does not keep up.
const queueBytes = 16 << 20

// maxFlows bounds the flows that come over a pipe at a time.
const maxFlows = 1 << 11

// Link is one pipe that stands, from when it comes up until it is cut. Its methods
// may be called from any goroutine.
type Link struct {
	mesh *Mesh
	peer Peer
	conn *tls.Conn
	to   netip.AddrPort // where RTP goes, and comes from

	once sync.Once
	why  error
	done chan struct{} // closed when the link has ended and its handler knows
	wake chan struct{}
	dead chan struct{} // closed when the link is cut

	queueMu sync.Mutex
	queue   [][]byte
	queued  int

	said    atomic.Int64 // when something last came on the control channel
	carried atomic.Int64 // when something last came over UDP

	sendMu sync.Mutex
	sealer *seal.Sealer
	flows  map[uint32]*Flow // by number; guarded by sendMu
	used   numbers          // those that the peer has asked by; guarded by sendMu

	expectMu sync.Mutex
	asked    uint32                               // the highest number that this side has asked by
	expected atomic.Pointer[map[uint32]*incoming] // replaced as a whole
	openers  []*seal.Opener                       // one for each reader
	repaired atomic.Int64                         // how long repairs take, smoothed; 0 before the first

	stats counters
}

// counters are a link's totals.
type counters struct {
	packetsIn, bytesIn, packetsOut, bytesOut, asked, repeated, forged, late atomic.Int64
}

// Node is the peer's id.
func (l *Link) Node() string { return l.peer.Node }

// Done is closed when the link has ended.
func (l *Link) Done() <-chan struct{} { return l.done }

// adopt makes a connection that has shaken hands the pipe to j, and waits until an
// earlier one has ended. It returns at once otherwise.
func (m *Mesh) adopt(conn *tls.Conn, j *joined) {
	l, err := m.newLink(conn, j)
	if err != nil {
		m.log.Error("a pipe has no keys", "peer", j.peer.Node, "error", err)
		_ = conn.Close()
		return
	}
	j.turn.Lock()
	defer j.turn.Unlock()
	m.mu.Lock()
	old := j.link
	current := m.peers[j.peer.Node] == j && m.ctx.Err() == nil
	if current {
		j.link = l
	}
	m.mu.Unlock()
	if old != nil {
		old.cut(errReplaced)
		<-old.done
	}
	if !current {
		_ = conn.Close()
		return
	}
	m.route(l, true)
	m.work(l.write)
	m.work(func() {
		l.read()
		m.route(l, false)
		m.mu.Lock()
		if j.link == l {
			j.link = nil
		}
		m.mu.Unlock()
		close(l.done)
		select {
		case j.lost <- struct{}{}:
		default:
		}
	})
}

func (m *Mesh) newLink(conn *tls.Conn, j *joined) (*Link, error) {
	remote, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return nil, fmt.Errorf("pipe: address of the peer: %w", err)
	}
	client, server, err := keys(conn.ConnectionState())
	if err != nil {
		return nil, err
	}
	mine, theirs := client, server
	port := remote.Port()
	if m.cfg.Node > j.peer.Node { // it dialled, from some port
		mine, theirs = server, client
		port = j.peer.Addresses[0].Port()
	}
	l := &Link{
		mesh: m, peer: j.peer, conn: conn, to: netip.AddrPortFrom(remote.Addr().Unmap(), port),
		done: make(chan struct{}), wake: make(chan struct{}, 1), dead: make(chan struct{}),
		flows: map[uint32]*Flow{},
	}
	l.expected.Store(&map[uint32]*incoming{})
	now := int64(m.now())
	l.said.Store(now)
	l.carried.Store(now)
	if l.sealer, err = seal.NewSealer(mine); err != nil {
		return nil, err
	}
	for range m.udps {
		opener, err := seal.NewOpener(theirs)
		if err != nil {
			return nil, err
		}
		opener.Bound(maxFlows)
		l.openers = append(l.openers, opener)
	}
	return l, nil
}

// route makes datagrams from the peer come to l, or no longer.
func (m *Mesh) route(l *Link, on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := maps.Clone(*m.byAddr.Load())
	if on {
		now[l.to] = l
	} else if now[l.to] == l {
		delete(now, l.to)
	}
	m.byAddr.Store(&now)
}

// cut ends the link; the first call decides why. It returns at once.
func (l *Link) cut(why error) {
	l.once.Do(func() {
		l.why = why
		close(l.dead)
		_ = l.conn.NetConn().Close() // without waiting for the peer, who may be gone
	})
}

// Tell queues a message. A peer that does not keep up loses the pipe.
func (l *Link) Tell(m Message) {
	body, err := json.Marshal(m)
	if err != nil {
		panic("pipe: a message cannot be encoded: " + err.Error())
	}
	if len(body) > maxFrame {
		l.mesh.log.Error("a message is too large for a pipe", "peer", l.peer.Node, "kind", m.kind(), "bytes", len(body))
		return
	}
	l.push(frame(m.kind(), body))
}

func (l *Link) push(raw []byte) {
	l.queueMu.Lock()
	l.queue = append(l.queue, raw)
	l.queued += len(raw)
	over := l.queued > queueBytes
	l.queueMu.Unlock()
	if over {
		l.cut(errBehind)
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// write sends what is queued, and signs of life, until the link is cut.
func (l *Link) write() {
	tick := time.NewTicker(l.mesh.cfg.Silence / signs)
	defer tick.Stop()
	for {
		select {
		case <-l.dead:
			return
		case <-tick.C:
			if l.silent() {
				l.cut(errSilent)
				return
			}
			l.push(frame(kindAlive, nil))
			l.sendAlive()
			continue
		case <-l.wake:
		}
		l.queueMu.Lock()
		out := net.Buffers(l.queue)
		l.queue, l.queued = nil, 0
		l.queueMu.Unlock()
		// A peer that takes nothing is noticed here, and by its silence.
		_ = l.conn.SetWriteDeadline(time.Now().Add(l.mesh.cfg.Silence))
		for _, b := range out {
			if _, err := l.conn.Write(b); err != nil {
				l.cut(fmt.Errorf("pipe: write: %w", err))
				return
			}
		}
	}
}

// silent reports whether one of the two halves carries nothing any more.
func (l *Link) silent() bool {
	now, most := l.mesh.now(), l.mesh.cfg.Silence
	return now-time.Duration(l.said.Load()) > most || now-time.Duration(l.carried.Load()) > most
}

// read hands what the peer says to the handler until the link is cut.
func (l *Link) read() {
	h, log := l.mesh.cfg.Handler, l.mesh.log
	log.Info("pipe stands", "peer", l.peer.Node, "address", l.to)
	h.Up(l)
	var buf []byte
	for {
		k, body, err := readFrame(l.conn, buf)
		if err != nil {
			l.cut(err)
			break
		}
		buf = body[:0]
		l.said.Store(int64(l.mesh.now()))
		if k == kindAlive {
			continue
		}
		m, err := decode(k, body)
		if errors.Is(err, errKind) {
			continue // a later version's
		}
		if err != nil {
			l.cut(err)
			break
		}
		h.Take(l, m)
	}
	<-l.dead
	h.Down(l)
	log.Info("pipe is cut", "peer", l.peer.Node, "why", l.why)
}

const frameHeader = 5

func frame(k kind, body []byte) []byte {
	b := make([]byte, frameHeader, frameHeader+len(body))
	binary.BigEndian.PutUint32(b, uint32(len(body)))
	b[4] = byte(k)
	return append(b, body...)
}

// readFrame reads a frame into buf, if that is large enough.
func readFrame(r io.Reader, buf []byte) (kind, []byte, error) {
	var head [frameHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, fmt.Errorf("pipe: read: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("pipe: frame of %d bytes, at most %d are taken", n, maxFrame)
	}
	if uint32(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		return 0, nil, fmt.Errorf("pipe: read: %w", err)
	}
	return kind(head[4]), buf, nil
}
