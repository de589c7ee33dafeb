// Command network measures calls over bad networks: how much of what a network
// carries is used, how often and how long pictures freeze, how late they and the
// sound come, and how long it takes to recover from a change.
//
// One person publishes a camera in three layers and a voice; another receives them
// through a simulated network (bottleneck with a queue, delay, jitter, loss) before
// its socket. The receiver puts frames together in order, asks for lost packets and
// for key frames as browsers do. Beside Spillway run plain pion, which forwards the
// largest layer, as pion's examples do, and, where it is installed, LiveKit. All have
// the same publisher, receiver and networks. Scenarios run side by side.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
)

func main() {
	out := flag.String("out", "", "a file for the figures as JSON")
	scale := flag.Float64("scale", 1, "how long scenarios last, as a multiple of the usual")
	only := flag.String("sfu", "spillway,pion,livekit", "which SFUs to measure")
	part := flag.String("network", "", "only the calls with a network whose name has this in it")
	flag.Parse()
	var all []figures
	fmt.Printf("%-26s %-9s %9s %9s %5s %8s %9s %9s %9s %9s %6s %9s\n", "network", "SFU", "available", "received", "fps", "freezes", "frozen ms",
		"longest", "late p95", "sound p95", "lost", "recovery")
	calls := slices.DeleteFunc(scenarios(*scale), func(s scenario) bool {
		return !slices.ContainsFunc(s, func(p phase) bool { return strings.Contains(p.name, *part) })
	})
	for _, sfu := range sfus {
		if !slices.Contains(strings.Split(*only, ","), sfu.name) {
			continue
		}
		open, end, err := sfu.begin()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		figures, err := runAll(context.Background(), sfu.name, open, calls)
		end()
		for _, f := range figures {
			f.print()
		}
		all = append(all, figures...)
		if err != nil {
			fail(err)
		}
	}
	if *out == "" {
		return
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.WriteFile(*out, append(text, '\n'), 0o644)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench/network:", err)
	os.Exit(1)
}

// runAll runs scenarios side by side, each over a server of its own.
func runAll(ctx context.Context, sfu string, open func(call int) (server, error), all []scenario) ([]figures, error) {
	results, errs := make([][]figures, len(all)), make([]error, len(all))
	var running sync.WaitGroup
	for i, s := range all {
		running.Go(func() {
			var made server
			if made, errs[i] = open(i); errs[i] == nil {
				results[i], errs[i] = run(ctx, sfu, made, s)
			}
		})
	}
	running.Wait()
	var flat []figures
	for i, r := range results {
		flat = append(flat, r...)
		if errs[i] != nil {
			return flat, fmt.Errorf("%s: %w", all[i][0].name, errs[i])
		}
	}
	return flat, nil
}

func (f figures) print() {
	recovery := ""
	switch {
	case f.Recovery < 0:
		recovery = "never"
	case f.Recovery > 0:
		recovery = fmt.Sprintf("%d ms", f.Recovery)
	}
	fmt.Printf("%-26s %-9s %9d %9d %5.1f %8d %9d %9d %9d %9d %5.1f%% %9s\n", f.Scenario, f.SFU, f.Available, f.Received, f.Frames, f.Freezes, f.Frozen,
		f.Longest, f.Latency, f.Sound, 100*f.SoundLost, recovery)
}
