// Command quic weighs two ways to carry media between nodes: Spillway's pipes, RTP
// sealed under keys of mutual TLS, and RTP in QUIC datagrams. It is a module of its
// own, so that QUIC is in nothing that is shipped.
//
// Both carry the same packets in the same process over loopback, one after the other
// in each round. CPU is that of the process: the traffic's maker, both ends and the
// kernel. Latency is from a packet's being handed over to its being opened.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"time"
)

// row is one line of the table.
type row struct {
	name  string
	mbps  float64 // offered; 0 is as much as is taken
	shape shape
}

var rows = []row{
	{name: "flat out"},
	{name: "1 Mbps", mbps: 1},
	{name: "10 Mbps", mbps: 10},
	{name: "50 Mbps", mbps: 50},
	{name: "10 Mbps, one in 100 lost, 10 ms each way", mbps: 10, shape: shape{delay: 10 * time.Millisecond, loseOneIn: 100}},
	{name: "10 Mbps through 8 Mbps, 5 ms each way", mbps: 10, shape: shape{mbps: 8, delay: 5 * time.Millisecond, queue: 60 * time.Millisecond}},
}

// carriers are what is compared.
var carriers = []struct {
	name string
	make func(ctx context.Context, flows int, s shape, take taker) (carrier, error)
}{
	{"pipe", newPiped},
	{"QUIC datagrams", newDatagrams},
}

func main() {
	seconds := flag.Float64("seconds", 3, "how long each carrier carries in a round")
	rounds := flag.Int("rounds", 3, "how often; the median counts")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, time.Duration(*seconds*float64(time.Second)), *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench/quic:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, length time.Duration, rounds int) error {
	fmt.Fprintf(out, "| what is offered | carried by | µs CPU a packet | delivered | p50 ms | p99 ms | p99.9 ms | never sent | bytes on the way |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		got := make([][]figures, len(carriers))
		for range rounds {
			for i, c := range carriers {
				f, err := measure(ctx, r, c.make, length)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", r.name, c.name, err)
				}
				got[i] = append(got[i], f)
			}
		}
		for i, c := range carriers {
			fmt.Fprintf(out, "| %s | %s | %s |\n", r.name, c.name, middle(got[i]).String())
		}
	}
	return nil
}

// middle is the median of each figure.
func middle(all []figures) figures {
	of := func(get func(f figures) float64) float64 {
		values := make([]float64, len(all))
		for i, f := range all {
			values[i] = get(f)
		}
		slices.SortFunc(values, cmp.Compare[float64])
		return values[len(values)/2]
	}
	return figures{
		shaped:    all[0].shaped,
		cpu:       of(func(f figures) float64 { return f.cpu }),
		delivered: of(func(f figures) float64 { return f.delivered }),
		p50:       of(func(f figures) float64 { return f.p50 }),
		p99:       of(func(f figures) float64 { return f.p99 }),
		p999:      of(func(f figures) float64 { return f.p999 }),
		unsent:    of(func(f figures) float64 { return f.unsent }),
		overhead:  of(func(f figures) float64 { return f.overhead }),
	}
}
