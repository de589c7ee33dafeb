package gateway

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	lambda "github.com/aws/aws-lambda-go/events"
)

// httpBody bounds the body of a request to an HTTP API (10 MB).
const httpBody = 10 << 20

// HTTP is an HTTP API with one function behind its default route, which gets
// events of payload format 2.0. It is an [http.Handler]; its methods may be called
// by several goroutines.
type HTTP struct {
	Invoker  Invoker
	Function string
	APIID    string
	Account  string
	// Timeout is how long the function may take (30 s).
	Timeout time.Duration
	Log     *slog.Logger // nil means none
}

var _ http.Handler = (*HTTP)(nil)

// httpResponse is what a function answers in payload format 2.0.
type httpResponse struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Cookies         []string          `json:"cookies"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// ServeHTTP implements [http.Handler]. A function that fails, or answers what is
// no JSON or a response that makes no sense, is 500; one that takes too long 503.
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
	ctx, cancel := context.WithTimeout(r.Context(), cmp.Or(a.Timeout, 30*time.Second))
	defer cancel()
	raw, err := a.Invoker.Invoke(ctx, a.Function, payload)
	var response httpResponse
	var out []byte
	if err == nil {
		response, out, err = readHTTPResponse(raw)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		httpMessage(w, http.StatusServiceUnavailable, "Service Unavailable")
		return
	case err != nil:
		if a.Log != nil {
			a.Log.Warn("HTTP integration failed", "function", a.Function, "path", r.URL.Path, "error", err)
		}
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

// readHTTPResponse reads what a function answers. JSON without a statusCode is
// taken for the body of a 200.
func readHTTPResponse(raw []byte) (r httpResponse, body []byte, err error) {
	var fields struct {
		StatusCode *int `json:"statusCode"`
	}
	if !json.Valid(raw) {
		return r, nil, fmt.Errorf("the answer is no JSON: %.100q", raw)
	}
	if json.Unmarshal(raw, &fields) != nil || fields.StatusCode == nil {
		var text string
		if json.Unmarshal(raw, &text) == nil {
			raw = []byte(text)
		}
		return httpResponse{StatusCode: http.StatusOK, Headers: map[string]string{"content-type": "application/json"}}, raw, nil
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, nil, err
	}
	if r.StatusCode < 200 || r.StatusCode > 599 {
		return r, nil, fmt.Errorf("statusCode is %d", r.StatusCode)
	}
	if r.IsBase64Encoded {
		body, err = base64.StdEncoding.DecodeString(r.Body)
		return r, body, err
	}
	return r, []byte(r.Body), nil
}

// event describes a request. Header names are lower-case, and values of a name
// that comes several times are joined by commas, as the guide says. The guide
// does not say that rawPath is decoded, in spite of its name, and ends at a
// question mark that was encoded; HTTP APIs in the field do that.
func (a *HTTP) event(r *http.Request, body []byte) lambda.APIGatewayV2HTTPRequest {
	now := time.Now()
	path, _, _ := strings.Cut(r.URL.Path, "?")
	e := lambda.APIGatewayV2HTTPRequest{Version: "2.0", RouteKey: routeDefault, RawPath: path, RawQueryString: r.URL.RawQuery,
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
	e.RequestContext = lambda.APIGatewayV2HTTPRequestContext{RouteKey: routeDefault, AccountID: a.Account, Stage: routeDefault, RequestID: newID(),
		APIID: a.APIID, DomainName: r.Host, Time: now.UTC().Format(requestTimeLayout), TimeEpoch: now.UnixMilli(),
		HTTP: lambda.APIGatewayV2HTTPRequestContextHTTPDescription{Method: r.Method, Path: path, Protocol: r.Proto,
			SourceIP: sourceIP(r), UserAgent: r.UserAgent()}}
	return e
}

func httpMessage(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message}) // the client may have gone
}
