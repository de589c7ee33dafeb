package wire

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"
)

func TestSecretsAreReadAgainAfterAMinute(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000)
	answer, err := Secrets{APIKeys: []string{"old"}}, error(nil)
	reads := 0
	v := &Vault{Secrets: answer, latest: answer, at: now, log: slog.New(slog.DiscardHandler), now: func() time.Time { return now },
		read: func(context.Context) (Secrets, error) { reads++; return answer, err }}
	for _, c := range []struct {
		what  string
		after time.Duration
		has   []string
		fails error
		want  string
		reads int
	}{
		{"at once", 0, []string{"old", "new"}, nil, "old", 0},
		{"within a minute", time.Minute, []string{"old", "new"}, nil, "old", 0},
		{"after a minute", time.Second, []string{"old", "new"}, nil, "new", 1},
		{"unreadable", time.Hour, nil, errors.New("throttled"), "new", 2},
		{"unreadable, asked again at once", time.Second, nil, errors.New("throttled"), "new", 2},
		{"the old one removed", time.Hour, []string{"newest"}, nil, "newest", 3},
	} {
		now = now.Add(c.after)
		answer, err = Secrets{APIKeys: c.has}, c.fails
		got := v.Fresh(t.Context()).APIKeys
		if got[len(got)-1] != c.want || reads != c.reads {
			t.Errorf("%s: keys %v after %d reads, want %s last after %d", c.what, got, reads, c.want, c.reads)
		}
	}
	if slices.Contains(v.Fresh(t.Context()).APIKeys, "old") {
		t.Error("a removed key is still valid")
	}
}
