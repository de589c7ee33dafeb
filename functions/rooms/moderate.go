package main

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	lambda "github.com/aws/aws-lambda-go/events"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
)

// change is the body of PATCH /v1/rooms/{room}/participants/{identity}.
type change struct {
	Role string `json:"role"`
	// Mute switches sources off; their owner may switch them on again.
	Mute []events.Source `json:"mute"`
	// Metadata is the participant's from now on, until it leaves the room or says
	// something else itself.
	Metadata *string `json:"metadata"`
}

// roomChange is the body of PATCH /v1/rooms/{room}.
type roomChange struct {
	Metadata *string `json:"metadata"`
}

// changed answers it.
type changed struct {
	Room     string `json:"room"`
	Identity string `json:"identity,omitempty"`
	// Moving says that a new role comes with a new home, to which the participant
	// has been asked to move.
	Moving bool `json:"moving,omitempty"`
}

// between stands between a room and an identity in a path. Where a room's name or
// an identity may have it too, the query names the identity, and the whole path is
// the room; an empty one stands for the room itself.
const between = "/participants/"

// maxBar bounds how long a removed participant may be kept out.
const maxBar = 30 * 24 * time.Hour

// moderate changes or removes a participant, or ends a room.
func (a api) moderate(ctx context.Context, r lambda.APIGatewayV2HTTPRequest, path string) (any, error) {
	name, identity, one := strings.Cut(path, between)
	if given, ok := r.QueryStringParameters["identity"]; ok {
		name, identity, one = path, given, given != ""
	} else if strings.Contains(identity, between) {
		return nil, events.Errorf(events.CodeBadField, "the path has %q more than once: name the room in the path and the participant in ?identity=", between)
	}
	d := control.Deed{Room: room.Name(name)}
	method := r.RequestContext.HTTP.Method
	switch {
	case method == http.MethodDelete && !one:
		d.Kind = events.EndRoom
		_, err := a.world.Moderate(ctx, d)
		return changed{Room: name}, err
	case !one:
		return a.describeRoom(ctx, r, d)
	}
	if err := events.CheckName("identity", identity); err != nil {
		return nil, err
	}
	d.Identity, d.Key = identity, room.Key(a.vault.Root.ParticipantKey(name, identity))
	answer := changed{Room: name, Identity: identity}
	if method == http.MethodDelete {
		d.Kind = events.RemoveDeed
		if given, ok := r.QueryStringParameters["barSeconds"]; ok {
			n, err := strconv.Atoi(given)
			if d.BarFor = time.Duration(n) * time.Second; err != nil || n < 0 || d.BarFor > maxBar {
				return nil, events.Errorf(events.CodeBadField, "barSeconds is %.32q, expected 0 to %d", given, int(maxBar.Seconds()))
			}
		}
		_, err := a.world.Moderate(ctx, d)
		return answer, err
	}
	deeds, err := patch(r, d)
	for _, d := range deeds {
		moving, failed := a.world.Moderate(ctx, d)
		if failed != nil {
			return nil, failed
		}
		answer.Moving = answer.Moving || moving
	}
	return answer, err
}

// patch reads what a PATCH asks for.
func patch(r lambda.APIGatewayV2HTTPRequest, d control.Deed) ([]control.Deed, error) {
	var c change
	if err := decode(r, &c); err != nil {
		return nil, err
	}
	var deeds []control.Deed
	switch events.Role(c.Role) {
	case "":
	case events.Publisher:
		d.Kind = events.Promote
		deeds = append(deeds, d)
	case events.Viewer:
		d.Kind = events.Demote
		deeds = append(deeds, d)
	default:
		return nil, events.Errorf(events.CodeBadField, "role is %.32q, expected publisher or viewer", c.Role)
	}
	if c.Mute != nil {
		if err := events.CheckSources("mute", c.Mute); err != nil {
			return nil, err
		}
		d.Kind, d.Sources = events.Mute, c.Mute
		deeds = append(deeds, d)
	}
	if c.Metadata != nil {
		if n := len(*c.Metadata); n > events.MaxMetadata {
			return nil, events.Errorf(events.CodeBadField, "metadata has %d bytes, at most %d are taken", n, events.MaxMetadata)
		}
		d.Kind, d.Metadata = events.SetMetadata, *c.Metadata
		deeds = append(deeds, d)
	}
	if len(deeds) == 0 {
		return nil, events.Errorf(events.CodeBadField, "there is nothing to change: role, mute and metadata are possible")
	}
	return deeds, nil
}

// describeRoom changes what is said of a room.
func (a api) describeRoom(ctx context.Context, r lambda.APIGatewayV2HTTPRequest, d control.Deed) (any, error) {
	if err := events.CheckName("room", string(d.Room)); err != nil {
		return nil, err
	}
	var c roomChange
	if err := decode(r, &c); err != nil {
		return nil, err
	}
	if c.Metadata == nil {
		return nil, events.Errorf(events.CodeBadField, "there is nothing to change: metadata is possible")
	}
	d.Kind, d.Metadata = events.SetMetadata, *c.Metadata
	if _, err := a.world.Moderate(ctx, d); err != nil {
		return nil, err
	}
	return changed{Room: string(d.Room)}, nil
}
