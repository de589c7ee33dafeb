package step

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// atOnce is how many rooms, or people of a room that has seats for all of them,
// are served at a time.
const atOnce = 16

// serving is a pass over those who wait.
type serving struct {
	*World
	landed []fleet.Node
	ample  control.Ample
}

// serveAll serves a line, first come first served, and returns those who are not
// served, in order. As far as the line surely fits into what is free the order is
// no matter, and rooms are served side by side; from there on everybody waits for
// those before.
func (w *World) serveAll(ctx context.Context, waits []fleet.Wait, landed []fleet.Node, nodes []fleet.View) ([]fleet.Wait, error) {
	if len(waits) == 0 {
		return nil, nil
	}
	for _, n := range landed {
		nodes = among(nodes, []fleet.View{{Node: n}})
	}
	s := serving{w, landed, control.Fits(waits, nodes, w.Now(), w.Settings)}
	left, err := s.sideBySide(ctx, waits[:s.ample.First])
	if err != nil {
		return nil, err
	}
	more, err := s.inOrder(ctx, waits[s.ample.First:], left)
	left = append(left, more...)
	slices.SortStableFunc(left, inLine)
	return left, err
}

// inLine orders those who wait by when they came.
func inLine(a, b fleet.Wait) int {
	return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Key, b.Key))
}

// sideBySide serves those for all of whom there is room.
func (s serving) sideBySide(ctx context.Context, waits []fleet.Wait) ([]fleet.Wait, error) {
	var left []fleet.Wait
	for some := range slices.Chunk(control.ByRoom(waits), atOnce) {
		unserved, failed := make([][]fleet.Wait, len(some)), make([]error, len(some))
		var each []func()
		for i, waits := range some {
			each = append(each, func() { unserved[i], failed[i] = s.room(ctx, waits) })
		}
		s.atOnce(each)
		if err := errors.Join(failed...); err != nil {
			return nil, err
		}
		left = append(left, slices.Concat(unserved...)...)
	}
	return left, nil
}

// room serves the people of one room: the first with as many as can be seated
// together with it, then as many at once as there are seats for.
func (s serving) room(ctx context.Context, waits []fleet.Wait) (left []fleet.Wait, err error) {
	for len(waits) > 0 {
		first := waits[0]
		var same, others []fleet.Wait
		for _, w := range waits[1:] {
			if w.Role == first.Role {
				same = append(same, w)
			} else {
				others = append(others, w)
			}
		}
		done, err := s.serve(ctx, first, same)
		if err != nil {
			return nil, err
		}
		same = slices.DeleteFunc(same, func(w fleet.Wait) bool { return slices.Contains(done.Sessions, w.Session) })
		if !done.First {
			left = append(left, first)
			// Whoever wants the same has to wait with it.
			like := func(w fleet.Wait) bool { return control.Behind(w, first) }
			for _, w := range same {
				if like(w) {
					left = append(left, w)
				}
			}
			same = slices.DeleteFunc(same, like)
		}
		seats := min(done.Free, len(same))
		for some := range slices.Chunk(same[:seats], atOnce) {
			unserved, err := s.each(ctx, some)
			if err != nil {
				return nil, err
			}
			left = append(left, unserved...)
		}
		waits = slices.Concat(same[seats:], others)
		slices.SortStableFunc(waits, inLine)
	}
	return left, nil
}

// each serves people at once, and returns those who are not served.
func (s serving) each(ctx context.Context, waits []fleet.Wait) (left []fleet.Wait, err error) {
	done, failed := make([]control.Outcome, len(waits)), make([]error, len(waits))
	var each []func()
	for i, w := range waits {
		each = append(each, func() { done[i], failed[i] = s.serve(ctx, w, nil) })
	}
	s.atOnce(each)
	for i, w := range waits {
		if !done[i].First {
			left = append(left, w)
		}
	}
	return left, errors.Join(failed...)
}

// inOrder serves people one after the other, those who come next of the same room
// and role together with the first; behind are those who have not been served
// before them. Who wants the same as somebody before who was not served is not
// served either.
func (s serving) inOrder(ctx context.Context, waits, behind []fleet.Wait) ([]fleet.Wait, error) {
	missed, err := s.hopeless(ctx, waits)
	if err != nil {
		return nil, err
	}
	missed = append(missed, behind...)
	var left []fleet.Wait
	for len(waits) > 0 {
		first, n := waits[0], 1
		if slices.ContainsFunc(missed, func(m fleet.Wait) bool { return m.Session == first.Session || control.Behind(first, m) }) {
			left, waits = append(left, first), waits[1:]
			continue
		}
		for n < len(waits) && waits[n].Room == first.Room && waits[n].Role == first.Role {
			n++
		}
		done, err := s.serve(ctx, first, waits[1:n])
		if err != nil {
			return nil, err
		}
		if !done.First {
			left, missed = append(left, first), append(missed, first)
		}
		waits = slices.DeleteFunc(slices.Clone(waits[1:]), func(w fleet.Wait) bool { return slices.Contains(done.Sessions, w.Session) })
	}
	return left, nil
}

// hopeless returns those of whom, for each room and role, the first could not be
// served now. To look at them takes less time side by side than to serve them one
// after the other.
func (s serving) hopeless(ctx context.Context, waits []fleet.Wait) ([]fleet.Wait, error) {
	var firsts []fleet.Wait
	for _, w := range waits {
		if !slices.ContainsFunc(firsts, func(f fleet.Wait) bool { return f.Room == w.Room && f.Role == w.Role }) {
			firsts = append(firsts, w)
		}
	}
	var missed []fleet.Wait
	for some := range slices.Chunk(firsts, atOnce) {
		served, failed := make([]bool, len(some)), make([]error, len(some))
		var each []func()
		for i, w := range some {
			each = append(each, func() { served[i], failed[i] = s.servable(ctx, w) })
		}
		s.atOnce(each)
		if err := errors.Join(failed...); err != nil {
			return nil, err
		}
		for i, w := range some {
			if !served[i] {
				missed = append(missed, w)
			}
		}
	}
	return missed, nil
}

// as is the pass with the world as somebody's token wishes it.
func (s serving) as(wait fleet.Wait) (serving, error) {
	w, err := s.wishing(wait.Wish)
	s.World = w
	return s, err
}

// servable reports whether somebody could be served, or leaves the line, now.
func (s serving) servable(ctx context.Context, wait fleet.Wait) (bool, error) {
	s, err := s.as(wait)
	if err != nil {
		return false, err
	}
	sought := &search{wide: true}
	for {
		seating, err := s.queued(ctx, wait, sought)
		if err != nil {
			return false, err
		}
		_, done, err := control.Serve(seating, control.Turn{Wait: wait}, 0, s.Now(), s.Settings)
		if errors.Is(err, control.ErrSectionFull) && sought.decided(seating, err) != nil && len(sought.tried) < maxAttempts {
			continue
		}
		return done.First, err
	}
}

// serve seats somebody who waits, together with those of then who can be seated
// in the same transaction, or takes it out of the line.
func (s serving) serve(ctx context.Context, wait fleet.Wait, then []fleet.Wait) (control.Outcome, error) {
	var done control.Outcome
	s, err := s.as(wait)
	if err != nil {
		return done, err
	}
	sought := &search{wide: true}
	_, err = run(ctx, s.World, "serve",
		func(ctx context.Context, _ bool) (queue, error) {
			seating, err := s.queued(ctx, wait, sought)
			if err != nil {
				return queue{}, err
			}
			next, err := s.unseated(ctx, then)
			return queue{seating, next}, err
		},
		func(q queue) (control.Plan, error) {
			turn := control.Turn{Wait: wait, Next: q.next, Seats: 1 + len(then), Roomy: s.ample.Roomy, Home: s.ample.Homes[wait.Room]}
			plan, served, err := control.Serve(q.seating, turn, 0, s.Now(), s.Settings)
			done = served
			return plan, sought.decided(q.seating, err)
		})
	var told *events.Error
	if errors.As(err, &told) && told.Code == events.CodeBusy {
		return control.Outcome{}, nil // others were faster again and again; it keeps its place
	}
	return done, err
}

// queue is what serving somebody is decided from.
type queue struct {
	seating control.Seating
	next    []fleet.Wait
}

// queued is the complete snapshot for somebody who waits, with the nodes that
// landed a moment ago, and the one that is meant for its room.
func (s serving) queued(ctx context.Context, wait fleet.Wait, sought *search) (control.Seating, error) {
	sought.spread = s.Spread()
	seating, err := s.seating(ctx, wait.Room, wait.Key, wait.Role, wait.Avoid, sought)
	if err != nil {
		return seating, err
	}
	var keys []Key
	add := func(id room.NodeID) {
		if !slices.ContainsFunc(seating.Candidates, func(v fleet.View) bool { return v.Node.ID == id }) {
			keys = append(keys, NodeKey{id})
		}
	}
	for _, n := range s.landed {
		add(n.ID)
	}
	if home := s.ample.Homes[wait.Room]; home != "" {
		add(home)
	}
	if len(keys) == 0 {
		return seating, nil
	}
	items, err := s.Store.Get(ctx, true, keys...)
	seating.Candidates = append(seating.Candidates, items.Nodes...)
	return seating, err
}

// unseated returns those of waits, from the first on, who are still in line and of
// whom nothing else is known, so that they can be seated by somebody else's grant.
// It ends at the first of whom there is.
func (w *World) unseated(ctx context.Context, waits []fleet.Wait) ([]fleet.Wait, error) {
	waits = waits[:min(len(waits), control.MaxTogether)]
	if len(waits) == 0 {
		return nil, nil
	}
	var keys []Key
	for _, x := range waits {
		keys = append(keys, ParticipantKey{x.Room, x.Key}, WaitKey{x.Region, x.Room, x.Key})
	}
	items, err := w.Store.Get(ctx, true, keys...)
	var out []fleet.Wait
	for _, x := range waits {
		known := slices.ContainsFunc(items.Participants, func(p room.Participant) bool { return p.Key == x.Key })
		i := slices.IndexFunc(items.Waits, func(now fleet.Wait) bool { return now.Key == x.Key && now.Session == x.Session })
		if i >= 0 && (known || !items.Waits[i].Plain()) {
			break
		}
		if i >= 0 {
			out = append(out, items.Waits[i])
		}
	}
	return out, err
}
