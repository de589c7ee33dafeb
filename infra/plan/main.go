// Command plan says what one room with a very large audience would take: nodes,
// the pipes between them, how deep their tree is and how late the last viewer
// sees it, egress, and dollars an hour. It asks the code that places seats and
// joins nodes, and the table of prices.
//
//	plan -viewers 1000000 -publishers 8
//
// Loads are those that are claimed, which bound what is used: a viewer whose
// tiles are small, or hidden, receives less.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/price"
	"github.com/spillway-sfu/spillway/shared/room"
)

// itemLimit is the most bytes that DynamoDB takes in one item.
const itemLimit = 400 << 10

// report is a plan with what was asked.
type report struct {
	Viewers    int     `json:"viewers"`
	Publishers int     `json:"publishers"`
	Preset     string  `json:"preset"`
	HopMs      float64 `json:"hopMs"`
	DepthMs    float64 `json:"deepestMs"`
	MeanMs     float64 `json:"meanMs"`
	placement.Hall
	Hour float64 `json:"dollarsPerHour"`
	// TooLarge says that the room would be on more nodes than a room may be on.
	TooLarge bool `json:"tooLarge"`
}

func main() {
	viewers := flag.Int("viewers", 100_000, "people who watch")
	publishers := flag.Int("publishers", 8, "people on stage")
	preset := flag.String("preset", "townhall", "profile of the room")
	types := flag.String("types", "", "instance types to choose from, with commas between them (all)")
	zones := flag.Int("zones", 3, "availability zones that nodes are spread over")
	hop := flag.Duration("hop", 3*time.Millisecond, "what one pipe adds to the way of a packet: up to 2 ms until a frame is whole, and the network between zones")
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	if err := run(os.Stdout, *viewers, *publishers, *preset, *types, *zones, *hop, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "plan:", err)
		os.Exit(1)
	}
}

// most bounds what is asked: beyond it a plan takes minutes.
const most = 5_000_000

func run(out io.Writer, viewers, publishers int, preset, types string, zones int, hop time.Duration, asJSON bool) error {
	if viewers < 0 || publishers < 1 || viewers+publishers > most {
		return fmt.Errorf("%d viewers and %d publishers: expected at least one publisher, and %d people at most", viewers, publishers, most)
	}
	profile, err := room.Preset(preset)
	if err != nil {
		return err
	}
	profile.MaxParticipants, profile.MaxPublishers = viewers+publishers, publishers
	offers, err := offered(types)
	if err != nil {
		return err
	}
	hall, err := placement.Seat(placement.Audience{Profile: profile, Viewers: viewers, Publishers: publishers, Offers: offers,
		Zones: zones, BlockSeats: fleet.MaxBlockSeats, Address: price.PublicAddressHour})
	if err != nil {
		return err
	}
	r := report{Viewers: viewers, Publishers: publishers, Preset: preset, HopMs: ms(hop), Hall: hall, TooLarge: hall.Pipes >= room.MaxNodes,
		Hour: (hall.InstanceHour + hall.EgressHour + hall.BetweenHour).Dollars()}
	people := 0
	for _, l := range hall.Levels {
		r.DepthMs = ms(hop) * float64(l.Depth)
		r.MeanMs += ms(hop) * float64(l.Depth*l.People)
		people += l.People
	}
	r.MeanMs /= float64(people)
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	return r.table(out, hop)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func offered(types string) ([]placement.Offer, error) {
	var out []placement.Offer
	all := price.Types()
	if types != "" {
		all = nil
		for name := range strings.SplitSeq(types, ",") {
			t, err := price.Type(strings.TrimSpace(name))
			if err != nil {
				return nil, err
			}
			all = append(all, t)
		}
	}
	for _, t := range all {
		out = append(out, placement.Offer{Type: t.Name, Capacity: t.Capacity, Hour: t.Hour})
	}
	return out, nil
}

func (r report) table(out io.Writer, hop time.Duration) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, a ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", a...) }
	line("audience", "%d viewers of %d publishers, preset %s, at most %.1f Mbps each", r.Viewers, r.Publishers, r.Preset, float64(r.SeatKbps)/1000)
	nodes := 0
	for _, name := range slices.Sorted(maps.Keys(r.Nodes)) {
		line("nodes", "%d %s", r.Nodes[name], name)
		nodes += r.Nodes[name]
	}
	line("pipes", "%d, each at most %.1f Mbps; at most %d on a node", r.Pipes, float64(r.PipeKbps)/1000, r.MostPipes)
	for _, l := range r.Levels {
		line(fmt.Sprintf("  depth %d", l.Depth), "%d nodes, %d people, %.0f ms behind the root", l.Nodes, l.People, ms(hop)*float64(l.Depth))
	}
	line("latency", "%v assumed for a pipe: %.0f ms for the last, %.1f ms in the mean", hop, r.DepthMs, r.MeanMs)
	line("a node dies", "at most %d people of %d rejoin, %d nodes change their feeder, the tree is then at most %d deep", r.DeathPeople, r.Viewers+r.Publishers, r.DeathFeeders, r.DeathDepth)
	line("instances", "$%.2f an hour, with their addresses", r.InstanceHour.Dollars())
	line("egress", "%.0f GB an hour at most, $%.2f as the first of the month", r.EgressGB, r.EgressHour.Dollars())
	line("between zones", "%.0f GB an hour, $%.2f", r.BetweenGB, r.BetweenHour.Dollars())
	line("together", "$%.2f an hour, $%.4f for each person", r.Hour, r.Hour/float64(r.Viewers+r.Publishers))
	line("in the table", "%d KB in sections of %d blocks or %d nodes at most, each within 4 KB, and a tree; an item may have %d KB", r.DirectoryBytes>>10, room.SectionBlocks, room.SectionNodes, itemLimit>>10)
	if r.TooLarge {
		line("", "Too large: no room is on more than %d nodes.", room.MaxNodes)
	}
	return w.Flush()
}
