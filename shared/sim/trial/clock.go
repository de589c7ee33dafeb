package trial

import "time"

// event is something that happens at a time, in nanoseconds since the
// beginning. Those of the same time happen in the order in which they were
// added.
type event struct {
	at  int64
	seq uint64
	do  func()
}

func (e event) less(o event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// clock is a heap of events: time passes by going from one to the next.
type clock struct {
	now   int64
	seq   uint64
	steps int
	queue []event
}

func (c *clock) add(d time.Duration, do func()) {
	c.seq++
	c.queue = append(c.queue, event{c.now + int64(max(d, 0)), c.seq, do})
	for i := len(c.queue) - 1; i > 0; {
		up := (i - 1) / 2
		if !c.queue[i].less(c.queue[up]) {
			break
		}
		c.queue[i], c.queue[up] = c.queue[up], c.queue[i]
		i = up
	}
}

// before reports whether there is an event until then.
func (c *clock) before(until int64) bool { return len(c.queue) > 0 && c.queue[0].at <= until }

// step lets the next event happen. It returns false when there is none.
func (c *clock) step() bool {
	if len(c.queue) == 0 {
		return false
	}
	e := c.queue[0]
	last := len(c.queue) - 1
	c.queue[0], c.queue[last] = c.queue[last], event{}
	c.queue = c.queue[:last]
	for i := 0; ; {
		next := 2*i + 1
		if next >= last {
			break
		}
		if next+1 < last && c.queue[next+1].less(c.queue[next]) {
			next++
		}
		if !c.queue[next].less(c.queue[i]) {
			break
		}
		c.queue[i], c.queue[next] = c.queue[next], c.queue[i]
		i = next
	}
	c.now = e.at
	c.steps++
	e.do()
	return true
}
