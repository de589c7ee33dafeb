package gateway

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// httpAPI serves an HTTP API with one function, "rest".
func httpAPI(t *testing.T, h handler) (w *world, base string) {
	t.Helper()
	w = &world{T: t, lambda: newLambdas()}
	w.lambda.set("rest", h)
	server := httptest.NewServer(&HTTP{Invoker: w.lambda, Function: "rest", APIID: "api", Account: "123456789012", Timeout: 200 * time.Millisecond})
	t.Cleanup(server.Close)
	return w, server.URL
}

func says(answer string) handler {
	return func(context.Context, []byte) ([]byte, error) { return []byte(answer), nil }
}

func TestHTTPEvent(t *testing.T) {
	w, base := httpAPI(t, says(`{"statusCode":200}`))
	req, err := http.NewRequestWithContext(t.Context(), "PUT", base+"/v1/rooms/a%20%C3%B6%2Fb%25?x=1&x=%20two&y=%26", strings.NewReader("body ö"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"X-Thing": {"One", "Two"}, "Authorization": {"Bearer K"}, "Cookie": {"a=1; b=2"}, "User-Agent": {"test"}, "Accept-Encoding": {"identity"}}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	e := w.next("rest")
	wantKeys(t, "event", e, "version routeKey rawPath rawQueryString cookies headers queryStringParameters requestContext body isBase64Encoded")
	for key, want := range map[string]string{
		"version": `"2.0"`, "routeKey": `"$default"`, "rawPath": `"/v1/rooms/a ö/b%"`, "rawQueryString": `"x=1&x=%20two&y=%26"`,
		"cookies": `["a=1","b=2"]`, "queryStringParameters": `{"x":"1, two","y":"&"}`, "body": `"body ö"`, "isBase64Encoded": `false`,
		"headers": `{"authorization":"Bearer K","x-thing":"One,Two","user-agent":"test","accept-encoding":"identity","content-length":"7","host":"` + strings.TrimPrefix(base, "http://") + `"}`,
	} {
		t.Run(key, func(t *testing.T) { wantJSON(t, e[key], want) })
	}
	rc := e["requestContext"].(map[string]any)
	wantJSON(t, rc["http"], `{"method":"PUT","path":"/v1/rooms/a ö/b%","protocol":"HTTP/1.1","sourceIp":"127.0.0.1","userAgent":"test"}`)
	if rc["apiId"] != "api" || rc["accountId"] != "123456789012" || rc["stage"] != "$default" || rc["requestId"] == "" {
		t.Errorf("%v", rc)
	}
	if at := time.UnixMilli(int64(rc["timeEpoch"].(float64))); time.Since(at) > time.Minute {
		t.Errorf("timeEpoch is %v", at)
	}
	if _, err := time.Parse(requestTimeLayout, rc["time"].(string)); err != nil {
		t.Error(err)
	}
}

func TestHTTPPathsAndBodies(t *testing.T) {
	w, base := httpAPI(t, says(`{"statusCode":204}`))
	for _, c := range []struct{ path, body, rawPath, got string }{
		{"/", "", "/", ""},
		{"/a%3Fb/c", "", "/a", ""}, // ends at the question mark
		{"/a/", "", "/a/", ""},
		{"/a", "\xff\x00", "/a", "/wA="},
	} {
		r, err := http.Post(base+c.path, "application/octet-stream", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		e := w.next("rest")
		body, _ := e["body"].(string)
		if e["rawPath"] != c.rawPath || body != c.got || e["isBase64Encoded"] != (c.body != "") {
			t.Errorf("%s: rawPath %v, body %q, isBase64Encoded %v", c.path, e["rawPath"], body, e["isBase64Encoded"])
		}
	}
}

func TestHTTPResponses(t *testing.T) {
	for _, c := range []struct {
		name   string
		h      handler
		status int
		body   string
		header map[string]string
	}{
		{"with headers", says(`{"statusCode":418,"headers":{"x-tea":"yes"},"cookies":["a=1"],"body":"short and stout"}`), 418, "short and stout",
			map[string]string{"X-Tea": "yes", "Set-Cookie": "a=1"}},
		{"base64", says(`{"statusCode":200,"body":"/wA=","isBase64Encoded":true}`), 200, "\xff\x00", nil},
		{"only a body", says(`{"rooms":[]}`), 200, `{"rooms":[]}`, map[string]string{"Content-Type": "application/json"}},
		{"only a text", says(`"hello"`), 200, `hello`, map[string]string{"Content-Type": "application/json"}},
		{"no base64", says(`{"statusCode":200,"body":"%","isBase64Encoded":true}`), 500, `{"message":"Internal Server Error"}`, nil},
		{"no status that exists", says(`{"statusCode":7}`), 500, `{"message":"Internal Server Error"}`, nil},
		{"headers of another shape", says(`{"statusCode":200,"headers":[]}`), 500, `{"message":"Internal Server Error"}`, nil},
		{"no JSON", says(`oops`), 500, `{"message":"Internal Server Error"}`, nil},
		{"failed", func(context.Context, []byte) ([]byte, error) { return nil, failure("goroutine 7") }, 500, `{"message":"Internal Server Error"}`, nil},
		{"too slow", func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }, 503, `{"message":"Service Unavailable"}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, base := httpAPI(t, c.h)
			r, err := http.Get(base + "/v1/rooms")
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			body, err := io.ReadAll(r.Body)
			if got := strings.TrimSuffix(string(body), "\n"); err != nil || r.StatusCode != c.status || got != c.body {
				t.Errorf("%d %q %v, want %d %q", r.StatusCode, got, err, c.status, c.body)
			}
			for name, value := range c.header {
				if r.Header.Get(name) != value {
					t.Errorf("%s is %q, want %q", name, r.Header.Get(name), value)
				}
			}
		})
	}
}

func TestHTTPBodyTooLarge(t *testing.T) {
	w, base := httpAPI(t, says(`{"statusCode":200}`))
	r, err := http.Post(base, "text/plain", strings.NewReader(strings.Repeat("x", httpBody+1)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var answer struct{ Message string }
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil || r.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%s %+v %v", r.Status, answer, err)
	}
	w.uncalled("rest")
}
