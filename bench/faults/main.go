// Command faults does harm to a local stack with people on it, and prints what
// they see of it: for each fault the longest time for which somebody's picture or
// sound stood still, and what was lost. People are light peers, which come back by
// the SDK's rules; a gap is the time beyond the usual one between two pictures, or
// two packets of sound, of anybody whom one receives.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	size := flag.Int("people", 5, "how many people are in a `room`")
	outage := flag.Duration("outage", 15*time.Second, "how `long` parts of the control plane are away")
	only := flag.String("only", "", "try only faults whose name has this `text`")
	logs := flag.String("logs", "", "`folder` for the stack's logs, which are not kept otherwise")
	trace := flag.Bool("trace", false, "tell everybody's way back, in seconds since the fault began")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx, *size, *outage, *only, *logs, *trace); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, size int, outage time.Duration, only, logs string, trace bool) error {
	var env []string
	if logs != "" {
		env = append(env, "LOG_DIR="+logs)
	}
	on, err := start(ctx, ".", 8*size, io.Discard, env...)
	if err != nil {
		return err
	}
	defer on.stop()
	if trace {
		on.trace = os.Stderr
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "fault\tpeople\tchanged nodes\tpicture still p50\tp95\tsound still p50\tp95\tlost")
	for _, f := range faults {
		if !strings.Contains(f.name, only) {
			continue
		}
		r, err := f.try(ctx, on, size, outage)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		fmt.Fprintln(table, r)
	}
	return table.Flush()
}

// String is the fault's row of the table.
func (r result) String() string {
	lost := "nothing"
	if len(r.lost) > 0 {
		lost = strings.Join(r.lost, "; ")
	}
	return fmt.Sprintf("%s\t%d\t%d\t%.2f s\t%.2f s\t%.2f s\t%.2f s\t%s", r.fault, r.people, r.moved,
		at(r.pictures, 0.5), at(r.pictures, 0.95), at(r.sound, 0.5), at(r.sound, 0.95), lost)
}

// at is a quantile of sorted numbers.
func at(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}
