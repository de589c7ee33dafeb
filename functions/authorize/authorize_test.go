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
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/token"
)

var (
	now    = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	secret = strings.Repeat("s", token.MinSecret)
	root   = token.Root(make([]byte, token.RootSize))
)

func ask(t *testing.T, raw string) (map[string]any, error) {
	t.Helper()
	return askWith(t, raw, "")
}

func askWith(t *testing.T, raw, ticket string) (map[string]any, error) {
	t.Helper()
	a := authorizer{wire.Hold(wire.Secrets{Keys: token.Keys{"key": secret}, Root: root}), slog.New(slog.NewTextHandler(io.Discard, nil)), func() time.Time { return now }}
	r := request{MethodArn: "arn:aws:execute-api:region:account:api/ws/$connect", QueryStringParameters: map[string]string{"access_token": raw, "resume": ticket}}
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

func TestATicketLetsAnExpiredTokenIn(t *testing.T) {
	ticket := func(use func(*control.Resume), by ...token.Root) string {
		r := control.NewResume(room.Key(root.ParticipantKey("r", "ann")), "session-1", now.Add(-time.Hour))
		use(&r)
		sealed, err := append(by, root)[0].SealTicket(r)
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	good := ticket(func(*control.Resume) {})
	offer, err := root.SealTicket(control.Ticket{Room: "r", Key: room.Key(root.ParticipantKey("r", "ann")), Identity: "ann", Session: "session-1"})
	if err != nil {
		t.Fatal(err)
	}
	expired := func(change func(*token.Claims)) string {
		return mint(t, "key", secret, claims(func(c *token.Claims) { c.Expires = now.Add(-time.Hour); change(c) }))
	}
	same := func(*token.Claims) {}
	for _, c := range []struct {
		name, token, ticket string
		refusal             string // empty: let in
		late                bool
		session             string
	}{
		{"beside an expired token", expired(same), good, "", true, "session-1"},
		{"beside a valid token", mint(t, "key", secret, claims(same)), good, "", false, "session-1"},
		{"a bad one beside a valid token", mint(t, "key", secret, claims(same)), good + "A", "", false, ""},
		{"no ticket", expired(same), "", "token_expired", false, ""},
		{"nonsense", expired(same), "e30", "token_expired", false, ""},
		{"changed", expired(same), good[:len(good)-1] + "A", "token_expired", false, ""},
		{"longer than any", expired(same), strings.Repeat("A", token.MaxTicket+4), "token_expired", false, ""},
		{"of another deployment", expired(same), ticket(func(*control.Resume) {}, token.Root([]byte(strings.Repeat("x", token.RootSize)))), "token_expired", false, ""},
		{"of another use", expired(same), ticket(func(r *control.Resume) { r.Use = "offer" }), "token_expired", false, ""},
		{"what goes with an offer", expired(same), offer, "token_expired", false, ""},
		{"a day old", expired(same), ticket(func(r *control.Resume) { r.AtMs = now.Add(-24 * time.Hour).UnixMilli() }), "token_expired", false, ""},
		{"of tomorrow", expired(same), ticket(func(r *control.Resume) { r.AtMs = now.Add(24 * time.Hour).UnixMilli() }), "token_expired", false, ""},
		{"of nobody", expired(same), ticket(func(r *control.Resume) { r.Key = "" }), "token_expired", false, ""},
		{"of no session", expired(same), ticket(func(r *control.Resume) { r.Session = "" }), "token_expired", false, ""},
		{"of another room", expired(func(c *token.Claims) { c.Room = "other" }), good, "token_expired", false, ""},
		{"of another identity", expired(func(c *token.Claims) { c.Identity = "bob" }), good, "token_expired", false, ""},
		{"beside a token without the grant", expired(func(c *token.Claims) { c.Join = false }), good, "token_no_permission", false, ""},
		{"beside a token for later", mint(t, "key", secret, claims(func(c *token.Claims) { c.NotBefore = now.Add(time.Hour); c.Expires = now.Add(2 * time.Hour) })),
			good, "token_not_yet_valid", false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := askWith(t, c.token, c.ticket)
			if err != nil {
				t.Fatal(err)
			}
			if c.refusal != "" {
				if got["refusal"] != c.refusal || got["kind"] != nil {
					t.Errorf("let in as %v", got)
				}
				return
			}
			if got["kind"] != "participant" || got["identity"] != "ann" || got["resume"] != c.session || (got["late"] == "1") != c.late {
				t.Errorf("let in as %v", got)
			}
		})
	}
	for name, raw := range map[string]string{"another secret": mint(t, "key", strings.Repeat("x", token.MinSecret), claims(same)), "no token": ""} {
		if _, err := askWith(t, raw, good); !errors.Is(err, errUnauthorized) {
			t.Errorf("%s: %v", name, err)
		}
	}
	node, err := root.MintNode("n-1", now.Add(-2*time.Hour), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := askWith(t, node, good); err != nil || got["refusal"] != "token_expired" {
		t.Errorf("a node's token: %v, %v", got, err)
	}
}

func TestATokenMaySayWhatItsRoomIs(t *testing.T) {
	for _, c := range []struct {
		name, preset, config string
		settings             string // what is passed on
		words                string // of the refusal
	}{
		{"nothing", "", "", "", ""},
		{"a preset", "webinar", "", `{"preset":"webinar"}`, ""},
		{"limits", "", `{"maxParticipants":12,"videoCodecs":["vp8","h264"]}`, `{"maxParticipants":12,"videoCodecs":["vp8","h264"]}`, ""},
		{"both, and what is LiveKit's", "meeting", `{"name":"x","emptyTimeout":300,"maxParticipants":9,"agents":[{}]}`, `{"preset":"meeting","maxParticipants":9}`, ""},
		{"an unknown preset", "party", "", "", "party"},
		{"nobody", "", `{"maxParticipants":0}`, "", "maxParticipants"},
		{"a crowd beyond all bounds", "", `{"maxParticipants":5000001}`, "", "maxParticipants"},
		{"more on stage than in the room", "", `{"maxParticipants":5,"maxPublishers":6}`, "", "maxPublishers"},
		{"too many streams", "", `{"videoStreams":50}`, "", "videoStreams"},
		{"too much", "", `{"receiveKbps":5000001}`, "", "receiveKbps"},
		{"less than nothing", "", `{"sendKbps":-1}`, "", "sendKbps"},
		{"no such codec", "", `{"videoCodecs":["divx"]}`, "", "divx"},
		{"words for numbers", "", `{"maxParticipants":"many"}`, "", "maxParticipants"},
		{"no object", "", `[1]`, "", "no JSON object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ask(t, mint(t, "key", secret, claims(func(k *token.Claims) {
				k.RoomPreset = c.preset
				if c.config != "" {
					k.RoomConfig = []byte(c.config)
				}
			})))
			if err != nil {
				t.Fatal(err)
			}
			if c.words != "" {
				if text, _ := got["refusalText"].(string); got["refusal"] != "token_malformed" || !strings.Contains(text, c.words) || got["kind"] != nil {
					t.Errorf("let in as %v", got)
				}
				return
			}
			if settings, _ := got["settings"].(string); settings != c.settings || got["kind"] != "participant" {
				t.Errorf("passed on %v, want %s", got, c.settings)
			}
		})
	}
}
