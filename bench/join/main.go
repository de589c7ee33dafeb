// Command join measures what a warm join costs: the time from join to answer,
// and what store, gateway and functions do for it. It runs the local stack that
// `make build` has built, on a free port, with nothing else in it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/bench"
	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/infra/local/harness"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
	"github.com/spillway-sfu/spillway/shared/token"
)

func main() {
	joins := flag.Int("joins", 50, "how many people join, one after the other")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx, *joins); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, joins int) error {
	stack, err := harness.Start(ctx, ".", io.Discard, "IDLE_AFTER=10m", "SWEEP_EVERY=10m")
	if err != nil {
		return err
	}
	defer stack.Stop()
	var people []*lightpeer.Client
	defer func() {
		for _, p := range people {
			_ = p.Close() // the stack ends anyway
		}
	}()
	joinOnce := func(ctx context.Context, room string, i int) (times, error) {
		p, t, err := join(ctx, stack, room, i)
		if p != nil {
			people = append(people, p)
		}
		return t, err
	}
	// The first ones launch the node, and let every function start.
	cold, err := joinOnce(ctx, "warm-up", 0)
	if err != nil {
		return err
	}
	for i := range 5 {
		if _, err := joinOnce(ctx, "warm-up", i+1); err != nil {
			return err
		}
	}
	before, err := readStats(ctx, stack)
	if err != nil {
		return err
	}
	began := time.Now()
	var answers, channels []float64
	for i := range joins {
		t, err := joinOnce(ctx, "bench", i)
		if err != nil {
			return err
		}
		answers, channels = append(answers, ms(t.answer)), append(channels, ms(t.channel))
	}
	after, err := readStats(ctx, stack)
	if err != nil {
		return err
	}
	cost, err := storeCost(stack, began)
	if err != nil {
		return err
	}
	report(joins, cold, answers, channels, after.minus(before), cost)
	return nil
}

// report prints the table.
func report(joins int, cold times, answers, channels []float64, used stats, cost storeUse) {
	n := float64(joins)
	fmt.Printf("%d joins, one after the other, everything warm, local stack\n\n", joins)
	row := func(what, value string) { fmt.Printf("  %-52s %s\n", what, value) }
	row("join sent → answer received", bench.Spread(answers))
	row("join sent → data channel open", bench.Spread(channels))
	row("first join of all, no node: sent → answer received", fmt.Sprintf("%d ms", cold.answer.Milliseconds()))
	row("store requests per join, all functions", fmt.Sprintf("%.2f", float64(cost.requests)/n))
	row("read units per join", fmt.Sprintf("%.2f", cost.read/n))
	row("write units per join", fmt.Sprintf("%.2f", cost.write/n))
	row("of these, by the join step: median read, write", fmt.Sprintf("%.1f, %.1f", median(cost.joinRead), median(cost.joinWrite)))
	row("messages into the gateway per join, handshakes apart", fmt.Sprintf("%.2f", float64(used.in)/n))
	row("messages out of the gateway per join", fmt.Sprintf("%.2f", float64(used.out)/n))
	row("function invocations per join, the authorizer's included", fmt.Sprintf("%.2f", float64(used.invocations)/n))
	fmt.Println("\nNodes' heartbeats during the run are counted in.")
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

type times struct{ answer, channel time.Duration }

// join takes one participant to an open data channel and closes its socket, as
// the SDK does. It stays in the room until its client is closed.
func join(ctx context.Context, stack *harness.Stack, room string, i int) (*lightpeer.Client, times, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	accessToken, err := stack.Mint(token.Claims{Identity: fmt.Sprintf("p%d", i), Room: room, Join: true, CanPublish: true, CanSubscribe: true,
		Expires: time.Now().Add(time.Hour)})
	if err != nil {
		return nil, times{}, err
	}
	peer, err := lightpeer.New(lightpeer.Options{Loopback: true})
	if err != nil {
		return nil, times{}, err
	}
	offer, media, err := peer.Offer()
	if err != nil {
		return peer, times{}, err
	}
	conn, _, err := stack.Dial(ctx, accessToken)
	if err != nil {
		return peer, times{}, err
	}
	defer conn.Close()
	request := events.Join{Header: events.Head(events.ActionJoin), ID: "bench", Session: fmt.Sprintf("session-%s-%d", room, i), Offer: offer, Media: media}
	began := time.Now()
	if err := conn.Send(ctx, request); err != nil {
		return peer, times{}, err
	}
	for {
		m, err := conn.Next(ctx)
		if err != nil {
			return peer, times{}, err
		}
		switch m := m.(type) {
		case events.Answer:
			t := times{answer: time.Since(began)}
			err := peer.Accept(ctx, m.Answer)
			t.channel = time.Since(began)
			return peer, t, err
		case events.Ready:
			if err := conn.Send(ctx, request); err != nil {
				return peer, times{}, err
			}
		case events.Waiting:
		default:
			return peer, times{}, fmt.Errorf("join %d: got %+v", i, m)
		}
	}
}

type stats struct{ in, out, invocations int64 }

func (s stats) minus(o stats) stats {
	return stats{s.in - o.in, s.out - o.out, s.invocations - o.invocations}
}

func readStats(ctx context.Context, stack *harness.Stack) (stats, error) {
	var raw struct {
		Gateway struct {
			In  map[string]int64
			Out int64
		}
		Functions map[string]struct{ Invocations int64 }
	}
	if err := stack.Call(ctx, "GET", "/local/stats", &raw); err != nil {
		return stats{}, err
	}
	s := stats{out: raw.Gateway.Out}
	for route, n := range raw.Gateway.In {
		if route != "$connect" && route != "$disconnect" {
			s.in += n
		}
	}
	for _, f := range raw.Functions {
		s.invocations += f.Invocations
	}
	return s, nil
}

type storeUse struct {
	requests            int
	read, write         float64
	joinRead, joinWrite []float64
}

// storeCost adds up what the functions' own logs say of each step since began.
func storeCost(stack *harness.Stack, began time.Time) (storeUse, error) {
	var use storeUse
	for _, f := range []string{"participant", "node"} {
		file, err := os.Open(filepath.Join(stack.Logs, f+".log"))
		if err != nil {
			return use, err
		}
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			var line struct {
				Time          time.Time
				Msg, Step     string
				StoreRequests int
				ReadUnits     float64
				WriteUnits    float64
			}
			if json.Unmarshal(lines.Bytes(), &line) != nil || line.Msg != "decision" || line.Time.Before(began) {
				continue
			}
			use.requests += line.StoreRequests
			use.read += line.ReadUnits
			use.write += line.WriteUnits
			if line.Step == "join" {
				use.joinRead = append(use.joinRead, line.ReadUnits)
				use.joinWrite = append(use.joinWrite, line.WriteUnits)
			}
		}
		err = lines.Err()
		_ = file.Close() // read only
		if err != nil {
			return use, err
		}
	}
	return use, nil
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[len(v)/2]
}
