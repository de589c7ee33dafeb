package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/bench"
)

// ms writes milliseconds.
func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000) }

// homes counts viewers by node.
func (a *audience) homes(nodes []*node) {
	for _, n := range nodes {
		n.seats = 0
	}
	for _, v := range a.viewers {
		v.mu.Lock()
		home := v.home
		v.mu.Unlock()
		if i := slices.IndexFunc(nodes, func(n *node) bool { return n.id == home }); i >= 0 {
			nodes[i].seats++
		}
	}
}

// measured watches for a while and tells what came.
func (a *audience) measured(ctx context.Context, out io.Writer, nodes []*node) error {
	before := make([]counts, len(a.viewers))
	usedBefore := map[*node]used{}
	for i, v := range a.viewers {
		v.mu.Lock()
		before[i] = v.counts
		v.mu.Unlock()
	}
	for _, n := range nodes {
		usedBefore[n] = usedBy(n.pid)
	}
	own, began := usedBy(os.Getpid()), time.Now()
	a.measuring.Store(true)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(a.measure):
	}
	a.measuring.Store(false)
	took := time.Since(began)
	var rates []float64
	var all counts
	for i, v := range a.viewers {
		v.mu.Lock()
		came, due := v.counts.came-before[i].came, v.counts.due-before[i].due
		v.mu.Unlock()
		all.came, all.due = all.came+came, all.due+due
		rates = append(rates, float64(came)/took.Seconds())
	}
	slices.Sort(rates)
	at := func(q float64) float64 { return rates[int(q*float64(len(rates)-1))] }
	fmt.Fprintf(out, "in %.0f s, load average %s: packets a second for each viewer: least %.1f, median %.1f, most %.1f; %d came in all, %.3f %% were lost\n",
		took.Seconds(), loadAverage(), at(0), at(0.5), at(1), all.came, 100*float64(all.due-all.came)/float64(max(all.due, 1)))
	a.byNode(out, nodes, usedBefore, took)
	a.byDepth(out, nodes)
	now := usedBy(os.Getpid())
	fmt.Fprintf(out, "all viewers together: %.0f %% of a core, %d MB\n", 100*(now.cpu-own.cpu).Seconds()/took.Seconds(), now.mb)
	return nil
}

// byNode tells what each node carries and takes.
func (a *audience) byNode(out io.Writer, nodes []*node, before map[*node]used, took time.Duration) {
	a.homes(nodes)
	fmt.Fprintf(out, "| node | pipes from the stage | feeds | viewers | CPU of a core | MB |\n|---|---|---|---|---|---|\n")
	for _, n := range nodes {
		now := usedBy(n.pid)
		fmt.Fprintf(out, "| %s | %d | %d | %d | %.1f %% | %d |\n",
			n.id, n.depth, n.feeds, n.seats, 100*(now.cpu-before[n].cpu).Seconds()/took.Seconds(), now.mb)
	}
}

// byDepth tells the latency from client to client over so many pipes.
func (a *audience) byDepth(out io.Writer, nodes []*node) {
	var depths []*histogram
	for _, n := range nodes {
		for len(depths) <= n.depth {
			depths = append(depths, &histogram{})
		}
		depths[n.depth].plus(a.latency(n.id))
	}
	for depth, h := range depths {
		fmt.Fprintf(out, "over %d pipes: p50 %s, p99 %s from client to client", depth, ms(h.at(0.5)), ms(h.at(0.99)))
		if depth > 0 {
			fmt.Fprintf(out, "; the last hop adds p50 %s, p99 %s", ms(h.at(0.5)-depths[depth-1].at(0.5)), ms(h.at(0.99)-depths[depth-1].at(0.99)))
		}
		fmt.Fprintln(out)
	}
}

// victim is the node that feeds most others, and does not have the stage.
func victim(nodes []*node) *node {
	var found *node
	for _, n := range nodes {
		if n.depth > 0 && n.seats > 0 && (found == nil || n.feeds > found.feeds || n.feeds == found.feeds && n.seats > found.seats) {
			found = n
		}
	}
	return found
}

// killed kills a node and tells who was without pictures for how long.
func (a *audience) killed(ctx context.Context, out io.Writer, nodes []*node) error {
	dead := victim(nodes)
	if dead == nil {
		return fmt.Errorf("no node is away from the stage: there is none to kill")
	}
	var there, behind, others []*viewer
	for _, v := range a.viewers {
		v.mu.Lock()
		home := v.home
		v.longest = 0
		v.mu.Unlock()
		switch {
		case home == dead.id:
			there = append(there, v)
		case isBehind(nodes, home, dead.id):
			behind = append(behind, v)
		default:
			others = append(others, v)
		}
	}
	at := time.Now()
	if err := kill(dead); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s is killed: %d viewers are on it, it feeds %d nodes\n", dead.id, len(there), dead.feeds)
	// Nobody may be taken for back before the loss was noticed.
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Second):
	}
	whole := a.settle(ctx, a.back)
	fmt.Fprintf(out, "after %.1f s, load average %s, all see the stage: %t", time.Since(at).Seconds(), loadAverage(), whole)
	if !whole {
		fmt.Fprintf(out, "; %s", a.lacking())
	}
	fmt.Fprintln(out)
	for _, g := range []struct {
		who     string
		viewers []*viewer
	}{{"its viewers", there}, {"viewers of the nodes behind it", behind}, {"all others", others}} {
		if len(g.viewers) == 0 {
			continue
		}
		var gaps []float64
		back := 0
		for _, v := range g.viewers {
			if sees := v.sees(time.Second); sees {
				back++
			}
			v.mu.Lock()
			gaps = append(gaps, float64(v.longest.Milliseconds()))
			v.mu.Unlock()
		}
		fmt.Fprintf(out, "%s: %d of %d see everybody; longest time without a picture: %s\n", g.who, back, len(g.viewers), bench.Spread(gaps))
	}
	return nil
}

// isBehind reports whether a node gets the stage through another.
func isBehind(nodes []*node, id, feeder string) bool {
	for range nodes {
		i := slices.IndexFunc(nodes, func(n *node) bool { return n.id == id })
		if i < 0 || nodes[i].feeder == "" {
			return false
		}
		if nodes[i].feeder == feeder {
			return true
		}
		id = nodes[i].feeder
	}
	return false
}
