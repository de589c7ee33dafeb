package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi/types"
	"github.com/aws/smithy-go"
	"github.com/gobwas/ws"
)

func TestPosts(t *testing.T) {
	w := newWorld(t)
	c := w.connect("ann")
	if !strings.HasSuffix(c.id, "=") {
		t.Fatalf("%s needs no percent-encoding, as API Gateway's ids do", c.id)
	}
	for _, message := range []string{"", "hello", "ö \x00 }", strings.Repeat("x", frameQuota), strings.Repeat("0123456789", messageQuota/10+1)[:messageQuota]} {
		w.mustPost(c.id, message)
		got, sizes, _ := c.read()
		if got != message {
			t.Errorf("%d bytes arrived as %d", len(message), len(got))
		}
		for _, s := range sizes {
			if s > frameQuota {
				t.Errorf("%d bytes came in a frame of %d", len(message), s)
			}
		}
	}
	if s := w.api.Stats(); s.Posts["200"] != 5 || s.Out != 5 || s.BilledUnits != 4+4 {
		t.Errorf("%+v", s)
	}
}

func TestPostsThatFail(t *testing.T) {
	w := newWorld(t)
	c := w.connect("ann")
	var gone *types.GoneException
	var large *types.PayloadTooLargeException
	var other smithy.APIError
	if err := w.post(newID(), "x"); !errors.As(err, &gone) {
		t.Errorf("to nobody: %v", err)
	}
	if err := w.post("nobody", "x"); !errors.As(err, &other) || other.ErrorCode() != "BadRequestException" {
		t.Errorf("to what is no id: %v", err)
	}
	if err := w.post(c.id, strings.Repeat("x", messageQuota+1)); !errors.As(err, &large) {
		t.Errorf("too large: %v", err)
	}
	for name, poster := range map[string]*apigatewaymanagementapi.Client{
		"another secret": w.client(aws.Credentials{AccessKeyID: "AKIATEST", SecretAccessKey: "guessed"}, "us-east-1"),
		"another key":    w.client(aws.Credentials{AccessKeyID: "AKIAOTHER", SecretAccessKey: "secret"}, "us-east-1"),
		"another Region": w.client(testCredentials, "eu-west-1"),
	} {
		_, err := poster.PostToConnection(t.Context(), &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &c.id, Data: []byte("x")})
		if !errors.As(err, &other) || errors.As(err, &gone) {
			t.Errorf("%s: %v", name, err)
		}
		if status := statusOf(err); status != http.StatusForbidden {
			t.Errorf("%s: status %d", name, status)
		}
	}
	c.write(ws.NewCloseFrame(nil))
	w.next("people")
	if err := w.post(c.id, "x"); !errors.As(err, &gone) {
		t.Errorf("to somebody who left: %v", err)
	}
	if s := w.api.Stats(); s.Out != 0 || s.Posts["403"] != 3 || s.Posts["410"] != 2 || s.Posts["413"] != 1 || s.Posts["400"] != 1 {
		t.Errorf("%+v", s)
	}
}

// statusOf is the HTTP status of a failed call, 0 if there was none.
func statusOf(err error) int {
	var e interface{ HTTPStatusCode() int }
	if errors.As(err, &e) {
		return e.HTTPStatusCode()
	}
	return 0
}

func TestSignatures(t *testing.T) {
	w := newWorld(t)
	c := w.connect("ann")
	target := w.url + "/@connections/" + url.QueryEscape(c.id) // which leaves no "=" as it is
	// request makes a request that is signed correctly, for change to spoil.
	request := func(t *testing.T, change func(r *http.Request, body *string)) (int, string) {
		t.Helper()
		body := "hello"
		r, err := http.NewRequestWithContext(t.Context(), "POST", target, nil)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(body))
		if err := v4.NewSigner().SignHTTP(t.Context(), testCredentials, r, hex.EncodeToString(sum[:]), "execute-api", "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
		change(r, &body)
		r.Body = io.NopCloser(strings.NewReader(body))
		r.ContentLength = int64(len(body))
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode, answer.Header.Get("X-Amzn-Errortype")
	}
	replace := func(old, with string) func(*http.Request, *string) {
		return func(r *http.Request, _ *string) {
			header := r.Header.Get("Authorization")
			if !strings.Contains(header, old) {
				t.Fatalf("%s holds no %s", header, old)
			}
			r.Header.Set("Authorization", strings.Replace(header, old, with, 1))
		}
	}
	for _, s := range []struct {
		name      string
		change    func(*http.Request, *string)
		status    int
		exception string
	}{
		{"as it should be", func(*http.Request, *string) {}, 200, ""},
		{"none", func(r *http.Request, _ *string) { r.Header.Del("Authorization") }, 403, "MissingAuthenticationTokenException"},
		{"another scheme", func(r *http.Request, _ *string) { r.Header.Set("Authorization", "Bearer x") }, 403, "IncompleteSignatureException"},
		{"another body", func(_ *http.Request, body *string) { *body = "HELLO" }, 403, "InvalidSignatureException"},
		{"another path", func(r *http.Request, _ *string) { r.URL.RawPath = strings.Replace(r.URL.EscapedPath(), "%3D", "=", 1) }, 403, "InvalidSignatureException"},
		{"another query", func(r *http.Request, _ *string) { r.URL.RawQuery = "x=1" }, 403, "InvalidSignatureException"},
		{"another time", func(r *http.Request, _ *string) {
			at, _ := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
			next := at.Add(time.Second)
			if next.Day() != at.Day() {
				next = at.Add(-time.Second)
			}
			r.Header.Set("X-Amz-Date", next.Format("20060102T150405Z"))
		}, 403, "InvalidSignatureException"},
		{"no time", func(r *http.Request, _ *string) { r.Header.Del("X-Amz-Date") }, 403, "IncompleteSignatureException"},
		{"another service", replace("/execute-api/", "/lambda/"), 403, "InvalidSignatureException"},
		{"another key", replace("AKIATEST", "AKIAELSE"), 403, "UnrecognizedClientException"},
		{"fewer headers", replace("host;", ""), 403, "InvalidSignatureException"},
	} {
		t.Run(s.name, func(t *testing.T) {
			status, exception := request(t, s.change)
			if status != s.status || exception != s.exception {
				t.Errorf("%d %s, want %d %s", status, exception, s.status, s.exception)
			}
			if status == 200 {
				c.want("hello")
			}
		})
	}
	c.alive() // none of the others arrived
}

func TestGetAndDeleteConnection(t *testing.T) {
	w := newWorld(t)
	connected := w.clock.Now()
	c := w.connect("ann")
	w.clock.advance(time.Minute)
	c.send("hello")
	w.next("rest")
	w.clock.advance(time.Minute)
	got, err := w.poster.GetConnection(t.Context(), &apigatewaymanagementapi.GetConnectionInput{ConnectionId: &c.id})
	if err != nil {
		t.Fatal(err)
	}
	if !got.ConnectedAt.Equal(connected) || !got.LastActiveAt.Equal(connected.Add(time.Minute)) ||
		aws.ToString(got.Identity.SourceIp) != "127.0.0.1" || aws.ToString(got.Identity.UserAgent) != "test" {
		t.Errorf("connected %v, active %v, %+v", got.ConnectedAt, got.LastActiveAt, got.Identity)
	}
	w.mustPost(c.id, "before")
	if _, err := w.poster.DeleteConnection(t.Context(), &apigatewaymanagementapi.DeleteConnectionInput{ConnectionId: &c.id}); err != nil {
		t.Fatal(err)
	}
	var gone *types.GoneException
	if err := w.post(c.id, "after"); !errors.As(err, &gone) {
		t.Errorf("a post after the deletion: %v", err)
	}
	c.want("before")
	c.wantClose(ws.StatusNormalClosure)
	if rc := w.next("people")["requestContext"].(map[string]any); rc["disconnectStatusCode"] != 1000.0 || rc["connectionId"] != c.id {
		t.Errorf("$disconnect with %v", rc["disconnectStatusCode"])
	}
	if _, err := w.poster.GetConnection(t.Context(), &apigatewaymanagementapi.GetConnectionInput{ConnectionId: &c.id}); !errors.As(err, &gone) {
		t.Errorf("GET afterwards: %v", err)
	}
	if _, err := w.poster.DeleteConnection(t.Context(), &apigatewaymanagementapi.DeleteConnectionInput{ConnectionId: &c.id}); !errors.As(err, &gone) {
		t.Errorf("DELETE afterwards: %v", err)
	}
	w.uncalled("people")
}

func TestASlowReader(t *testing.T) {
	w := newWorld(t, func(o *WebSocketOptions) { o.Quotas.Buffer = 300 << 10 })
	c, other := w.connect("slow"), w.connect("quick")
	message := func(i int) string { return fmt.Sprintf("%06d", i) + strings.Repeat("x", messageQuota-6) }
	var full *types.LimitExceededException
	sent := 0
	for ; sent < 1000; sent++ { // what the kernel buffers differs
		err := w.post(c.id, message(sent))
		if errors.As(err, &full) {
			if status := statusOf(err); status != http.StatusTooManyRequests {
				t.Errorf("status %d", status)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if full == nil {
		t.Fatalf("%d messages of 128 KB fit", sent)
	}
	w.mustPost(other.id, "not your fault")
	other.want("not your fault")
	for i := range sent { // what was taken arrives, whole and in order
		c.want(message(i))
	}
	w.mustPost(c.id, "again")
	c.want("again")
}

func TestManagementIsRationed(t *testing.T) {
	w := newWorld(t, func(o *WebSocketOptions) { o.Quotas.Requests, o.Quotas.Burst = 1, 2 })
	c := w.connect("ann")
	w.mustPost(c.id, "one")
	var limit *types.LimitExceededException
	if err := w.post(c.id, "two"); !errors.As(err, &limit) {
		t.Errorf("got %v", err)
	}
	c.want("one")
	c.alive()
}

func TestIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := newID()
		if seen[id] || !isID(id) || len(id) != 16 {
			t.Fatalf("%q", id)
		}
		seen[id] = true
	}
	for _, id := range []string{"", "x", "AAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAA+="} {
		if isID(id) {
			t.Errorf("%q passes for an id", id)
		}
	}
}

func TestErrorsAreJSON(t *testing.T) {
	w := newWorld(t)
	r, err := http.Post(w.url+"/@connections/x", "text/plain", bytes.NewReader(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var body struct{ Message string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Message != "Missing Authentication Token" || r.StatusCode != 403 {
		t.Errorf("%s %+v %v", r.Status, body, err)
	}
}
