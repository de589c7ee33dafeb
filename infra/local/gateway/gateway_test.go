package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
)

// patience bounds every wait of these tests; nothing is expected to take it.
const patience = 10 * time.Second

// world is a WebSocket API with three functions and a clock that stands still,
// and a client of the SDK that posts to it.
type world struct {
	*testing.T
	clock  *fakeClock
	lambda *lambdas
	api    *WebSocket
	url    string // of the stage
	poster *apigatewaymanagementapi.Client
}

var testCredentials = aws.Credentials{AccessKeyID: "AKIATEST", SecretAccessKey: "secret"}

func newWorld(t *testing.T, change ...func(*WebSocketOptions)) *world {
	t.Helper()
	w := &world{T: t, clock: newFakeClock(), lambda: newLambdas()}
	w.lambda.set("door", door)
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	opts := WebSocketOptions{
		Stage: "ws", Domain: server.Listener.Addr().String(), APIID: "api", Region: "us-east-1", Account: "123456789012",
		Authorizer: "door", IdentitySource: "access_token",
		Routes:      map[string]string{"join": "people", "fail": "broken", "$default": "rest", "$disconnect": "people"},
		Credentials: testCredentials, Clock: w.clock, Seed: 1,
	}
	for _, f := range change {
		f(&opts)
	}
	w.api = NewWebSocket(w.lambda, opts)
	mux.Handle("/", w.api)
	w.url = server.URL + "/ws"
	w.poster = w.client(testCredentials, "us-east-1")
	t.Cleanup(server.Close)
	t.Cleanup(w.api.Close)
	return w
}

// client is a client of the management API that never tries twice.
func (w *world) client(credentials aws.Credentials, region string) *apigatewaymanagementapi.Client {
	return apigatewaymanagementapi.New(apigatewaymanagementapi.Options{
		Region: region, BaseEndpoint: &w.url, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return credentials, nil }),
	})
}

func (w *world) post(id, message string) error {
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	_, err := w.poster.PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &id, Data: []byte(message)})
	return err
}

func (w *world) mustPost(id, message string) {
	w.Helper()
	if err := w.post(id, message); err != nil {
		w.Fatal(err)
	}
}

// eventually asks until the answer is yes.
func (w *world) eventually(what string, yes func() bool) {
	w.Helper()
	for deadline := time.Now().Add(patience); !yes(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("still not: %s", what)
		}
	}
}

// lambdas are functions in this process. A function without a handler answers
// as one does that is done.
type lambdas struct {
	mu       sync.Mutex
	handlers map[string]handler
	calls    map[string]chan []byte
}

type handler func(ctx context.Context, payload []byte) ([]byte, error)

var _ Invoker = (*lambdas)(nil)

func newLambdas() *lambdas {
	l := &lambdas{handlers: map[string]handler{}, calls: map[string]chan []byte{}}
	for _, name := range []string{"door", "people", "broken", "rest"} {
		l.calls[name] = make(chan []byte, 1000)
	}
	l.set("broken", func(context.Context, []byte) ([]byte, error) { return nil, failure("nil map: goroutine 7") })
	return l
}

func (l *lambdas) set(function string, h handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handlers[function] = h
}

func (l *lambdas) Invoke(ctx context.Context, function string, payload []byte) ([]byte, error) {
	l.mu.Lock()
	h, calls := l.handlers[function], l.calls[function]
	l.mu.Unlock()
	if calls == nil {
		return nil, fmt.Errorf("no function %s", function)
	}
	calls <- slices.Clone(payload)
	if h == nil {
		return []byte(`{"statusCode":200,"body":"nobody reads this"}`), nil
	}
	return h(ctx, payload)
}

// next returns the event of a function's next call.
func (w *world) next(function string) map[string]any {
	w.Helper()
	select {
	case raw := <-w.lambda.calls[function]:
		var event map[string]any
		if err := json.Unmarshal(raw, &event); err != nil {
			w.Fatal(err)
		}
		return event
	case <-time.After(patience):
		w.Fatalf("%s is not called", function)
		return nil
	}
}

// uncalled fails if a function was called and nobody took note.
func (w *world) uncalled(functions ...string) {
	w.Helper()
	for _, f := range functions {
		if n := len(w.lambda.calls[f]); n != 0 {
			w.Errorf("%s was called %d times: %s", f, n, <-w.lambda.calls[f])
		}
	}
}

// failure is the error of a function that failed by itself.
type failure string

func (f failure) Error() string           { return "function failed: " + string(f) }
func (f failure) FunctionMessage() string { return string(f) }

// door is the authorizer: the token says what it answers.
func door(_ context.Context, payload []byte) ([]byte, error) {
	var e authorizerEvent
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, err
	}
	policy := func(effect, resource string) string {
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":%q,"Resource":%q}]}`, effect, resource)
	}
	allow := policy("Allow", e.MethodARN)
	answers := map[string]string{
		"deny":       `{"principalId":"x","policyDocument":` + policy("Deny", e.MethodARN) + `}`,
		"elsewhere":  `{"principalId":"x","policyDocument":` + policy("Allow", "arn:aws:execute-api:*:*:other/*") + `}`,
		"wildcard":   `{"principalId":"x","policyDocument":` + policy("Allow", "arn:aws:execute-api:*:*:api/ws/?connect") + `}`,
		"both":       `{"principalId":"x","policyDocument":{"Statement":[{"Action":["execute-api:*"],"Effect":"Allow","Resource":["*"]},{"Action":"*","Effect":"Deny","Resource":"*"}]}}`,
		"nonsense":   `yes`,
		"no policy":  `{"principalId":"x"}`,
		"nobody":     `{"policyDocument":` + allow + `}`,
		"structured": `{"principalId":"x","policyDocument":` + allow + `,"context":{"a":{"b":1}}}`,
	}
	switch token := e.Query["access_token"]; token {
	case "unauthorized":
		return nil, failure("Unauthorized")
	case "crash":
		return nil, failure("nil pointer")
	case "busy":
		return nil, errors.New("all environments are busy")
	default:
		if a, ok := answers[token]; ok {
			return []byte(a), nil
		}
		return fmt.Appendf(nil, `{"principalId":"user-%s","policyDocument":%s,"context":{"who":%q,"seats":2,"share":0.25,"admin":true}}`, token, allow, token), nil
	}
}

// fakeClock stands still until it is told to advance.
type fakeClock struct {
	mu     sync.Mutex
	now    time.Time
	timers map[*fakeTimer]bool
}

type fakeTimer struct {
	at time.Time
	f  func()
}

var _ Clock = (*fakeClock)(nil)

func newFakeClock() *fakeClock {
	return &fakeClock{now: time.Date(2026, 11, 23, 12, 0, 0, 123e6, time.UTC), timers: map[*fakeTimer]bool{}}
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) AfterFunc(d time.Duration, f func()) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &fakeTimer{c.now.Add(d), f}
	c.timers[t] = true
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.timers, t)
	}
}

// running is how many timers run.
func (c *fakeClock) running() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers)
}

// advance lets time pass and runs what falls due, in order, before it returns.
func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	until := c.now.Add(d)
	for {
		var due *fakeTimer
		for t := range c.timers {
			if !t.at.After(until) && (due == nil || t.at.Before(due.at)) {
				due = t
			}
		}
		if due == nil {
			break
		}
		delete(c.timers, due)
		c.now = due.at
		c.mu.Unlock()
		due.f()
		c.mu.Lock()
	}
	c.now = until
}
