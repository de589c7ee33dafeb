// Command fleet measures how tightly the fleet is packed: node-hours on four
// kinds of load, divided by the fewest that could have carried it, for
// Spillway's own decisions and for simple models of how others place.
//
// The bound is that of whoever was served: a row with refusals is not to be read
// beside one without. It is by seats alone: it neither boots nor waits for a node
// to be idle, and needs no pipes. Nor do the models of others: their rooms are on
// any number of nodes for nothing, they lose no seat to blocks, and nobody waits.
// Spillway's row pays for all of it. A second table says what for.
//
// Time is simulated; the decisions, the store's conditions and the sweep are
// the real ones.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/price"
	"github.com/spillway-sfu/spillway/shared/room"
)

// row is a policy's result on a trace.
type row struct {
	Trace     string  `json:"trace"`
	Policy    string  `json:"policy"`
	NodeHours float64 `json:"nodeHours"`
	Bound     float64 `json:"bound"`
	Ratio     float64 `json:"ratio"`
	MostNodes int     `json:"mostNodes"`
	Waited    int     `json:"waited"`
	Needless  int     `json:"waitedWithoutALaunch"`
	Refused   int     `json:"refused"`
	People    int     `json:"people"`
	MovedHour float64 `json:"movedAnHour"`
}

// thrifts are those that Spillway is run with.
var thrifts = []control.Thrift{control.ThriftOff, control.Cautious, control.Eager}

func main() {
	seed := flag.Uint64("seed", 1, "of the traces")
	idle := flag.Duration("idle", 5*time.Minute, "how long a node may be empty")
	typ := flag.String("type", "c7g.large", "the instance type that all use")
	out := flag.String("json", "", "write the rows to this file")
	spread := flag.Int("nodes-per-room", 100, "how many nodes a room may be on")
	flag.Parse()
	if err := run(*seed, *idle, *typ, *spread, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(seed uint64, idle time.Duration, typ string, spread int, out string) error {
	t, err := price.Type(typ)
	if err != nil {
		return err
	}
	profile := room.Default()
	set := control.Settings{Region: "r", Profile: profile, MaxNodes: 10_000, NodesPerRoom: spread, IdleAfterMs: idle.Milliseconds(), BootMs: boot.Milliseconds(),
		Offers: []placement.Offer{{Type: t.Name, Capacity: t.Capacity, Hour: t.Hour}}}
	var rows []row
	var gone []hours
	for _, tr := range traces(seed) {
		add := func(policy string, o outcome) {
			least := bound(tr.without(o.refused), profile, t.Capacity)
			rows = append(rows, row{tr.name, policy, o.nodeHours, least, o.nodeHours / least, o.most, o.waited, o.needless, len(o.refused), len(tr.visits), float64(o.moved) / tr.hours()})
		}
		for _, thrift := range thrifts {
			set.Thrift = thrift
			o, err := runSpillway(context.Background(), tr, set)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", tr.name, thrift, err)
			}
			add("spillway, "+string(thrift), o)
			gone = append(gone, hours{tr.name, string(thrift), bound(tr.without(o.refused), profile, t.Capacity), o.parts})
		}
		for _, p := range rivals {
			add(p.name, p.run(tr, profile, t.Capacity, idle))
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "trace\tpolicy\tnode-hours\t÷ fewest\tmost nodes\twaited\tof these, none was started\trefused\tof\tmoved an hour\n")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%.1f\t%.2f\t%d\t%d\t%d\t%d\t%d\t%.0f\n", r.Trace, r.Policy, r.NodeHours, r.Ratio, r.MostNodes, r.Waited, r.Needless, r.Refused, r.People, r.MovedHour)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := explain(gone); err != nil || out == "" {
		return err
	}
	data, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(data, '\n'), 0o644)
}
