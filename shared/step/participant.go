package step

import (
	"context"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Join seats a participant or puts it in line. The error is an [*events.Error]
// for the participant, or a fault.
func (w *World) Join(ctx context.Context, c control.Caller, m events.Join) error {
	w, err := w.wishing(c.Wish)
	if err != nil {
		return err
	}
	spread, looked, sought := w.Spread(), -1, &search{}
	role, _ := c.Role(m.Role) // the decision refuses what the token does not allow
	_, err = run(ctx, w, "join",
		func(ctx context.Context, complete bool) (control.Seating, error) {
			looked++
			// Who was here before may have a seat anywhere in the room: a glance would not do.
			if complete || m.From != "" {
				spread = w.Spread()
				sought.spread = spread
				s, err := w.seating(ctx, c.Room, c.Key, role, control.Nodes(m.Avoid), sought)
				if p := s.Participant; err == nil && p != nil && p.Cast != "" && p.Cast != role {
					var cast []fleet.View
					cast, err = w.candidates(ctx, s.Room, p.Cast)
					s.Candidates = among(s.Candidates, cast)
				}
				return s, err
			}
			return w.glance(ctx, c.Room, role, spread)
		},
		func(s control.Seating) (control.Plan, error) {
			plan, err := control.Join(s, control.JoinEvent{Caller: c, Message: m, Spread: spread, Looked: looked}, w.Now(), w.Settings)
			return plan, sought.decided(s, err)
		})
	return err
}

// wishing is a world in which rooms that nobody has made yet become as a token
// wishes. A room that exists, declared or not, stays what it is.
func (w *World) wishing(wish *room.Wish) (*World, error) {
	if wish == nil {
		return w, nil
	}
	profile, err := wish.Profile(w.Settings.Profile)
	if err != nil {
		return nil, events.Errorf(events.CodeTokenMalformed, "the token's room settings: %s", err.Error())
	}
	other := *w
	other.Settings.Profile = profile
	if wish.Metadata != nil {
		other.Settings.Metadata = *wish.Metadata
	}
	return &other, nil
}

// Leave gives a seat or a place in line back.
func (w *World) Leave(ctx context.Context, c control.Caller, m events.Leave) error {
	_, err := run(ctx, w, "leave",
		func(ctx context.Context, _ bool) (control.Seating, error) {
			return w.seating(ctx, c.Room, c.Key, room.Viewer, nil, &search{own: true})
		},
		func(s control.Seating) (control.Plan, error) { return control.Leave(s, c, m, w.Now()) })
	return err
}

// Renew gives the holder of a seat another resume ticket.
func (w *World) Renew(ctx context.Context, c control.Caller, m events.Renew) error {
	_, err := run(ctx, w, "renew",
		func(ctx context.Context, _ bool) (*room.Participant, error) {
			items, err := w.Store.Get(ctx, true, ParticipantKey{c.Room, c.Key})
			return first(items.Participants), err
		},
		func(p *room.Participant) (control.Plan, error) { return control.Renew(p, c, m, w.Now()) })
	return err
}

// Disconnected drops the place in line of somebody whose socket closed.
func (w *World) Disconnected(ctx context.Context, c control.Caller) error {
	_, err := run(ctx, w, "disconnected",
		func(ctx context.Context, _ bool) (*fleet.Wait, error) {
			items, err := w.Store.Get(ctx, true, WaitKey{w.Settings.Region, c.Room, c.Key})
			return first(items.Waits), err
		},
		func(wait *fleet.Wait) (control.Plan, error) { return control.Disconnected(wait, c.Connection), nil })
	return err
}

// glance is the cheap snapshot of the fast path: the room, one of its open
// blocks for the role and that block's node, each read once and not consistently.
func (w *World) glance(ctx context.Context, name room.Name, role room.Role, spread uint64) (control.Seating, error) {
	items, err := w.Store.Get(ctx, false, RoomKey{Room: name})
	if err != nil {
		return control.Seating{}, err
	}
	s := control.Seating{Room: first(items.Rooms)}
	if s.Room == nil {
		s.Candidates, err = w.candidates(ctx, s.Room, role)
		return s, err
	}
	if s.Room.Apart && role == room.Viewer {
		return w.glanceLarge(ctx, *s.Room, spread)
	}
	var open []room.BlockRef
	nodes := map[room.NodeID]bool{}
	for _, b := range s.Room.Blocks {
		nodes[b.Node] = true
		if !b.Full && b.For(role) {
			open = append(open, b)
		}
	}
	var keys []Key
	if len(open) > 0 {
		b := open[spread%uint64(len(open))]
		keys = []Key{BlockKey{name, b.Index}, NodeKey{b.Node}}
	} else {
		for n := range nodes {
			keys = append(keys, NodeKey{n})
		}
	}
	items, err = w.Store.Get(ctx, false, keys...)
	s.Blocks, s.Nodes = items.Blocks, items.Nodes
	return s, err
}

// seating is the complete snapshot: everything of the room, or of the section that a
// search has come to, read consistently, with candidates for a seat of the role, and
// for what is to be moved off a dead node or one of those that the participant avoids.
func (w *World) seating(ctx context.Context, name room.Name, key room.Key, role room.Role, avoid []room.NodeID, q *search) (control.Seating, error) {
	items, err := w.Store.Get(ctx, true, RoomKey{Room: name}, ParticipantKey{name, key}, WaitKey{w.Settings.Region, name, key})
	if err != nil {
		return control.Seating{}, err
	}
	s := control.Seating{Room: first(items.Rooms), Participant: first(items.Participants), Wait: first(items.Waits), Complete: true}
	if s.Room != nil {
		if p := s.Participant; p != nil && p.Cast != "" && !q.own {
			role = p.Cast
		}
		if err := w.choose(ctx, &s, role, q); err != nil {
			return control.Seating{}, err
		}
		items = Items{}
		if keys := contentsOf(s); len(keys) > 0 {
			items, err = w.Store.Get(ctx, true, keys...)
			if err == nil {
				err = w.homesOf(ctx, &items)
			}
			if err != nil {
				return control.Seating{}, err
			}
		}
		s.Blocks, s.Nodes = items.Blocks, items.Nodes
	}
	if s.Narrow {
		return s, nil
	}
	if s.Candidates, err = w.candidates(ctx, s.Room, role); err != nil {
		return control.Seating{}, err
	}
	for _, need := range s.Stranded(avoid, w.Now()) {
		more, err := w.living(ctx, Candidates{Region: w.Settings.Region, Need: need, Limit: placement.Candidates})
		if err != nil {
			return control.Seating{}, err
		}
		s.Candidates = among(s.Candidates, more)
	}
	if need := s.Outgrowing(role, w.Now(), w.Settings); need != (room.Load{}) {
		// Blocks that were granted between the two reads are missing here, and not from
		// their node: the room would seem to have outgrown it.
		again, err := w.Store.Get(ctx, true, RoomKey{Room: name})
		if r := first(again.Rooms); err != nil || r == nil || r.Revision != s.Room.Revision {
			if err != nil {
				return control.Seating{}, err
			}
			return w.seating(ctx, name, key, role, avoid, q)
		}
		more, err := w.living(ctx, Candidates{Region: w.Settings.Region, Need: need, Limit: placement.Candidates})
		if err != nil {
			return control.Seating{}, err
		}
		s.Candidates = among(s.Candidates, more)
	}
	items, err = w.Store.Find(ctx, Demand{w.Settings.Region})
	s.Launches = items.Launches
	return s, err
}

// candidates are the fullest nodes that fit at least one seat of the room for
// the role. Nodes that have died and still have room hide none that live.
func (w *World) candidates(ctx context.Context, r *room.Room, role room.Role) ([]fleet.View, error) {
	profile := w.Settings.Profile
	if r != nil {
		profile = r.Profile
	}
	q := Candidates{Region: w.Settings.Region, Need: w.Settings.Need(profile, role), Limit: placement.Candidates}
	if r == nil || len(r.Blocks) == 0 {
		roomy := q
		roomy.Need = roomy.Need.Plus(w.Settings.Margin())
		nodes, err := w.living(ctx, roomy)
		if err != nil || len(nodes) > 0 {
			return nodes, err
		}
		q.Emptiest = true
	}
	nodes, err := w.living(ctx, q)
	if err != nil || r == nil || !r.Apart {
		return nodes, err
	}
	// The fullest may be of the room's other sections.
	q.Emptiest = true
	more, err := w.living(ctx, q)
	return among(nodes, more), err
}

// deadHide is how many candidates are asked for where the usual number of them take
// nobody, busyLasts how long ago a node was granted on that others are likely to be
// granting on at this moment.
const (
	deadHide  = 50
	busyLasts = 100 * time.Millisecond
)

// living finds candidates that take people now. Where most of them were granted on
// a moment ago it looks at more, and prefers those that were not: transactions on
// one node are in each other's way.
func (w *World) living(ctx context.Context, q Candidates) ([]fleet.View, error) {
	for {
		items, err := w.Store.Find(ctx, q)
		if err != nil {
			return nil, err
		}
		found := len(items.Nodes)
		nodes := slices.DeleteFunc(items.Nodes, func(v fleet.View) bool { return !v.Takes(w.Now()) })
		calm := slices.DeleteFunc(slices.Clone(nodes), func(v fleet.View) bool { return w.Now().Sub(v.Node.TouchedAt) < busyLasts })
		switch {
		case found < q.Limit || q.Limit >= deadHide:
			return nodes, nil
		case len(nodes) == 0:
			q.Limit = deadHide
		case q.Limit < placement.MoreCandidates && 2*len(calm) < len(nodes):
			q.Limit = placement.MoreCandidates
		default:
			return nodes, nil
		}
	}
}

// among adds to nodes those of more that are not among them.
func among(nodes, more []fleet.View) []fleet.View {
	for _, v := range more {
		if !slices.ContainsFunc(nodes, func(o fleet.View) bool { return o.Node.ID == v.Node.ID }) {
			nodes = append(nodes, v)
		}
	}
	return nodes
}

func first[T any](s []T) *T {
	if len(s) == 0 {
		return nil
	}
	return &s[0]
}
