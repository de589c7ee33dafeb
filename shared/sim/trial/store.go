package trial

import (
	"context"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/sim"
	"github.com/spillway-sfu/spillway/shared/step"
)

// ledger is the table: the truth, what an inconsistent read may see of it, and
// its indexes, which lag.
type ledger struct {
	t        *trial
	truth    *sim.Store
	replica  *sim.Store
	index    *sim.Store
	log      []written
	replayed [2]int // how far replica and index have come
	version  int
}

type written struct {
	at      int64
	changes []control.Change
}

func newLedger(t *trial) *ledger {
	return &ledger{t: t, truth: sim.NewStore(), replica: sim.NewStore(), index: sim.NewStore()}
}

func (l *ledger) commit(ctx context.Context, c *call, changes []control.Change) error {
	if err := l.truth.Commit(ctx, changes); err != nil {
		return err
	}
	l.t.watch.wrote(c, changes)
	l.version++
	l.log = append(l.log, written{l.t.clock.now, changes})
	if l.t.cfg.Trace != nil {
		for _, change := range changes {
			switch change.(type) {
			case control.PutBeat, control.PutRecord:
			default:
				l.t.note("  %s writes %s", c.what, say(change))
			}
		}
	}
	l.t.mark(uint64(len(changes)))
	return nil
}

// follow lets a copy come up to what was written before a time. The same writes
// in the same order leave the same.
func (l *ledger) follow(which int, to *sim.Store, before int64) {
	for l.replayed[which] < len(l.log) && l.log[l.replayed[which]].at <= before {
		if err := to.Commit(context.Background(), l.log[l.replayed[which]].changes); err != nil {
			l.t.fail("a copy of the store parts from the original: %v", err)
		}
		l.replayed[which]++
	}
	if done := min(l.replayed[0], l.replayed[1]); done > 1000 {
		l.log = l.log[done:]
		l.replayed[0] -= done
		l.replayed[1] -= done
	}
}

func (l *ledger) lag() int64 {
	if l.t.calm {
		return 0
	}
	window := uint64(l.t.clock.now / 2e9)
	return int64(unit(mix(l.t.cfg.Seed, name("lag"), window)) * float64(l.t.weather.indexLag))
}

// get reads each item from the truth, or, where that is allowed, from a moment
// ago.
func (l *ledger) get(ctx context.Context, c *call, consistent bool, keys []step.Key) (step.Items, error) {
	l.follow(0, l.replica, l.t.clock.now-l.lag()/4)
	if consistent || !c.hit(l.t.weather.stale, "stale", "get") {
		return l.truth.Get(ctx, consistent, keys...)
	}
	c.struck-- // no fault: it is what was asked for
	return l.replica.Get(ctx, consistent, keys...)
}

// find reads partitions from the truth; what it finds by an index is what the
// index has, read from the truth.
func (l *ledger) find(ctx context.Context, q step.Query) (step.Items, error) {
	switch q.(type) {
	case step.Waiting, step.Demand, step.Records:
		return l.truth.Find(ctx, q)
	}
	l.follow(1, l.index, l.t.clock.now-l.lag())
	found, err := l.index.Find(ctx, q)
	if err != nil {
		return found, err
	}
	var keys []step.Key
	for _, v := range found.Nodes {
		keys = append(keys, step.NodeKey{Node: v.Node.ID})
	}
	for _, b := range found.Blocks {
		keys = append(keys, step.BlockKey{Room: b.Room, Index: b.Index})
	}
	for _, r := range found.Rooms {
		keys = append(keys, step.RoomKey{Room: r.Name})
	}
	if len(keys) == 0 {
		return found, nil
	}
	now, err := l.truth.Get(ctx, true, keys...)
	if c, ok := q.(step.Candidates); ok {
		var fit []fleet.View
		for _, v := range now.Nodes {
			if v.Node.State.Takes() && c.Need.Fits(v.Node.Available) {
				fit = append(fit, v)
			}
		}
		now.Nodes = fit
	}
	return now, err
}
