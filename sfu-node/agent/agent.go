// Package agent is the node's side of the control plane. It keeps WebSockets to
// the gateway open, says hello, renews the node's lease with heartbeats, turns
// offers into connections on the SFU and reports who left.
//
// The node dials; nothing dials it. Several sockets, told apart by their slot,
// are open at a time, so that one that breaks costs nothing. Any message may be
// lost: answers are repeated when the offer is, and who is here is listed at
// least once a minute.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/sfu"
)

// What [Agent.Run] returns when the control plane, or its absence, ends the
// node.
var (
	ErrFenced   = errors.New("another life of this node has taken over, or its launch was given up")
	ErrShutdown = errors.New("the control plane shut the node down")
	ErrAlone    = errors.New("nothing was heard from the control plane for long, and nobody is here")
)

// Media is what an agent asks of the SFU. All methods are called from several
// goroutines.
type Media interface {
	// Join is [sfu.SFU.Join].
	Join(ctx context.Context, o events.Offer, refuse *events.Error) (answer string, err error)
	// Remove is [sfu.SFU.Remove].
	Remove(room, key string, revision int64, code events.Code) (absent bool)
	// Move is [sfu.SFU.Move].
	Move(room string, keys []string, press bool)
	// Recast is [sfu.SFU.Recast].
	Recast(room, key string, revision int64, role events.Role)
	// MuteTracks is [sfu.SFU.MuteTracks].
	MuteTracks(room, key string, sources []events.Source)
	// Describe is [sfu.SFU.Describe].
	Describe(room, key, metadata string)
	// DescribeRoom is [sfu.SFU.DescribeRoom].
	DescribeRoom(room string, m events.RoomMetadata)
	// End is [sfu.SFU.End].
	End(room string, code events.Code)
	// Moderated is [sfu.SFU.Moderated].
	Moderated(m events.Moderated)
	// Assign is [sfu.SFU.Assign].
	Assign(a events.Assignment)
	// Report is [sfu.SFU.Report].
	Report() sfu.Report
	// RoomFigures is [sfu.SFU.RoomFigures].
	RoomFigures(passed time.Duration) []events.RoomFigures
}

var _ Media = (*sfu.SFU)(nil)

// Config says who the node is and where the control plane is. Zero durations and
// counts get the defaults named with them.
type Config struct {
	// URL is the gateway's WebSocket address; Token goes along as access_token.
	URL   string
	Token string
	// Node is the id that the control plane gave, Boot this process's own random
	// one.
	Node        string
	Boot        string
	Addresses   []events.Address
	Fingerprint string
	PipePort    int // where other nodes reach this one; 0 is nowhere
	Build       string
	Log         *slog.Logger

	Slots         int           // 2 sockets at a time
	Rotate        time.Duration // 110 min: age at which a socket is replaced, ± 5 %
	Linger        time.Duration // 4 s: how long one is still read that was replaced
	WelcomeWithin time.Duration // 10 s, from dialling
	RetryFirst    time.Duration // 250 ms, doubled with each failure, jittered
	RetryMost     time.Duration // 10 s
	AloneAfter    time.Duration // 5 min without a word, and nobody here: stop
	ListEvery     time.Duration // 45 s between two lists of everybody

	// Host is the address of the instance metadata service, asked every HostEvery
	// (5 s) whether the machine will be taken away; empty asks nobody.
	Host      string
	HostEvery time.Duration

	// Journal is sent every JournalEvery (5 s); nil keeps none.
	Journal      *Journal
	JournalEvery time.Duration

	// MetricsEvery (1 min) is how often what the node has measured is sent.
	MetricsEvery time.Duration
}

func (c *Config) complete() {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.Rotate, 110 * time.Minute}, {&c.Linger, 4 * time.Second}, {&c.WelcomeWithin, 10 * time.Second},
		{&c.RetryFirst, 250 * time.Millisecond}, {&c.RetryMost, 10 * time.Second},
		{&c.AloneAfter, 5 * time.Minute}, {&c.ListEvery, 45 * time.Second}, {&c.HostEvery, 5 * time.Second},
		{&c.JournalEvery, 5 * time.Second}, {&c.MetricsEvery, time.Minute},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if c.Slots <= 0 {
		c.Slots = 2
	}
}

// Agent is one life of a node.
type Agent struct {
	cfg   Config
	log   *slog.Logger
	media Media
	out   outbox

	// stop ends all goroutines; working counts them.
	stop    context.CancelFunc
	ctx     context.Context
	working sync.WaitGroup
	quit    chan error // why the node is to end; the first counts
	turns   chan struct{}
	beat    chan struct{} // a heartbeat is wanted now

	mu      sync.Mutex
	closing bool // no further socket is opened
	lease   lease
	links   []*link // by slot; nil while there is none
	next    int     // the slot after the one used last
	heard   time.Time
	token   string
	ends    time.Time // when the machine will be taken away; zero is never
}

// New makes an agent. Close it, whether it ran or not.
func New(cfg Config, media Media) *Agent {
	cfg.complete()
	ctx, stop := context.WithCancel(context.Background())
	return &Agent{
		cfg: cfg, log: cfg.Log, media: media,
		out: newOutbox(), ctx: ctx, stop: stop,
		quit: make(chan error, 1), beat: make(chan struct{}, 1),
		turns: make(chan struct{}, 2*runtime.GOMAXPROCS(0)),
		links: make([]*link, cfg.Slots), token: cfg.Token,
	}
}

// Run serves until ctx is done, and then returns nil, or until the node is to
// end, and then returns one of the package's errors. The sockets stay open, so
// that what still happens can be reported, until [Agent.Close].
func (a *Agent) Run(ctx context.Context) error {
	a.mu.Lock()
	a.heard = time.Now()
	a.mu.Unlock()
	for slot := range a.links {
		a.work(func() { a.keep(slot) })
	}
	a.work(a.sendAll)
	a.work(a.beatAll)
	a.work(a.measureAll)
	if a.cfg.Host != "" {
		a.work(a.watchHost)
	}
	if a.cfg.Journal != nil {
		a.work(a.writeJournal)
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-a.quit:
		return err
	}
}

func (a *Agent) work(f func()) {
	a.working.Add(1)
	go func() {
		defer a.working.Done()
		f()
	}()
}

// Close waits until everything queued is sent and has arrived, or ctx is done,
// closes the sockets and ends all goroutines.
func (a *Agent) Close(ctx context.Context) {
	if a.cfg.Journal != nil {
		a.sendJournal()
	}
	a.out.drain(ctx)
	a.mu.Lock()
	a.closing = true
	a.mu.Unlock()
	// The closing handshake comes after all else on a socket. Without it, what
	// the gateway has not read yet might be thrown away with the socket.
	closed := make(chan struct{})
	var shaking sync.WaitGroup
	for _, l := range a.usable() {
		shaking.Go(func() { _ = l.conn.Close(websocket.StatusNormalClosure, "node stops") })
	}
	go func() {
		shaking.Wait()
		close(closed)
	}()
	select {
	case <-closed:
	case <-ctx.Done():
	}
	a.stop()
	a.working.Wait()
	<-closed
}

// Left reports a departure. It does not block.
func (a *Agent) Left(d sfu.Departure) {
	a.send(events.Left{
		Header: events.Head(events.ActionLeft), Node: a.cfg.Node, Generation: a.generation(),
		Room: d.Room, Key: d.Key, Revision: d.Revision, Reason: d.Reason,
	}, leftWithin)
}

func (a *Agent) generation() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lease.generation
}

func (a *Agent) end(err error) {
	select {
	case a.quit <- err:
	default:
	}
}

// take acts on a message from the control plane that arrived on l.
func (a *Agent) take(l *link, raw []byte) {
	message, err := events.Decode(events.ToNode, raw)
	if err != nil {
		// The gateway's own error frames come here too: the message they belong to
		// counts as lost.
		a.log.Warn("message from the control plane not understood", "slot", l.slot, "error", err, "bytes", len(raw))
		return
	}
	a.mu.Lock()
	a.heard = time.Now()
	l.beats = 0
	a.mu.Unlock()
	switch m := message.(type) {
	case events.Welcome:
		a.welcome(l, m)
	case events.Renewed:
		a.renewed(m)
	case events.Offer:
		if a.ours(m.Generation, m.Action) {
			a.work(func() { a.offer(m) })
		}
	case events.Remove:
		if a.ours(m.Generation, m.Action) && a.media.Remove(m.Room, m.Key, m.Revision, m.Code) {
			// Our earlier report of this may have been lost.
			a.Left(sfu.Departure{Room: m.Room, Key: m.Key, Revision: m.Revision, Reason: events.LeftRemoved})
		}
	case events.MoveAway:
		if a.ours(m.Generation, m.Action) {
			a.media.Move(m.Room, m.Keys, m.Press)
		}
	case events.Recast, events.MuteTracks, events.End, events.Moderated, events.DescribeFor, events.RoomDescribed:
		a.moderate(m)
	case events.Assignment:
		if a.ours(m.Generation, m.Action) && m.Node == a.cfg.Node {
			a.media.Assign(m)
		}
	case events.Shutdown:
		if m.Generation == 0 || a.ours(m.Generation, m.Action) {
			a.end(fmt.Errorf("%w: %s", ErrShutdown, m.Code))
		}
	case events.Error:
		a.refused(l, m)
	}
}

// ours reports whether a message is for this life of the node. Others are
// ignored: they were meant for an earlier one, or this is the earlier one and
// will soon be told so.
func (a *Agent) ours(generation int64, action events.Action) bool {
	mine := a.generation()
	if generation != mine {
		a.log.Warn("message for another generation ignored", "action", action, "generation", generation, "mine", mine)
	}
	return generation == mine
}

func (a *Agent) refused(l *link, e events.Error) {
	switch e.Code {
	case events.CodeFenced, events.CodeLaunchExpired:
		a.end(fmt.Errorf("%w: %s", ErrFenced, e.Code))
	default:
		a.log.Warn("refused by the control plane", "slot", l.slot, "code", e.Code, "text", e.Text)
		if !l.welcomed() {
			l.close("refused")
		}
	}
}

// offer answers one offer. At most some are worked on at a time.
func (a *Agent) offer(o events.Offer) {
	select {
	case a.turns <- struct{}{}:
		defer func() { <-a.turns }()
	case <-a.ctx.Done():
		return
	}
	a.mu.Lock()
	refuse := a.lease.refuse(time.Now())
	generation := a.lease.generation
	a.mu.Unlock()
	answer, err := a.media.Join(a.ctx, o, refuse)
	if errors.Is(err, sfu.ErrStale) {
		a.log.Info("offer of an earlier session ignored", "room", o.Room, "key", o.Person.Key, "revision", o.Revision)
		return
	}
	m := events.Answered{
		Header: events.Head(events.ActionAnswered), Node: a.cfg.Node, Generation: generation,
		Room: o.Room, Key: o.Person.Key, Session: o.Session, Revision: o.Revision,
		ID: o.ID, Ticket: o.Ticket, Answer: answer,
	}
	if err != nil {
		m.Answer, m.Fault = "", a.fault(o, err)
	}
	a.log.Info("offer answered", "room", o.Room, "key", o.Person.Key, "revision", o.Revision, "fault", m.Fault)
	a.send(m, answerWithin)
}

// fault turns what went wrong into what may be told.
func (a *Agent) fault(o events.Offer, err error) *events.Fault {
	var coded *events.Error
	if errors.As(err, &coded) {
		return &events.Fault{Code: coded.Code, Text: coded.Text}
	}
	a.log.Error("offer failed", "room", o.Room, "key", o.Person.Key, "error", err)
	return &events.Fault{Code: events.CodeInternal, Text: "the offer could not be answered"}
}
