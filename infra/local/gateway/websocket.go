package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/gobwas/ws"
	"golang.org/x/time/rate"
)

// Quotas are API Gateway's limits on a WebSocket API. Sizes are in bytes. A
// zero field takes the value of the "Quotas for configuring and running a
// WebSocket API", named here.
type Quotas struct {
	Frame    int           // 32 KB
	Message  int           // 128 KB, also of a post
	Idle     time.Duration // 10 min without a message in either direction
	Lifetime time.Duration // 2 h
	// Connects is the number of new connections a second, for all clients
	// together (500).
	Connects int
	// Requests is the number of messages, connections and calls of the management
	// API a second (10,000), Burst how many may come at once (5,000).
	Requests, Burst int
	// Integration is how long a function may take (29 s).
	Integration time.Duration
	// Buffer is how many bytes may wait for a client that reads slowly before
	// posts to it get 429. The guide names no figure; 1 MB here.
	Buffer int
}

func (q Quotas) withDefaults() Quotas {
	q.Frame = cmp.Or(q.Frame, 32<<10)
	q.Message = cmp.Or(q.Message, 128<<10)
	q.Idle = cmp.Or(q.Idle, 10*time.Minute)
	q.Lifetime = cmp.Or(q.Lifetime, 2*time.Hour)
	q.Connects = cmp.Or(q.Connects, 500)
	q.Requests = cmp.Or(q.Requests, 10_000)
	q.Burst = cmp.Or(q.Burst, 5_000)
	q.Integration = cmp.Or(q.Integration, 29*time.Second)
	q.Buffer = cmp.Or(q.Buffer, 1<<20)
	return q
}

// WebSocketOptions describe a WebSocket API.
type WebSocketOptions struct {
	Stage   string // also the path under which it is served
	Domain  string // host and port
	APIID   string
	Region  string
	Account string
	// Authorizer is the function asked on $connect.
	Authorizer string
	// IdentitySource is the query parameter without which the authorizer is not
	// even asked; empty means it always is.
	IdentitySource string
	// Routes maps route keys to functions. $connect needs none: it has a mock
	// integration.
	Routes map[string]string
	// Credentials are those with which calls of the management API must be signed.
	Credentials aws.Credentials
	Quotas      Quotas
	Clock       Clock // nil means [WallClock]
	Log         *slog.Logger
	// Seed makes the draws of [Faults] repeatable.
	Seed uint64
}

// WebSocket is a WebSocket API with its management API. It is an
// [http.Handler] for everything under "/<stage>". Its methods may be called by
// several goroutines.
type WebSocket struct {
	opts     WebSocketOptions
	invoker  Invoker
	log      *slog.Logger
	connects *rate.Limiter
	requests *rate.Limiter
	mischief mischief
	counters counters

	// base ends when the API is closed, and with it what still runs.
	base context.Context
	stop context.CancelFunc
	work sync.WaitGroup // connections and invocations

	mu     sync.Mutex
	closed bool
	open   map[string]*connection
}

// NewWebSocket makes a WebSocket API.
func NewWebSocket(invoker Invoker, opts WebSocketOptions) *WebSocket {
	opts.Quotas = opts.Quotas.withDefaults()
	if opts.Clock == nil {
		opts.Clock = WallClock{}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	q := opts.Quotas
	a := &WebSocket{
		opts:     opts,
		invoker:  invoker,
		log:      opts.Log,
		connects: rate.NewLimiter(rate.Limit(q.Connects), q.Connects),
		requests: rate.NewLimiter(rate.Limit(q.Requests), q.Burst),
		mischief: mischief{random: rand.New(rand.NewPCG(opts.Seed, 0))},
		open:     map[string]*connection{},
	}
	a.base, a.stop = context.WithCancel(context.Background())
	return a
}

// SetFaults switches faults on and off for what comes next.
func (a *WebSocket) SetFaults(f Faults) error {
	if err := f.Validate(); err != nil {
		return err
	}
	a.mischief.set(f)
	if !f.Down {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.open {
		c.breakOff()
	}
	return nil
}

// Faults returns the faults that are switched on.
func (a *WebSocket) Faults() Faults { return a.mischief.get() }

// ServeHTTP implements [http.Handler].
func (a *WebSocket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.Path, "/"+a.opts.Stage)
	switch {
	case ok && strings.HasPrefix(rest, "/@connections/"):
		a.manage(w, r, strings.TrimPrefix(rest, "/@connections/"))
	case ok && (rest == "" || rest == "/"):
		a.connect(w, r)
	default:
		fail(w, http.StatusForbidden, "ForbiddenException", "Forbidden")
	}
}

// connect is the $connect route: authorize, answer from the mock, upgrade. The
// connection can be posted to only when this has succeeded.
func (a *WebSocket) connect(w http.ResponseWriter, r *http.Request) {
	if !isUpgrade(r) {
		fail(w, http.StatusUpgradeRequired, "UpgradeRequired", "Upgrade Required")
		return
	}
	if a.mischief.get().Down {
		a.refuse(w, nil, http.StatusServiceUnavailable, "Service Unavailable")
		return
	}
	now := a.opts.Clock.Now()
	if !a.connects.AllowN(now, 1) || !a.requests.AllowN(now, 1) {
		a.refuse(w, nil, http.StatusTooManyRequests, "Too Many Requests")
		return
	}
	c := newConnection(a, r)
	status, message := a.authorize(r, c)
	if status != http.StatusOK {
		a.refuse(w, c, status, message)
		return
	}
	if a.mischief.cut(c) {
		a.refuse(w, c, http.StatusServiceUnavailable, "Service Unavailable")
		return
	}
	if !a.add(c) {
		a.refuse(w, c, http.StatusServiceUnavailable, "Service Unavailable")
		return
	}
	defer a.work.Done()
	conn, rw, _, err := ws.HTTPUpgrader{Timeout: 10 * time.Second}.Upgrade(r, w)
	if err != nil {
		a.remove(c)
		a.counters.connect("bad handshake")
		a.log.Info("handshake failed", "connection", c.id, "error", err)
		return
	}
	a.counters.connect("accepted")
	a.log.Debug("connected", "connection", c.id, "principal", c.authorizer["principalId"])
	how := c.serve(conn, rw.Reader)
	a.remove(c)
	a.log.Debug("disconnected", "connection", c.id, "code", how.code, "reason", how.reason)
	a.counters.disconnect(how.code)
	a.disconnected(c, how)
}

// refuse answers a handshake with an error.
func (a *WebSocket) refuse(w http.ResponseWriter, c *connection, status int, message string) {
	a.counters.connect(fmt.Sprint(status))
	body := map[string]string{"message": message}
	if c != nil {
		body["connectionId"], body["requestId"] = c.id, newID()
	}
	a.log.Info("connection refused", "status", status, "message", message)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", strings.ReplaceAll(message, " ", "")+"Exception")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// add makes the connection known; from here on it can be posted to.
func (a *WebSocket) add(c *connection) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.open[c.id] = c
	a.work.Add(1)
	return true
}

func (a *WebSocket) remove(c *connection) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, c.id)
}

func (a *WebSocket) find(id string) *connection {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open[id]
}

// disconnected calls the $disconnect route: best effort, once, without retry.
func (a *WebSocket) disconnected(c *connection, how closed) {
	function, ok := a.opts.Routes[routeDisconnect]
	if !ok || a.base.Err() != nil {
		return
	}
	if a.mischief.loseDisconnect() || a.mischief.get().Down {
		a.log.Info("fault: $disconnect lost", "connection", c.id)
		return
	}
	ctx := a.context(c, "DISCONNECT", routeDisconnect)
	code := int(how.code)
	ctx.DisconnectStatusCode, ctx.DisconnectReason = &code, &how.reason
	a.counters.in(routeDisconnect, 0)
	if err := a.call(function, messageEvent{RequestContext: ctx}); err != nil {
		a.log.Warn("$disconnect failed", "connection", c.id, "error", err)
	}
}

// message hands one message to its route. It runs in a goroutine of its own:
// API Gateway promises no order, not even within one connection.
func (a *WebSocket) message(c *connection, body []byte) {
	if !a.requests.AllowN(a.opts.Clock.Now(), 1) {
		a.errorFrame(c, "Too Many Requests", newID())
		return
	}
	route, function := a.route(body)
	a.counters.in(route, len(body))
	ctx := a.context(c, "MESSAGE", route)
	ctx.MessageID = newID()
	if function == "" {
		a.errorFrame(c, "Forbidden", ctx.RequestID)
		return
	}
	err := a.call(function, messageEvent{RequestContext: ctx, Body: string(body)})
	switch {
	case err == nil || a.base.Err() != nil:
	case errors.Is(err, context.DeadlineExceeded):
		a.errorFrame(c, "Endpoint request timed out", ctx.RequestID)
	default:
		a.log.Warn("integration failed", "route", route, "connection", c.id, "request", ctx.RequestID, "error", err)
		a.errorFrame(c, "Internal server error", ctx.RequestID)
	}
}

// route evaluates the route selection expression $request.body.action. What
// begins with "$" is reserved and cannot be asked for.
func (a *WebSocket) route(body []byte) (key, function string) {
	var fields map[string]json.RawMessage // exact names, unlike a struct's
	var action string
	if json.Unmarshal(body, &fields) == nil && json.Unmarshal(fields["action"], &action) == nil &&
		!strings.HasPrefix(action, "$") {
		if function, ok := a.opts.Routes[action]; ok {
			return action, function
		}
	}
	return routeDefault, a.opts.Routes[routeDefault]
}

// call runs a function as a proxy integration. No route has a route response,
// so what the function returns goes nowhere; but it must be a response.
func (a *WebSocket) call(function string, event messageEvent) error {
	payload, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("marshal event: %w", err)
	}
	ctx, cancel := context.WithTimeout(a.base, a.opts.Quotas.Integration)
	defer cancel()
	raw, err := a.invoker.Invoke(ctx, function, payload)
	if err != nil {
		return err
	}
	var response struct {
		StatusCode *int `json:"statusCode"`
	}
	if err := json.Unmarshal(raw, &response); err != nil || response.StatusCode == nil {
		return fmt.Errorf("malformed proxy response of %s: %.100s", function, raw)
	}
	return nil
}

// errorFrame tells the client what API Gateway itself has to say.
func (a *WebSocket) errorFrame(c *connection, message, request string) {
	a.counters.errorFrame(message)
	body, _ := json.Marshal(struct { // strings cannot fail
		Message      string `json:"message"`
		ConnectionID string `json:"connectionId"`
		RequestID    string `json:"requestId"`
	}{message, c.id, request})
	_ = c.send(body) // gone or full: nobody to tell
}

// Close ends all connections without calling $disconnect, and waits until they
// and all invocations on their behalf are over.
func (a *WebSocket) Close() {
	a.mu.Lock()
	a.closed = true
	open := a.open
	a.open = map[string]*connection{}
	a.mu.Unlock()
	a.stop()
	for _, c := range open {
		c.close(ws.StatusGoingAway, "Going away")
	}
	a.work.Wait()
}
