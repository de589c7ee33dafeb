package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
)

// boot is how long a node takes from its launch to its hello.
const boot = 26 * time.Second

// outcome is what a policy made of a trace.
type outcome struct {
	nodeHours float64
	most      int
	waited    int
	refused   map[string]bool // by person
}

// spillway runs a trace through the real decisions: joins, leaves, the fleet
// function's passes and a sweep each minute, on the memory store.
type spillway struct {
	*sim.World
	start    time.Time
	hello    map[room.NodeID]time.Duration // due
	launched map[room.NodeID]bool
	out      outcome
	waiting  map[string]bool
}

func runSpillway(ctx context.Context, t trace, set control.Settings) (outcome, error) {
	start := time.UnixMilli(1_790_000_000_000)
	s := &spillway{World: sim.NewWorld(start, set), start: start, hello: map[room.NodeID]time.Duration{}, launched: map[room.NodeID]bool{}, waiting: map[string]bool{}, out: outcome{refused: map[string]bool{}}}
	sweep := time.Minute
	changes := t.changes()
	end := changes[len(changes)-1].at + 2*time.Duration(set.IdleAfterMs)*time.Millisecond
	for now := time.Duration(0); now <= end; now += time.Second {
		s.Pass(s.start.Add(now).Sub(s.Now()))
		s.out.nodeHours += float64(len(s.EC2.Living())) / 3600
		s.out.most = max(s.out.most, len(s.EC2.Living()))
		for len(changes) > 0 && changes[0].at <= now {
			if err := s.change(ctx, changes[0]); err != nil {
				return s.out, err
			}
			changes = changes[1:]
		}
		if err := s.boots(ctx, now); err != nil {
			return s.out, err
		}
		if now%sweep == 0 {
			if err := s.Sweep(ctx); err != nil {
				return s.out, err
			}
		} else if s.Bus.Take() > 0 {
			if err := s.Capacity(ctx); err != nil {
				return s.out, err
			}
		}
		s.due(now)
	}
	if n := len(s.EC2.Living()); n > 0 {
		return s.out, fmt.Errorf("%d nodes run after everybody has left", n)
	}
	return s.out, nil
}

func (s *spillway) change(ctx context.Context, c change) error {
	caller := control.Caller{Connection: "c-" + c.who.person, Room: room.Name(c.who.room), Key: room.Key(c.who.person), Identity: c.who.person, MayPublish: !c.who.viewer}
	var told *events.Error
	if c.goes {
		err := s.Leave(ctx, caller, events.Leave{Header: events.Head(events.ActionLeave), ID: "l", Session: c.who.person})
		if errors.As(err, &told) { // was refused
			return nil
		}
		return err
	}
	before := len(s.waiting)
	err := s.Join(ctx, caller, events.Join{Header: events.Head(events.ActionJoin), ID: "j", Session: c.who.person})
	if errors.As(err, &told) {
		s.out.refused[c.who.person] = true
		return nil
	}
	mail, _ := s.Mail.Take(caller.Connection, events.ToClient)
	for _, m := range mail {
		if _, ok := m.(events.Waiting); ok {
			s.waiting[c.who.person] = true
		}
	}
	s.out.waited += len(s.waiting) - before
	return err
}

// due notes when the instances launched since the last look will say hello.
func (s *spillway) due(now time.Duration) {
	for _, id := range s.EC2.Living() {
		if !s.launched[id] {
			s.launched[id] = true
			s.hello[id] = now + boot
		}
	}
}

// boots lets nodes say hello. Their lease lasts: nothing dies here.
func (s *spillway) boots(ctx context.Context, now time.Duration) error {
	for _, id := range slices.Sorted(maps.Keys(s.hello)) {
		if s.hello[id] > now {
			continue
		}
		delete(s.hello, id)
		hello := events.Hello{Header: events.Head(events.ActionHello), Node: string(id), Boot: "boot-" + string(id), PipePort: 7883}
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
