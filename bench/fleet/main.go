// Command fleet measures how tightly the fleet is packed: node-hours on four
// kinds of load, divided by the fewest that could have carried it, for
// Spillway's own decisions and for simple models of how others place.
//
// The bound is that of whoever was served: a row with refusals is not to be read
// beside one without. Spillway refuses where a room's node is full and the room
// may not grow onto another; the models of others may always.
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

func main() {
	seed := flag.Uint64("seed", 1, "of the traces")
	idle := flag.Duration("idle", 5*time.Minute, "how long a node may be empty")
	typ := flag.String("type", "c7g.large", "the instance type that all use")
	out := flag.String("json", "", "write the rows to this file")
	spread := flag.Int("nodes-per-room", 100, "how many nodes a room may be on")
	thrift := flag.String("consolidate", "cautious", "how eagerly nodes are emptied: off, cautious or eager")
	flag.Parse()
	if err := run(*seed, *idle, *typ, *spread, control.Thrift(*thrift), *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(seed uint64, idle time.Duration, typ string, spread int, thrift control.Thrift, out string) error {
	t, err := price.Type(typ)
	if err != nil {
		return err
	}
	profile := room.Default()
	set := control.Settings{Region: "r", Profile: profile, MaxNodes: 10_000, NodesPerRoom: spread, Thrift: thrift, IdleAfterMs: idle.Milliseconds(), BootMs: boot.Milliseconds(),
		Offers: []placement.Offer{{Type: t.Name, Capacity: t.Capacity, Hour: t.Hour}}}
	var rows []row
	for _, tr := range traces(seed) {
		add := func(policy string, o outcome) {
			least := bound(tr.without(o.refused), profile, t.Capacity)
			rows = append(rows, row{tr.name, policy, o.nodeHours, least, o.nodeHours / least, o.most, o.waited, o.needless, len(o.refused), len(tr.visits), float64(o.moved) / tr.hours()})
			p := o.parts
			fmt.Fprintf(os.Stderr, "%s %s: boot %.2f idle %.2f drain %.2f | seats %.2f open %.2f pipes %.2f free %.2f | %v\n", tr.name, policy, p.boot/least, p.idle/least, p.drain/least, p.seats/least, p.open/least, p.pipes/least, p.free/least, p.why)
		}
		o, err := runSpillway(context.Background(), tr, set)
		if err != nil {
			return fmt.Errorf("%s: %w", tr.name, err)
		}
		add("spillway", o)
		for _, p := range rivals {
			add(p.name, p.run(tr, profile, t.Capacity, idle))
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "trace\tpolicy\tnode-hours\t÷ fewest\tmost nodes\twaited\tneedless\trefused\tof\tmoved/h\n")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%.1f\t%.2f\t%d\t%d\t%d\t%d\t%d\t%.0f\n", r.Trace, r.Policy, r.NodeHours, r.Ratio, r.MostNodes, r.Waited, r.Needless, r.Refused, r.People, r.MovedHour)
	}
	if err := w.Flush(); err != nil || out == "" {
		return err
	}
	data, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(data, '\n'), 0o644)
}
