package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/functions/wire"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
	"github.com/spillway-sfu/spillway/shared/token"
)

type routes struct {
	world   *step.World
	root    token.Root
	metrics metrics
}

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
	if sender(message) != c.Caller.Node {
		return events.Errorf(events.CodeTokenWrongKind, "node is not the one that the token is for")
	}
	switch m := message.(type) {
	case events.Hello:
		return r.world.Hello(ctx, c.Caller, m)
	case events.Heartbeat:
		return r.world.Heartbeat(ctx, c.Caller, m)
	case events.Answered:
		return r.world.Answered(ctx, c.Caller, m)
	case events.Left:
		return r.world.Left(ctx, c.Caller, m)
	case events.ModerateFor:
		return r.world.ModerateFor(ctx, c.Caller, m, room.Key(r.root.ParticipantKey(m.Room, m.Participant)))
	case events.Journal:
		r.journal(ctx, m)
		return nil
	case events.Metrics:
		return r.metrics.write(m, time.Now())
	default:
		return events.Errorf(events.CodeUnknownAction, "%T has no route here", m)
	}
}

// sender is the node that a message names as its own; none for a message that
// has no route, so that it passes for nobody's.
func sender(message events.Message) room.NodeID {
	switch m := message.(type) {
	case events.Hello:
		return room.NodeID(m.Node)
	case events.Heartbeat:
		return room.NodeID(m.Node)
	case events.Answered:
		return room.NodeID(m.Node)
	case events.Left:
		return room.NodeID(m.Node)
	case events.Journal:
		return room.NodeID(m.Node)
	case events.Metrics:
		return room.NodeID(m.Node)
	case events.ModerateFor:
		return room.NodeID(m.Node)
	}
	return ""
}

// journal writes what a node logged to this function's log, where it outlives the
// node. Lines keep their levels, so that a node's errors count as faults.
func (r routes) journal(ctx context.Context, m events.Journal) {
	for _, l := range m.Lines {
		var level slog.Level
		if err := level.UnmarshalText([]byte(l.Level)); err != nil {
			level = slog.LevelWarn
		}
		var line any = l.Text
		if json.Valid([]byte(l.Text)) {
			line = json.RawMessage(l.Text)
		}
		r.world.Log.Log(ctx, level, "node log", "node", m.Node, "generation", m.Generation, "line", line)
	}
	if m.Dropped > 0 {
		r.world.Log.Warn("node log: lines were dropped", "node", m.Node, "dropped", m.Dropped)
	}
}
