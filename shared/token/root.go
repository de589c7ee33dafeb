package token

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
)

// RootSize is the length of a [Root] in bytes.
const RootSize = 32

// MaxTicket bounds a sealed ticket, in bytes; as package events.
const MaxTicket = 2048

// Root is a deployment's root secret, [RootSize] random bytes, or two of them,
// the new one before the old, while it is being changed: the first signs, both
// are accepted, and the last goes on naming participants, whose names must not
// change under them. It signs nothing itself: each use has a key of its own,
// derived by HKDF (RFC 5869).
type Root []byte

// ParseRoot reads a root secret from standard base64: one, or two with space
// between them. Space around them is ignored.
func ParseRoot(text string) (Root, error) {
	var root Root
	parts := strings.Fields(text)
	for _, part := range parts {
		one, err := base64.StdEncoding.DecodeString(part)
		if err != nil || len(one) != RootSize {
			return nil, fmt.Errorf("root secret: base64 of %d bytes is needed", RootSize)
		}
		root = append(root, one...)
	}
	if len(parts) < 1 || len(parts) > 2 {
		return nil, fmt.Errorf("root secret: one is needed, or two while it is being changed, and there are %d", len(parts))
	}
	return root, nil
}

// derive returns the key for one use of the root that signs.
func (r Root) derive(use string) ([]byte, error) {
	if len(r) != RootSize && len(r) != 2*RootSize {
		return nil, fmt.Errorf("root secret has %d bytes, expected %d, or twice that", len(r), RootSize)
	}
	return hkdf.Key(sha256.New, r[:RootSize], nil, "spillway v1 "+use, sha256.Size)
}

// each returns the roots that are accepted, the one that signs first.
func (r Root) each() []Root {
	if len(r) == 2*RootSize {
		return []Root{r[:RootSize], r[RootSize:]}
	}
	return []Root{r}
}

// SealTicket writes v as JSON and authenticates it with HMAC-SHA256. A ticket
// can be read by whoever holds it, but not made or changed. It does not expire;
// put a time into v where that matters.
func (r Root) SealTicket(v any) (string, error) {
	key, err := r.derive("ticket")
	if err != nil {
		return "", fmt.Errorf("seal ticket: %w", err)
	}
	body, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("seal ticket: %w", err)
	}
	sealed := base64.RawURLEncoding.EncodeToString(append(sum(key, body), body...))
	if len(sealed) > MaxTicket {
		return "", fmt.Errorf("seal ticket: it would have %d bytes, at most %d are taken", len(sealed), MaxTicket)
	}
	return sealed, nil
}

// OpenTicket undoes [Root.SealTicket]. Whatever is wrong with s, the error is
// [ErrTicket], and into is untouched unless the ticket is genuine.
func (r Root) OpenTicket(s string, into any) error {
	for _, one := range r.each() {
		if one.open(s, into) == nil {
			return nil
		}
	}
	return ErrTicket
}

func (r Root) open(s string, into any) error {
	if len(s) > MaxTicket {
		return ErrTicket
	}
	key, err := r.derive("ticket")
	if err != nil {
		return ErrTicket
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(sealed) < sha256.Size {
		return ErrTicket
	}
	mac, body := sealed[:sha256.Size], sealed[sha256.Size:]
	if !hmac.Equal(mac, sum(key, body)) || json.Unmarshal(body, into) != nil {
		return ErrTicket
	}
	return nil
}

// ParticipantKey is a participant's name in items and between control plane and
// nodes: a keyed hash of room and identity (HMAC-SHA256 cut to 80 bits) in 16
// lower-case base32 characters. Of n participants two share a key with
// probability n²/2⁸¹: one in two million million for a million of them.
//
// It panics when r has not [RootSize] bytes, which [ParseRoot] excludes: keys of
// a wrong root would silently name other people.
func (r Root) ParticipantKey(room, identity string) string {
	roots := r.each()
	key, err := roots[len(roots)-1].derive("participant key")
	if err != nil {
		panic(err)
	}
	// The length of the room keeps ("ab", "c") and ("a", "bc") apart.
	pair := binary.BigEndian.AppendUint64(nil, uint64(len(room)))
	pair = append(append(pair, room...), identity...)
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum(key, pair)[:10]))
}

func sum(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}
