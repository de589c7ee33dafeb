package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/spillway-sfu/spillway/shared/cloud"
	"github.com/spillway-sfu/spillway/shared/token"
)

// Secrets are what a function needs to tell who speaks.
type Secrets struct {
	Keys token.Keys
	Root token.Root
	// APIKeys are the keys of the HTTP API.
	APIKeys []string
}

// LoadSecrets reads the parameters that the flags name.
func (c Config) LoadSecrets(ctx context.Context, parameters ...string) (Secrets, error) {
	values, err := cloud.LoadSecrets(ctx, c.AWS, parameters...)
	if err != nil {
		return Secrets{}, err
	}
	var s Secrets
	if v, ok := values[cloud.JoinKeysParameter(c.Stack)]; ok {
		if s.Keys, err = token.ParseKeys([]byte(v)); err != nil {
			return Secrets{}, fmt.Errorf("join keys: %w", err)
		}
	}
	if v, ok := values[cloud.RootParameter(c.Stack)]; ok {
		if s.Root, err = token.ParseRoot(v); err != nil {
			return Secrets{}, fmt.Errorf("root secret: %w", err)
		}
	}
	if v, ok := values[cloud.APIKeysParameter(c.Stack)]; ok {
		if err := json.Unmarshal([]byte(v), &s.APIKeys); err != nil || len(s.APIKeys) == 0 {
			return Secrets{}, errors.New("API keys: not a JSON array of at least one key")
		}
	}
	return s, nil
}

// freshFor is how long secrets count as read just now: a key that is added or
// removed is so everywhere a minute later, without a deployment.
const freshFor = time.Minute

// Vault holds a function's secrets. The embedded ones are those that it started
// with. Methods may be called from several goroutines.
type Vault struct {
	Secrets

	read func(context.Context) (Secrets, error)
	log  *slog.Logger
	now  func() time.Time

	mu     sync.Mutex
	latest Secrets
	at     time.Time // when latest was read, or could not be
}

// Hold returns a vault of secrets that do not change.
func Hold(s Secrets) *Vault {
	return &Vault{Secrets: s, latest: s, read: func(context.Context) (Secrets, error) { return s, nil }, log: slog.Default(), now: time.Now}
}

// Fresh returns the secrets as they were at most a minute ago. Where they cannot
// be read, or what is there is no secret, it goes on with those it has.
func (v *Vault) Fresh(ctx context.Context) Secrets {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := v.now(); now.Sub(v.at) > freshFor {
		v.at = now
		if s, err := v.read(ctx); err != nil {
			v.log.Error("secrets could not be read again", "error", err)
		} else {
			v.latest = s
		}
	}
	return v.latest
}

// MustLoad loads configuration and secrets for a function's main. Without them
// the function cannot run: it says what is wrong in one line and exits, which
// Lambda reports as a failed start.
func MustLoad(ctx context.Context, function string, parameters ...func(stack string) string) (Config, *Vault) {
	c, err := Load(function)
	if err == nil {
		var names []string
		for _, p := range parameters {
			names = append(names, p(c.Stack))
		}
		v := &Vault{read: func(ctx context.Context) (Secrets, error) { return c.LoadSecrets(ctx, names...) }, log: c.Log, now: time.Now}
		if v.Secrets, err = v.read(ctx); err == nil {
			v.latest, v.at = v.Secrets, v.now()
			return c, v
		}
	}
	slog.New(slog.NewJSONHandler(os.Stdout, nil)).Error("cannot start", "function", function, "error", err)
	os.Exit(1)
	panic("unreachable")
}
