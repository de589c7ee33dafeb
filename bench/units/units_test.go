package main

import "testing"

// TestAWarmJoinIsWithinItsBudget: two write and two read units at most, index
// effects included, and four requests. The others are bounded so that nobody makes
// them dearer without noticing.
func TestAWarmJoinIsWithinItsBudget(t *testing.T) {
	rows, err := operations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]row{}
	for _, r := range rows {
		of[r.name] = r
	}
	for _, most := range []row{
		{name: warmJoin, requests: 4, read: 2, write: 2},
		{name: "warm join in a larger room", requests: 4, read: 2, write: 2},
		{name: "join that fills its block", requests: 5, read: 2, write: 3},
		{name: "left, and others stay", requests: 5, read: 4, write: 2},
		{name: "heartbeat", requests: 2, read: 1, write: 1},
	} {
		r, ok := of[most.name]
		if !ok {
			t.Errorf("%q was not done", most.name)
			continue
		}
		if r.requests > most.requests || r.read > most.read || r.write > most.write || r.requests == 0 {
			t.Errorf("%s takes %d requests, %.1f read and %.1f write units, at most %d, %.1f and %.1f are allowed",
				r.name, r.requests, r.read, r.write, most.requests, most.read, most.write)
		}
	}
}

// TestTheBillOfAMillionJoins: what a join costs with all that belongs to it stays
// below what it is said to.
func TestTheBillOfAMillionJoins(t *testing.T) {
	b, err := meetings(t.Context(), 20, 10)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, l := range b.lines() {
		sum += l.dollars
	}
	if sum != b.sum() || sum < 5 || sum > 20 {
		t.Errorf("a million joins cost $%.2f: %+v", sum, b.lines())
	}
}
