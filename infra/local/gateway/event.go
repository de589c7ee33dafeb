package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The keys of the routes that API Gateway itself knows.
const (
	routeConnect    = "$connect"
	routeDisconnect = "$disconnect"
	routeDefault    = "$default"
)

// identity is who speaks, as far as the transport knows.
type identity struct {
	UserAgent string `json:"userAgent,omitempty"`
	SourceIP  string `json:"sourceIp"`
}

// requestContext is the part of an event that every route gets.
type requestContext struct {
	RouteKey             string         `json:"routeKey"`
	DisconnectStatusCode *int           `json:"disconnectStatusCode,omitempty"`
	MessageID            string         `json:"messageId,omitempty"`
	EventType            string         `json:"eventType"` // CONNECT, MESSAGE or DISCONNECT
	ExtendedRequestID    string         `json:"extendedRequestId"`
	RequestTime          string         `json:"requestTime"`
	MessageDirection     string         `json:"messageDirection"`
	DisconnectReason     *string        `json:"disconnectReason,omitempty"`
	Stage                string         `json:"stage"`
	ConnectedAt          int64          `json:"connectedAt"`
	RequestTimeEpoch     int64          `json:"requestTimeEpoch"`
	Identity             identity       `json:"identity"`
	RequestID            string         `json:"requestId"`
	DomainName           string         `json:"domainName"`
	ConnectionID         string         `json:"connectionId"`
	APIID                string         `json:"apiId"`
	Authorizer           map[string]any `json:"authorizer,omitempty"`
}

// messageEvent is what the function behind a route gets. It has no headers and
// no query: those exist on $connect only.
type messageEvent struct {
	RequestContext  requestContext `json:"requestContext"`
	Body            string         `json:"body,omitempty"`
	IsBase64Encoded bool           `json:"isBase64Encoded"`
}

// authorizerEvent is what a REQUEST authorizer gets on $connect.
type authorizerEvent struct {
	Type              string              `json:"type"`
	MethodARN         string              `json:"methodArn"`
	Headers           map[string]string   `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	Query             map[string]string   `json:"queryStringParameters"`
	MultiValueQuery   map[string][]string `json:"multiValueQueryStringParameters"`
	StageVariables    map[string]string   `json:"stageVariables"`
	RequestContext    requestContext      `json:"requestContext"`
}

// context fills what is the same for all events of a connection.
func (a *WebSocket) context(c *connection, eventType, route string) requestContext {
	now := a.opts.Clock.Now()
	id := newID()
	return requestContext{
		RouteKey:          route,
		EventType:         eventType,
		ExtendedRequestID: id,
		RequestTime:       now.UTC().Format(requestTimeLayout),
		MessageDirection:  "IN",
		Stage:             a.opts.Stage,
		ConnectedAt:       c.connectedAt.UnixMilli(),
		RequestTimeEpoch:  now.UnixMilli(),
		Identity:          c.identity,
		RequestID:         id,
		DomainName:        a.opts.Domain,
		ConnectionID:      c.id,
		APIID:             a.opts.APIID,
		Authorizer:        c.authorizer,
	}
}

// flatten keeps the last value of each key, as API Gateway does beside the full
// lists.
func flatten(values map[string][]string) map[string]string {
	flat := make(map[string]string, len(values))
	for k, v := range values {
		if len(v) > 0 {
			flat[k] = v[len(v)-1]
		}
	}
	return flat
}

// headersOf returns the headers with the Host, which Go keeps apart.
func headersOf(r *http.Request) map[string][]string {
	h := map[string][]string(r.Header.Clone())
	h["Host"] = []string{r.Host}
	return h
}

// queryOf reads the query as far as it is well formed.
func queryOf(r *http.Request) url.Values {
	q, _ := url.ParseQuery(r.URL.RawQuery) // what cannot be read is left out
	return q
}

// isUpgrade reports whether the request asks for a WebSocket (RFC 6455, 4.1).
func isUpgrade(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// stamp is a time as the management API writes it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
