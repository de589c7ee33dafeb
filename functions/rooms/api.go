package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	lambda "github.com/aws/aws-lambda-go/events"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/functions/wire"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

type api struct {
	world *step.World
	vault *wire.Vault // with the keys of this API
	log   *slog.Logger
}

// statuses maps codes to HTTP; any other code is 500.
var statuses = map[events.Code]int{
	events.CodeUnauthorized: http.StatusUnauthorized,
	events.CodeNotFound:     http.StatusNotFound,
	events.CodeMethod:       http.StatusMethodNotAllowed,
	events.CodeBadField:     http.StatusBadRequest,
	events.CodeBadJSON:      http.StatusBadRequest,
	events.CodeTooLarge:     http.StatusRequestEntityTooLarge,
	events.CodeBusy:         http.StatusServiceUnavailable,
	events.CodeRoomTooLarge: http.StatusConflict,
	events.CodeStageFull:    http.StatusConflict,
	events.CodeRoomFull:     http.StatusConflict,
	events.CodeNoCapacity:   http.StatusServiceUnavailable,
}

// serve answers one request; errors are events.Error in JSON.
func (a api) serve(ctx context.Context, r lambda.APIGatewayV2HTTPRequest) (lambda.APIGatewayV2HTTPResponse, error) {
	body, err := a.route(ctx, r)
	status := http.StatusOK
	if err != nil {
		told := wire.Told(err)
		if status = statuses[told.Code]; status == 0 {
			status = http.StatusInternalServerError
			a.log.Error("request failed", "path", r.RawPath, "error", err)
		}
		body = told
	}
	data, err := json.Marshal(body)
	if err != nil {
		return lambda.APIGatewayV2HTTPResponse{}, err
	}
	return lambda.APIGatewayV2HTTPResponse{StatusCode: status, Body: string(data),
		Headers: map[string]string{"content-type": "application/json", "cache-control": "no-store"}}, nil
}

func (a api) route(ctx context.Context, r lambda.APIGatewayV2HTTPRequest) (any, error) {
	if !a.authorized(ctx, r) {
		return nil, events.Errorf(events.CodeUnauthorized, "an API key is needed: Authorization: Bearer KEY")
	}
	path, ok := strings.CutPrefix(strings.TrimSuffix(r.RawPath, "/"), "/v1/")
	if !ok {
		return nil, errNoSuchPath
	}
	if id, ok := strings.CutSuffix(path, "/drain"); ok && strings.HasPrefix(id, "nodes/") {
		return a.drain(ctx, r, room.NodeID(strings.TrimPrefix(id, "nodes/")))
	}
	if m := r.RequestContext.HTTP.Method; m == http.MethodPatch || m == http.MethodDelete {
		if name, ok := strings.CutPrefix(path, "rooms/"); ok {
			return a.moderate(ctx, r, name)
		}
	}
	switch m := r.RequestContext.HTTP.Method; {
	case m == http.MethodPost && path == "rooms":
		return a.declare(ctx, r)
	case m != http.MethodGet && path == "rooms":
		return nil, events.Errorf(events.CodeMethod, "%.16s is not possible here, GET and POST are", m)
	case m != http.MethodGet:
		return nil, events.Errorf(events.CodeMethod, "%.16s is not possible here, GET is", m)
	}
	// An HTTP API has decoded rawPath, so what follows is the name as it is,
	// slashes and percent signs included.
	if name, ok := strings.CutPrefix(path, "rooms/"); ok {
		return a.room(ctx, room.Name(name))
	}
	switch path {
	case "rooms":
		return a.rooms(ctx)
	case "nodes":
		return a.nodes(ctx)
	case "overview":
		return a.overview(ctx)
	}
	return nil, errNoSuchPath
}

var errNoSuchPath = events.Errorf(events.CodeNotFound, "no such path: there are /v1/rooms, /v1/rooms/{room}, /v1/rooms/{room}/participants/{identity}, /v1/nodes, /v1/overview and POST /v1/nodes/{id}/drain")

// authorized compares the key with every valid one in constant time.
func (a api) authorized(ctx context.Context, r lambda.APIGatewayV2HTTPRequest) bool {
	key, ok := strings.CutPrefix(r.Headers["authorization"], "Bearer ")
	found := 0
	for _, k := range a.vault.Fresh(ctx).APIKeys {
		found |= subtle.ConstantTimeCompare([]byte(k), []byte(key))
	}
	return ok && found == 1
}

func (a api) rooms(ctx context.Context) (any, error) {
	items, err := a.world.Store.Find(ctx, step.AllRooms{})
	if err != nil {
		return nil, err
	}
	out := roomList{Rooms: []roomSummary{}}
	for _, r := range items.Rooms {
		summary, _, err := a.summary(ctx, r)
		if err != nil {
			return nil, err
		}
		out.Rooms = append(out.Rooms, summary)
	}
	return out, nil
}

func (a api) room(ctx context.Context, name room.Name) (any, error) {
	items, err := a.world.Store.Get(ctx, true, step.RoomKey{Room: name})
	if err != nil {
		return nil, err
	}
	if len(items.Rooms) == 0 {
		return nil, events.Errorf(events.CodeNotFound, "no such room")
	}
	summary, members, err := a.summary(ctx, items.Rooms[0])
	if err != nil {
		return nil, err
	}
	out := roomDetail{roomSummary: summary, Participants: []participant{}}
	var keys []step.Key
	for _, k := range members {
		keys = append(keys, step.ParticipantKey{Room: name, Key: k})
	}
	if items, err = a.world.Store.Get(ctx, false, keys...); err != nil {
		return nil, err
	}
	for _, p := range items.Participants {
		out.Participants = append(out.Participants, participant{Identity: p.Identity, Name: p.Name, Role: p.Role,
			JoinedAt: p.SeatedAt, Node: out.nodeOf(p.Block)})
	}
	sortParticipants(out.Participants)
	return out, nil
}

// summary reads the blocks of a room, which know who is there.
func (a api) summary(ctx context.Context, r room.Room) (roomSummary, []room.Key, error) {
	r, err := a.world.Joined(ctx, r)
	if err != nil {
		return roomSummary{}, nil, err
	}
	var keys []step.Key
	for _, b := range r.Blocks {
		keys = append(keys, step.BlockKey{Room: r.Name, Index: b.Index})
	}
	items, err := a.world.Store.Get(ctx, false, keys...)
	if err != nil {
		return roomSummary{}, nil, err
	}
	s := roomSummary{Name: r.Name, Metadata: r.Metadata, CreatedAt: r.CreatedAt, MaxParticipants: r.Profile.MaxParticipants, MaxPublishers: r.Profile.MaxPublishers, Nodes: []room.NodeID{}, blocks: map[int]room.NodeID{}}
	var members []room.Key
	seen := map[room.NodeID]bool{}
	for _, b := range items.Blocks {
		s.Seats += b.Seats
		s.Participants += len(b.Members)
		s.blocks[b.Index] = b.Node
		for k := range b.Members {
			members = append(members, k)
		}
		if !seen[b.Node] {
			seen[b.Node] = true
			s.Nodes = append(s.Nodes, b.Node)
		}
	}
	return s, members, nil
}

func (a api) nodes(ctx context.Context) (any, error) {
	items, err := a.world.Store.Find(ctx, step.AllNodes{})
	if err != nil {
		return nil, err
	}
	out := nodeList{Nodes: []node{}}
	var failed error
	for _, v := range items.Nodes {
		n := newNode(v, a.world.Now(), a.world.Settings)
		blocks, err := a.world.Store.Find(ctx, step.BlocksOf{Node: v.Node.ID})
		failed = errors.Join(failed, err)
		seen := map[room.Name]bool{}
		for _, b := range blocks.Blocks {
			n.Seats += b.Seats
			n.Participants += len(b.Members)
			if !seen[b.Room] {
				seen[b.Room] = true
				n.Rooms = append(n.Rooms, b.Room)
			}
		}
		out.Nodes = append(out.Nodes, n)
	}
	return out, failed
}

// maxDrain bounds how long people may take to leave a node that drains.
const maxDrain = 24 * time.Hour

// drain takes a node out of service: nobody new from this moment on, and those who
// are there are moved, after withinSeconds by force.
func (a api) drain(ctx context.Context, r lambda.APIGatewayV2HTTPRequest, id room.NodeID) (any, error) {
	if m := r.RequestContext.HTTP.Method; m != http.MethodPost {
		return nil, events.Errorf(events.CodeMethod, "%.16s is not possible here, POST is", m)
	}
	now := a.world.Now()
	by := a.world.Settings.DrainBy(now, time.Time{})
	if given, ok := r.QueryStringParameters["withinSeconds"]; ok {
		n, err := strconv.Atoi(given)
		if err != nil || n < 0 || n > int(maxDrain.Seconds()) {
			return nil, events.Errorf(events.CodeBadField, "withinSeconds is %.32q, expected 0 to %d", given, int(maxDrain.Seconds()))
		}
		by = now.Add(time.Duration(n) * time.Second)
	}
	people, err := a.world.Drain(ctx, id, by, "an operator asked for it")
	if err != nil {
		return nil, err
	}
	return draining{Node: id, People: people, By: by.UTC()}, nil
}
