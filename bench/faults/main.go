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
	all := stands{root: ".", seats: 8 * size, out: io.Discard, logs: logs}
	defer all.stop()
	if trace {
		all.trace = os.Stderr
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "fault\tpeople\tchanged nodes\tpicture still p50\tp95\tsound still p50\tp95\tlost")
	for _, f := range faults {
		if !strings.Contains(f.name, only) {
			continue
		}
		on, err := all.of(ctx, f.on)
		if err != nil {
			return err
		}
		r, err := f.try(ctx, on, size, outage*time.Duration(max(1, f.outages)))
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		fmt.Fprintln(table, r)
	}
	return table.Flush()
}

// String is the fault's row of the table, and a second one of those who see it from
// other nodes.
func (r result) String() string {
	lost := "nothing"
	if len(r.lost) > 0 {
		lost = strings.Join(r.lost, "; ")
	}
	row := fmt.Sprintf("%s\t%d\t%d\t%s\t%s", r.fault, r.people, r.moved, r.befell, lost)
	if len(r.others.pictures) > 0 {
		row += fmt.Sprintf("\n  seen from the other nodes\t\t\t%s\t", r.others)
	}
	return row
}

// String is four columns of the table.
func (g gaps) String() string {
	return fmt.Sprintf("%.2f s\t%.2f s\t%.2f s\t%.2f s", at(g.pictures, 0.5), at(g.pictures, 0.95), at(g.sound, 0.5), at(g.sound, 0.95))
}

// at is a quantile of sorted numbers.
func at(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}
