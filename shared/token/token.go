// Package token makes and checks what lets somebody in: join tokens of
// participants, node tokens, and what else is derived from a deployment's root
// secret (tickets and participant keys).
//
// A join token is a JWT (RFC 7519) signed with HS256, with the claim names of
// LiveKit's access tokens, so that a customer's backend can mint one with any
// LiveKit server SDK or any JWT library. A node token is a JWT of another type,
// for another audience, signed with another key: neither passes for the other.
//
// Nothing here reads the clock: the time is an argument. Clocks may differ by
// [Leeway]. Every refusal is an [*Error] that says which one it is in a word;
// its text is for people and holds no secret.
//
// All functions are safe for concurrent use.
package token

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Leeway is how far the clock of whoever minted a token may be from ours: a
// token is taken so much before its nbf and after its exp.
const Leeway = 10 * time.Second

// MaxToken bounds a token, in bytes. It travels in the query of a WebSocket
// handshake, and API Gateway takes about 10 KB of request line and headers.
const MaxToken = 8 << 10

// Error is why a token was refused.
type Error struct {
	// Code is the wire code of package events, which this package does not
	// import.
	Code string
	// Text is for people.
	Text string
	// Signed reports that the signature is good all the same: the token is one
	// of ours that cannot be used, not a forged one.
	Signed bool
}

// The refusals. [errors.Is] tells them apart by their code.
var (
	ErrMissing      = &Error{Code: "token_missing", Text: "there is no token"}
	ErrMalformed    = &Error{Code: "token_malformed", Text: "the token is not a JWT"}
	ErrAlgorithm    = &Error{Code: "token_algorithm", Text: "the token is not signed with HS256"}
	ErrSignature    = &Error{Code: "token_bad_signature", Text: "the token was not signed with a key of this deployment"}
	ErrExpired      = &Error{Code: "token_expired", Text: "the token has expired", Signed: true}
	ErrNotYetValid  = &Error{Code: "token_not_yet_valid", Text: "the token is not valid yet", Signed: true}
	ErrWrongRoom    = &Error{Code: "token_wrong_room", Text: "the token is for another room", Signed: true}
	ErrWrongKind    = &Error{Code: "token_wrong_kind", Text: "the token is of another kind"}
	ErrNoPermission = &Error{Code: "token_no_permission", Text: "the token does not grant this", Signed: true}
	ErrTicket       = &Error{Code: "bad_field", Text: "ticket is not one that this deployment sealed"}
)

// Error gives code and text.
func (e *Error) Error() string { return e.Code + ": " + e.Text }

// Is reports whether target is the same refusal, whatever the text.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// nodeType and nodeAudience mark a node token: the typ of its header (RFC 8725,
// section 3.11) and its audience.
const (
	nodeType     = "spillway-node+jwt"
	nodeAudience = "spillway-node"
)

// Kind tells whether raw claims to be a node token, without checking that it is
// one. Its error is [ErrMissing], [ErrMalformed] or [ErrAlgorithm].
func Kind(raw string) (node bool, err error) {
	var claims jwt.RegisteredClaims
	// Without a key the parse ends in errPeeked, or earlier for a broken token.
	err = parse(raw, &claims, func(t *jwt.Token) (any, error) {
		node = isNode(t)
		return nil, errPeeked
	})
	if errors.Is(err, errPeeked) {
		err = nil
	}
	return node, err
}

var errPeeked = errors.New("token: only looked at")

// parse decodes raw into claims and checks its signature with the key that
// keyFor returns. It does not check the claims. Errors of keyFor come back as
// they are, others as an [*Error].
func parse(raw string, claims jwt.Claims, keyFor jwt.Keyfunc) error {
	if raw == "" {
		return ErrMissing
	}
	if len(raw) > MaxToken {
		return ErrMalformed
	}
	parser := jwt.NewParser(jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	var refusal error
	_, err := parser.ParseWithClaims(raw, claims, func(t *jwt.Token) (any, error) {
		var key any
		key, refusal = nil, ErrAlgorithm
		if t.Method == jwt.SigningMethodHS256 {
			key, refusal = keyFor(t)
		}
		// A critical extension that is not understood (RFC 7515, section 4.1.11);
		// none is.
		if _, critical := t.Header["crit"]; critical && refusal == nil {
			refusal = ErrMalformed
		}
		return key, refusal
	})
	switch {
	case err == nil:
		return nil
	case refusal != nil:
		return refusal
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return ErrSignature
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return ErrAlgorithm // the library knows no such algorithm
	default:
		return ErrMalformed
	}
}

// isNode reports whether a parsed token says that it is a node's.
func isNode(t *jwt.Token) bool {
	typ, _ := t.Header["typ"].(string)
	if strings.EqualFold(typ, nodeType) {
		return true
	}
	audience, err := t.Claims.GetAudience()
	return err == nil && slices.Contains(audience, nodeAudience)
}

// lastSecond is the end of the year 9999, the last time that RFC 3339 can write.
const lastSecond = 253402300799

// current checks the two times of a signed token; a zero one is absent.
func current(notBefore, expires, now time.Time) error {
	switch {
	case expires.IsZero():
		return &Error{Code: ErrMalformed.Code, Text: "the token has no exp", Signed: true}
	case expires.Unix() < 0 || expires.Unix() > lastSecond:
		return &Error{Code: ErrMalformed.Code, Text: "the token's exp is out of range", Signed: true}
	case !notBefore.IsZero() && (notBefore.Unix() < 0 || notBefore.Unix() > lastSecond):
		return &Error{Code: ErrMalformed.Code, Text: "the token's nbf is out of range", Signed: true}
	case !now.Before(expires.Add(Leeway)):
		return ErrExpired
	case !notBefore.IsZero() && now.Before(notBefore.Add(-Leeway)):
		return ErrNotYetValid
	}
	return nil
}

// timeOf is the time of a numeric date, zero when absent.
func timeOf(d *jwt.NumericDate) time.Time {
	if d == nil {
		return time.Time{}
	}
	return d.Time
}
