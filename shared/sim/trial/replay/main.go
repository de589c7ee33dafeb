// Command replay runs the control plane in seeded worlds: one with its trace
// (-seed), or many on all cores (-seeds). It exits with 1 when an invariant was
// broken, after it has printed the command that shows it again and the trace of
// a smaller world in which it happens too.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spillway-sfu/spillway/shared/sim/trial"
)

func main() {
	seed := flag.Uint64("seed", 1, "the world to run, or the first of several")
	steps := flag.Int("steps", 0, "how many steps the faults last; 0: as the seed says")
	seeds := flag.Int("seeds", 0, "how many worlds to run without a trace; 0: only the one, with its trace")
	shrink := flag.Int("shrink", 400, "how many worlds to try for a smaller failure")
	quiet := flag.Bool("quiet", false, "print no trace of a failure")
	scenes := flag.Bool("scenes", false, "play the known interleavings first")
	all := flag.Bool("all", false, "go on after a failure, and list all of them")
	flag.Parse()
	if *scenes {
		play(*quiet)
	}
	if *quiet {
		*shrink = -1
	}
	stepsOf := func(seed uint64) int {
		if *steps > 0 {
			return *steps
		}
		return trial.StepsOf(seed)
	}
	if *seeds == 0 {
		one(trial.Config{Seed: *seed, Steps: stepsOf(*seed)}, *shrink)
		return
	}
	many(*seed, *seeds, stepsOf, *shrink, *all)
}

// play plays the scenes until one fails.
func play(quiet bool) {
	for _, s := range trial.Scenes {
		err := s.Play(nil)
		if err == nil {
			continue
		}
		fmt.Printf("scene %q: %v\n", s.Name, err)
		if !quiet {
			_ = s.Play(os.Stdout)
		}
		os.Exit(1)
	}
	fmt.Printf("%d scenes\n", len(trial.Scenes))
}

func one(cfg trial.Config, shrink int) {
	r := trial.Run(cfg)
	if r.Err != nil {
		trial.Report(os.Stdout, cfg, r, shrink)
		os.Exit(1)
	}
	cfg.Trace = os.Stdout
	r = trial.Run(cfg)
	fmt.Printf("\nseed %d: %d steps, %d people, %d got media, %d instances, %.1f instance-hours, %d faults; nothing broken\n",
		cfg.Seed, r.Steps, r.People, r.Joined, r.Launched, r.Bill.Hours(), len(r.Faults))
}

// many runs worlds on all cores and stops at the first that fails, unless all are
// wanted.
func many(first uint64, n int, stepsOf func(uint64) int, shrink int, all bool) {
	var wg sync.WaitGroup
	var next, steps, joined, launched, faults, people, wide, assigned atomic.Int64
	var mu sync.Mutex
	var failed *trial.Config
	began := time.Now()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				mu.Lock()
				stop := failed != nil && !all
				mu.Unlock()
				if stop || i >= int64(n) {
					return
				}
				cfg := trial.Config{Seed: first + uint64(i)}
				cfg.Steps = stepsOf(cfg.Seed)
				r := trial.Run(cfg)
				steps.Add(int64(r.Steps))
				joined.Add(int64(r.Joined))
				launched.Add(int64(r.Launched))
				faults.Add(int64(len(r.Faults)))
				people.Add(int64(r.People))
				assigned.Add(int64(r.Assigned))
				if r.Widest > 1 {
					wide.Add(1)
				}
				if r.Err != nil {
					mu.Lock()
					if all {
						fmt.Printf("seed %d: %v\n", cfg.Seed, r.Err)
					}
					if failed == nil || cfg.Seed < failed.Seed {
						failed = &cfg
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	fmt.Printf("%d seeds in %.1f s: %.1f seeds/s, %.0f steps/s; %d people, %d joins, %d instances, %d faults; %d with a room on several nodes, %d assignments\n", min(next.Load(), int64(n)), took.Seconds(),
		float64(min(next.Load(), int64(n)))/took.Seconds(), float64(steps.Load())/took.Seconds(), people.Load(), joined.Load(), launched.Load(), faults.Load(), wide.Load(), assigned.Load())
	if failed != nil {
		trial.Report(os.Stdout, *failed, trial.Run(*failed), shrink)
		os.Exit(1)
	}
}
