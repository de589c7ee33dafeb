package step

import (
	"context"
	"errors"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Moderate does something to a participant, or ends its room. It is safe to
// repeat. moving says that a promoted participant has to change nodes first. The
// error is an [*events.Error] for whoever asked, or a fault.
func (w *World) Moderate(ctx context.Context, d control.Deed) (moving bool, err error) {
	switch {
	case d.Kind == events.EndRoom:
		return false, w.endRoom(ctx, d.Room)
	case d.Kind == events.SetMetadata && d.Identity == "":
		return false, w.describeRoom(ctx, d.Room, d.Metadata)
	}
	role := room.Viewer
	if d.Kind == events.Promote {
		role = room.Publisher
	}
	_, err = run(ctx, w, string(d.Kind),
		func(ctx context.Context, _ bool) (control.Seating, error) {
			return w.seating(ctx, d.Room, d.Key, role, nil, &search{own: true})
		},
		func(s control.Seating) (plan control.Plan, err error) {
			plan, moving, err = control.Moderate(s, d, w.Now(), w.Settings)
			return plan, err
		})
	return moving, err
}

func (w *World) endRoom(ctx context.Context, name room.Name) error {
	_, err := run(ctx, w, "end",
		func(ctx context.Context, _ bool) (control.Ending, error) {
			s, err := w.ending(ctx, name)
			if err != nil {
				return s, err
			}
			items, err := w.Store.Find(ctx, Waiting{w.Settings.Region})
			for _, wait := range items.Waits {
				if wait.Room == name {
					s.Waits = append(s.Waits, wait)
				}
			}
			return s, err
		},
		func(s control.Ending) (control.Plan, error) { return control.EndRoom(s, name) })
	return err
}

// ending reads a room and the nodes of its blocks.
func (w *World) ending(ctx context.Context, name room.Name) (control.Ending, error) {
	items, err := w.Store.Get(ctx, true, RoomKey{Room: name})
	s := control.Ending{Room: first(items.Rooms)}
	if err != nil || s.Room == nil {
		return s, err
	}
	s.Nodes, err = w.nodesOf(ctx, *s.Room)
	return s, err
}

// describeRoom gives a room metadata.
func (w *World) describeRoom(ctx context.Context, name room.Name, metadata string) error {
	_, err := run(ctx, w, "describe",
		func(ctx context.Context, _ bool) (control.Ending, error) { return w.ending(ctx, name) },
		func(s control.Ending) (control.Plan, error) { return control.DescribeRoom(s, name, metadata, w.Now()) })
	return err
}

// nodesOf reads all nodes that a room is on.
func (w *World) nodesOf(ctx context.Context, r room.Room) ([]fleet.View, error) {
	var keys []Key
	if r.Apart {
		items, err := w.Store.Get(ctx, true, TreeKey{r.Name})
		if err != nil {
			return nil, err
		}
		r.Nodes = treeOf(items.Trees, r.Name).Nodes
	}
	for _, b := range r.Blocks {
		keys = append(keys, NodeKey{b.Node}) // the tree may lag
	}
	for _, n := range r.Nodes {
		keys = append(keys, NodeKey{n.Node})
	}
	if len(keys) == 0 {
		return nil, nil
	}
	items, err := w.Store.Get(ctx, true, keys...)
	return items.Nodes, err
}

// ModerateFor does what a participant of a node asks for, and tells the node how
// that went. key is whom it is about.
func (w *World) ModerateFor(ctx context.Context, c control.Caller, m events.ModerateFor, key room.Key) error {
	var from fleet.View
	_, err := run(ctx, w, "moderate",
		func(ctx context.Context, complete bool) (fleet.View, error) {
			v, err := w.fenced(ctx, c.Node, m.Generation, complete)
			from = v
			return v, err
		},
		func(v fleet.View) (control.Plan, error) {
			return control.Plan{}, control.Fence(v, room.Generation(m.Generation))
		})
	if err != nil {
		return err
	}
	moving, err := w.Moderate(ctx, control.Deed{Kind: m.Deed, Room: room.Name(m.Room), Key: key, Identity: m.Participant, Sources: m.Sources, Metadata: m.Metadata})
	answer := events.Moderated{Header: events.Head(events.ActionModerated), Generation: m.Generation, Room: m.Room, By: m.By, ID: m.ID, Moving: moving}
	var coded *events.Error
	switch {
	case errors.As(err, &coded):
		answer.Fault = &events.Fault{Code: coded.Code, Text: coded.Text}
	case err != nil:
		answer.Fault = &events.Fault{Code: events.CodeInternal, Text: "something went wrong here; try again"}
		w.Log.Error("moderate", "room", m.Room, "deed", m.Deed, "error", err)
	}
	return w.send(ctx, control.Send{To: append([]string{c.Connection}, control.Sockets(from.Node, 0)...), Message: answer})
}
