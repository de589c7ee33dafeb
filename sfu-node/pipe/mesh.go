// Package pipe joins nodes: one pipe for each pair that shares a room, whatever
// the number of rooms.
//
// A pipe has two halves. What is said goes over a control channel, TLS 1.3 on
// TCP, in which both sides show the certificates that the control plane has named
// ([Mesh.Assign]); whoever else dials is refused. What is carried, RTP, goes over
// UDP on the same port, sealed by package seal with keys that the TLS session
// exports. Of two nodes the one with the smaller id dials.
//
// RTP travels in flows: one layer of one publication, in one direction. The
// receiving side chooses a flow's number ([Link.Expect]) and asks for it over the
// control channel. Numbers are never used twice on a connection, so no nonce is.
// Sequence numbers run on from 1, with the gaps that the publisher's had, and
// timestamps are the publisher's. What is lost on the way is asked for by the
// receiving side and repeated by the sending one.
//
// What comes is read on as many cores as the node has: each has a socket of the
// port, among which the kernel divides datagrams by the number of their flow. So a
// flow is read by one goroutine, in order, and handed to no other on its way; which
// one is chosen with the number, by what each has to carry.
//
// A pipe is cut when nothing is heard on either half for [Config].Silence. It is
// then dialled again; all state is told anew, and flows are asked for anew.
package pipe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spillway-sfu/spillway/sfu-node/burst"
)

// Peer is a node that may be joined to this one.
type Peer struct {
	Node       string
	Generation int64
	// Addresses are where it listens, the best first.
	Addresses []netip.AddrPort
	// Fingerprint is the SHA-256 of its certificate as RFC 8122, section 5, writes
	// it.
	Fingerprint string
}

func (p Peer) same(q Peer) bool {
	if p.Node != q.Node || p.Generation != q.Generation || p.Fingerprint != q.Fingerprint || len(p.Addresses) != len(q.Addresses) {
		return false
	}
	for i := range p.Addresses {
		if p.Addresses[i] != q.Addresses[i] {
			return false
		}
	}
	return true
}

// Handler takes what comes over pipes. Calls about one link do not overlap.
type Handler interface {
	// Up tells of a pipe that stands. An earlier one to the same peer is down.
	Up(l *Link)
	// Take takes what the peer says.
	Take(l *Link, m Message)
	// Down tells of a pipe that is cut. Its flows carry nothing more.
	Down(l *Link)
}

// Config says how pipes are to run.
type Config struct {
	// Node is this node's id.
	Node string
	// Certificate is what this node shows.
	Certificate tls.Certificate
	// Bind is the address to listen on, with port 0 for any that is free.
	Bind netip.AddrPort
	// Log takes what happens; required.
	Log *slog.Logger
	// Handler takes what comes; required.
	Handler Handler
	// Plain writes every packet with a system call of its own.
	Plain bool
	// Readers is on how many goroutines pipes are read; as many as there are cores,
	// up to 16.
	Readers int
	// Silence is how long nothing need be heard for a pipe to count as cut; 2.5 s.
	Silence time.Duration
}

const (
	defaultSilence = 2500 * time.Millisecond
	// signs of life are sent so often in the time of a silence.
	signs = 5

	handshakeWithin = 3 * time.Second
	retryFirst      = 50 * time.Millisecond
	retryMost       = time.Second
	// maxHandshakes bounds the dialling nodes that have not shown a certificate yet.
	maxHandshakes = 64

	bufferBytes = 4 << 20
	maxReaders  = 16
)

// Mesh is all pipes of a node. Its methods may be called from any goroutine.
type Mesh struct {
	cfg      Config
	log      *slog.Logger
	tcp      *net.TCPListener
	udps     []*burst.Conn // of one port, one for each reader
	bursts   []*burst.Socket
	batches  sync.Pool // of *Batch
	batched  atomic.Uint32
	byAddr   atomic.Pointer[map[netip.AddrPort]*Link]
	epoch    time.Time
	ctx      context.Context
	stop     context.CancelFunc
	working  sync.WaitGroup
	reading  sync.WaitGroup
	shaking  chan struct{}
	refusals atomic.Int64
	packets  atomic.Int64 // sent, over all links, and their bytes
	bytes    atomic.Int64

	choosing sync.Mutex // held while the number of a flow is chosen

	mu    sync.Mutex
	peers map[string]*joined // by node
}

// joined is a peer and the pipe to it.
type joined struct {
	peer   Peer
	cancel context.CancelFunc
	lost   chan struct{} // the link has ended: dial again
	turn   sync.Mutex    // held while one link takes the place of another
	link   *Link         // guarded by Mesh.mu; nil while there is none
}

// Listen opens the port for pipes. Nobody is let in before [Mesh.Assign].
func Listen(cfg Config) (*Mesh, error) {
	if cfg.Silence <= 0 {
		cfg.Silence = defaultSilence
	}
	if cfg.Readers <= 0 {
		cfg.Readers = min(runtime.GOMAXPROCS(0), maxReaders)
	}
	tcp, udps, err := listen(cfg.Bind, cfg.Readers)
	if err != nil {
		return nil, fmt.Errorf("pipe: listen: %w", err)
	}
	m := &Mesh{
		cfg: cfg, log: cfg.Log, tcp: tcp, udps: udps,
		epoch: time.Now(), shaking: make(chan struct{}, maxHandshakes), peers: map[string]*joined{},
	}
	m.byAddr.Store(&map[netip.AddrPort]*Link{})
	m.ctx, m.stop = context.WithCancel(context.Background())
	if err := m.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("pipe: read: %w", err), tcp.Close(), m.closeUDP())
	}
	m.work(m.accept)
	return m, nil
}

// Port is where pipes arrive, TCP and UDP.
func (m *Mesh) Port() int { return m.tcp.Addr().(*net.TCPAddr).Port }

// Refusals counts those who dialled without being named.
func (m *Mesh) Refusals() int64 { return m.refusals.Load() }

// Sent is what all pipes have carried away since the start.
func (m *Mesh) Sent() (packets, bytes int64) { return m.packets.Load(), m.bytes.Load() }

// Traffic is what the pipe to one node has carried since it stands.
type Traffic struct {
	Node              string
	Up                bool
	BytesOut, BytesIn int64
	// Asked is how many packets this node has missed and asked for, Repeated how many
	// it has repeated for the other.
	Asked, Repeated int64
}

// Traffic returns what each pipe has carried, to the nodes that this one is
// assigned to, those without a pipe at present included.
func (m *Mesh) Traffic() []Traffic {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Traffic, 0, len(m.peers))
	for node, j := range m.peers {
		t := Traffic{Node: node}
		if j.link != nil {
			c := &j.link.stats
			t.Up, t.BytesOut, t.BytesIn, t.Asked, t.Repeated = true, c.bytesOut.Load(), c.bytesIn.Load(), c.asked.Load(), c.repeated.Load()
		}
		out = append(out, t)
	}
	return out
}

func (m *Mesh) now() time.Duration { return time.Since(m.epoch) }

func (m *Mesh) work(f func()) {
	m.working.Add(1)
	go func() {
		defer m.working.Done()
		f()
	}()
}

// Close cuts all pipes and frees the port. It returns when everything has ended.
func (m *Mesh) Close() {
	m.stop()
	_ = m.tcp.Close()
	m.Assign(nil)
	m.working.Wait()
	// No pipe stands any more: while sockets close one by one, the others get what
	// was theirs.
	_ = m.closeUDP()
	m.reading.Wait()
}

// Assign makes these nodes, and no others, the ones that this node is joined to.
// Pipes to others are cut, and so are those to a peer's earlier life.
func (m *Mesh) Assign(peers []Peer) {
	m.mu.Lock()
	var cut []*Link
	keep := map[string]bool{}
	for _, p := range peers {
		if len(p.Addresses) == 0 {
			continue
		}
		keep[p.Node] = true
		if j := m.peers[p.Node]; j != nil {
			if j.peer.same(p) {
				continue
			}
			cut = append(cut, m.drop(j))
		}
		if m.ctx.Err() == nil {
			m.add(p)
		}
	}
	for node, j := range m.peers {
		if !keep[node] {
			cut = append(cut, m.drop(j))
		}
	}
	m.mu.Unlock()
	for _, l := range cut {
		if l != nil {
			l.cut(errUnassigned)
		}
	}
}

// add begins to join a peer. The caller holds m.mu.
func (m *Mesh) add(p Peer) {
	ctx, cancel := context.WithCancel(m.ctx)
	j := &joined{peer: p, cancel: cancel, lost: make(chan struct{}, 1)}
	m.peers[p.Node] = j
	if m.cfg.Node < p.Node {
		m.work(func() { m.dialOn(ctx, j) })
	}
}

// drop stops to join a peer, and returns the pipe to cut. The caller holds m.mu.
func (m *Mesh) drop(j *joined) *Link {
	j.cancel()
	delete(m.peers, j.peer.Node)
	return j.link
}

// dialOn keeps a pipe to a peer until ctx is done.
func (m *Mesh) dialOn(ctx context.Context, j *joined) {
	wait := retryFirst
	for ctx.Err() == nil {
		conn, err := m.dial(ctx, j.peer)
		if err == nil {
			wait = retryFirst
			m.adopt(conn, j)
			select {
			case <-ctx.Done():
				return
			case <-j.lost:
			}
			continue
		}
		m.log.Debug("pipe does not come about", "peer", j.peer.Node, "error", err)
		timer := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		wait = min(2*wait, retryMost)
	}
}

// dial tries the addresses of a peer in turn.
func (m *Mesh) dial(ctx context.Context, p Peer) (conn *tls.Conn, err error) {
	err = fmt.Errorf("pipe: %s has no address", p.Node)
	for _, to := range p.Addresses {
		if conn, err = m.dialTo(ctx, p, to); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

func (m *Mesh) dialTo(ctx context.Context, p Peer, to netip.AddrPort) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeWithin)
	defer cancel()
	dialer := net.Dialer{}
	if bind := m.cfg.Bind.Addr(); !bind.IsUnspecified() {
		dialer.LocalAddr = &net.TCPAddr{IP: bind.AsSlice()}
	}
	raw, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", to, err)
	}
	conn := tls.Client(raw, m.clientTLS(p))
	if err = conn.HandshakeContext(ctx); err == nil {
		// In TLS 1.3 a client is done before the server has looked at its certificate:
		// the first sign of life says that it was taken.
		err = greet(ctx, conn)
	}
	if err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("join %s at %s: %w", p.Node, to, err)
	}
	return conn, nil
}

// accept lets peers in until the mesh is closed.
func (m *Mesh) accept() {
	for {
		raw, err := m.tcp.Accept()
		if err != nil {
			return // closed
		}
		select {
		case m.shaking <- struct{}{}:
			m.work(func() {
				defer func() { <-m.shaking }()
				m.admit(raw)
			})
		default:
			_ = raw.Close()
		}
	}
}

// admit shakes hands with somebody who dialled.
func (m *Mesh) admit(raw net.Conn) {
	ctx, cancel := context.WithTimeout(m.ctx, handshakeWithin)
	defer cancel()
	conn := tls.Server(raw, m.serverTLS())
	err := conn.HandshakeContext(ctx)
	if err == nil {
		err = greet(ctx, conn)
	}
	var j *joined
	if err == nil {
		if j = m.named(conn.ConnectionState()); j == nil {
			err = errUnnamed
		}
	}
	if err != nil {
		m.refusals.Add(1)
		m.log.Info("a pipe was refused", "from", raw.RemoteAddr(), "error", err)
		_ = raw.Close()
		return
	}
	m.adopt(conn, j)
}
