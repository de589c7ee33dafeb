package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestPlanAsTableAndAsJSON(t *testing.T) {
	var table, doc bytes.Buffer
	if err := run(&table, 5000, 8, "townhall", "", 3, 3*time.Millisecond, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"5000 viewers of 8 publishers", "pipes", "depth 1", "egress", "an hour"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, table.String())
		}
	}
	if err := run(&doc, 5000, 8, "townhall", "", 3, 3*time.Millisecond, true); err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(doc.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	// The bill is its egress: 5008 people, each at 4944 kbps for an hour.
	if gb := 5008 * 4944.0 * 3600 / 8e6; r.EgressGB != gb || r.Hour < r.EgressHour.Dollars() || r.TooLarge || r.Pipes < 1 {
		t.Errorf("%+v, expected %f GB", r, gb)
	}
}

func TestPlanRefusesNonsense(t *testing.T) {
	for _, c := range []struct {
		viewers, publishers int
		preset, types, want string
	}{
		{-1, 8, "townhall", "", "viewers"},
		{1, 0, "townhall", "", "publisher"},
		{6_000_000, 8, "townhall", "", "at most"},
		{1, 1, "party", "", `preset is "party"`},
		{1, 1, "townhall", "c7g.large,t2.nano", "t2.nano"},
	} {
		err := run(&bytes.Buffer{}, c.viewers, c.publishers, c.preset, c.types, 3, 0, false)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
