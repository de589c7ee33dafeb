// Command frame measures, in Chromium against the local stack, how long it takes
// from the SDK's connect() until one is in the room and until the first picture
// of somebody who is there already is shown.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"

	"github.com/spillway-sfu/spillway/bench"
	"github.com/spillway-sfu/spillway/infra/local/harness"
)

func main() {
	rounds := flag.Int("rounds", 30, "how often a viewer joins")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int) error {
	stack, err := harness.Start(ctx, ".", io.Discard, "IDLE_AFTER=10m", "SWEEP_EVERY=10m")
	if err != nil {
		return err
	}
	defer stack.Stop()
	cmd := exec.CommandContext(ctx, "node", "sdk/scripts/first-frame.mjs", stack.Demo, strconv.Itoa(rounds))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("measure in the browser: %w", err)
	}
	var result struct{ JoinedMs, FrameMs []float64 }
	if err := json.Unmarshal(out, &result); err != nil {
		return err
	}
	fmt.Printf("%d viewers, one after the other, Chromium, local stack\n\n", rounds)
	fmt.Printf("  %-52s %s\n", "connect() → in the room", bench.Spread(result.JoinedMs))
	fmt.Printf("  %-52s %s\n\n", "connect() → first decoded picture", bench.Spread(result.FrameMs))
	return nil
}
