package token

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// MinSecret is how long a key's secret must be at least, in bytes (RFC 7518,
// section 3.2).
const MinSecret = 32

// Bounds of what a join token may say, in bytes of UTF-8; those of package
// events.
const (
	maxName     = 128
	maxMetadata = 2048
)

// Keys are the secrets with which join tokens may be signed: key id → secret.
// Several are valid at a time, so that keys can be changed without a pause. A
// token names its key in iss.
type Keys map[string]string

// ParseKeys reads a deployment's join keys: a JSON object of key ids and
// secrets.
func ParseKeys(text []byte) (Keys, error) {
	var keys Keys
	if err := json.Unmarshal(text, &keys); err != nil {
		// The library's error may quote the text, which is secret.
		return nil, fmt.Errorf("join keys: not a JSON object of strings")
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("join keys: there are none")
	}
	for id, secret := range keys {
		if id == "" || len(secret) < MinSecret {
			return nil, fmt.Errorf("join keys: key %q has %d bytes, at least %d are needed", id, len(secret), MinSecret)
		}
	}
	return keys, nil
}

// Source is what a track shows or carries, in the words of the protocol.
type Source string

// The sources; LiveKit's tokens call the last two screen_share and
// screen_share_audio, which is understood too.
const (
	Microphone  Source = "microphone"
	Camera      Source = "camera"
	Screen      Source = "screen"
	ScreenAudio Source = "screen_audio"
)

// Claims are what a join token says.
type Claims struct {
	Identity string
	Name     string
	Metadata string
	Room     string

	Join  bool // may join Room
	Admin bool // may mute, remove and promote others in Room

	CanPublish     bool
	CanSubscribe   bool
	CanPublishData bool
	// CanDescribe allows to change one's own metadata; absent means no, as with LiveKit.
	CanDescribe bool
	// Sources limits what may be published; empty means every source.
	Sources []Source
	// RoomPreset and RoomConfig, a JSON object, are the limits of Room where it does
	// not exist yet; package room knows what they mean.
	RoomPreset string
	RoomConfig json.RawMessage
	// Hidden participants are not shown to others.
	Hidden bool

	Expires   time.Time
	NotBefore time.Time // zero means from ever
}

// MayPublish reports whether the claims allow publishing a source.
func (c Claims) MayPublish(s Source) bool {
	return c.CanPublish && (len(c.Sources) == 0 || slices.Contains(c.Sources, s))
}

// errHidden refuses what is not kept yet, rather than showing somebody who was
// promised not to be shown.
var errHidden = &Error{Code: ErrNoPermission.Code, Text: "the token asks for a hidden participant, which is not supported", Signed: true}

// Admit reports whether the claims let their holder into a room: [ErrWrongRoom]
// or [ErrNoPermission] if not. An empty room stands for the token's own. Someone
// who may not subscribe is refused: every participant receives. So is a hidden
// participant, because all are shown.
func (c Claims) Admit(room string) error {
	switch {
	case !c.Join, !c.CanSubscribe:
		return ErrNoPermission
	case c.Hidden:
		return errHidden
	case room != "" && room != c.Room:
		return ErrWrongRoom
	}
	return nil
}

// joinClaims is a join token's payload, as LiveKit's SDKs write it.
type joinClaims struct {
	jwt.RegisteredClaims
	Name     string      `json:"name,omitempty"`
	Metadata string      `json:"metadata,omitempty"`
	Video    *videoGrant `json:"video,omitempty"`
	// RoomPreset and RoomConfig are LiveKit's, too.
	RoomPreset string          `json:"roomPreset,omitempty"`
	RoomConfig json.RawMessage `json:"roomConfig,omitempty"`
}

type videoGrant struct {
	Room              string   `json:"room,omitempty"`
	RoomJoin          bool     `json:"roomJoin,omitempty"`
	RoomAdmin         bool     `json:"roomAdmin,omitempty"`
	CanPublish        *bool    `json:"canPublish,omitempty"`
	CanSubscribe      *bool    `json:"canSubscribe,omitempty"`
	CanPublishData    *bool    `json:"canPublishData,omitempty"`
	CanDescribe       bool     `json:"canUpdateOwnMetadata,omitempty"`
	CanPublishSources []string `json:"canPublishSources,omitempty"`
	Hidden            bool     `json:"hidden,omitempty"`
}

// Mint signs a join token with one of the deployment's keys. It refuses claims
// that [Keys.Verify] would not take.
func Mint(keyID, secret string, c Claims) (string, error) {
	if keyID == "" || len(secret) < MinSecret {
		return "", fmt.Errorf("mint token: a key id and a secret of at least %d bytes are needed", MinSecret)
	}
	if err := c.check(); err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	if err := current(c.NotBefore, c.Expires, c.Expires.Add(-1)); err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	payload := joinClaims{
		RegisteredClaims: jwt.RegisteredClaims{Issuer: keyID, Subject: c.Identity, ExpiresAt: jwt.NewNumericDate(c.Expires)},
		Name:             c.Name,
		Metadata:         c.Metadata,
		RoomPreset:       c.RoomPreset,
		RoomConfig:       c.RoomConfig,
		Video: &videoGrant{
			Room: c.Room, RoomJoin: c.Join, RoomAdmin: c.Admin, Hidden: c.Hidden,
			CanPublish: &c.CanPublish, CanSubscribe: &c.CanSubscribe, CanPublishData: &c.CanPublishData, CanDescribe: c.CanDescribe,
		},
	}
	if !c.NotBefore.IsZero() {
		payload.NotBefore = jwt.NewNumericDate(c.NotBefore)
	}
	for _, s := range c.Sources {
		payload.Video.CanPublishSources = append(payload.Video.CanPublishSources, liveKitSource(s))
	}
	raw, err := jwt.NewWithClaims(jwt.SigningMethodHS256, payload).SignedString([]byte(secret))
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	if len(raw) > MaxToken {
		return "", fmt.Errorf("mint token: it would have %d bytes, at most %d are taken", len(raw), MaxToken)
	}
	return raw, nil
}

// Verify checks a join token. Its error is an [*Error]: [ErrMissing],
// [ErrMalformed], [ErrAlgorithm], [ErrSignature], [ErrWrongKind], [ErrExpired]
// or [ErrNotYetValid].
//
// When the signature is good but the token cannot be used, the claims come back
// together with the error, which then has Signed set: what they say was said by
// a holder of the key, but grants nothing.
func (k Keys) Verify(raw string, now time.Time) (Claims, error) {
	var payload joinClaims
	err := parse(raw, &payload, func(t *jwt.Token) (any, error) {
		if isNode(t) {
			return nil, ErrWrongKind
		}
		secret := k[payload.Issuer]
		if len(secret) < MinSecret {
			return nil, ErrSignature
		}
		return []byte(secret), nil
	})
	if err != nil {
		return Claims{}, err
	}
	c := payload.claims()
	if err := c.check(); err != nil {
		return c, err
	}
	return c, current(c.NotBefore, c.Expires, now)
}

// claims reads a payload; what is absent means what it means to LiveKit.
func (p joinClaims) claims() Claims {
	c := Claims{
		Identity: p.Subject, Name: p.Name, Metadata: p.Metadata, RoomPreset: p.RoomPreset, RoomConfig: p.RoomConfig,
		Expires: timeOf(p.ExpiresAt), NotBefore: timeOf(p.NotBefore),
	}
	v := p.Video
	if v == nil {
		return c
	}
	given := func(b *bool, absent bool) bool {
		if b == nil {
			return absent
		}
		return *b
	}
	c.Room, c.Join, c.Admin, c.Hidden = v.Room, v.RoomJoin, v.RoomAdmin, v.Hidden
	c.CanPublish = given(v.CanPublish, true)
	c.CanSubscribe = given(v.CanSubscribe, true)
	c.CanPublishData = given(v.CanPublishData, c.CanPublish)
	c.CanDescribe = v.CanDescribe
	for _, s := range v.CanPublishSources {
		c.Sources = append(c.Sources, sourceOf(s))
	}
	return c
}

// check bounds what a token says, as package events bounds the same things.
func (c Claims) check() error {
	for _, f := range []struct {
		claim, value string
		least, most  int
		free         bool // free text, control characters allowed
	}{
		{"sub (identity)", c.Identity, 1, maxName, false},
		{"name", c.Name, 0, maxName, false},
		{"metadata", c.Metadata, 0, maxMetadata, true},
		{"video.room", c.Room, 0, maxName, false},
		{"roomPreset", c.RoomPreset, 0, maxName, false},
	} {
		text := ""
		switch {
		case len(f.value) < f.least:
			text = "is missing"
		case len(f.value) > f.most:
			text = fmt.Sprintf("has %d bytes, at most %d are taken", len(f.value), f.most)
		case !utf8.ValidString(f.value):
			text = "is not valid UTF-8"
		case !f.free && strings.ContainsFunc(f.value, unicode.IsControl):
			text = "has a control character"
		}
		if text != "" {
			return &Error{Code: ErrMalformed.Code, Text: "the token's " + f.claim + " " + text, Signed: true}
		}
	}
	if c.Join && c.Room == "" {
		return &Error{Code: ErrMalformed.Code, Text: "the token's video.room is missing", Signed: true}
	}
	return nil
}

// sourceOf reads a source in LiveKit's words or ours. Unknown ones are kept: they
// match nothing, and a list of only such ones must not mean every source.
func sourceOf(s string) Source {
	switch s {
	case "screen_share":
		return Screen
	case "screen_share_audio":
		return ScreenAudio
	}
	return Source(s)
}

func liveKitSource(s Source) string {
	switch s {
	case Screen:
		return "screen_share"
	case ScreenAudio:
		return "screen_share_audio"
	}
	return string(s)
}
