package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi/types"
	"github.com/gobwas/ws"
)

func TestTheDoor(t *testing.T) {
	for _, c := range []struct {
		name, query string
		status      int // 0: let in
		message     string
		asked       bool
	}{
		{"allowed", "?access_token=ann", 0, "", true},
		{"allowed by a pattern", "?access_token=wildcard", 0, "", true},
		{"denied", "?access_token=deny", 403, "Forbidden", true},
		{"allowed elsewhere", "?access_token=elsewhere", 403, "Forbidden", true},
		{"a deny beside an allow wins", "?access_token=both", 403, "Forbidden", true},
		{"thrown out with the word for it", "?access_token=unauthorized", 401, "Unauthorized", true},
		{"crashed", "?access_token=crash", 500, "Internal server error", true},
		{"not run", "?access_token=busy", 500, "Internal server error", true},
		{"no JSON object", "?access_token=nonsense", 500, "Internal server error", true},
		{"no policy", "?access_token=no+policy", 500, "Internal server error", true},
		{"no principal", "?access_token=nobody", 500, "Internal server error", true},
		{"context with structure", "?access_token=structured", 500, "Internal server error", true},
		{"no identity source", "", 401, "Unauthorized", false},
		{"empty identity source", "?access_token=", 401, "Unauthorized", false},
		{"another name", "?token=ann", 401, "Unauthorized", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			conn, no := w.knock(c.query)
			if no.status != c.status || no.body["message"] != c.message {
				t.Errorf("got %+v, want %d %q", no, c.status, c.message)
			}
			if c.asked {
				w.next("door")
			}
			w.uncalled("door", "people", "rest")
			if c.status == 0 {
				conn.alive()
				return
			}
			if no.body["connectionId"] == "" || no.body["requestId"] == "" {
				t.Errorf("%v tells neither connection nor request", no.body)
			}
			if s := w.api.Stats(); s.Open != 0 || len(s.Connects) != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestTheAuthorizerSeesTheHandshake(t *testing.T) {
	w := newWorld(t)
	if c, no := w.knock("?access_token=ann&x=1&x=2&odd=%zz"); c == nil {
		t.Fatalf("refused: %+v", no)
	}
	e := w.next("door")
	wantKeys(t, "event", e, "type methodArn headers multiValueHeaders queryStringParameters multiValueQueryStringParameters stageVariables requestContext")
	if e["type"] != "REQUEST" || e["methodArn"] != "arn:aws:execute-api:us-east-1:123456789012:api/ws/$connect" {
		t.Errorf("type %v, methodArn %v", e["type"], e["methodArn"])
	}
	wantJSON(t, e["queryStringParameters"], `{"access_token":"ann","x":"2"}`)
	wantJSON(t, e["multiValueQueryStringParameters"], `{"access_token":["ann"],"x":["1","2"]}`)
	headers, several := e["headers"].(map[string]any), e["multiValueHeaders"].(map[string]any)
	if headers["Host"] != w.api.opts.Domain || headers["X-Twice"] != "two" {
		t.Errorf("headers %v", headers)
	}
	wantJSON(t, several["X-Twice"], `["one","two"]`)
	rc := e["requestContext"].(map[string]any)
	wantKeys(t, "requestContext", rc, contextKeys)
	wantContext(t, w, rc, "CONNECT", "$connect")
}

func TestNobodyCanPostBeforeConnectHasReturned(t *testing.T) {
	w := newWorld(t)
	var early error
	w.lambda.set("door", func(ctx context.Context, payload []byte) ([]byte, error) {
		early = w.post(idIn(t, payload), "too early")
		return door(ctx, payload)
	})
	c := w.connect("ann")
	var gone *types.GoneException
	if !errors.As(early, &gone) {
		t.Errorf("a post before $connect has returned: %v", early)
	}
	w.mustPost(c.id, "now")
	c.want("now")
}

func TestConnectsAreRationed(t *testing.T) {
	w := newWorld(t, func(o *WebSocketOptions) { o.Quotas.Connects = 2 })
	w.connect("ann")
	w.connect("bob")
	if c, no := w.knock("?access_token=eve"); c != nil || no.status != http.StatusTooManyRequests || no.body["message"] != "Too Many Requests" {
		t.Errorf("the third within the same instant: %+v", no)
	}
	w.uncalled("door")
	w.clock.advance(500e6) // half a second, one connection
	w.connect("eve")
	if c, _ := w.knock("?access_token=dan"); c != nil {
		t.Error("two at once after half a second")
	}
}

func TestWhatIsNotAHandshake(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		path   string
		header http.Header
		status int
	}{
		{"/ws?access_token=ann", nil, http.StatusUpgradeRequired},
		{"/ws/more?access_token=ann", nil, http.StatusForbidden},
		{"/else", nil, http.StatusForbidden},
		{"/ws?access_token=ann", http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}}, http.StatusBadRequest}, // no key
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", strings.TrimSuffix(w.url, "/ws")+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = c.header
		r, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if r.StatusCode != c.status {
			t.Errorf("%s %v: %s %s, want %d", c.path, c.header, r.Status, body, c.status)
		}
	}
	w.eventually("nothing is open", func() bool { return w.api.Stats().Open == 0 })
}

func TestCloseEndsConnectionsAndWaits(t *testing.T) {
	w := newWorld(t)
	c := w.connect("ann")
	ended := make(chan struct{})
	w.lambda.set("rest", func(ctx context.Context, _ []byte) ([]byte, error) {
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	})
	c.send("work")
	w.next("rest")
	closed := make(chan struct{})
	go func() { w.api.Close(); close(closed) }()
	c.wantClose(ws.StatusGoingAway)
	<-closed
	select {
	case <-ended:
	default:
		t.Error("an invocation goes on after Close")
	}
	w.uncalled("people") // no $disconnect: the API itself is gone
	if again, no := w.knock("?access_token=bob"); again != nil {
		t.Error("connected to a closed API")
	} else if no.status != http.StatusServiceUnavailable && no.status != http.StatusInternalServerError {
		t.Errorf("%+v", no)
	}
}
