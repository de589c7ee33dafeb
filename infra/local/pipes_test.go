package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// crowd is people who stay in one room, each with a camera in one layer.
type crowd struct {
	mu     sync.Mutex
	home   map[string]string
	frames map[string]map[string]int // who sees whom
	fault  error
}

func (c *crowd) stay(ctx context.Context, o *own, room, identity string) {
	o.t.Helper()
	var err error
	for again := true; again; {
		err = c.once(ctx, o, room, identity)
		var told *events.Error
		again = errors.As(err, &told) && told.Code.Retryable() // as the SDK does
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && c.fault == nil {
		c.fault = fmt.Errorf("%s: %w", identity, err)
	}
}

func (c *crowd) once(ctx context.Context, o *own, room, identity string) error {
	return lightpeer.Stay(ctx, lightpeer.Staying{
		Joining: lightpeer.Joining{URL: o.Socket, Token: mintAt(o.t, o.Stack, room, identity)},
		Options: lightpeer.Options{Audio: 1, Video: 9, Loopback: true},
		Playing: lightpeer.Playing{Layers: []string{"q"}},
		OnFrame: func(from string, source events.Source) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.frames[identity] == nil {
				c.frames[identity] = map[string]int{}
			}
			c.frames[identity][from]++
		},
		OnHome: func(node string, why error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.home[identity] = node
		},
	})
}

// look returns how many nodes people are on, and how many pairs have seen so many
// frames one of the other.
func (c *crowd) look(least int) (nodes, pairs int, fault error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	on := map[string]bool{}
	for _, node := range c.home {
		on[node] = true
	}
	for _, seen := range c.frames {
		for _, n := range seen {
			if n >= least {
				pairs++
			}
		}
	}
	return len(on), pairs, c.fault
}

// TestOneRoomOnFourNodes is ten people on nodes of three seats each: everybody
// sees everybody, and what crosses a pipe crosses it once, however many watch on
// the other side.
func TestOneRoomOnFourNodes(t *testing.T) {
	t.Parallel()
	const people, least = 10, 30
	o := startOwn(t, "NODE_SEATS=3", "IDLE_AFTER=2s", "SWEEP_EVERY=500ms")
	c := &crowd{home: map[string]string{}, frames: map[string]map[string]int{}}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	var staying sync.WaitGroup
	for i := range people {
		staying.Go(func() { c.stay(ctx, o, "large", fmt.Sprintf("p%d", i)) })
	}
	var nodes, pairs int
	deadline := time.Now().Add(90 * time.Second)
	for pairs < people*(people-1) {
		var fault error
		if nodes, pairs, fault = c.look(least); fault != nil {
			t.Fatal(fault)
		}
		if time.Now().After(deadline) {
			c.mu.Lock()
			defer c.mu.Unlock()
			t.Fatalf("on %d nodes %d of %d pairs see each other: homes %v, frames %v", nodes, pairs, people*(people-1), c.home, c.frames)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if nodes < 4 {
		t.Errorf("%d people are on %d nodes", people, nodes)
	}
	o.showsPipes(nodes - 1)
	leave()
	staying.Wait()
	eventually(t, "the instances are gone", func() bool { return len(o.instances()) == 0 })

	// The nodes have written what they carried.
	var in, piped int64
	var counted int
	eventually(t, "every node has written what it carried", func() bool {
		in, piped, counted = carried(t, o)
		return counted >= nodes
	})
	pipes := counted - 1
	t.Logf("%d people on %d nodes: %d packets came in, %d crossed %d pipes", people, counted, in, piped, pipes)
	// Each packet crosses each pipe once, wherever it comes from and however many
	// see it; some come before anybody across a pipe wants them.
	if piped > in*int64(pipes)*102/100 || piped < int64(least*people*(nodes-1)) {
		t.Errorf("%d packets in, %d over %d pipes", in, piped, pipes)
	}
}

// showsPipes waits until operators are shown so many pipes that carry something.
func (o *own) showsPipes(least int) {
	o.t.Helper()
	eventually(o.t, "operators see the pipes", func() bool {
		var overview struct {
			Nodes []struct {
				Pipes []struct {
					Node     string
					Up       bool
					SendKbps int64
				}
			}
		}
		if err := o.Call(o.t.Context(), "GET", "/v1/overview", &overview); err != nil {
			o.t.Fatal(err)
		}
		ends := 0
		for _, n := range overview.Nodes {
			for _, p := range n.Pipes {
				if p.Up && p.SendKbps > 0 && p.Node != "" {
					ends++
				}
			}
		}
		return ends >= 2*least
	})
}

// carried adds up the counters that nodes write when they stop.
func carried(t *testing.T, o *own) (in, piped int64, nodes int) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(o.Logs, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range logs {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var line struct {
				Msg      string `json:"msg"`
				Counters struct {
					PacketsIn int64 `json:"packetsIn"`
					PipedIn   int64 `json:"pipedIn"`
				} `json:"counters"`
			}
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "node stops" {
				in += line.Counters.PacketsIn
				piped += line.Counters.PipedIn
				nodes++
			}
		}
		_ = f.Close()
	}
	return in, piped, nodes
}
