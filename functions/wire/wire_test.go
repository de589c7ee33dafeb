package wire_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	lambda "github.com/aws/aws-lambda-go/events"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/functions/wire"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/sim"
	"github.com/spillway-sfu/spillway/shared/step"
	"github.com/spillway-sfu/spillway/shared/token"
)

func TestSettings(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-north-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	c, err := wire.Load("test")
	if err != nil {
		t.Fatal(err)
	}
	if c.Settings.Region != "eu-north-1" || c.Settings.IdleAfterMs != 300_000 || c.Settings.MaxNodes != 20 || c.Settings.DrainWithinMs != 600_000 {
		t.Errorf("%+v", c.Settings)
	}
	t.Setenv("SPILLWAY_NODE_SEATS", "3")
	if c, err = wire.Load("test"); err != nil || room.Default().SeatLoad(room.Publisher).Into(c.Settings.NodeCapacity.Minus(c.Settings.PipeReserve)) != 3 {
		t.Errorf("%+v, %v", c.Settings.NodeCapacity, err)
	}
	for name, value := range map[string]string{"SPILLWAY_NODE_SEATS": "-1", "SPILLWAY_MAX_NODES": "many", "SPILLWAY_IDLE_AFTER": "5", "SPILLWAY_DRAIN_WITHIN": "soon", "SPILLWAY_REPLACE_PER_MINUTE": "-1",
		"SPILLWAY_INSTANCE_TYPE": "t2.nano", "SPILLWAY_LOG": "loud", "SPILLWAY_CONSOLIDATE": "yes", "AWS_REGION": ""} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			if _, err := wire.Load("test"); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%v does not name %s", err, name)
			}
		})
	}
}

func TestOnlyCodedErrorsAreTold(t *testing.T) {
	secretive := errors.New("dynamodb: arn:aws:… exploded")
	for _, c := range []struct {
		err  error
		code events.Code
	}{
		{events.Errorf(events.CodeRoomFull, "full"), events.CodeRoomFull},
		{fmt.Errorf("join: %w", events.Errorf(events.CodeRoomFull, "full")), events.CodeRoomFull},
		{fmt.Errorf("load: %w", step.ErrBusy), events.CodeBusy},
		{secretive, events.CodeInternal},
	} {
		told := wire.Told(c.err)
		if told.Code != c.code || strings.Contains(told.Text, "arn") {
			t.Errorf("%v is told as %v", c.err, told)
		}
		if told.Code.Retryable() != (told.RetryAfterMs > 0) {
			t.Errorf("%v: retry after %d ms", told.Code, told.RetryAfterMs)
		}
	}
}

func TestErrorsArePostedWithTheRequestTheyAnswer(t *testing.T) {
	root := token.Root(make([]byte, token.RootSize))
	request := func(route string, authorizer map[string]any) lambda.APIGatewayWebsocketProxyRequest {
		return lambda.APIGatewayWebsocketProxyRequest{Body: `{"id":"q1"}`, RequestContext: lambda.APIGatewayWebsocketProxyRequestContext{
			RouteKey: route, ConnectionID: "c1", Authorizer: authorizer}}
	}
	known := wire.ParticipantContext(token.Claims{Identity: "ann", Room: "r", CanPublish: true, Sources: []token.Source{token.Microphone, token.Screen}})
	for _, c := range []struct {
		name    string
		request lambda.APIGatewayWebsocketProxyRequest
		told    events.Code
		asked   bool
	}{
		{"an error", request("join", known), events.CodeRoomFull, true},
		{"a refused token", request("join", wire.RefusalContext(token.ErrExpired)), events.CodeTokenExpired, false},
		{"no context at all", request("join", nil), events.CodeTokenMissing, false},
		{"a closed connection", request("$disconnect", known), "", true},
		{"a closed connection of a refused token", request("$disconnect", wire.RefusalContext(token.ErrExpired)), "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := sim.NewWorld(time.Now(), control.Settings{})
			asked := false
			serve := wire.Serve(w.World, root, func(_ context.Context, call wire.Call) error {
				asked = true
				if call.Caller.Room != "r" || call.Caller.Key == "" || !call.Caller.MayPublish ||
					!slices.Equal(call.Caller.Sources, []events.Source{events.Microphone, events.Screen}) {
					t.Errorf("caller %+v", call.Caller)
				}
				return events.Errorf(events.CodeRoomFull, "full")
			})
			if r, err := serve(t.Context(), c.request); err != nil || r.StatusCode != 200 {
				t.Fatalf("%+v, %v", r, err)
			}
			mail, err := w.Mail.Take("c1", events.ToClient)
			if err != nil || asked != c.asked || len(mail) != btoi(c.told != "") {
				t.Fatalf("asked %v, told %v, %v", asked, mail, err)
			}
			if len(mail) == 1 {
				if e := mail[0].(events.Error); e.Code != c.told || e.ID != "q1" {
					data, _ := json.Marshal(e)
					t.Errorf("told %s", data)
				}
			}
		})
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
