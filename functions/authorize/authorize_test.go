package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/functions/wire"
	"github.com/spillway-sfu/spillway/shared/token"
)

var (
	now    = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	secret = strings.Repeat("s", token.MinSecret)
	root   = token.Root(make([]byte, token.RootSize))
)

func ask(t *testing.T, raw string) (map[string]any, error) {
	t.Helper()
	a := authorizer{wire.Hold(wire.Secrets{Keys: token.Keys{"key": secret}, Root: root}), slog.New(slog.NewTextHandler(io.Discard, nil)), func() time.Time { return now }}
	r := request{MethodArn: "arn:aws:execute-api:region:account:api/ws/$connect", QueryStringParameters: map[string]string{"access_token": raw}}
	answer, err := a.authorize(t.Context(), r)
	if err == nil {
		s := answer.PolicyDocument.Statement
		if len(s) != 1 || s[0].Effect != "Allow" || len(s[0].Resource) != 1 || s[0].Resource[0] != r.MethodArn {
			t.Errorf("policy %+v allows something else than this connection", s)
		}
		for name, v := range answer.Context {
			if _, ok := v.(string); !ok {
				t.Errorf("%s is a %T: API Gateway passes strings on", name, v)
			}
		}
	}
	return answer.Context, err
}

func claims(change func(*token.Claims)) token.Claims {
	c := token.Claims{Identity: "ann", Name: "Ann", Room: "r", Join: true, CanPublish: true, CanSubscribe: true, Expires: now.Add(time.Hour)}
	change(&c)
	return c
}

func mint(t *testing.T, key, secret string, c token.Claims) string {
	t.Helper()
	raw, err := token.Mint(key, secret, c)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestWhoIsLetInAndAsWhom(t *testing.T) {
	as := func(change func(*token.Claims)) string { return mint(t, "key", secret, claims(change)) }
	node, err := root.MintNode("n-1", now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		token string
		want  map[string]any
	}{
		{"participant", as(func(*token.Claims) {}), map[string]any{"kind": "participant", "identity": "ann", "room": "r", "publish": "1", "admin": ""}},
		{"viewer", as(func(c *token.Claims) { c.CanPublish = false }), map[string]any{"kind": "participant", "publish": ""}},
		{"administrator", as(func(c *token.Claims) { c.Admin = true }), map[string]any{"admin": "1"}},
		{"node", node, map[string]any{"kind": "node", "node": "n-1", "renew": fmt.Sprint(now.Add(30 * time.Minute).UnixMilli())}},
		{"expired: for one answer", as(func(c *token.Claims) { c.Expires = now.Add(-time.Hour) }), map[string]any{"refusal": "token_expired"}},
		{"too early: for one answer", as(func(c *token.Claims) { c.NotBefore = now.Add(time.Hour); c.Expires = now.Add(2 * time.Hour) }), map[string]any{"refusal": "token_not_yet_valid"}},
		{"microphone only", as(func(c *token.Claims) { c.Sources = []token.Source{token.Microphone} }), map[string]any{"publish": "1", "sources": "microphone"}},
		{"hidden: for one answer", as(func(c *token.Claims) { c.Hidden = true }), map[string]any{"refusal": "token_no_permission"}},
		{"without the grant: for one answer", as(func(c *token.Claims) { c.Join = false }), map[string]any{"refusal": "token_no_permission"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ask(t, c.token)
			if err != nil {
				t.Fatal(err)
			}
			for name, v := range c.want {
				if got[name] != v {
					t.Errorf("%s is %v, want %v", name, got[name], v)
				}
			}
			if _, refused := c.want["refusal"]; refused && (got["kind"] != nil || got["room"] != nil || got["node"] != nil) {
				t.Errorf("a refused token has an identity: %v", got)
			}
		})
	}
}

func TestWhoIsNotLetIn(t *testing.T) {
	valid := mint(t, "key", secret, claims(func(*token.Claims) {}))
	other := token.Root([]byte(strings.Repeat("x", token.RootSize)))
	node, err := other.MintNode("n-1", now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string]string{
		"no token":             "",
		"no JWT":               "x.y",
		"another secret":       mint(t, "key", strings.Repeat("x", token.MinSecret), claims(func(*token.Claims) {})),
		"a key we never had":   mint(t, "other", secret, claims(func(*token.Claims) {})),
		"no signature":         valid[:strings.LastIndexByte(valid, '.')+1],
		"alg none":             "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + strings.Split(valid, ".")[1] + ".",
		"another stack's node": node,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ask(t, raw); !errors.Is(err, errUnauthorized) {
				t.Errorf("got %v", err)
			}
		})
	}
}
