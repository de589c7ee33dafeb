package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// contextKeys is what requestContext holds for every kind of event.
const contextKeys = "routeKey eventType extendedRequestId requestTime messageDirection stage connectedAt requestTimeEpoch identity requestId domainName connectionId apiId"

func wantKeys(t *testing.T, what string, m map[string]any, keys ...string) {
	t.Helper()
	want := strings.Fields(strings.Join(keys, " "))
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(m)); !slices.Equal(got, want) {
		t.Errorf("%s has keys %v, want %v", what, got, want)
	}
}

func wantJSON(t *testing.T, got any, want string) {
	t.Helper()
	var w any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, w) {
		t.Errorf("got %v, want %s", got, want)
	}
}

// wantContext checks what is the same for all events.
func wantContext(t *testing.T, w *world, rc map[string]any, eventType, route string) {
	t.Helper()
	now := w.clock.Now()
	want := map[string]any{
		"eventType": eventType, "routeKey": route, "stage": "ws", "apiId": "api", "domainName": w.api.opts.Domain, "messageDirection": "IN",
		"requestTimeEpoch": float64(now.UnixMilli()), "requestTime": now.Format("02/Jan/2006:15:04:05 +0000"), "extendedRequestId": rc["requestId"],
		"identity": map[string]any{"sourceIp": "127.0.0.1", "userAgent": "test"},
	}
	for key, value := range want {
		if !reflect.DeepEqual(rc[key], value) {
			t.Errorf("requestContext.%s is %v, want %v", key, rc[key], value)
		}
	}
	if !isID(fmt.Sprint(rc["connectionId"])) || !isID(fmt.Sprint(rc["requestId"])) || rc["connectionId"] == rc["requestId"] {
		t.Errorf("connectionId %v, requestId %v", rc["connectionId"], rc["requestId"])
	}
}

// idIn is the id of the connection that an event is about.
func idIn(t *testing.T, payload []byte) string {
	var e messageEvent
	if err := json.Unmarshal(payload, &e); err != nil {
		t.Error(err)
	}
	return e.RequestContext.ConnectionID
}

func TestWhatAFunctionSees(t *testing.T) {
	w := newWorld(t)
	connected := w.clock.Now()
	c := w.connect("ann")
	w.clock.advance(90 * time.Second)
	body := `{"action":"join","n":1.50,"ö":"\u0000"} `
	for i := range 2 { // and each time the same
		c.send(body)
		e := w.next("people")
		wantKeys(t, "event", e, "requestContext body isBase64Encoded") // neither headers nor query
		if e["body"] != body || e["isBase64Encoded"] != false {
			t.Errorf("body %q, isBase64Encoded %v", e["body"], e["isBase64Encoded"])
		}
		rc := e["requestContext"].(map[string]any)
		wantKeys(t, "requestContext", rc, contextKeys, "messageId authorizer")
		wantContext(t, w, rc, "MESSAGE", "join")
		if rc["connectionId"] != c.id || rc["connectedAt"] != float64(connected.UnixMilli()) || !isID(fmt.Sprint(rc["messageId"])) {
			t.Errorf("message %d: %v", i, rc)
		}
		authorizer := rc["authorizer"].(map[string]any)
		if _, ok := authorizer["integrationLatency"].(float64); !ok {
			t.Errorf("integrationLatency is %v", authorizer["integrationLatency"])
		}
		delete(authorizer, "integrationLatency")
		wantJSON(t, authorizer, `{"principalId":"user-ann","who":"ann","seats":"2","share":"0.25","admin":"true"}`)
	}
}

func TestRouteSelection(t *testing.T) {
	w := newWorld(t)
	c := w.connect("ann")
	for _, m := range []struct{ body, function, route string }{
		{`{"action":"join"}`, "people", "join"},
		{` {"x":{"action":"leave"},"action":"join"}`, "people", "join"},
		{`{"action":"leave"}`, "rest", "$default"},
		{`{"action":"JOIN"}`, "rest", "$default"},
		{`{"Action":"join"}`, "rest", "$default"}, // names are exact
		{`{"action":""}`, "rest", "$default"},
		{`{"action":7}`, "rest", "$default"},
		{`{"action":null}`, "rest", "$default"},
		{`{"action":["join"]}`, "rest", "$default"},
		{`{"action":"$disconnect"}`, "rest", "$default"}, // reserved
		{`{"action":"$connect"}`, "rest", "$default"},
		{`{"v":1}`, "rest", "$default"},
		{`{"action":"join"`, "rest", "$default"},
		{`["join"]`, "rest", "$default"},
		{`"join"`, "rest", "$default"},
		{`join`, "rest", "$default"},
		{``, "rest", "$default"},
	} {
		c.send(m.body)
		e := w.next(m.function)
		body, _ := e["body"].(string) // absent when empty
		if rc := e["requestContext"].(map[string]any); rc["routeKey"] != m.route || body != m.body {
			t.Errorf("%q came to %v as %q, want %s", m.body, rc["routeKey"], body, m.route)
		}
	}
	w.uncalled("people", "rest")
	c.alive() // and nothing was answered
}

func TestNoReplyWithoutARouteResponse(t *testing.T) {
	w := newWorld(t)
	c := w.connect("ann")
	for range 3 { // functions return a body: see lambdas
		c.send(`{"action":"join"}`)
		w.next("people")
	}
	w.eventually("all three are over", func() bool { return w.api.Stats().In["join"] == 3 })
	c.alive()
	if n := w.api.Stats().Out; n != 0 {
		t.Errorf("%d messages went out", n)
	}
}

func TestErrorFrames(t *testing.T) {
	w := newWorld(t, func(o *WebSocketOptions) {
		o.Quotas.Integration = 50 * time.Millisecond
		o.Quotas.Burst = 1000
		o.Routes["slow"], o.Routes["mute"], o.Routes["vague"], o.Routes["none"] = "slow", "mute", "vague", "no such function"
	})
	for _, f := range []string{"slow", "mute", "vague"} {
		w.lambda.calls[f] = make(chan []byte, 10)
	}
	w.lambda.set("slow", func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() })
	w.lambda.set("mute", func(context.Context, []byte) ([]byte, error) { return []byte("null"), nil })
	w.lambda.set("vague", func(context.Context, []byte) ([]byte, error) { return []byte(`{"body":"no status"}`), nil })
	c := w.connect("ann")
	for action, message := range map[string]string{
		"fail": "Internal server error", "mute": "Internal server error", "vague": "Internal server error", "none": "Internal server error",
		"slow": "Endpoint request timed out",
	} {
		c.send(fmt.Sprintf(`{"action":%q}`, action))
		request := c.wantErrorFrame(message)
		if action == "fail" {
			if rc := w.next("broken")["requestContext"].(map[string]any); rc["requestId"] != request {
				t.Errorf("the frame names request %s, the event %s", request, rc["requestId"])
			}
		}
	}
	c.alive() // none of it ends the connection
	if n := w.api.Stats().ErrorFrames; n["Internal server error"] != 4 || n["Endpoint request timed out"] != 1 {
		t.Errorf("%v", n)
	}
}

func TestWithoutADefaultRoute(t *testing.T) {
	w := newWorld(t, func(o *WebSocketOptions) { delete(o.Routes, "$default") })
	c := w.connect("ann")
	c.send("hello")
	c.wantErrorFrame("Forbidden")
	c.alive()
}

func TestMessagesAreRationed(t *testing.T) {
	w := newWorld(t, func(o *WebSocketOptions) { o.Quotas.Requests, o.Quotas.Burst = 1, 3 })
	c := w.connect("ann") // the first of three
	c.send("one")
	w.next("rest")
	c.send("two")
	w.next("rest")
	c.send("three")
	c.wantErrorFrame("Too Many Requests")
	w.clock.advance(time.Second)
	c.send("four")
	w.next("rest")
	c.alive()
}

// Messages of one connection run beside each other: a slow one holds up nobody.
func TestMessagesAreNotInLine(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	var running atomic.Int32
	w.lambda.set("people", func(context.Context, []byte) ([]byte, error) {
		running.Add(1)
		<-release
		return []byte(`{"statusCode":200}`), nil
	})
	c := w.connect("ann")
	c.send(`{"action":"join"}`)
	c.send(`{"action":"join"}`)
	w.eventually("both run", func() bool { return running.Load() == 2 })
	close(release)
}

func TestDisconnect(t *testing.T) {
	for _, d := range []struct {
		name   string
		leave  func(c *client)
		code   int
		reason string
	}{
		{"in order", func(c *client) {
			c.write(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))
			c.echoed(ws.StatusNormalClosure)
		}, 1000, "Connection Closed Normally"},
		{"with a reason", func(c *client) {
			c.write(ws.NewCloseFrame(ws.NewCloseFrameBody(4001, "lunch")))
			c.echoed(4001)
		}, 4001, "lunch"},
		{"without a code", func(c *client) {
			c.write(ws.NewCloseFrame(nil))
			c.echoed(ws.StatusNoStatusRcvd)
		}, 1005, "Client-side close frame status not set"},
		{"with half a code", func(c *client) {
			c.write(ws.NewCloseFrame([]byte{3}))
			c.wantClose(ws.StatusProtocolError)
		}, 1002, "Protocol error"},
		{"with a code that nobody may send", func(c *client) {
			c.write(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusAbnormalClosure, "")))
			c.wantClose(ws.StatusProtocolError)
		}, 1002, "Protocol error"},
		{"by the cable", func(c *client) { _ = c.conn.Close() }, 1006, "Connection Closed Abnormally"},
	} {
		t.Run(d.name, func(t *testing.T) {
			w := newWorld(t)
			c := w.connect("ann")
			d.leave(c)
			e := w.next("people")
			wantKeys(t, "event", e, "requestContext isBase64Encoded")
			rc := e["requestContext"].(map[string]any)
			wantKeys(t, "requestContext", rc, contextKeys, "authorizer disconnectStatusCode disconnectReason")
			wantContext(t, w, rc, "DISCONNECT", "$disconnect")
			if rc["connectionId"] != c.id || rc["disconnectStatusCode"] != float64(d.code) || rc["disconnectReason"] != d.reason {
				t.Errorf("%v: %v %v, want %d %q", rc["connectionId"], rc["disconnectStatusCode"], rc["disconnectReason"], d.code, d.reason)
			}
			if who := rc["authorizer"].(map[string]any)["who"]; who != "ann" {
				t.Errorf("authorizer context names %v", who)
			}
			if s := w.api.Stats(); s.Open != 0 || s.Disconnects[fmt.Sprint(d.code)] != 1 {
				t.Errorf("%+v", s)
			}
			if n := w.clock.running(); n != 0 {
				t.Errorf("%d timers of the connection still run", n)
			}
			w.uncalled("people") // once
		})
	}
}

// echoed expects the answer to the client's own close frame.
func (c *client) echoed(code ws.StatusCode) {
	c.Helper()
	_, _, f := c.read()
	if f == nil || f.Header.OpCode != ws.OpClose {
		c.Fatalf("got %+v, want the close frame back", f)
	}
	if len(f.Payload) == 0 && code == ws.StatusNoStatusRcvd {
		return
	}
	if got, _ := ws.ParseCloseFrameData(f.Payload); got != code {
		c.Errorf("echoed %d, want %d", got, code)
	}
}
