package main_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/spillway-sfu/spillway/events"
)

// TestNothingIsLeftBehind takes a stack of its own from nothing to a node and
// back, and looks at what is left in the table and of instances.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	stack := startOwn(t, "IDLE_AFTER=1s", "SWEEP_EVERY=500ms")
	instances := func() int { return len(stack.instances()) }
	if n := instances(); n != 0 {
		t.Fatalf("%d instances before anybody joined", n)
	}
	ann := dialAt(t, stack.Stack, mintAt(t, stack.Stack, "life", "ann"))
	bob := dialAt(t, stack.Stack, mintAt(t, stack.Stack, "life", "bob"))
	p, join := peer(t, "ann")
	q, other := peer(t, "bob")
	if err := bob.Send(t.Context(), other); err != nil { // at the same time
		t.Fatal(err)
	}
	a := admitted(t, ann, join)
	b := admitted(t, bob, other)
	if a.Node != b.Node || instances() != 1 {
		t.Errorf("on %s and %s, %d instances", a.Node, b.Node, instances())
	}
	for _, pair := range []struct {
		answer string
		accept func(string) error
		send   func(events.Message) error
	}{
		{a.Answer, func(s string) error { return p.Accept(t.Context(), s) }, p.Send},
		{b.Answer, func(s string) error { return q.Accept(t.Context(), s) }, q.Send},
	} {
		if err := pair.accept(pair.answer); err != nil {
			t.Fatal(err)
		}
		if err := pair.send(events.Goodbye{Header: events.Head(events.ActionGoodbye)}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the instance is gone", func() bool { return instances() == 0 })
	var left []string
	eventually(t, "the table is empty but for the region's counter, bell and boot times, and the record of decisions", func() bool {
		var err error
		if left, err = stack.Items(t.Context()); err != nil {
			t.Fatal(err)
		}
		left = slices.DeleteFunc(left, func(key string) bool { return strings.HasPrefix(key, "RECORD#") })
		slices.Sort(left)
		return slices.Equal(left, []string{"BELL#us-east-1 BELL", "DEMAND#us-east-1 BOOTS", "DEMAND#us-east-1 DEMAND"})
	})
}
