package sfu

import (
	"crypto/sha256"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/bandwidth"
	"github.com/spillway-sfu/spillway/sfu-node/framed"
)

// Peer is one participant's connection. A later session of the same participant
// is another Peer.
type Peer struct {
	sfu      *SFU
	number   uint32 // of its own here; receivers are served in its order
	seat     seat
	person   events.Person
	profile  events.Profile
	session  string
	from     string // the session that this one continues
	revision int64  // guarded by SFU.mu once the peer has its seat
	// before is the connection that this one takes the place of and that is kept
	// until then; guarded by SFU.mu.
	before *Peer
	offer  [sha256.Size]byte // a hash of it
	answer string
	media  events.Media

	pc      *webrtc.PeerConnection
	control *control
	data    *dataLines
	// What follows is made once, by negotiate.
	sources map[string]events.Source // by mid
	pubs    map[events.Source]*publication
	audio   []*stream
	video   []*stream

	egress egress
	framed atomic.Pointer[framed.Conn] // to where egress sends; nil with UDP
	intake intake
	paths  paths
	ssrc   uint32 // of what we say as a receiver

	room  *Room
	quiet atomic.Bool // no sign of life lately
	open  atomic.Bool // the data channel has opened
	// assigned is how many bits a second its streams take, as last decided.
	assigned atomic.Int64
	short    atomic.Bool // the way carries less than that
	clock    senderClock
	kick     chan struct{} // there is something to tell the participant
	nudge    chan struct{} // something paced is to be sent
	deadline *time.Timer   // for the data channel to open
	once     sync.Once
	done     chan struct{} // closed when the connection is

	roster // guarded by Room.mu
}

// roster is what a room keeps about a peer, guarded by Room.mu.
type roster struct {
	current         int64 // the session revision that the seat has
	earlier         *Peer // the connection that this one goes on from
	joined          time.Time
	tracksRevision  int64
	described       int64  // the revision of what it last said of itself
	isDescribed     bool   // metadata is its own, not the token's
	metadata        string // as last described
	told            told
	octets          uint32 // of all streams, as last measured
	wantRevision    int64
	streamsRevision int64
	untold          bool // a stream has changed since its map was sent
	want            map[view]events.WantedVideo
	wanted          []events.WantedVideo // in the order of the request, pinned first
	only            bool
	order           []*publication // video it is to receive, the most important first
	ranked          []*publication // scratch
	tried           time.Duration  // when a picture last was tried after silence
}

// view names a publication from a receiver's side.
type view struct {
	participant string
	source      events.Source
}

// ending is why a connection ends.
type ending struct {
	reason events.LeftReason // told to the control plane; empty when replaced
	code   events.Code       // told to the SDK; empty when it knows
	text   string
}

func newPeer(s *SFU, o events.Offer) *Peer {
	return &Peer{
		sfu: s, number: s.numbered.Add(1), seat: seat{o.Room, o.Person.Key},
		person: o.Person, profile: o.Profile, session: o.Session, from: o.From, revision: o.Revision,
		offer: sha256.Sum256([]byte(o.Offer)), media: o.Media,
		sources: map[string]events.Source{}, pubs: map[events.Source]*publication{},
		egress: egress{watch: bandwidth.New(o.ReceiveKbps * 1000)},
		kick:   make(chan struct{}, 1), nudge: make(chan struct{}, 1), done: make(chan struct{}), ssrc: rand.Uint32(),
	}
}

// begin starts to wait for the connection. It runs once the peer has its seat.
func (p *Peer) begin() {
	p.sfu.count.Joins.Add(1)
	p.deadline = time.AfterFunc(p.sfu.cfg.ConnectWithin, func() {
		if !p.open.Load() {
			p.end(ending{reason: events.LeftNoConnect})
		}
	})
	go p.feedback()
}

func (p *Peer) isOpen() bool { return p.open.Load() }

// onState follows the connection. Calls may be late and out of order, so it
// looks for itself how things are now.
func (p *Peer) onState(webrtc.PeerConnectionState) {
	switch p.pc.ConnectionState() {
	case webrtc.PeerConnectionStateConnected:
		if p.quiet.Swap(false) {
			p.resume()
		}
	case webrtc.PeerConnectionStateDisconnected:
		p.quiet.Store(true)
	case webrtc.PeerConnectionStateFailed:
		reason := events.LeftNoConnect
		if p.open.Load() {
			reason = events.LeftSilent
		}
		p.end(ending{reason: reason})
	case webrtc.PeerConnectionStateClosed:
		// The other side closed DTLS (RFC 8446, section 6.1), or end did.
		p.end(ending{reason: events.LeftByItself})
	}
}

// resume brings video back after a silence: each stream needs a key frame.
func (p *Peer) resume() {
	for _, s := range p.video {
		s.interrupt()
	}
	p.room.poke()
}

// end ends the connection; the first call decides why. It returns at once.
func (p *Peer) end(e ending) {
	p.once.Do(func() { go p.finish(e) })
}

func (p *Peer) finish(e ending) {
	defer p.sfu.ending.Done()
	revision, last := p.sfu.forget(p) // first: it waits until the peer has wholly begun
	p.deadline.Stop()
	p.sfu.log.Info("connection gone", "room", p.seat.room, "key", p.seat.key, "revision", revision, "reason", e.reason, "code", e.code, "last", last)
	if last && e.reason != "" && p.sfu.cfg.Left != nil {
		p.sfu.cfg.Left(Departure{Room: p.seat.room, Key: p.seat.key, Revision: revision, Reason: e.reason})
	}
	if e.code != "" && p.open.Load() {
		p.control.send(events.Closing{Header: events.Head(events.ActionClosing), Code: e.code, Text: e.text})
		p.control.drain()
	}
	p.discard()
}

// abandon closes a connection that never got a seat.
func (p *Peer) abandon() {
	p.once.Do(func() {}) // there is nobody to tell
	p.discard()
}

// discard closes the connection and waits for its goroutines.
func (p *Peer) discard() {
	close(p.done)
	p.egress.mu.Lock()
	to := p.egress.to
	p.egress.to = netip.AddrPort{}
	p.egress.mu.Unlock()
	p.sfu.links.move(p, to, netip.AddrPort{})
	p.sfu.links.leave(p)
	if p.pc != nil {
		if err := p.pc.GracefulClose(); err != nil {
			p.sfu.log.Debug("closing a connection", "key", p.seat.key, "error", err)
		}
	}
	if c := p.sfu.socket.connection(to); c != nil {
		c.Finish()
	}
}

const (
	reportEvery = time.Second
	// reportsAtOnce keeps a compound RTCP packet within the path's MTU.
	reportsAtOnce = 30
)

// feedback sends this participant its reports and what is paced, and asks it for
// key frames when its receivers need some and for what is missing, until the
// connection ends.
func (p *Peer) feedback() {
	reports := time.NewTicker(reportEvery)
	defer reports.Stop()
	later, paced := time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	defer later.Stop()
	defer paced.Stop()
	tell := func() {
		packets, wait := p.intake.due(p, p.sfu.now())
		p.writeRTCP(packets)
		if keys := p.askForKeys(); keys > 0 && (wait == 0 || keys < wait) {
			wait = keys
		}
		if wait > 0 {
			later.Reset(wait)
		}
	}
	pace := func() {
		if wait := p.pace(); wait > 0 {
			paced.Reset(wait)
		}
	}
	for {
		select {
		case <-p.done:
			return
		case <-reports.C:
			p.sendReports()
		case <-p.kick:
			tell()
		case <-later.C:
			tell()
		case <-p.nudge:
			pace()
		case <-paced.C:
			pace()
		}
	}
}

// kickKeys implements [origin].
func (p *Peer) kickKeys() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// askForKeys sends the picture loss indications that are due. It returns how
// long the next one has to wait, or 0 when none is wanted.
func (p *Peer) askForKeys() time.Duration {
	var ask []rtcp.Packet
	var wait time.Duration
	now := p.sfu.now()
	for _, pub := range p.pubs {
		due, next := pub.keysDue(now)
		for _, ssrc := range due {
			ask = append(ask, &rtcp.PictureLossIndication{MediaSSRC: ssrc})
		}
		if next > 0 && (wait == 0 || next < wait) {
			wait = next
		}
	}
	if len(ask) > 0 {
		p.sfu.count.KeysSent.Add(int64(len(ask)))
		p.writeRTCP(ask)
	}
	return wait
}

func (p *Peer) sendReports() {
	if !p.open.Load() || p.quiet.Load() {
		return
	}
	now, wall := p.sfu.now(), time.Now()
	var batch []rtcp.Packet
	if received := p.intake.reports(now); len(received) > 0 {
		batch = append(batch, &rtcp.ReceiverReport{SSRC: p.ssrc, Reports: received[:min(len(received), 31)]})
	}
	for _, streams := range [2][]*stream{p.audio, p.video} {
		for _, s := range streams {
			if r := s.report(now, wall); r != nil {
				batch = append(batch, r)
			}
			if len(batch) == reportsAtOnce {
				p.writeRTCP(batch)
				batch = batch[:0]
			}
		}
	}
	if len(batch) > 0 {
		p.writeRTCP(batch)
	}
}

// writeRTCP seals packets and sends them as one.
func (p *Peer) writeRTCP(packets []rtcp.Packet) {
	if len(packets) == 0 {
		return
	}
	b, err := rtcp.Marshal(packets)
	if err != nil {
		p.sfu.log.Error("a report cannot be written", "key", p.seat.key, "error", err)
		return
	}
	e := &p.egress
	e.mu.Lock()
	if e.sealer == nil || !e.to.IsValid() {
		e.mu.Unlock()
		return
	}
	to, n := e.to, len(b)
	b = append(b, make([]byte, e.sealer.OverheadRTCP())...)
	n, err = e.sealer.SealRTCP(b, n)
	e.mu.Unlock()
	if err == nil {
		_, err = p.sfu.socket.write(b[:n], to)
	}
	if err != nil {
		p.sfu.count.drop(DropWrite)
	}
}
