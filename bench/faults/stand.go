package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spillway-sfu/spillway/infra/local/harness"
)

// stand is a stack to do harm to.
type stand struct {
	*harness.Stack
	frozen []int     // processes that are stopped
	trace  io.Writer // gets everybody's way back; may be nil
	spoilt []string  // nodes that earlier faults befell; their leases may still run
}

// kind is what a stack is set to.
type kind int

const (
	narrow kind = iota // each room on one node, so that a row is about one death and no pipes
	wide               // rooms over several nodes
	brief              // narrow, with sockets that do not live long
)

// briefLife is how long sockets live there.
const briefLife = 12 * time.Second

// settings are those of each kind of stack.
var settings = [][]string{
	narrow: {"NODES_PER_ROOM=1"},
	wide:   {"NODES_PER_ROOM=6"},
	brief:  {"NODES_PER_ROOM=1", "SOCKET_LIFE=" + briefLife.String()},
}

// start runs a stack whose nodes have so many seats.
func start(ctx context.Context, k kind, root string, seats int, out io.Writer, env ...string) (*stand, error) {
	env = append([]string{"IDLE_AFTER=10m", "SWEEP_EVERY=2s", fmt.Sprintf("NODE_SEATS=%d", seats)}, env...)
	stack, err := harness.Start(ctx, root, out, append(env, settings[k]...)...)
	if err != nil {
		return nil, err
	}
	return &stand{Stack: stack}, nil
}

// stands keeps the stand of the present fault: those of a kind share one.
type stands struct {
	root  string
	seats int
	out   io.Writer
	trace io.Writer // of each stand
	logs  string    // where to keep each kind's logs; empty keeps none
	now   *stand
	kind  kind
}

// of returns a stand of a kind, and ends the one of another.
func (s *stands) of(ctx context.Context, k kind) (*stand, error) {
	if s.now != nil && s.kind == k {
		return s.now, nil
	}
	s.stop()
	var env []string
	if s.logs != "" {
		env = []string{"LOG_DIR=" + filepath.Join(s.logs, fmt.Sprint(k))}
	}
	on, err := start(ctx, k, s.root, s.seats, s.out, env...)
	if err != nil {
		return nil, err
	}
	on.trace = s.trace
	s.now, s.kind = on, k
	return on, nil
}

func (s *stands) stop() {
	if s.now != nil {
		s.now.stop()
	}
	s.now = nil
}

// stop ends the stack, whatever state it is in.
func (s *stand) stop() {
	s.thaw()
	s.Stop()
}

// node is what the API says of a node.
type node struct {
	ID           string `json:"id"`
	State        string `json:"state"`
	Instance     string `json:"instance"`
	Alive        bool   `json:"alive"`
	Participants int    `json:"participants"`
}

func (s *stand) nodes(ctx context.Context) ([]node, error) {
	var list struct{ Nodes []node }
	err := s.Call(ctx, "GET", "/v1/nodes", &list)
	return list.Nodes, err
}

// ready lists the nodes that take people and were not struck before.
func (s *stand) ready(ctx context.Context) ([]node, error) {
	all, err := s.nodes(ctx)
	return slices.DeleteFunc(all, func(n node) bool { return n.State != "ready" || !n.Alive || slices.Contains(s.spoilt, n.ID) }), err
}

// taking lists the nodes that may be given people, spoilt ones included.
func (s *stand) taking(ctx context.Context) ([]node, error) {
	all, err := s.nodes(ctx)
	return slices.DeleteFunc(all, func(n node) bool { return n.State != "ready" }), err
}

// provide returns so many nodes that are ready and empty, in the order of their
// names, and has them launched where there are fewer.
func (s *stand) provide(ctx context.Context, want int) ([]node, error) {
	for i := 0; ; i++ {
		ready, err := s.ready(ctx)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(ready, func(a, b node) int { return strings.Compare(a.ID, b.ID) })
		empty := slices.DeleteFunc(slices.Clone(ready), func(n node) bool { return n.Participants > 0 })
		if len(empty) >= want {
			return empty[:want], nil
		}
		if len(ready) < want {
			all, err := s.taking(ctx)
			if err != nil {
				return nil, err
			}
			visitor, visiting := newCrowd(s.Stack)
			if err := visitor.bring(visiting, fmt.Sprintf("visit-%d-%d", want, i), 1, ids(all)); err != nil {
				return nil, err
			}
			err = visitor.whole(ctx)
			for err == nil && visitor.on("") > 0 {
				err = wait(ctx, 20*time.Millisecond)
			}
			visitor.leave()
			if err != nil {
				return nil, err
			}
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func ids(nodes []node) []string {
	var list []string
	for _, n := range nodes {
		list = append(list, n.ID)
	}
	return list
}

// drain asks a node's people to go; what is after /v1/nodes/.
func (s *stand) drain(ctx context.Context, what string) error {
	var done struct{ People int }
	return s.Call(ctx, "POST", "/v1/nodes/"+what, &done)
}

// signal sends a signal to a node's process.
func (s *stand) signal(n node, what syscall.Signal) error {
	pid, err := harness.NodeProcess(n.Instance)
	if err != nil {
		return err
	}
	return s.send(pid, what)
}

func (s *stand) send(pid int, what syscall.Signal) error {
	if what == syscall.SIGSTOP {
		s.frozen = append(s.frozen, pid)
	}
	return syscall.Kill(pid, what)
}

// thaw lets all that was stopped go on.
func (s *stand) thaw() {
	for _, pid := range s.frozen {
		_ = syscall.Kill(pid, syscall.SIGCONT) // it may have been ended
	}
	s.frozen = nil
}

// storeProcess finds the stack's moto.
func (s *stand) storeProcess() (int, error) {
	address, err := url.Parse(s.AWS)
	if err != nil {
		return 0, err
	}
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, file := range all {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		line, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if err != nil || len(fields) < 2 || fields[1] != strconv.Itoa(s.PID()) || !bytes.Contains(line, []byte("moto")) {
			continue
		}
		return strconv.Atoi(filepath.Base(filepath.Dir(file)))
	}
	return 0, fmt.Errorf("the store at %s has no process", address.Host)
}

// mend ends what was done to the stack.
func (s *stand) mend(ctx context.Context) error {
	s.thaw()
	return s.gateway(ctx, gatewayFaults{})
}

// endHard kills what still runs of nodes that were given up, so that the next
// fault finds none of them.
func (s *stand) endHard(ctx context.Context, struck []string) error {
	nodes, err := s.nodes(ctx)
	for _, n := range nodes {
		for _, id := range struck {
			if n.ID == id && n.State != "draining" {
				err = errors.Join(err, s.signal(n, syscall.SIGKILL))
			}
		}
	}
	return err
}
