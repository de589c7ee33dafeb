// Package gateway behaves like Amazon API Gateway: a WebSocket API with routes,
// a Lambda authorizer and the @connections management API ([WebSocket]), and an
// HTTP API ([HTTP]). What it promises is what the API Gateway Developer Guide
// says, with its quotas, its error frames and, on demand, the faults that a
// distributed gateway has ([Faults]).
//
// Where the guide is silent the gateway takes the stricter side, so that what
// works here works there; such places say so in a comment.
package gateway

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"time"
)

// Invoker runs Lambda functions.
type Invoker interface {
	// Invoke runs the function once and returns its response. It returns at the
	// latest when ctx ends.
	Invoke(ctx context.Context, function string, payload []byte) ([]byte, error)
}

// functionError is what the error of a function that failed by itself looks
// like: it carries the message that the function gave.
type functionError interface {
	error
	FunctionMessage() string
}

// Clock is the time by which connections grow idle and old.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f in a goroutine of its own once d has passed, unless stop
	// is called before.
	AfterFunc(d time.Duration, f func()) (stop func())
}

// WallClock is the real time.
type WallClock struct{}

var _ Clock = WallClock{}

// Now implements [Clock].
func (WallClock) Now() time.Time { return time.Now() }

// AfterFunc implements [Clock].
func (WallClock) AfterFunc(d time.Duration, f func()) func() {
	t := time.AfterFunc(d, f)
	return func() { t.Stop() }
}

// requestTimeLayout is the common log format, as in requestContext.requestTime.
const requestTimeLayout = "02/Jan/2006:15:04:05 -0700"

// newID makes a connection, message or request id as API Gateway writes them:
// 11 random bytes in base64url with padding. The padding matters: such an id
// must be percent-encoded in a path.
func newID() string {
	var b [11]byte
	_, _ = rand.Read(b[:]) // cannot fail
	return base64.URLEncoding.EncodeToString(b[:])
}

// isID reports whether s could have been made by newID.
func isID(s string) bool {
	b, err := base64.URLEncoding.DecodeString(s)
	return err == nil && len(b) == 11
}

// sourceIP is the peer's address without its port.
func sourceIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// fail writes an error as API Gateway does: the exception's name in a header,
// by which SDKs tell errors apart, and a message in the body.
func fail(w http.ResponseWriter, status int, exception, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", exception)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}
