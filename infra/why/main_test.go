package main

import (
	"strings"
	"testing"
)

const (
	same    = `{"step":"join","choice":"seat","why":"first block of the room","inputs":{"question":{"seat":{"Kbps":10,"PPS":1},"seats":4,"nodes":[{"id":"n-a","available":{"Kbps":90,"PPS":9},"state":"ready","leaseMs":9}],"nowMs":5},"choice":{"node":"n-a","seats":4,"rank":3}}}`
	another = `{"step":"released","inputs":{"room":"r"}}`
)

func TestLinesAreExplained(t *testing.T) {
	for _, c := range []struct{ name, in, want, err string }{
		{"a placement among other lines", "starting\n" + another + "\n" + same + "\n", "chosen for 4 seats", ""},
		{"one that differs", strings.Replace(same, `"seats":4,"rank"`, `"seats":3,"rank"`, 1), "Differs:", "1 of 1 decisions differ"},
		{"nothing", another, "", "no line holds"},
		{"half a line", same[:100], "", "not a decision in JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			err := explain(strings.NewReader(c.in), &out)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || !strings.Contains(out.String(), c.want) {
				t.Errorf("%v: %s", err, out.String())
			}
		})
	}
}
