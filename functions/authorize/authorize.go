package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/spillway-sfu/spillway/functions/wire"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/token"
)

// request is what API Gateway asks a REQUEST authorizer of a WebSocket API.
type request struct {
	MethodArn             string            `json:"methodArn"` //nolint:staticcheck // as on the wire
	QueryStringParameters map[string]string `json:"queryStringParameters"`
	RequestContext        struct {
		ConnectionID string `json:"connectionId"`
		Identity     struct {
			SourceIP string `json:"sourceIp"`
		} `json:"identity"`
	} `json:"requestContext"`
}

type authorizer struct {
	vault *wire.Vault
	log   *slog.Logger
	now   func() time.Time
}

// errUnauthorized makes API Gateway answer 401; it compares the word, capital
// letter included.
var errUnauthorized = errors.New("Unauthorized")

// authorize answers the gateway's question about one handshake.
//
// A token that was not signed here is refused. One that was, but has expired, is
// not valid yet, or grants too little, is let in for one answer that says so: a
// browser cannot see why a handshake failed, and whoever holds such a token was
// given it by the customer.
func (a authorizer) authorize(ctx context.Context, r request) (events.APIGatewayCustomAuthorizerResponse, error) {
	principal, values, err := a.who(r.QueryStringParameters["access_token"], r.QueryStringParameters["resume"], a.vault.Fresh(ctx))
	var refused *token.Error
	if errors.As(err, &refused) {
		a.log.Info("token refused", "code", refused.Code, "holder", principal, "connection", r.RequestContext.ConnectionID,
			"sourceIP", r.RequestContext.Identity.SourceIP, "toldWhy", refused.Signed)
		if !refused.Signed {
			return events.APIGatewayCustomAuthorizerResponse{}, errUnauthorized
		}
		principal, values = "refused", wire.RefusalContext(refused)
	} else if err != nil {
		return events.APIGatewayCustomAuthorizerResponse{}, err
	}
	return events.APIGatewayCustomAuthorizerResponse{
		PrincipalID: principal,
		PolicyDocument: events.APIGatewayCustomAuthorizerPolicy{Version: "2012-10-17", Statement: []events.IAMPolicyStatement{
			{Action: []string{"execute-api:Invoke"}, Effect: "Allow", Resource: []string{r.MethodArn}}}},
		Context: values,
	}, nil
}

// who reads a token of either kind. A join token that has expired, and is good in
// every other way, is taken with a resume ticket of the same participant.
func (a authorizer) who(raw, ticket string, s wire.Secrets) (principal string, values map[string]any, err error) {
	node, err := token.Kind(raw)
	if err != nil {
		return "", nil, err
	}
	if node {
		claims, err := s.Root.ReadNode(raw, a.now())
		return "node " + claims.Node, wire.NodeContext(claims), err
	}
	claims, err := s.Keys.Verify(raw, a.now())
	session := a.resumes(ticket, claims, err, s.Root)
	late := session != "" && errors.Is(err, token.ErrExpired)
	if err == nil || late {
		err = claims.Admit("")
	}
	values = wire.ResumeContext(wire.ParticipantContext(claims), session, late)
	if err == nil {
		err = wire.RoomContext(values, claims)
	}
	return "participant " + claims.Identity, values, err
}

// resumes returns the session of a resume ticket for whoever signed claims speak
// of, empty if it is none. A bad one is as good as none: what counts then is the
// token alone.
func (a authorizer) resumes(ticket string, claims token.Claims, verified error, root token.Root) string {
	if ticket == "" || verified != nil && !errors.Is(verified, token.ErrExpired) || a.now().Before(claims.NotBefore) {
		return ""
	}
	var t control.Resume
	err := root.OpenTicket(ticket, &t)
	if err != nil || !t.Fits(room.Key(root.ParticipantKey(claims.Room, claims.Identity)), a.now()) {
		a.log.Info("resume ticket refused", "holder", claims.Identity, "room", claims.Room, "genuine", err == nil)
		return ""
	}
	return t.Session
}
