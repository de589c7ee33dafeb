package trial

import (
	"strings"
	"sync"
	"testing"
)

// seeds is how many worlds a test run makes. A failure prints the command that
// runs its world again.
const seeds = 200

func TestSeeds(t *testing.T) {
	n := uint64(seeds)
	if testing.Short() {
		n = 20
	}
	var wg sync.WaitGroup
	var next sync.Mutex
	var seed uint64
	joined, wide, assigned := 0, 0, 0
	for range 2 {
		wg.Go(func() {
			for {
				next.Lock()
				seed++
				cfg := Config{Seed: seed, Steps: 6000}
				next.Unlock()
				if cfg.Seed > n || t.Failed() {
					return
				}
				r := Run(cfg)
				if r.Err != nil {
					var report strings.Builder
					Report(&report, cfg, r, 200)
					t.Errorf("%s", report.String())
				}
				next.Lock()
				joined, assigned = joined+r.Joined, assigned+r.Assigned
				if r.Widest > 1 {
					wide++
				}
				next.Unlock()
			}
		})
	}
	wg.Wait()
	// Worlds in which nothing happens break nothing.
	if !t.Failed() && (joined < int(n)*10 || wide < int(n)/4 || assigned < int(n)) {
		t.Errorf("in %d worlds: %d joins, %d worlds with a room on several nodes, %d assignments", n, joined, wide, assigned)
	}
	t.Logf("%d worlds: %d joins, %d worlds with a room on several nodes, %d assignments", n, joined, wide, assigned)
}

// TestTheSameSeedIsTheSameWorld: without it no failure could be run again. It
// fails where a decision follows the order of a map.
func TestTheSameSeedIsTheSameWorld(t *testing.T) {
	for seed := uint64(1); seed <= 25; seed++ {
		cfg := Config{Seed: seed, Steps: 4000}
		one, two := Run(cfg), Run(cfg)
		if one.Print == two.Print && one.Steps == two.Steps {
			continue
		}
		var traces [2]strings.Builder
		for i := range traces {
			cfg.Trace = &traces[i]
			Run(cfg)
		}
		a, b := strings.Split(traces[0].String(), "\n"), strings.Split(traces[1].String(), "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Errorf("seed %d, line %d of the trace: once\n%s\nand once\n%s", seed, i, a[i], b[i])
				break
			}
		}
		t.Fatalf("seed %d is two worlds", seed)
	}
}
