package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
)

const (
	// boot is how long a node takes from its launch to its hello.
	boot = 26 * time.Second
	// asksAgain is how often the SDK of somebody who waits asks.
	asksAgain = 10 * time.Second
	// movesIn is how long after a move is asked for the new connection is begun at
	// the latest, standsIn how long it takes to stand, after which the old one ends.
	movesIn  = 3
	standsIn = time.Second
)

// offer is what everybody sends; nothing here reads it.
var offer = events.Pack("v=0\r\na=fingerprint:sha-256 AA" + strings.Repeat(":AA", 31) + "\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\n")

// outcome is what a policy made of a trace.
type outcome struct {
	nodeHours float64
	most      int
	waited    int
	needless  int             // waited though no node was being started
	moved     int             // people who changed their home
	refused   map[string]bool // by person
	parts     parts
}

// person is somebody in the trace, as its SDK is.
type person struct {
	visit
	sessions int // how many it has begun
	stands   int // the one that has a seat
	waiting  bool
	since    time.Duration
	asked    time.Duration
	gone     bool
	seats    []seat // the last is the present one
	moving   bool
}

// seat is one that a node holds for a person.
type seat struct {
	session  string
	node     room.NodeID
	revision int64
}

func (p *person) session() string { return fmt.Sprintf("session-%s/%d", p.person, p.sessions) }

func (p *person) caller() control.Caller {
	return control.Caller{Connection: "c-" + p.person, Room: room.Name(p.room), Key: room.Key(p.person), Identity: p.person, MayPublish: !p.viewer}
}

// spillway runs a trace through the real decisions: joins, leaves, moves, the
// fleet function's passes and a sweep each minute, on the memory store.
type spillway struct {
	*sim.World
	start  time.Time
	now    time.Duration
	hello  map[room.NodeID]time.Duration // due
	up     map[room.NodeID]span
	people map[string]*person
	later  []deed
	post   []letter
	out    outcome
}

// span is when a node was launched and when it said hello; -1 is not yet.
type span struct{ from, to time.Duration }

// deed is something that is to be done later.
type deed struct {
	at time.Duration
	do func(context.Context) error
}

// letter is a message that was posted and not yet read.
type letter struct {
	to   string
	data []byte
}

// Post implements the push of the steps: what is posted is read when the step has
// ended.
func (s *spillway) Post(_ context.Context, connection string, data []byte) error {
	s.post = append(s.post, letter{connection, data})
	return nil
}

// Close implements the push of the steps.
func (s *spillway) Close(context.Context, string) error { return nil }

func runSpillway(ctx context.Context, t trace, set control.Settings) (outcome, error) {
	start := time.UnixMilli(1_790_000_000_000)
	s := &spillway{World: sim.NewWorld(start, set), start: start, hello: map[room.NodeID]time.Duration{}, up: map[room.NodeID]span{},
		people: map[string]*person{}, out: outcome{refused: map[string]bool{}}}
	s.World.World.Push = s
	s.World.World.AtOnce = func(each []func()) { // one after the other: the same seed is the same run
		for _, f := range each {
			f()
		}
	}
	sweep := time.Minute
	changes := t.changes()
	end := changes[len(changes)-1].at + 2*time.Duration(set.IdleAfterMs)*time.Millisecond
	for s.now = 0; s.now <= end; s.now += time.Second {
		s.Pass(s.start.Add(s.now).Sub(s.Now()))
		s.out.nodeHours += float64(len(s.EC2.Living())) / 3600
		s.out.most = max(s.out.most, len(s.EC2.Living()))
		if s.now%every == 0 {
			s.out.parts = s.out.parts.plus(s.measure(ctx))
		}
		for len(changes) > 0 && changes[0].at <= s.now {
			if err := s.change(ctx, changes[0]); err != nil {
				return s.out, err
			}
			changes = changes[1:]
		}
		if err := errors.Join(s.boots(ctx), s.deeds(ctx), s.askAgain(ctx), s.fleet(ctx, s.now%sweep == 0), s.read(ctx)); err != nil {
			return s.out, err
		}
		s.due()
	}
	if n := len(s.EC2.Living()); n > 0 {
		return s.out, fmt.Errorf("%d nodes run after everybody has left", n)
	}
	return s.out, nil
}

// fleet runs what the fleet function does this second.
func (s *spillway) fleet(ctx context.Context, sweep bool) error {
	if sweep {
		return s.Sweep(ctx)
	}
	if s.Bus.Take() > 0 {
		return s.Capacity(ctx)
	}
	return nil
}

func (s *spillway) change(ctx context.Context, c change) error {
	if !c.goes {
		p := &person{visit: c.who, sessions: 1}
		s.people[p.person] = p
		return s.join(ctx, p)
	}
	p := s.people[c.who.person]
	p.gone = true
	delete(s.people, p.person)
	err := s.Leave(ctx, p.caller(), events.Leave{Header: events.Head(events.ActionLeave), ID: "l", Session: p.session()})
	var told *events.Error
	if err != nil && !errors.As(err, &told) {
		return fmt.Errorf("%s leaves: %w", p.person, err)
	}
	// A connection that a move was to end ends by itself.
	return errors.Join(s.left(ctx, p, p.seats...), s.read(ctx))
}

// join asks for a seat for the person's session, and reads what comes of it.
func (s *spillway) join(ctx context.Context, p *person) error {
	m := events.Join{Header: events.Head(events.ActionJoin), ID: "j", Session: p.session(), Offer: offer}
	if n := len(p.seats); n > 0 && p.seats[n-1].session != m.Session {
		m.From = p.seats[n-1].session
	}
	p.asked = s.now
	err := s.Join(ctx, p.caller(), m)
	var told *events.Error
	if errors.As(err, &told) {
		s.refuse(p, told)
		return nil
	}
	return errors.Join(err, s.read(ctx))
}

// refuse notes that somebody was turned away. Who has a seat and was to move stays.
func (s *spillway) refuse(p *person, err *events.Error) {
	p.moving, p.waiting = false, false
	if len(p.seats) > 0 {
		p.sessions = p.stands
		return
	}
	s.out.refused[p.person] = true
	if s.out.parts.why == nil {
		s.out.parts.why = map[string]int{}
	}
	s.out.parts.why[err.Text]++
}

// left lets nodes report that connections are over.
func (s *spillway) left(ctx context.Context, p *person, seats ...seat) error {
	var failed error
	for _, at := range seats {
		m := events.Left{Header: events.Head(events.ActionLeft), Node: string(at.node), Generation: 1, Room: p.room, Key: p.person, Revision: at.revision, Reason: events.LeftByItself}
		err := s.Left(ctx, control.Caller{Connection: "n-" + string(at.node), Node: at.node}, m)
		var told *events.Error
		if !errors.As(err, &told) { // it may have its seat elsewhere by now
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// read lets people and nodes take what was posted to them.
func (s *spillway) read(ctx context.Context) error {
	for len(s.post) > 0 {
		l := s.post[0]
		s.post = s.post[1:]
		if err := s.take(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

func (s *spillway) take(ctx context.Context, l letter) error {
	if node, ok := strings.CutPrefix(l.to, "n-"); ok {
		m, err := events.Decode(events.ToNode, l.data)
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case events.Offer:
			s.seated(s.people[m.Person.Key], seat{m.Session, room.NodeID(node), m.Revision})
		case events.MoveAway:
			s.moveAway(room.NodeID(node), m)
		}
		return nil
	}
	p := s.people[strings.TrimPrefix(l.to, "c-")]
	if p == nil {
		return nil
	}
	m, err := events.Decode(events.ToClient, l.data)
	if err != nil {
		return err
	}
	switch m := m.(type) {
	case events.Waiting:
		if !p.waiting {
			p.waiting, p.since = true, s.now
			s.out.waited++
		}
	case events.Ready:
		return s.join(ctx, p)
	case events.Error:
		s.refuse(p, &m)
	}
	return nil
}

// seated notes the seat that a node was told of; the one before it ends soon.
func (s *spillway) seated(p *person, at seat) {
	if p == nil {
		return
	}
	if p.waiting {
		p.waiting = false
		if !s.launching(p.since) {
			s.out.needless++
		}
	}
	p.moving, p.stands = false, p.sessions
	before := slices.DeleteFunc(slices.Clone(p.seats), func(o seat) bool { return o.session == at.session })
	p.seats = append(before, at)
	if len(before) == 0 {
		return
	}
	s.out.moved++
	s.later = append(s.later, deed{s.now + standsIn, func(ctx context.Context) error {
		if p.gone {
			return nil
		}
		p.seats = []seat{at}
		return s.left(ctx, p, before...)
	}})
}

// launching reports whether a node was being started at some time since.
func (s *spillway) launching(since time.Duration) bool {
	for _, up := range s.up {
		if up.to < 0 || up.to >= since {
			return true
		}
	}
	return false
}

// moveAway lets people of a node join again from there, in a few seconds.
func (s *spillway) moveAway(node room.NodeID, m events.MoveAway) {
	for i, key := range m.Keys {
		p := s.people[key]
		if p == nil || p.moving || len(p.seats) == 0 || p.seats[len(p.seats)-1].node != node {
			continue
		}
		p.moving = true
		s.later = append(s.later, deed{s.now + time.Duration(1+i%movesIn)*time.Second, func(ctx context.Context) error {
			if p.gone {
				return nil
			}
			p.sessions++
			return s.join(ctx, p)
		}})
	}
}

// deeds does what is due.
func (s *spillway) deeds(ctx context.Context) error {
	due := s.later
	s.later = nil
	var failed error
	for _, d := range due {
		if d.at > s.now {
			s.later = append(s.later, d)
			continue
		}
		failed = errors.Join(failed, d.do(ctx))
	}
	return failed
}

// askAgain lets those who wait ask again, as the SDK does.
func (s *spillway) askAgain(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(s.people)) {
		if p := s.people[name]; p.waiting && s.now-p.asked >= asksAgain {
			if err := s.join(ctx, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// due notes when the instances launched since the last look will say hello.
func (s *spillway) due() {
	for _, id := range s.EC2.Living() {
		if _, known := s.up[id]; !known {
			s.up[id] = span{s.now, -1}
			s.hello[id] = s.now + boot
		}
	}
}

// boots lets nodes say hello. Their lease lasts: nothing dies here.
func (s *spillway) boots(ctx context.Context) error {
	for _, id := range slices.Sorted(maps.Keys(s.hello)) {
		if s.hello[id] > s.now {
			continue
		}
		delete(s.hello, id)
		s.up[id] = span{s.up[id].from, s.now}
		hello := events.Hello{Header: events.Head(events.ActionHello), Node: string(id), Boot: "boot-" + string(id), PipePort: 7883, Fingerprint: "AA" + strings.Repeat(":AA", 31),
			Addresses: events.List[events.Address]{{IP: "192.0.2.1", Port: 7882, Scope: events.PublicScope}}}
		if err := s.Hello(ctx, control.Caller{Connection: "n-" + string(id), Node: id}, hello); err != nil {
			return err
		}
		beat := fleet.Beat{Generation: 1, Seq: 1, LeaseUntil: s.start.AddDate(1, 0, 0)}
		if err := s.Store.Commit(ctx, []control.Change{control.PutBeat{Node: id, Beat: beat}}); err != nil {
			return err
		}
	}
	return nil
}
