package main

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Calls over bad networks stay calls. The bounds leave room for a busy machine;
// what is usual, the command's table tells.
func TestBadNetworks(t *testing.T) {
	t.Parallel()
	all, err := runAll(t.Context(), "spillway", openSpillway, scenarios(0.8))
	if err != nil {
		t.Fatal(err)
	}
	bounds := map[string]figures{ // least of Received and Frames, most of the others
		"3 Mbps":                   {Received: 700, Frames: 18, Frozen: 5000, Sound: 200, SoundLost: 0.02},
		"3 Mbps, before a drop":    {Received: 600, Frames: 18, Frozen: 5000, Sound: 250, SoundLost: 0.02},
		"500 kbps, suddenly":       {Received: 150, Frames: 14, Frozen: 6000, Sound: 600, SoundLost: 0.08},
		"3 Mbps, again":            {Received: 250, Frames: 18, Frozen: 5000, Sound: 300, SoundLost: 0.03},
		"5 % lost":                 {Received: 500, Frames: 16, Frozen: 6000, Sound: 300, SoundLost: 0.09},
		"10 % lost, 100 ms jitter": {Received: 250, Frames: 10, Frozen: 10_000, Sound: 350, SoundLost: 0.15},
		"400 kbps from the start":  {Received: 120, Frames: 18, Frozen: 6000, Sound: 550, SoundLost: 0.06},
	}
	for _, f := range all {
		b, known := bounds[f.Scenario]
		if !known {
			t.Fatalf("no bounds for %q", f.Scenario)
		}
		t.Logf("%+v", f)
		if f.Received < b.Received || f.Frames < b.Frames || f.Frozen > b.Frozen || f.Sound > b.Sound || f.SoundLost > b.SoundLost {
			t.Errorf("%s: %+v, expected %+v", f.Scenario, f, b)
		}
		if f.Received > f.Available {
			t.Errorf("%s: %d kbps got through a way of %d", f.Scenario, f.Received, f.Available)
		}
	}
}
