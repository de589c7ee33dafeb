package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spillway-sfu/spillway/infra/local/harness"
)

// node is one of the room's node processes.
type node struct {
	id       string
	instance string
	pid      int
	metrics  string
	// feeder is where it gets the stage from, as its own counts of flows say; empty
	// where somebody on stage sits, and where nobody watches.
	feeder string
	depth  int // pipes from the stage
	feeds  int // how many nodes
	seats  int // viewers whose home it is
}

// survey finds the nodes and how they are joined.
func survey(ctx context.Context, s *harness.Stack) ([]*node, error) {
	var list struct {
		Nodes []struct{ ID, State, Instance string }
	}
	if err := s.Call(ctx, "GET", "/v1/nodes", &list); err != nil {
		return nil, err
	}
	addresses, err := metricsOf(s.Logs)
	if err != nil {
		return nil, err
	}
	var nodes []*node
	for _, l := range list.Nodes {
		pid, err := harness.NodeProcess(l.Instance)
		if err != nil {
			continue // it has ended
		}
		n := &node{id: l.ID, instance: l.Instance, pid: pid, metrics: addresses[l.ID]}
		if n.feeder, err = feederOf(ctx, n.metrics); err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		for at := n; at != nil && at.feeder != "" && n.depth < len(nodes); n.depth++ {
			i := slices.IndexFunc(nodes, func(o *node) bool { return o.id == at.feeder })
			if i < 0 {
				break
			}
			if at == n {
				nodes[i].feeds++
			}
			at = nodes[i]
		}
	}
	slices.SortFunc(nodes, func(a, b *node) int { return a.depth - b.depth })
	return nodes, nil
}

// metricsOf reads where nodes serve what they count, by node.
func metricsOf(folder string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.log"))
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for line := range bytes.Lines(text) {
			var l struct{ Msg, Node, Address string }
			if bytes.Contains(line, []byte("metrics are served")) && json.Unmarshal(line, &l) == nil {
				found[l.Node] = l.Address
			}
		}
	}
	return found, nil
}

// feederOf asks a node from whom the first of the stage comes.
func feederOf(ctx context.Context, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/flows", nil)
	if err != nil {
		return "", err
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	var flows []struct {
		Room, Peer, Identity string
		Out                  bool
	}
	if err := json.NewDecoder(r.Body).Decode(&flows); err != nil {
		return "", fmt.Errorf("%s: %w", address, err)
	}
	for _, f := range flows {
		if f.Room == roomName && !f.Out && f.Identity == "stage-0" {
			return f.Peer, nil
		}
	}
	return "", nil
}

// used is what a process has used: CPU until now, and memory now.
type used struct {
	cpu time.Duration
	mb  int
}

func usedBy(pid int) used {
	var u used
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 12 {
			user, _ := strconv.Atoi(fields[11])
			system, _ := strconv.Atoi(fields[12])
			u.cpu = time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
		}
	}
	if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err == nil {
		for line := range strings.Lines(string(status)) {
			if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				u.mb, _ = strconv.Atoi(strings.Fields(kb)[0])
				u.mb /= 1024
			}
		}
	}
	return u
}
