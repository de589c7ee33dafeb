package trial

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/step"
)

// place is somebody's place on a node: "room key".
type place struct{ room, key string }

// seat is a session on a node.
type seat struct {
	place
	session  string
	revision int64
	role     events.Role
	offer    events.Offer
	tab      *person // who is connected; nil until then
	// before is the connection that this one is to take the place of, while that
	// goes on.
	before *seat
}

func (n *node) places() []place {
	return slices.SortedFunc(maps.Keys(n.seats), func(a, b place) int { return strings.Compare(a.room+" "+a.key, b.room+" "+b.key) })
}

// seat returns the connection of a session, nil if there is none.
func (n *node) seat(at place, session string) *seat {
	for s := n.seats[at]; s != nil; s = s.before {
		if s.session == session {
			return s
		}
	}
	return nil
}

// tabs are those who are connected, each once.
func (n *node) tabs() (tabs []*person) {
	for _, at := range n.places() {
		for s := n.seats[at]; s != nil; s = s.before {
			if s.tab != nil && !slices.Contains(tabs, s.tab) {
				tabs = append(tabs, s.tab)
			}
		}
	}
	return tabs
}

// inventory lists everybody, in two parts so that parts are tried.
func (n *node) inventory() []events.Inventory {
	parts := make([]events.Inventory, 2)
	for i := range parts {
		parts[i] = events.Inventory{TakenMs: n.t.now().UnixMilli(), Part: i, Parts: len(parts), Roles: true}
	}
	for _, at := range n.places() {
		p := &parts[events.InventoryPart(at.key, len(parts))]
		if len(p.Rooms) == 0 || p.Rooms[len(p.Rooms)-1].Room != at.room {
			p.Rooms = append(p.Rooms, events.RoomMembers{Room: at.room, Members: map[string]int64{}})
		}
		p.Rooms[len(p.Rooms)-1].Members[at.key] = n.seats[at].revision
		if n.seats[at].role != events.Viewer {
			p.Rooms[len(p.Rooms)-1].Stage = append(p.Rooms[len(p.Rooms)-1].Stage, at.key)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.pipes)) {
		for i := range parts {
			p, a := &parts[i], n.pipes[name]
			at := slices.IndexFunc(p.Rooms, func(r events.RoomMembers) bool { return r.Room == name })
			switch {
			case at >= 0:
				p.Rooms[at].Epoch = a.Epoch
			case i == 0 && len(a.Peers) > 0: // it passes on what others are sent
				p.Rooms = append(p.Rooms, events.RoomMembers{Room: name, Members: map[string]int64{}, Epoch: a.Epoch})
			}
		}
	}
	return parts
}

// offer answers an offer, as package sfu does.
func (n *node) offer(o events.Offer) {
	if n.dead || n.hung {
		return
	}
	at := place{o.Room, o.Person.Key}
	old := n.seats[at]
	m := events.Answered{Header: events.Head(events.ActionAnswered), Node: n.id, Generation: n.generation, Room: o.Room, Key: o.Person.Key,
		Session: o.Session, Revision: o.Revision, ID: o.ID, Ticket: o.Ticket, Answer: o.Offer}
	switch {
	case old != nil && old.revision > o.Revision:
		return
	case old != nil && old.revision == o.Revision:
	case n.t.clock.now >= n.lease:
		m.Answer, m.Fault = "", &events.Fault{Code: events.CodeNodeUnreachable, Text: "the node has lost touch with the control plane"}
	case n.draining:
		m.Answer, m.Fault = "", &events.Fault{Code: events.CodeNodeGone, Text: "the node takes nobody new"}
	default:
		n.sit(&seat{place: at, session: o.Session, revision: o.Revision, role: o.Person.Role, offer: o}, o.From)
	}
	n.post("answered", answerWithin, func(ctx context.Context, w *step.World, by control.Caller) error { return w.Answered(ctx, by, m) })
}

// sit makes s the connection of its place. The one that it continues goes on, any
// other is replaced.
func (n *node) sit(s *seat, from string) {
	var replaced []*seat
	for old := n.seats[s.place]; old != nil; {
		next := old.before
		old.before = nil
		if s.before == nil && from != "" && old.session == from && old.tab != nil {
			s.before = old
		} else {
			replaced = append(replaced, old)
		}
		old = next
	}
	n.seats[s.place] = s
	for _, old := range replaced {
		if old.tab != nil {
			old.tab.closing(n, old.session, events.CodeReplaced)
		}
	}
	n.t.after(connectWithin, func() {
		if s.tab == nil {
			n.leave(s, events.LeftNoConnect)
		}
	})
}

// moderated does what the control plane wants done to those who are here.
func (n *node) moderated(m events.Message) {
	switch m := m.(type) {
	case events.Remove:
		if m.Generation == n.generation {
			n.remove(m)
		}
	case events.MoveAway:
		for _, key := range m.Keys {
			switch s := n.seats[place{m.Room, key}]; {
			case s == nil || m.Generation != n.generation:
			case m.Press:
				n.close(s, events.CodeNodeGone)
			case s.tab != nil:
				s.tab.asked(n)
			}
		}
	case events.Recast:
		s := n.seats[place{m.Room, m.Key}]
		if s == nil || m.Generation != n.generation || s.revision != m.Revision {
			return
		}
		for ; s != nil; s = s.before {
			if s.role = m.Role; s.tab != nil {
				s.tab.role = m.Role
			}
		}
	case events.MuteTracks:
		if s := n.seats[place{m.Room, m.Key}]; s != nil && m.Generation == n.generation {
			n.t.muted++
		}
	case events.End:
		if m.Generation != n.generation {
			return
		}
		for _, at := range n.places() {
			if at.room == m.Room {
				n.close(n.seats[at], m.Code)
			}
		}
	}
}

func (n *node) remove(m events.Remove) {
	s := n.seats[place{m.Room, m.Key}]
	switch {
	case s == nil:
		n.report(place{m.Room, m.Key}, m.Revision, events.LeftRemoved)
	case s.revision <= m.Revision:
		n.close(s, m.Code)
	}
}

// close ends what a place has, and tells who is there why.
func (n *node) close(s *seat, code events.Code) {
	before := s.before
	s.before = nil
	n.leave(s, events.LeftRemoved)
	for _, s := range []*seat{s, before} {
		if s != nil && s.tab != nil {
			s.tab.closing(n, s.session, code)
		}
	}
}

// leave ends a session and reports it. One that it was to take the place of has
// the place again, with its revision.
func (n *node) leave(s *seat, why events.LeftReason) {
	now := n.seats[s.place]
	switch {
	case n.dead:
	case now == s && s.before != nil:
		s.before.revision = s.revision
		n.seats[s.place] = s.before
		s.before = nil
	case now == s:
		delete(n.seats, s.place)
		n.report(s.place, s.revision, why)
	case now != nil && now.before == s:
		now.before = nil
	}
}

func (n *node) report(at place, revision int64, why events.LeftReason) {
	m := events.Left{Header: events.Head(events.ActionLeft), Node: n.id, Generation: n.generation, Room: at.room, Key: at.key, Revision: revision, Reason: why}
	n.post("left", leftWithin, func(ctx context.Context, w *step.World, by control.Caller) error { return w.Left(ctx, by, m) })
}
