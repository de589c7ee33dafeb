package main

import (
	"bytes"
	"testing"
	"time"
)

// TestFaults does to a small crowd what `make faults` does to a larger one. How
// long pictures stand still is the command's to tell; here, on a machine that does
// other things, it is bounded loosely. What must hold at any speed is that
// everybody is back with everything, that the table agrees, and that no node was
// ended that was well.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a whole system")
	}
	const people = 3
	var out bytes.Buffer
	all := stands{root: "../..", seats: 12, out: &out}
	t.Cleanup(all.stop)
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			on, err := all.of(t.Context(), f.on)
			if err != nil {
				t.Fatalf("%v: %s", err, &out)
			}
			outage := 3 * time.Second
			if f.outages > 0 {
				outage = 10 * time.Second // every lease ends meanwhile
			}
			f.rooms = 1
			r, err := f.try(t.Context(), on, people, outage)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(r)
			if len(r.lost) > 0 {
				t.Errorf("lost: %v", r.lost)
			}
			if f.ends == 0 && r.moved > 1 { // the one who came meanwhile
				t.Errorf("%d people changed nodes", r.moved-1)
			}
			for who, g := range map[string]gaps{"whom it befell": r.befell, "on other nodes": r.others} {
				if still := at(g.pictures, 1); still > f.still.Seconds() {
					t.Errorf("a picture stood still for %.1f s for somebody %s, expected at most %v", still, who, f.still)
				}
			}
		})
	}
}
