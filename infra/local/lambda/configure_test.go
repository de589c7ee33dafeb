package lambda

import (
	"errors"
	"maps"
	"os"
	"slices"
	"testing"
)

// TestConfigure changes a function's environment while one environment is idle,
// one at work and somebody waits in line.
func TestConfigure(t *testing.T) {
	s := start(t, Function{Env: []string{"OWN=old"}, Environments: 1})
	if err := s.Configure("g", nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such function: %v", err)
	}
	own := func(o order) string {
		r, err := invoke(t, s, o)
		if err != nil {
			t.Error(err)
		}
		return r.Own
	}
	if got := own(order{}); got != "old" {
		t.Errorf("OWN is %q at first", got)
	}
	if err := s.Configure("f", []string{"OWN=new"}); err != nil {
		t.Fatal(err)
	}
	if got := own(order{}); got != "new" {
		t.Errorf("OWN is %q after an idle environment", got)
	}
	gate := t.TempDir() + "/gate"
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	first, second := make(chan string, 1), make(chan string, 1)
	go func() { first <- own(order{Do: "wait", File: gate}) }()
	p := s.pools["f"]
	eventually(t, "the environment is at work", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return slices.Contains(slices.Collect(maps.Values(p.all)), busy)
	})
	go func() { second <- own(order{}) }()
	eventually(t, "somebody waits", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.line) == 1 })
	if err := s.Configure("f", []string{"OWN=newer"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(gate); err != nil {
		t.Fatal(err)
	}
	if a, b := <-first, <-second; a != "new" || b != "newer" {
		t.Errorf("OWN is %q for who was served, %q for who waited", a, b)
	}
	if st := s.Stats()["f"]; st.Errors != 0 || st.Invocations != 4 {
		t.Errorf("stats: %+v", st)
	}
}
