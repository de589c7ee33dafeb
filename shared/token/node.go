package token

import (
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// NodeClaims are what a node token says. The node's id is made for one launch
// and never used again, and so binds the token to that launch.
type NodeClaims struct {
	Node    string
	Issued  time.Time
	Expires time.Time
}

// RenewAt is when half of the token's life is over: time for another.
func (c NodeClaims) RenewAt() time.Time { return c.Issued.Add(c.Expires.Sub(c.Issued) / 2) }

// maxNode bounds a node's id, in bytes; as package events.
const maxNode = 64

// MintNode signs the token of a node, valid for life from issued on. The same
// arguments give the same token, so that a launch can be repeated to the letter.
// Times are cut to the second.
func (r Root) MintNode(node string, issued time.Time, life time.Duration) (string, error) {
	key, err := r.derive("node token")
	if err != nil {
		return "", fmt.Errorf("mint node token: %w", err)
	}
	issued = issued.Truncate(time.Second)
	expires := issued.Add(life).Truncate(time.Second)
	if node == "" || len(node) > maxNode || !expires.After(issued) {
		return "", fmt.Errorf("mint node token: a node id of 1 to %d bytes and a life of at least a second are needed", maxNode)
	}
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Subject:   node,
		Audience:  jwt.ClaimStrings{nodeAudience},
		IssuedAt:  jwt.NewNumericDate(issued),
		NotBefore: jwt.NewNumericDate(issued),
		ExpiresAt: jwt.NewNumericDate(expires),
	})
	t.Header["typ"] = nodeType
	raw, err := t.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("mint node token: %w", err)
	}
	return raw, nil
}

// VerifyNode checks a node token and returns the node's id; errors are as those
// of [Root.ReadNode], and so is the id beside one.
func (r Root) VerifyNode(raw string, now time.Time) (node string, err error) {
	c, err := r.ReadNode(raw, now)
	return c.Node, err
}

// ReadNode checks a node token. Its error is an [*Error] as that of
// [Keys.Verify], with the claims beside it when the signature is good; a join
// token is [ErrWrongKind].
func (r Root) ReadNode(raw string, now time.Time) (claims NodeClaims, err error) {
	for _, one := range r.each() {
		if claims, err = one.readNode(raw, now); !errors.Is(err, ErrSignature) {
			break
		}
	}
	return claims, err
}

func (r Root) readNode(raw string, now time.Time) (NodeClaims, error) {
	var payload jwt.RegisteredClaims
	err := parse(raw, &payload, func(t *jwt.Token) (any, error) {
		if !isNode(t) {
			return nil, ErrWrongKind
		}
		key, err := r.derive("node token")
		if err != nil {
			return nil, ErrSignature
		}
		return key, nil
	})
	if err != nil {
		return NodeClaims{}, err
	}
	c := NodeClaims{Node: payload.Subject, Issued: timeOf(payload.IssuedAt), Expires: timeOf(payload.ExpiresAt)}
	return c, current(timeOf(payload.NotBefore), c.Expires, now)
}
