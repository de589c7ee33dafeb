package trial

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
)

// Burst is what it took to let a crowd in.
type Burst struct {
	// Err is the invariant that was broken first; Joined how many got media.
	Err    error
	Joined int
	// Joins is how many calls of the join function there were, Commits how many
	// commits they attempted in all, Writes the conditional writes in these, and
	// Conflicts how many commits met one.
	Joins, Commits, Writes, Conflicts int
	// Retries is, for each call, how many of its commits met a conflict; sorted.
	Retries []int
	// Plans counts the commits that were made, by the changes in them.
	Plans map[string]int
	// Took is from the first join to the last seat, in the world's time.
	Took time.Duration
}

// Crowd lets people join rooms within a second, on a node that has room for all,
// with the store's latencies and its conflicts between transactions. made, if
// not nil, is given each commit that a join made.
func Crowd(seed uint64, people, rooms, nodeSeats int, made func([]control.Change)) Burst {
	w := weather{people: people, rooms: rooms, maxParticipants: people + 10, nodeSeats: nodeSeats, maxNodes: 100, idleAfter: time.Hour, sweepEvery: time.Minute}
	t := newTrial(Config{Seed: seed}, w)
	t.set.SpareSeats = 3*people + 4*rooms
	b := Burst{Plans: map[string]int{}}
	t.someone("first", "first", "lobby").join()
	t.after(w.sweepEvery, t.timer)
	t.pass(3 * time.Minute)
	t.isolated = true
	began := t.clock.now
	t.finished = func(c *call) {
		if !strings.HasPrefix(c.what, "join ") {
			return
		}
		b.Joins++
		b.Commits += c.commits
		b.Writes += c.writes
		b.Conflicts += c.conflicts
		b.Retries = append(b.Retries, c.conflicts)
		for _, changes := range c.made {
			var names []string
			for _, change := range changes {
				names = append(names, strings.TrimPrefix(fmt.Sprintf("%T", change), "control."))
			}
			b.Plans[strings.Join(names, "+")]++
			if made != nil {
				made(changes)
			}
		}
		b.Took = time.Duration(t.clock.now - began)
	}
	for i := range people {
		key := fmt.Sprintf("p%d", i)
		p := t.someone(key, key, fmt.Sprintf("room-%d", i%rooms))
		t.after(p.dice.between(0, time.Second), p.join)
	}
	t.pass(2 * time.Minute)
	for _, p := range t.people[1:] {
		if p.phase == joined {
			b.Joined++
		}
	}
	if b.Joined != people {
		t.fail("%d of %d people are in", b.Joined, people)
	}
	t.watch.settled()
	b.Err = t.failure
	slices.Sort(b.Retries)
	return b
}

// touched names the items that a crowd fights for.
func touched(change control.Change) string {
	switch c := change.(type) {
	case control.PutRoom:
		return "room " + string(c.Room.Name)
	case control.DeleteRoom:
		return "room " + string(c.Name)
	case control.PutBlock:
		return fmt.Sprintf("block %s %d", c.Block.Room, c.Block.Index)
	case control.TakeSeat:
		return fmt.Sprintf("block %s %d", c.Room, c.Index)
	case control.ClaimLoad:
		return "node " + string(c.Node)
	}
	return ""
}

// transactionLasts is how long a transaction holds its items.
const transactionLasts = 4 * time.Millisecond

// held waits as a transaction does, and reports whether another one holds one of
// its items: then either write is refused (DynamoDB developer guide, "Transaction
// conflict handling").
func (c *call) held(changes []control.Change) bool {
	if !c.t.isolated {
		return false
	}
	var items []string
	for _, change := range changes {
		if item := touched(change); item != "" {
			if c.t.locks[item] > c.t.clock.now {
				return true
			}
			items = append(items, item)
		}
	}
	if len(changes) < 2 {
		return false
	}
	for _, item := range items {
		c.t.locks[item] = c.t.clock.now + int64(transactionLasts)
	}
	c.wait(transactionLasts)
	return false
}
