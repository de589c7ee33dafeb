package main

import (
	"context"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/functions/wire"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

type routes struct{ world *step.World }

// handle serves one call. Nodes come here only by mistake.
func (r routes) handle(ctx context.Context, c wire.Call) error {
	if c.Route == "$disconnect" {
		if c.FromNode() {
			return r.world.Closed(ctx, c.Caller)
		}
		return r.world.Disconnected(ctx, c.Caller)
	}
	border := events.FromClient
	if c.FromNode() {
		if c.Route != "$default" {
			return events.Errorf(events.CodeTokenWrongKind, "%s is for participants, and this is a node's token", c.Route)
		}
		border = events.FromNode
	}
	message, err := events.Decode(border, c.Body)
	if err != nil {
		return err
	}
	switch m := message.(type) {
	case events.Join:
		if m.Room != "" && room.Name(m.Room) != c.Caller.Room {
			return events.Errorf(events.CodeTokenWrongRoom, "the token is for another room")
		}
		return r.world.Join(ctx, c.Caller, m)
	case events.Leave:
		return r.world.Leave(ctx, c.Caller, m)
	case events.Renew:
		return r.world.Renew(ctx, c.Caller, m)
	default:
		return events.Errorf(events.CodeUnknownAction, "%T has no route here", m)
	}
}
