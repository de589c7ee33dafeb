package wire

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	lambda "github.com/aws/aws-lambda-go/events"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
	"github.com/spillway-sfu/spillway/shared/token"
)

// Names in the authorizer's context, which API Gateway repeats with every
// message of a connection. All values are strings.
const (
	ctxKind     = "kind"
	ctxIdentity = "identity"
	ctxName     = "name"
	ctxRoom     = "room"
	ctxMetadata = "metadata"
	ctxPublish  = "publish"
	ctxSources  = "sources" // separated by commas; none means any
	ctxAdmin    = "admin"
	ctxNoData   = "noData"
	ctxDescribe = "describe"
	ctxSettings = "settings" // a room.Wish in JSON
	ctxResume   = "resume"   // the session of a resume ticket
	ctxLate     = "late"     // the token has expired
	ctxNode     = "node"
	ctxRenew    = "renew" // Unix milliseconds
	ctxRefusal  = "refusal"
	ctxText     = "refusalText"

	kindParticipant = "participant"
	kindNode        = "node"
)

// ParticipantContext is the authorizer's context for a join token.
func ParticipantContext(c token.Claims) map[string]any {
	sources := make([]string, len(c.Sources))
	for i, s := range c.Sources {
		sources[i] = string(s)
	}
	return map[string]any{ctxKind: kindParticipant, ctxIdentity: c.Identity, ctxName: c.Name, ctxRoom: c.Room, ctxMetadata: c.Metadata,
		ctxPublish: flag(c.CanPublish), ctxSources: strings.Join(sources, ","), ctxAdmin: flag(c.Admin), ctxNoData: flag(!c.CanPublishData && !c.Admin), ctxDescribe: flag(c.CanDescribe)}
}

// ResumeContext adds to the context of a join token the session of the resume
// ticket that came with it, and whether the token has expired, so that only the
// ticket lets its holder in.
func ResumeContext(values map[string]any, session string, late bool) map[string]any {
	values[ctxResume], values[ctxLate] = session, flag(late)
	return values
}

// RoomContext adds to the context of a join token what it says of its room's
// limits. Its error is a [*token.Error] if they make no sense.
func RoomContext(values map[string]any, c token.Claims) error {
	if c.RoomPreset == "" && len(c.RoomConfig) == 0 {
		return nil
	}
	var wish room.Wish
	if len(c.RoomConfig) > 0 {
		var typ *json.UnmarshalTypeError
		if err := json.Unmarshal(c.RoomConfig, &wish); errors.As(err, &typ) && typ.Field != "" {
			return malformed(fmt.Errorf("%s is a %s", typ.Field, typ.Value))
		} else if err != nil {
			return malformed(errors.New("it is no JSON object"))
		}
	}
	wish.Preset = cmp.Or(c.RoomPreset, wish.Preset)
	if _, err := wish.Profile(room.Default()); err != nil {
		return malformed(err)
	}
	text, err := json.Marshal(wish)
	values[ctxSettings] = string(text)
	return err
}

func malformed(err error) error {
	return &token.Error{Code: token.ErrMalformed.Code, Text: "the token's roomConfig or roomPreset: " + err.Error(), Signed: true}
}

// NodeContext is the authorizer's context for a node token.
func NodeContext(c token.NodeClaims) map[string]any {
	return map[string]any{ctxKind: kindNode, ctxNode: c.Node, ctxRenew: strconv.FormatInt(c.RenewAt().UnixMilli(), 10)}
}

// RefusalContext is the authorizer's context for a token that is ours and
// cannot be used: its holder is told why with the answer to its first message,
// because a browser cannot see why a handshake failed.
func RefusalContext(err *token.Error) map[string]any {
	return map[string]any{ctxRefusal: err.Code, ctxText: err.Text}
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return ""
}

// Call is one message of a connection, with who sent it.
type Call struct {
	Caller control.Caller
	// Kind is participant or node.
	Kind  string
	Route string
	Body  []byte
	// Refusal is set where the connection's token cannot be used.
	Refusal *events.Error
}

// FromNode reports whether the call came over a node's connection.
func (c Call) FromNode() bool { return c.Kind == kindNode }

// NewCall reads a request of the gateway.
func NewCall(r lambda.APIGatewayWebsocketProxyRequest, root token.Root) Call {
	values, _ := r.RequestContext.Authorizer.(map[string]any)
	get := func(name string) string {
		s, _ := values[name].(string)
		return s
	}
	c := Call{Kind: get(ctxKind), Route: r.RequestContext.RouteKey, Body: []byte(r.Body)}
	c.Caller.Connection = r.RequestContext.ConnectionID
	if code := get(ctxRefusal); code != "" || c.Kind == "" {
		if code == "" {
			code = string(events.CodeTokenMissing)
		}
		c.Refusal = events.Errorf(events.Code(code), "%s", get(ctxText))
		return c
	}
	if c.FromNode() {
		c.Caller.Node = room.NodeID(get(ctxNode))
		if ms, err := strconv.ParseInt(get(ctxRenew), 10, 64); err == nil {
			c.Caller.RenewAt = time.UnixMilli(ms)
		}
		return c
	}
	c.Caller.Room, c.Caller.Identity, c.Caller.Name = room.Name(get(ctxRoom)), get(ctxIdentity), get(ctxName)
	c.Caller.Metadata, c.Caller.MayPublish, c.Caller.Admin = get(ctxMetadata), get(ctxPublish) != "", get(ctxAdmin) != ""
	c.Caller.NoData, c.Caller.Describes = get(ctxNoData) != "", get(ctxDescribe) != ""
	c.Caller.Resume, c.Caller.Late = get(ctxResume), get(ctxLate) != ""
	if text := get(ctxSettings); text != "" {
		var wish room.Wish
		if json.Unmarshal([]byte(text), &wish) == nil { // the authorizer wrote it
			c.Caller.Wish = &wish
		}
	}
	if sources := get(ctxSources); sources != "" {
		for s := range strings.SplitSeq(sources, ",") {
			c.Caller.Sources = append(c.Caller.Sources, events.Source(s))
		}
	}
	c.Caller.Key = room.Key(root.ParticipantKey(string(c.Caller.Room), c.Caller.Identity))
	return c
}

// Handler answers a call; its error is told to whoever called.
type Handler func(ctx context.Context, c Call) error

// Serve makes a Lambda handler of a route's. The gateway returns nothing of
// what a handler returns, so errors are posted to the connection: those of the
// contract as they are, any other as "internal" with its detail in the log only.
func Serve(w *step.World, root token.Root, h Handler) func(context.Context, lambda.APIGatewayWebsocketProxyRequest) (lambda.APIGatewayProxyResponse, error) {
	return func(ctx context.Context, r lambda.APIGatewayWebsocketProxyRequest) (lambda.APIGatewayProxyResponse, error) {
		ok := lambda.APIGatewayProxyResponse{StatusCode: http.StatusOK}
		c := NewCall(r, root)
		hangUp := c.Refusal != nil
		var err error = c.Refusal
		if !hangUp {
			err = h(ctx, c)
		} else if c.Route == "$disconnect" {
			return ok, nil
		}
		if err == nil {
			return ok, nil
		}
		reply(ctx, w, c, err, hangUp)
		return ok, nil
	}
}

// reply posts an error to whoever called.
func reply(ctx context.Context, w *step.World, c Call, err error, hangUp bool) {
	told := Told(err)
	log := w.Log.With("route", c.Route, "connection", c.Caller.Connection, "room", c.Caller.Room, "participant", c.Caller.Key,
		"node", c.Caller.Node, "code", told.Code)
	level := slog.LevelInfo
	if told.Code == events.CodeInternal {
		level = slog.LevelError
	}
	log.Log(ctx, level, "refused", "error", err)
	if c.Route == "$disconnect" {
		return
	}
	data, err := json.Marshal(told.For(events.RequestID(c.Body)))
	if err != nil {
		log.Error("encode error", "error", err)
		return
	}
	if err := w.Push.Post(ctx, c.Caller.Connection, data); err != nil {
		log.Info("post of an error failed", "error", err)
	}
	if hangUp {
		_ = w.Push.Close(ctx, c.Caller.Connection) // it may be closed already
	}
}

// Told is what the sender of a message is told of an error.
func Told(err error) events.Error {
	var coded *events.Error
	if errors.As(err, &coded) {
		return *coded
	}
	told := *events.Errorf(events.CodeInternal, "something went wrong here; try again")
	told.RetryAfterMs = 2000
	if errors.Is(err, step.ErrBusy) {
		told = *events.Errorf(events.CodeBusy, "too much is going on; try again")
		told.RetryAfterMs = 1000
	}
	return told
}
