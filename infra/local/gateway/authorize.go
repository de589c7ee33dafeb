package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// authorizerLimit is how long an authorizer may take.
const authorizerLimit = 29 * time.Second

// authorize asks the authorizer about a new connection and notes what it said on
// the connection. It returns 200, or the status and message to refuse with:
//
//   - 401 when the identity source is missing (the function is not asked), or
//     when the function fails with the message "Unauthorized"
//   - 403 when its policy does not allow the connection
//   - 500 when it fails otherwise, or answers nonsense
func (a *WebSocket) authorize(r *http.Request, c *connection) (status int, message string) {
	query := queryOf(r)
	if a.opts.IdentitySource != "" && query.Get(a.opts.IdentitySource) == "" {
		return http.StatusUnauthorized, "Unauthorized"
	}
	arn := fmt.Sprintf("arn:aws:execute-api:%s:%s:%s/%s/%s", a.opts.Region, a.opts.Account, a.opts.APIID, a.opts.Stage, routeConnect)
	headers := headersOf(r)
	payload, err := json.Marshal(authorizerEvent{
		Type:              "REQUEST",
		MethodARN:         arn,
		Headers:           flatten(headers),
		MultiValueHeaders: headers,
		Query:             flatten(query),
		MultiValueQuery:   query,
		StageVariables:    map[string]string{},
		RequestContext:    a.context(c, "CONNECT", routeConnect),
	})
	if err != nil {
		return http.StatusInternalServerError, "Internal server error"
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(a.base, authorizerLimit)
	defer cancel()
	a.counters.in(routeConnect, 0)
	raw, err := a.invoker.Invoke(ctx, a.opts.Authorizer, payload)
	var refused functionError
	switch {
	case errors.As(err, &refused) && refused.FunctionMessage() == "Unauthorized":
		return http.StatusUnauthorized, "Unauthorized"
	case err != nil:
		a.log.Warn("authorizer failed", "connection", c.id, "error", err)
		return http.StatusInternalServerError, "Internal server error"
	}
	answer, err := readAuthorizer(raw)
	if err != nil {
		a.log.Warn("authorizer answered nonsense", "connection", c.id, "error", err)
		return http.StatusInternalServerError, "Internal server error"
	}
	if !answer.Policy.allows("execute-api:Invoke", arn) {
		return http.StatusForbidden, "Forbidden"
	}
	c.authorizer = answer.context
	c.authorizer["principalId"] = answer.PrincipalID
	c.authorizer["integrationLatency"] = time.Since(began).Milliseconds()
	return http.StatusOK, ""
}

// authorizerAnswer is what a Lambda authorizer of a WebSocket API returns.
type authorizerAnswer struct {
	PrincipalID string         `json:"principalId"`
	Policy      *policy        `json:"policyDocument"`
	Context     map[string]any `json:"context"`

	context map[string]any // stringified
}

// readAuthorizer checks an answer and turns its context into strings, which is
// how it arrives in later events. Objects and arrays in it are an error of
// configuration.
func readAuthorizer(raw []byte) (*authorizerAnswer, error) {
	var answer authorizerAnswer
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, err
	}
	if answer.PrincipalID == "" || answer.Policy == nil {
		return nil, errors.New("no principalId or no policyDocument")
	}
	answer.context = map[string]any{}
	for k, v := range answer.Context {
		switch v := v.(type) {
		case string:
			answer.context[k] = v
		case bool:
			answer.context[k] = strconv.FormatBool(v)
		case float64:
			answer.context[k] = strconv.FormatFloat(v, 'f', -1, 64)
		default:
			return nil, fmt.Errorf("context key %q is neither string, number nor boolean", k)
		}
	}
	return &answer, nil
}

// policy is an IAM policy document as far as authorizers use it.
type policy struct {
	Statement list[struct {
		Action   list[string] `json:"Action"`
		Effect   string       `json:"Effect"`
		Resource list[string] `json:"Resource"`
	}] `json:"Statement"`
}

// allows evaluates the policy: a matching Deny wins, and without a matching
// Allow the answer is no.
func (p *policy) allows(action, resource string) bool {
	allowed := false
	for _, s := range p.Statement {
		if !matchAny(s.Action, action) || !matchAny(s.Resource, resource) {
			continue
		}
		if s.Effect != "Allow" {
			return false
		}
		allowed = true
	}
	return allowed
}

// list is one value or an array of them, as IAM allows.
type list[T any] []T

// UnmarshalJSON implements [json.Unmarshaler].
func (l *list[T]) UnmarshalJSON(b []byte) error {
	if strings.HasPrefix(strings.TrimSpace(string(b)), "[") {
		return json.Unmarshal(b, (*[]T)(l))
	}
	var one T
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*l = list[T]{one}
	return nil
}

// matchAny reports whether one of the patterns, with * and ? as in IAM, matches
// s. Actions are compared without regard to case there; so are resources here,
// which is harmless for an ARN that the gateway made itself.
func matchAny(patterns []string, s string) bool {
	for _, p := range patterns {
		re := regexp.QuoteMeta(p)
		re = strings.ReplaceAll(strings.ReplaceAll(re, `\*`, ".*"), `\?`, ".")
		if ok, err := regexp.MatchString("(?is)^"+re+"$", s); err == nil && ok {
			return true
		}
	}
	return false
}
