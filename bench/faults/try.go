package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// result is what a fault did.
type result struct {
	fault         string
	people, moved int
	befell        gaps // those whom it befell
	others        gaps // those on other nodes of the same rooms; none where rooms are on one
	lost          []string
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
	if err := s.fill(ctx, f, ids(all)); err != nil {
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
	befell := func(p *person) bool { return !f.moves || slices.Contains(s.struck, homes[p]) }
	r.befell = people.gaps(func(p *person) bool { return homes[p] != "" && befell(p) })
	if f.spans {
		r.others = people.gaps(func(p *person) bool { return homes[p] != "" && !befell(p) })
	}
	if on.trace != nil {
		people.tell(on.trace, struck)
	}
	mending, done := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second) // what is lost is told, however long it took
	defer done()
	if err := s.mend(mending); err != nil {
		return r, fmt.Errorf("mend: %w; lost: %v", err, r.lost)
	}
	if s.struck != nil {
		on.spoilt = append(on.spoilt, s.struck...)
		_ = on.endHard(ctx, s.struck) // those that still run
	}
	return r, nil
}

// fill brings people onto the used nodes: rooms of a node each, or, where they span
// nodes, as many people of each room onto each.
func (s *scene) fill(ctx context.Context, f fault, all []string) error {
	size := s.size
	if f.spans {
		size = max(2, spanning/len(s.used))
	}
	for k := range f.rooms {
		for _, n := range s.used {
			name := fmt.Sprintf("%.24s %s %d", f.name, n.ID, k)
			if f.spans {
				name = fmt.Sprintf("%.24s %d", f.name, k)
			}
			elsewhere := slices.DeleteFunc(slices.Clone(all), func(id string) bool { return id == n.ID })
			if err := s.bring(s.people, name, size, elsewhere); err != nil {
				return err
			}
			if !f.spans {
				continue
			}
			for s.on(n.ID) < size*(k+1) { // or the room would not begin there
				if err := wait(ctx, 20*time.Millisecond); err != nil {
					return fmt.Errorf("%d of %d people are on %s: %w", s.on(n.ID), size*(k+1), n.ID, err)
				}
			}
		}
	}
	return s.whole(ctx)
}

// spanning is how many people a room over several nodes has: no more than somebody
// can watch.
const spanning = 9

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
