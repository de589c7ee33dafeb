// Command units prints what each operation of the control plane asks of its
// store and what it costs: requests, DynamoDB's read and write units by the sizes
// of the items and by what the indexes have to follow, messages, and dollars per
// million by the price table; then how the price of a million joins adds up.
//
// The operations are the real ones, on the memory store behind a meter; nothing
// else is running.
package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spillway-sfu/spillway/shared/price"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	rows, err := operations(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "operation\trequests\tread units\twrite units\tmessages\t$ per million\t\n")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.0f\t%d\t%.2f\t\n", r.name, r.requests, r.read, r.write, r.messages, r.bill().sum())
	}
	if err := w.Flush(); err != nil {
		return err
	}
	total, err := meetings(ctx, 1000, 10)
	if err != nil {
		return err
	}
	fmt.Printf("\nA million joins, with answers and leaving, in meetings of ten on nodes that run:\n\n")
	w = tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, l := range total.lines() {
		fmt.Fprintf(w, "%s\t%.2f each\t$%.2f\t\n", l.name, l.each, l.dollars)
	}
	fmt.Fprintf(w, "together\t\t$%.2f\t\n", total.sum())
	return w.Flush()
}

// Functions are billed at what they are given, which is taken to be 256 MB for
// 20 ms: less than a cold start takes, more than a warm call.
const (
	functionMB = 256
	functionMs = 20
	// socketMinutes is how long somebody's socket is open for a join.
	socketMinutes = 0.1
)

// bill is what an operation uses, each counted per operation.
type bill struct {
	reads, writes, messages, calls, minutes float64
}

type line struct {
	name          string
	each, dollars float64
}

// lines are the parts of the bill for a million operations.
func (b bill) lines() []line {
	of := func(name string, n float64, million price.Micros) line {
		return line{name, n, n * million.Dollars()}
	}
	gigabyteSeconds := b.calls * functionMB / 1024 * functionMs / 1000
	return []line{
		of("read units", b.reads, price.TableReads),
		of("write units", b.writes, price.TableWrites),
		of("messages of the gateway", b.messages, price.SocketMessages),
		of("minutes of sockets", b.minutes, price.SocketMinutes),
		of("calls of functions", b.calls, price.LambdaRequests),
		of("GB-seconds of functions", gigabyteSeconds, price.LambdaMilliGBSecs*1000),
	}
}

func (b bill) sum() float64 {
	sum := 0.0
	for _, l := range b.lines() {
		sum += l.dollars
	}
	return sum
}
