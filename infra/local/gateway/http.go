package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	lambda "github.com/aws/aws-lambda-go/events"
)

// httpBody bounds the body of a request to an HTTP API (10 MB).
const httpBody = 10 << 20

// HTTP is an HTTP API with one function behind its default route, which gets
// events of payload format 2.0. It is an http.Handler; its methods may be called
// by several goroutines.
type HTTP struct {
	Invoker  Invoker
	Function string
	APIID    string
	Account  string
	// Timeout is how long the function may take (30 s).
	Timeout time.Duration
	Log     *slog.Logger
}

// httpResponse is what a function answers in payload format 2.0.
type httpResponse struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Cookies         []string          `json:"cookies"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// ServeHTTP implements http.Handler. A function that fails, or answers what is
// not a response, is 500; one that takes too long 503.
func (a *HTTP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, httpBody))
	if err != nil {
		httpMessage(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	payload, err := json.Marshal(a.event(r, body))
	if err != nil {
		httpMessage(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	timeout := a.Timeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	raw, err := a.Invoker.Invoke(ctx, a.Function, payload)
	var response httpResponse
	if err == nil {
		err = json.Unmarshal(raw, &response)
	}
	out := []byte(response.Body)
	if err == nil && response.IsBase64Encoded {
		out, err = base64.StdEncoding.DecodeString(response.Body)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		httpMessage(w, http.StatusServiceUnavailable, "Service Unavailable")
		return
	case err != nil || response.StatusCode < 100 || response.StatusCode > 599:
		a.Log.Warn("HTTP integration failed", "function", a.Function, "path", r.URL.Path, "error", err)
		httpMessage(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	for name, value := range response.Headers {
		w.Header().Set(name, value)
	}
	for _, c := range response.Cookies {
		w.Header().Add("Set-Cookie", c)
	}
	w.WriteHeader(response.StatusCode)
	_, _ = w.Write(out) // the client may have gone
}

// event describes a request. Header names are lower-case, and values of a name
// that comes several times are joined by commas, as the guide says.
func (a *HTTP) event(r *http.Request, body []byte) lambda.APIGatewayV2HTTPRequest {
	now := time.Now()
	e := lambda.APIGatewayV2HTTPRequest{Version: "2.0", RouteKey: routeDefault, RawPath: r.URL.EscapedPath(), RawQueryString: r.URL.RawQuery,
		Headers: map[string]string{}, QueryStringParameters: map[string]string{}}
	for name, values := range r.Header {
		if name != "Cookie" {
			e.Headers[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	e.Headers["host"] = r.Host
	for _, c := range r.Cookies() {
		e.Cookies = append(e.Cookies, c.String())
	}
	for name, values := range r.URL.Query() {
		e.QueryStringParameters[name] = strings.Join(values, ",")
	}
	if utf8.Valid(body) {
		e.Body = string(body)
	} else {
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	source, _, _ := net.SplitHostPort(r.RemoteAddr)
	e.RequestContext = lambda.APIGatewayV2HTTPRequestContext{RouteKey: routeDefault, AccountID: a.Account, Stage: routeDefault, RequestID: newID(),
		APIID: a.APIID, DomainName: r.Host, Time: now.UTC().Format(requestTimeLayout), TimeEpoch: now.UnixMilli(),
		HTTP: lambda.APIGatewayV2HTTPRequestContextHTTPDescription{Method: r.Method, Path: r.URL.Path, Protocol: r.Proto,
			SourceIP: source, UserAgent: r.UserAgent()}}
	return e
}

func httpMessage(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message}) // the client may have gone
}
