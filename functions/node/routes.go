package main

import (
	"context"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/functions/wire"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

type routes struct{ world *step.World }

// handle serves one call of a node. What a message says of its sender must be
// what the node's token says.
func (r routes) handle(ctx context.Context, c wire.Call) error {
	if !c.FromNode() {
		return events.Errorf(events.CodeTokenWrongKind, "%s is for nodes, and this is a participant's token", c.Route)
	}
	message, err := events.Decode(events.FromNode, c.Body)
	if err != nil {
		return err
	}
	switch m := message.(type) {
	case events.Hello:
		if err := own(c, m.Node); err != nil {
			return err
		}
		return r.world.Hello(ctx, c.Caller, m)
	case events.Heartbeat:
		if err := own(c, m.Node); err != nil {
			return err
		}
		return r.world.Heartbeat(ctx, c.Caller, m)
	case events.Answered:
		if err := own(c, m.Node); err != nil {
			return err
		}
		return r.world.Answered(ctx, c.Caller, m)
	case events.Left:
		if err := own(c, m.Node); err != nil {
			return err
		}
		return r.world.Left(ctx, c.Caller, m)
	default:
		return events.Errorf(events.CodeUnknownAction, "%T has no route here", m)
	}
}

func own(c wire.Call, node string) error {
	if room.NodeID(node) != c.Caller.Node {
		return events.Errorf(events.CodeTokenWrongKind, "node is not the one that the token is for")
	}
	return nil
}
