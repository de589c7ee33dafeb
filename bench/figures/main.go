// Command figures prints what the simulation shows of the control plane and what
// its operations cost: units and requests for each operation, the price of a
// million joins, the writes and retries of a thousand joins at once, how fast worlds
// are simulated, and by what each broken variant of the code is caught. With -into
// it writes that into a page of the documentation, in place of what stood there.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spillway-sfu/spillway/shared/sim/trial"
)

func main() {
	into := flag.String("into", "", "a page to write the figures into, below the line "+marker)
	seeds := flag.Int("seeds", 300, "how many worlds to simulate")
	flag.Parse()
	if err := run(context.Background(), *into, *seeds); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

// marker is the line of a page below which the figures stand.
const marker = "<!-- figures -->"

func run(ctx context.Context, into string, seeds int) error {
	var page bytes.Buffer
	out := io.Writer(os.Stdout)
	if into != "" {
		out = io.MultiWriter(os.Stdout, &page)
	}
	head(ctx, out)
	for _, part := range []func(context.Context, io.Writer) error{
		units, crowds,
		func(_ context.Context, out io.Writer) error { return worlds(out, seeds) },
		broken,
	} {
		if err := part(ctx, out); err != nil {
			return err
		}
	}
	if into == "" {
		return nil
	}
	old, err := os.ReadFile(into)
	if err != nil {
		return err
	}
	above, _, found := strings.Cut(string(old), marker)
	if !found {
		return fmt.Errorf("%s has no line %s", into, marker)
	}
	return os.WriteFile(into, []byte(above+marker+"\n\n"+page.String()), 0o600)
}

// head says of what and where the figures are.
func head(ctx context.Context, out io.Writer) {
	commit := "no commit"
	if data, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		commit = "commit " + strings.TrimSpace(string(data))
	}
	fmt.Fprintf(out, "%s, %s, %d cores, %s (`make figures`).\n", time.Now().UTC().Format("2 January 2006"), commit, runtime.NumCPU(), runtime.Version())
}

// units prints what bench/units does.
func units(ctx context.Context, out io.Writer) error {
	data, err := exec.CommandContext(ctx, "go", "run", "./bench/units").Output()
	if err != nil {
		return fmt.Errorf("bench/units: %w", err)
	}
	fmt.Fprintf(out, "\n## What each operation asks for, and the price of a million joins\n\n```\n%s```\n", data)
	return nil
}

// crowds lets a thousand people join at once in three ways.
func crowds(_ context.Context, out io.Writer) error {
	fmt.Fprintf(out, "\n## A thousand joins within a second\n\n"+
		"| rooms | seats of a node | conditional writes a join | retries p50 | p99 | most | last seat after | refused, oversold or leaked |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, c := range []struct {
		rooms, seats int
		seeds        uint64
	}{{1, 6000, 3}, {300, 136, 3}, {300, 6000, 1}} {
		for seed := uint64(1); seed <= c.seeds; seed++ {
			b := trial.Crowd(seed, 1000, c.rooms, c.seats, nil)
			wrong := "none"
			if b.Err != nil {
				wrong = b.Err.Error()
			}
			n := len(b.Retries)
			fmt.Fprintf(out, "| %d | %d | %.2f | %d | %d | %d | %.2f s | %s |\n", c.rooms, c.seats, float64(b.Writes)/1000,
				b.Retries[n/2], b.Retries[n*99/100], b.Retries[n-1], b.Took.Seconds(), wrong)
		}
	}
	return nil
}

// worlds runs seeds on all cores.
func worlds(out io.Writer, n int) error {
	var next, steps, people, joined, faults atomic.Int64
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed []error
	began := time.Now()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				seed := next.Add(1)
				if seed > int64(n) {
					return
				}
				r := trial.Run(trial.Config{Seed: uint64(seed), Steps: trial.StepsOf(uint64(seed))})
				steps.Add(int64(r.Steps))
				people.Add(int64(r.People))
				joined.Add(int64(r.Joined))
				faults.Add(int64(len(r.Faults)))
				if r.Err != nil {
					mu.Lock()
					failed = append(failed, fmt.Errorf("seed %d: %w (make sim SEED=%d)", seed, r.Err, seed))
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began).Seconds()
	fmt.Fprintf(out, "\n## Simulated worlds\n\n%d seeds in %.1f s (more where the machine does other things): %.1f seeds and %.0f steps a second; %d people, %d times somebody got in, %d faults, %d broken invariants; %d scenes besides.\n",
		n, took, float64(n)/took, float64(steps.Load())/took, people.Load(), joined.Load(), faults.Load(), len(failed), len(trial.Scenes))
	return errors.Join(failed...)
}

// broken runs the test that breaks the code, and prints by what each way is caught.
func broken(ctx context.Context, out io.Writer) error {
	test := exec.CommandContext(ctx, "go", "test", "-count=1", "-json", "-run", "TestBrokenCodeIsCaught", "./shared/sim/trial")
	data, err := test.Output()
	if err != nil {
		return fmt.Errorf("the broken variants: %w: %.2000s", err, data)
	}
	caught := regexp.MustCompile(`caught by (?:(scene) "(.*)"|(seed) (\d+)): (.*)`)
	ways, byScene := 0, 0
	var rows bytes.Buffer
	for line := range bytes.Lines(data) {
		var event struct{ Test, Output string }
		if json.Unmarshal(line, &event) != nil {
			continue
		}
		m := caught.FindStringSubmatch(event.Output)
		if m == nil {
			continue
		}
		ways++
		by := m[1] + ": " + m[2]
		if m[3] != "" {
			by = m[3] + " " + m[4]
		} else {
			byScene++
		}
		_, name, _ := strings.Cut(event.Test, "/")
		fmt.Fprintf(&rows, "| %s | %s | %s |\n", strings.ReplaceAll(name, "_", " "), by, cell(m[5]))
	}
	fmt.Fprintf(out, "\n## Broken on purpose\n\n%d ways, all caught: %d by a scene, %d by a seed; built and run in %.0f s of processor time.\n\n| broken so that | caught by | what was seen |\n| --- | --- | --- |\n%s",
		ways, byScene, ways-byScene, (test.ProcessState.UserTime() + test.ProcessState.SystemTime()).Seconds(), rows.String())
	return nil
}

// cell fits a text into a table.
func cell(s string) string {
	s = strings.ReplaceAll(s, "|", "\\|")
	if len(s) > 110 {
		s = s[:110] + " …"
	}
	return s
}
