// Package sfu is the media part of a node: rooms, the participants connected to
// them, what they publish, and the receive streams on which they get what others
// publish.
//
// A participant connects with one offer and is never renegotiated with. Its
// offer has a fixed number of receive streams; which publication each one
// carries changes over time and is announced over the data channel "control",
// as is the roster. The way of a packet is in forward.go; everything else
// happens at most some times a second for each room.
//
// Locks are taken in the order SFU, Room, intake, stream, egress. None but an
// intake's is held while something is written to a socket, and whoever has one
// intake's only tries to get another's.
package sfu

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/burst"
)

// ErrStale refuses an offer of a session that a later one has replaced.
var ErrStale = errors.New("a later session of this participant is here")

// Config says how an SFU is to run. Zero durations get the defaults named with
// them.
type Config struct {
	// Node is the node's id, as rosters name it.
	Node string
	// Addresses are announced to participants, the best one of each family first; at
	// least one, IPv4, IPv6 or both.
	Addresses []netip.Addr
	// Port is the UDP port for all media; 0 takes any free one.
	Port int
	// TCP takes media on TCPPort as well, from participants whose networks block
	// UDP; 0 takes any free one.
	TCP     bool
	TCPPort int
	// Log takes what happens; required.
	Log *slog.Logger
	// Left is told, from any goroutine and without locks held, when a
	// participant is gone for another reason than being replaced. It must not
	// block. It may be nil.
	Left func(Departure)
	// Moderate is asked for what only the control plane can do, as Left is told;
	// node and generation are left to fill in. [SFU.Moderated] takes the answer. It
	// may be nil.
	Moderate func(events.ModerateFor)

	// Pipes lets rooms spread over other nodes, which reach this one on PipePort, TCP
	// and UDP; 0 takes any free one.
	Pipes    bool
	PipePort int

	// Plain writes every packet with a system call of its own, as where the
	// system cannot do better.
	Plain bool

	// WithoutGCM takes media sealed with AES-CM and HMAC alone, at six times the price.
	WithoutGCM bool

	// ListedViewers is up to how many viewers of a room are listed in its roster;
	// [events.MaxListedViewers] unless it is set.
	ListedViewers int

	ConnectWithin time.Duration // 15 s: from answer to an open data channel
	QuietAfter    time.Duration // 5 s without a sign of life: no more video
	GoneAfter     time.Duration // 30 s without a sign of life: disconnected
	// KeepLost is how long people whose node cannot be reached stay in the roster, 15
	// s: if it has died they are back before, from elsewhere.
	KeepLost time.Duration
}

// Departure tells who left and why.
type Departure struct {
	Room     string
	Key      string
	Revision int64
	Reason   events.LeftReason
}

// SFU carries the rooms of one node on one UDP port, and one TCP port. Its methods may be called
// from any goroutine.
type SFU struct {
	cfg       Config
	log       *slog.Logger
	epoch     time.Time
	identity  identity
	socket    *socket
	net       transport.Net // the machine's, which each connection would look for
	mux       ice.UDPMux
	further   string // candidates that the stack does not announce by itself
	count     Counters
	clients   clients
	bursts    []*burst.Socket // for each socket
	batches   sync.Pool       // of *batch
	nextBatch atomic.Uint32
	numbered  atomic.Uint32 // the latest participant
	links     links
	web       web

	// turns makes the offers of one participant wait for each other, without
	// making others wait.
	turns [64]sync.Mutex
	seed  maphash.Seed

	mu     sync.Mutex
	closed bool
	rooms  map[string]*Room
	peers  map[seat]*Peer
	ending sync.WaitGroup // one for each peer that is not wholly gone
}

// seat names a participant's place: one per participant and room.
type seat struct{ room, key string }

// New opens the media port. Close the SFU to free it.
func New(cfg Config) (*SFU, error) {
	if len(cfg.Addresses) == 0 {
		return nil, errors.New("sfu: no media address is configured")
	}
	setDefault(&cfg.ListedViewers, events.MaxListedViewers)
	setDefault(&cfg.KeepLost, 15*time.Second)
	setDefault(&cfg.ConnectWithin, 15*time.Second)
	setDefault(&cfg.QuietAfter, 5*time.Second)
	setDefault(&cfg.GoneAfter, 30*time.Second)
	identity, err := newIdentity()
	if err != nil {
		return nil, fmt.Errorf("sfu: make certificate: %w", err)
	}
	network, err := stdnet.NewNet()
	if err != nil {
		return nil, fmt.Errorf("sfu: look for network interfaces: %w", err)
	}
	sock, err := listen(cfg.Addresses, cfg.Port)
	if err != nil {
		return nil, fmt.Errorf("sfu: listen for media: %w", err)
	}
	s := &SFU{
		cfg: cfg, log: cfg.Log, epoch: time.Now(),
		identity: identity, net: network,
		socket: sock, seed: maphash.MakeSeed(),
		rooms: map[string]*Room{}, peers: map[seat]*Peer{},
	}
	for _, conn := range sock.conns {
		s.bursts = append(s.bursts, burst.NewSocket(conn, cfg.Plain))
	}
	if err := s.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("sfu: read from the media port: %w", err), sock.Close())
	}
	if err := s.openTCP(); err != nil {
		return nil, errors.Join(fmt.Errorf("sfu: listen for media: %w", err), sock.Close())
	}
	s.mux, s.further = sock.mux(), s.candidates()
	if cfg.Pipes {
		if err := s.web.open(s); err != nil {
			return nil, errors.Join(err, s.mux.Close())
		}
	}
	return s, nil
}

func setDefault[N time.Duration | int](d *N, to N) {
	if *d <= 0 {
		*d = to
	}
}

// Fingerprint is the SHA-256 of the DTLS certificate that all participants see,
// as SDP writes it (RFC 8122, section 5).
func (s *SFU) Fingerprint() string { return s.identity.fingerprint }

// Port is the UDP port that media arrive on.
func (s *SFU) Port() int { return s.socket.port() }

// Counters are the running totals of this SFU.
func (s *SFU) Counters() *Counters { return &s.count }

// now is the time on the node's own clock, which starts with the process and
// never jumps.
func (s *SFU) now() time.Duration { return time.Since(s.epoch) }

// Join takes a participant and returns the answer to its offer, packed. The
// offer must have passed its Validate.
//
// The same revision and offer again gets the same answer. A higher revision
// replaces the connection that is there once it can be answered, or, if it
// continues its session, keeps it until the participant leaves it; a lower one
// gets [ErrStale]. With refuse set only an answer given before is repeated;
// anybody else gets refuse. Errors other than ErrStale are [*events.Error].
func (s *SFU) Join(ctx context.Context, o events.Offer, refuse *events.Error) (string, error) {
	at := seat{o.Room, o.Person.Key}
	turn := &s.turns[maphash.Comparable(s.seed, at)%uint64(len(s.turns))]
	turn.Lock()
	defer turn.Unlock()

	old, revision := s.peer(at)
	if old != nil {
		switch {
		case revision > o.Revision:
			return "", ErrStale
		case revision == o.Revision && (old.offer == sha256.Sum256([]byte(o.Offer)) || old.isOpen()):
			return old.answer, nil
		}
	}
	if refuse != nil {
		return "", refuse
	}
	p, err := s.answer(ctx, o)
	if err != nil {
		return "", err
	}
	replaced, err := s.seatPeer(p, o)
	if err != nil {
		p.abandon()
		return "", err
	}
	for _, old := range replaced {
		old.end(ending{code: events.CodeReplaced, text: "the same participant connected again"})
	}
	return p.answer, nil
}

// answer makes a peer from an offer. Whatever goes wrong inside the WebRTC
// stack, a panic included, is the offer's fault or ours, and ends here.
func (s *SFU) answer(ctx context.Context, o events.Offer) (p *Peer, err error) {
	p = newPeer(s, o)
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("answering an offer panicked", "room", o.Room, "key", o.Person.Key, "panic", r, "stack", string(debug.Stack()))
			err = events.Errorf(events.CodeBadOffer, "offer cannot be answered")
		}
		if err != nil {
			p.abandon()
			p = nil
		}
	}()
	sdp, err := events.Unpack(o.Offer)
	if err != nil {
		return p, err
	}
	return p, p.negotiate(ctx, sdp)
}

// seatPeer makes p the connection of its seat, and returns those that are
// replaced. The room is made when it is the first there.
func (s *SFU) seatPeer(p *Peer, o events.Offer) (replaced []*Peer, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, events.Errorf(events.CodeNodeGone, "the node stops")
	}
	room := s.room(o.Room)
	for old := s.peers[p.seat]; old != nil; {
		next := old.before
		old.before = nil
		if p.before == nil && o.From != "" && old.session == o.From && old.isOpen() {
			p.before = old
		} else {
			replaced = append(replaced, old)
		}
		old = next
	}
	s.peers[p.seat] = p
	s.ending.Add(1)
	room.enter(p)
	if o.RoomMetadata != nil {
		room.setMetadata(*o.RoomMetadata)
	}
	p.begin()
	return replaced, nil
}

// forget takes p out of its seat and its room. A connection that it was to take
// the place of has the seat again, with the seat's revision. It returns that
// revision, and whether p was the last connection of the seat.
func (s *SFU) forget(p *Peer) (revision int64, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch now := s.peers[p.seat]; {
	case now == p && p.before != nil:
		p.before.revision = p.revision
		s.peers[p.seat] = p.before
	case now == p:
		delete(s.peers, p.seat)
		last = true
	case now != nil && now.before == p:
		now.before = nil
	}
	if p.room.leave(p, p.before) {
		delete(s.rooms, p.room.name)
	}
	p.before = nil
	return p.revision, last
}

// peer returns the connection of a seat, nil if there is none, and its revision.
func (s *SFU) peer(at seat) (*Peer, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peers[at]
	if p == nil {
		return nil, 0
	}
	return p, p.revision
}

// Remove ends the connection of a participant if its revision is not above the
// given one, and tells it the code; Left is told later. It reports true when
// there is no connection of the participant at all.
func (s *SFU) Remove(room, key string, revision int64, code events.Code) (absent bool) {
	s.mu.Lock()
	p := s.peers[seat{room, key}]
	ends := []*Peer{}
	if p != nil && p.revision <= revision {
		ends = append(ends, p)
		if p.before != nil {
			ends = append(ends, p.before)
			p.before = nil
		}
	}
	s.mu.Unlock()
	for _, p := range ends {
		p.end(ending{reason: events.LeftRemoved, code: code})
	}
	return p == nil
}

// Close tells everybody the code, disconnects them, and closes the media port.
// It returns when all of it has ended or ctx is done.
func (s *SFU) Close(ctx context.Context, code events.Code) error {
	s.mu.Lock()
	s.closed = true
	peers := make([]*Peer, 0, len(s.peers))
	for _, p := range s.peers {
		peers = append(peers, p)
		if p.before != nil { // would get the seat back
			peers = append(peers, p.before)
			p.before = nil
		}
	}
	s.mu.Unlock()
	for _, p := range peers {
		p.end(ending{reason: events.LeftRemoved, code: code})
	}
	gone := make(chan struct{})
	go func() {
		s.ending.Wait()
		close(gone)
	}()
	var err error
	select {
	case <-gone:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.web.close(s)
	return errors.Join(err, s.mux.Close()) // which closes the socket
}
