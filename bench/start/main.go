// Command start measures what a cold start of each function costs: the size of
// its bootstrap, and the time from starting the process until it asks for its
// first invocation, secrets read from the local stack's SSM included.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spillway-sfu/spillway/infra/local/harness"
)

var functions = []string{"authorize", "participant", "node", "fleet", "rooms"}

// rounds is how often each function is started.
const rounds = 15

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	stack, err := harness.Start(ctx, ".", io.Discard, "SWEEP_EVERY=10m")
	if err != nil {
		return err
	}
	defer stack.Stop()
	fmt.Printf("%d starts of each function\n\n  %-12s %10s  %s\n", rounds, "function", "bytes", "start → first /next")
	for _, f := range functions {
		bootstrap := filepath.Join("build", "local", f, "bootstrap")
		info, err := os.Stat(bootstrap)
		if err != nil {
			return err
		}
		var took []time.Duration
		for range rounds {
			d, err := start(ctx, bootstrap, stack)
			if err != nil {
				return fmt.Errorf("%s: %w", f, err)
			}
			took = append(took, d)
		}
		slices.Sort(took)
		fmt.Printf("  %-12s %10d  median %d ms, min %d, max %d\n", f, info.Size(), took[rounds/2].Milliseconds(), took[0].Milliseconds(), took[rounds-1].Milliseconds())
	}
	return nil
}

// start runs a bootstrap until it asks the Runtime API for work, and ends it.
func start(ctx context.Context, bootstrap string, stack *harness.Stack) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	asked := make(chan time.Time, 1)
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/runtime/invocation/next") {
			asked <- time.Now()
		}
		<-ctx.Done()
	})}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	cmd := exec.CommandContext(ctx, bootstrap)
	cmd.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + listener.Addr().String(), "AWS_REGION=us-east-1", "AWS_ENDPOINT_URL=" + stack.AWS,
		"AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench", "SPILLWAY_STACK=dev", "SPILLWAY_TABLE=" + stack.Table}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Kill() // it does not end by itself
		_ = cmd.Wait()
	}()
	select {
	case at := <-asked:
		return at.Sub(began), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
