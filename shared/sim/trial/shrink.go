package trial

import (
	"fmt"
	"io"
	"maps"
)

// Shrink leaves out of a failing world whatever it can without it ceasing to
// fail in the same way: people, then faults, half of them at a time, then less (delta debugging;
// Zeller and Hildebrandt 2002). It returns the smallest it found within a number
// of runs.
func Shrink(cfg Config, runs int) Config {
	cfg.Trace = nil
	kind := Run(cfg).Kind
	fails := func(c Config) bool {
		runs--
		return runs >= 0 && Run(c).Kind == kind
	}
	people := make([]int, forecast(cfg.Seed).people)
	for i := range people {
		people[i] = i
	}
	reduce(people, func(without []int) bool {
		next := cfg
		next.Absent = maps.Clone(cfg.Absent)
		if next.Absent == nil {
			next.Absent = map[int]bool{}
		}
		for _, i := range without {
			next.Absent[i] = true
		}
		if !fails(next) {
			return false
		}
		cfg = next
		return true
	})
	reduce(Run(cfg).Faults, func(without []Fault) bool {
		next := cfg
		next.Muted = maps.Clone(cfg.Muted)
		if next.Muted == nil {
			next.Muted = map[uint64]bool{}
		}
		for _, f := range without {
			next.Muted[f.ID] = true
		}
		if !fails(next) {
			return false
		}
		cfg = next
		return true
	})
	return cfg
}

// reduce offers ever smaller parts of all to without, which reports whether it
// could do without them.
func reduce[T any](all []T, without func([]T) bool) {
	for size := len(all); size > 0; size /= 2 {
		for from := 0; from < len(all); {
			part := all[from:min(from+size, len(all))]
			if !without(part) {
				from += size
				continue
			}
			rest := append([]T(nil), all[:from]...)
			all = append(rest, all[from+len(part):]...)
		}
	}
}

// Report explains a failing world: what is broken, the command that runs it
// again, and the trace of the smallest world found within a number of runs that
// fails too; none when runs is negative.
func Report(w io.Writer, cfg Config, r Result, runs int) {
	fmt.Fprintf(w, "seed %d, %d people, %d faults: %v\nreplay: make sim SEED=%d STEPS=%d\n", cfg.Seed, r.People, len(r.Faults), r.Err, cfg.Seed, cfg.Steps)
	if runs < 0 {
		return
	}
	small := Shrink(cfg, runs)
	small.Trace = w
	fmt.Fprintf(w, "\nthe trace of a smaller world that fails:\n")
	last := Run(small)
	here := forecast(cfg.Seed).people - len(small.Absent)
	fmt.Fprintf(w, "\nof %d participants %d were needed, of %d faults %d: %v\n", forecast(cfg.Seed).people, here, len(r.Faults), len(last.Faults), last.Err)
}
