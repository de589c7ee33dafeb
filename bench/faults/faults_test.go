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
	const people, seats = 3, 9
	var out bytes.Buffer
	on, err := start(t.Context(), "../..", seats, &out)
	if err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	t.Cleanup(on.stop)
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			outage := 3 * time.Second
			if f.name == "control plane stopped (SIGSTOP)" {
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
			if still := at(r.pictures, 1); still > f.still.Seconds() {
				t.Errorf("a picture stood still for %.1f s, expected at most %v", still, f.still)
			}
		})
	}
}
