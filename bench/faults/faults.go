package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// fault is one way to do harm, with whom it befalls.
type fault struct {
	name string
	// used nodes have people on them when it begins, spare ones have nobody.
	used, spare int
	// rooms are how many rooms are on each used node.
	rooms int
	// strike does the harm and returns when it is over but for what people do about
	// it.
	strike func(context.Context, *scene) error
	// moves says that everybody on the struck nodes has to change.
	moves bool
	// ends is how many nodes may end by it.
	ends int
	// still is how long a picture may stand still on a machine that does other
	// things, too.
	still time.Duration
}

// scene is a fault being tried out.
type scene struct {
	*stand
	*crowd
	people context.Context // until the crowd leaves
	used   []node
	struck []string // nodes whose people are to go elsewhere
	size   int      // people in a room
	outage time.Duration
}

// faults are all that `make faults` tries, in this order.
var faults = []fault{
	{name: "drain of a node, room elsewhere", used: 1, spare: 1, rooms: 4, moves: true, ends: 1, still: 2 * time.Second,
		strike: func(ctx context.Context, s *scene) error { return s.drainAll(ctx, 1) }},
	{name: "two drains at once", used: 2, spare: 1, rooms: 2, moves: true, ends: 2, still: 2 * time.Second,
		strike: func(ctx context.Context, s *scene) error { return s.drainAll(ctx, 2) }},
	{name: "drain at its deadline: all are made to go", used: 1, spare: 1, rooms: 2, moves: true, ends: 1, still: 10 * time.Second,
		strike: func(ctx context.Context, s *scene) error {
			s.struck = ids(s.used)
			return s.drain(ctx, s.used[0].ID+"/drain?withinSeconds=0")
		}},
	{name: "kill -9 of one node of three", used: 3, rooms: 2, moves: true, ends: 1, still: 10 * time.Second,
		strike: func(_ context.Context, s *scene) error {
			s.struck = ids(s.used[:1])
			return s.signal(s.used[0], syscall.SIGKILL)
		}},
	{name: "new home killed during a move", used: 1, spare: 2, rooms: 2, moves: true, ends: 2, still: 10 * time.Second, strike: killTheNewHome},
	{name: "host goes silent (SIGSTOP)", used: 1, spare: 1, rooms: 2, moves: true, ends: 1, still: 10 * time.Second,
		strike: func(_ context.Context, s *scene) error {
			s.struck = ids(s.used)
			return s.signal(s.used[0], syscall.SIGSTOP)
		}},
	{name: "gateway down", used: 2, rooms: 2, still: 2 * time.Second, strike: func(ctx context.Context, s *scene) error {
		return s.during(ctx, s.gateway(ctx, true), func() error { return s.gateway(ctx, false) })
	}},
	{name: "store down (SIGSTOP)", used: 2, rooms: 2, still: 2 * time.Second, strike: func(ctx context.Context, s *scene) error {
		pid, err := s.storeProcess()
		if err == nil {
			err = s.send(pid, syscall.SIGSTOP)
		}
		return s.during(ctx, err, func() error { s.thaw(); return nil })
	}},
	{name: "control plane stopped (SIGSTOP)", used: 2, rooms: 2, still: 2 * time.Second, strike: func(ctx context.Context, s *scene) error {
		return s.during(ctx, s.send(s.PID(), syscall.SIGSTOP), func() error { s.thaw(); return nil })
	}},
}

func (s *scene) drainAll(ctx context.Context, nodes int) error {
	s.struck = ids(s.used[:nodes])
	failed := make(chan error, nodes)
	for _, id := range s.struck {
		go func() { failed <- s.drain(ctx, id+"/drain") }()
	}
	var err error
	for range nodes {
		if e := <-failed; e != nil {
			err = e
		}
	}
	return err
}

// killTheNewHome drains a node and kills where its people go as soon as one of
// them is there.
func killTheNewHome(ctx context.Context, s *scene) error {
	if err := s.drainAll(ctx, 1); err != nil {
		return err
	}
	for {
		ready, err := s.ready(ctx)
		if err != nil {
			return err
		}
		for _, n := range ready {
			if n.Participants > 0 {
				s.struck = append(s.struck, n.ID)
				return s.signal(n, syscall.SIGKILL)
			}
		}
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// during waits for the outage that has begun, lets somebody join a room meanwhile,
// and ends it.
func (s *scene) during(ctx context.Context, began error, end func() error) error {
	if began != nil {
		return began
	}
	if err := s.bring(s.people, "late", 1, nil); err != nil {
		return err
	}
	if err := wait(ctx, s.outage); err != nil {
		return err
	}
	return end()
}

// result is what a fault did.
type result struct {
	fault           string
	people, moved   int
	pictures, sound []float64 // seconds, for each person whom it befell
	lost            []string
}

// try lets a fault befall a crowd and waits until all is as it was.
func (f fault) try(ctx context.Context, on *stand, size int, outage time.Duration) (result, error) {
	r := result{fault: f.name}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	nodes, err := on.provide(ctx, f.used+f.spare)
	if err != nil {
		return r, fmt.Errorf("provide nodes: %w", err)
	}
	all, err := on.taking(ctx)
	if err != nil {
		return r, err
	}
	people, lasting := newCrowd(on.Stack)
	defer people.leave()
	s := &scene{stand: on, crowd: people, people: lasting, used: nodes[:f.used], size: size, outage: outage}
	for _, n := range s.used {
		for k := range f.rooms {
			if err := people.bring(lasting, fmt.Sprintf("%.12s %s %d", f.name, n.ID, k), size, without(all, n.ID)); err != nil {
				return r, err
			}
		}
	}
	if err := people.whole(ctx); err != nil {
		return r, fmt.Errorf("before the fault: %w", err)
	}
	r.people = len(people.people)
	homes := map[*person]string{}
	for _, p := range people.people {
		p.mu.Lock()
		homes[p] = p.home
		p.mu.Unlock()
	}
	people.begin()
	struck := time.Now()
	if err := f.strike(ctx, s); err != nil {
		return r, fmt.Errorf("strike: %w", err)
	}
	r.lost = s.recover(ctx, f)
	r.moved = people.moved()
	r.pictures, r.sound = people.gaps(func(p *person) bool {
		return homes[p] != "" && (!f.moves || homes[p] == s.struck[0] || len(s.struck) > 1)
	})
	if on.trace != nil {
		people.tell(on.trace, struck)
	}
	s.thaw()
	if s.struck != nil {
		on.spoilt = append(on.spoilt, s.struck...)
		_ = on.endHard(ctx, s.struck) // those that still run
	}
	return r, nil
}

// recover waits until everybody has everything again, and tells what is lost.
func (s *scene) recover(ctx context.Context, f fault) (lost []string) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if f.moves {
		for _, id := range s.struck {
			for s.on(id) > 0 && ctx.Err() == nil {
				_ = wait(ctx, 20*time.Millisecond)
			}
			if n := s.on(id); n > 0 {
				lost = append(lost, fmt.Sprintf("%d people stay on %s", n, id))
			}
		}
	}
	if err := s.whole(ctx); err != nil {
		lost = append(lost, err.Error())
	}
	// The table must agree: a seat for everybody on nodes that live, and no node
	// gone that was well.
	var nodes []node
	var err error
	seats := -1
	for ctx.Err() == nil && seats != len(s.crowd.people) {
		if nodes, err = s.nodes(ctx); err == nil {
			seats = 0
			for _, n := range nodes {
				if n.Alive {
					seats += n.Participants
				}
			}
		}
		_ = wait(ctx, 50*time.Millisecond)
	}
	if seats != len(s.crowd.people) {
		lost = append(lost, fmt.Sprintf("%d seats for %d people", seats, len(s.crowd.people)))
	}
	living := map[string]bool{}
	for _, n := range nodes {
		living[n.ID] = n.State == "ready"
	}
	gone := 0
	for _, n := range s.used {
		if !living[n.ID] {
			gone++
		}
	}
	if gone > f.ends {
		lost = append(lost, fmt.Sprintf("%d nodes that were well", gone-f.ends))
	}
	return lost
}
