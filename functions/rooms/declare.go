package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	lambda "github.com/aws/aws-lambda-go/events"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
)

// declaration is the body of POST /v1/rooms. What it leaves out is the preset's,
// or that of a room nobody declared.
type declaration struct {
	Name string `json:"name"`
	room.Wish
	KeepUntil *time.Time `json:"keepUntil"`
	// StartAt and Expected reserve capacity for so many by then; none cancels.
	StartAt  *time.Time `json:"startAt"`
	Expected *int       `json:"expected"`
}

// maxBody bounds a request's body, in bytes.
const maxBody = 16 << 10

func (a api) declare(ctx context.Context, r lambda.APIGatewayV2HTTPRequest) (any, error) {
	var d declaration
	if err := decode(r, &d); err != nil {
		return nil, err
	}
	if err := events.CheckName("name", d.Name); err != nil {
		return nil, err
	}
	profile, err := d.Profile(a.world.Settings.Profile)
	if err != nil {
		return nil, events.Errorf(events.CodeBadField, "%s", err.Error())
	}
	if err := d.reservable(profile); err != nil {
		return nil, err
	}
	from := a.world.Now()
	if d.StartAt != nil && d.StartAt.After(from) {
		from = *d.StartAt
	}
	until := from.Add(control.DeclaredLasts)
	if d.KeepUntil != nil {
		until = *d.KeepUntil
	}
	name := room.Name(d.Name)
	if err := a.world.Declare(ctx, control.Declaration{Room: name, Profile: profile, KeepUntil: until, Metadata: d.Metadata}); err != nil {
		return nil, err
	}
	if d.StartAt != nil {
		if err := a.world.Reserve(ctx, name, *d.Expected, *d.StartAt); err != nil {
			return nil, err
		}
	}
	return a.room(ctx, name)
}

// reservable reports what is wrong with the wish for capacity ahead of people.
func (d declaration) reservable(p room.Profile) error {
	switch {
	case (d.StartAt == nil) != (d.Expected == nil):
		return events.Errorf(events.CodeBadField, "startAt and expected go together: when people come, and how many")
	case d.Expected != nil && (*d.Expected < 0 || *d.Expected > p.MaxParticipants):
		return events.Errorf(events.CodeBadField, "expected is %d, expected 0 to maxParticipants, which is %d", *d.Expected, p.MaxParticipants)
	}
	return nil
}

// decode reads a JSON object and refuses fields that it does not know, so that a
// misspelt limit is not silently none.
func decode(r lambda.APIGatewayV2HTTPRequest, into any) error {
	body := []byte(r.Body)
	if r.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(r.Body); err != nil {
			return events.Errorf(events.CodeBadJSON, "the body is not valid base64")
		}
	}
	if len(body) > maxBody {
		return events.Errorf(events.CodeTooLarge, "the body has %d bytes, at most %d are taken", len(body), maxBody)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return events.Errorf(events.CodeBadJSON, "the body is not what is expected: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if d.More() {
		return events.Errorf(events.CodeBadJSON, "the body goes on after the object")
	}
	return nil
}
