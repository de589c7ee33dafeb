package main

import (
	"context"
	"fmt"

	"github.com/spillway-sfu/spillway/shared/price"
)

type costCommand struct {
	Estimate bool `help:"Estimate a month: idle, and under three loads. Asks nobody."`
}

func (k costCommand) Run(ctx context.Context, c client, out output) error {
	if k.Estimate {
		return estimate(out)
	}
	return show(ctx, c, out, "/v1/nodes", func(v struct {
		Nodes []struct {
			ID, Type     string
			Participants int
			Measured     kbps
		}
	}) [][]string {
		rows := [][]string{{"NODE", "TYPE", "PEOPLE", "INSTANCE/H", "EGRESS/H AT $0.09/GB"}}
		var instances, sent price.Micros
		people := 0
		for _, n := range v.Nodes {
			hour := price.PublicAddressHour
			if t, err := price.Type(n.Type); err == nil {
				hour += t.Hour
			}
			egress := price.Micros(float64(n.Measured.Kbps) * gbPerKbpsHour * 90_000)
			instances, sent, people = instances+hour, sent+egress, people+n.Participants
			rows = append(rows, []string{n.ID, n.Type, fmt.Sprint(n.Participants), hour.String(), egress.String()})
		}
		return append(rows, []string{"all", "", fmt.Sprint(people), instances.String(), sent.String()})
	})
}

// gbPerKbpsHour is what one kbps sends in an hour.
const gbPerKbpsHour = 3600.0 / 8 / 1e6

// line is one of a bill.
type line struct {
	What   string       `json:"what"`
	How    string       `json:"how"`
	Micros price.Micros `json:"microdollars"`
}

// minutesMonth is a month of 30 days.
const minutesMonth = 30 * 24 * 60

// idle is what a deployment costs a month in which nobody joins: what the sweep
// does each minute, and what is kept. Always-free allowances are used up by
// nothing else.
func idle() []line {
	reads := minutesMonth * readsPerSweep
	return []line{
		{"DynamoDB reads of the sweep", fmt.Sprintf("%d sweeps, %.1f units each", minutesMonth, readsPerSweep), price.Micros(reads * float64(price.TableReads) / 1e6)},
		{"Lambda, Scheduler", "43,200 short runs: within what is always free", 0},
		{"DynamoDB storage and recovery", "a few KB: within what is always free", 0},
		{"CloudWatch alarms and dashboard", "8 of 10 and 1 of 3 that an account has free", 0},
		{"CloudWatch metrics", "none without data", 0},
		{"CloudWatch logs", "about 20 MB: within what is always free", 0},
		{"S3: packages", "about 70 MB at $0.023 a GB", 1_610},
		{"Instances, addresses, NAT gateways", "none", 0},
	}
}

// readsPerSweep are the read units of a sweep that finds nothing: seven queries,
// five of them consistent.
const readsPerSweep = 6.0

// load is a month's use.
type load struct {
	name        string
	people      int     // in a room of its own kind, at a time
	hours       float64 // a month
	kbps        float64 // received by each
	joins       float64 // a month
	instance    string
	nodesAtPeak int
}

var loads = []load{
	{"a daily stand-up: 10 people, 20 hours", 10, 20, 2000, 800, "c7g.large", 1},
	{"a school: 300 people, 100 hours", 300, 100, 1500, 30_000, "c7g.large", 1},
	{"a webinar a week: 5000 people, 8 hours", 5000, 8, 1500, 40_000, "c7g.xlarge", 5},
}

// bill is what a load costs in a month beside what an idle one does.
func (l load) bill() ([]line, error) {
	t, err := price.Type(l.instance)
	if err != nil {
		return nil, err
	}
	gb := float64(l.people) * l.kbps * gbPerKbpsHour * l.hours
	nodeHours := float64(l.nodesAtPeak) * l.hours
	beats := nodeHours * 3600 / 3 * 2 // a heartbeat each three seconds, and its answer
	return []line{
		{"egress", fmt.Sprintf("%.0f GB", gb), price.Egress(gb)},
		{"instances and addresses", fmt.Sprintf("%.0f node hours of %s", nodeHours, l.instance), price.Micros(nodeHours * float64(t.Hour+price.PublicAddressHour))},
		{"joins", fmt.Sprintf("%.0f, 4 messages, 3 writes and 2 reads each", l.joins),
			price.Micros(l.joins * float64(4*price.SocketMessages+3*price.TableWrites+2*price.TableReads+5*price.LambdaRequests) / 1e6)},
		{"heartbeats", fmt.Sprintf("%.0f messages, a write for two", beats),
			price.Micros(beats * float64(price.SocketMessages+price.TableWrites/2+price.LambdaRequests/2) / 1e6)},
	}, nil
}

func estimate(out output) error {
	type month struct {
		Load  string       `json:"load"`
		Lines []line       `json:"lines"`
		Total price.Micros `json:"microdollars"`
	}
	months := []month{{Load: "idle", Lines: idle()}}
	for _, l := range loads {
		lines, err := l.bill()
		if err != nil {
			return err
		}
		months = append(months, month{Load: l.name, Lines: lines})
	}
	var rows [][]string
	for i := range months {
		m := &months[i]
		rows = append(rows, []string{m.Load, "", ""})
		for _, l := range m.Lines {
			m.Total += l.Micros
			rows = append(rows, []string{"  " + l.What, l.How, l.Micros.String()})
		}
		rows = append(rows, []string{"  a month", "", m.Total.String()})
	}
	if out.json {
		return out.asJSON(months)
	}
	return out.table(rows)
}
