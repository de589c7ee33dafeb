package instances

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spillway-sfu/spillway/infra/local/moto"
	"github.com/spillway-sfu/spillway/shared/cloud"
)

// patience bounds every wait of these tests; nothing is expected to take it.
const patience = 20 * time.Second

// server is moto for all tests; each has a stack of its own in it.
var server *moto.Server

func TestMain(m *testing.M) {
	var err error
	if server, err = moto.Start(context.Background(), moto.Config{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	server.Stop()
	os.Exit(code)
}

// boot stands in for what boots a node. The node's name says how it behaves.
const boot = `#!/bin/sh
set -eu
. "$SPILLWAY_ETC/node.env"
cp -p "$SPILLWAY_ETC/node.env" "$OUT/$SPILLWAY_NODE.env"
env >"$OUT/$SPILLWAY_NODE.environment"
echo "$SPILLWAY_NODE boots"
case $SPILLWAY_NODE in
n-stubborn*) trap '' TERM ;;
n-quits) exit 0 ;;
n-fails) exit 3 ;;
*) trap 'echo asked to end >"$OUT/$SPILLWAY_NODE.term"; exit 0' TERM ;;
esac
sleep 600 &
echo $! $$ >"$OUT/$SPILLWAY_NODE.part"
mv "$OUT/$SPILLWAY_NODE.part" "$OUT/$SPILLWAY_NODE.pids"
wait
wait
`

// machineRoom is a stack with an Agent that looks after it.
type machineRoom struct {
	*testing.T
	stack   string
	agent   *Agent
	ec2     *ec2.Client
	dir     string // where the instances' folders are
	out     string // where boot leaves traces
	stop    func()
	log     *bytes.Buffer // only once stopped
	mu      sync.Mutex
	changes []Change
	at      []time.Time
	logs    map[string]*bytes.Buffer
}

func newRoom(t *testing.T, change ...func(*Config)) *machineRoom {
	t.Helper()
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &server.URL,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		})}
	r := &machineRoom{T: t, stack: t.Name(), ec2: ec2.NewFromConfig(cfg), dir: t.TempDir(), out: t.TempDir(), log: &bytes.Buffer{}, logs: map[string]*bytes.Buffer{}}
	path := filepath.Join(t.TempDir(), "boot")
	if err := os.WriteFile(path, []byte(boot), 0o755); err != nil {
		t.Fatal(err)
	}
	c := Config{
		AWS: cfg, Stack: r.stack, Boot: path, Env: []string{"OUT=" + r.out}, Dir: r.dir, Poll: 20 * time.Millisecond, Grace: 5 * time.Second,
		Log: slog.New(slog.NewTextHandler(r.log, nil)),
		Logs: func(instance string) (io.WriteCloser, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.logs[instance] = &bytes.Buffer{}
			return output{r.logs[instance]}, nil
		},
		Changed: func(_ context.Context, c Change) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.changes, r.at = append(r.changes, c), append(r.at, time.Now())
		},
	}
	for _, f := range change {
		f(&c)
	}
	r.agent = New(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.agent.Run(ctx) }()
	r.stop = func() { cancel(); <-done }
	t.Cleanup(r.stop)
	return r
}

type output struct{ *bytes.Buffer }

func (output) Close() error { return nil }

// launch makes an instance as the control plane does.
func (r *machineRoom) launch(node string) string {
	r.Helper()
	data, err := cloud.Boot{SocketURL: "ws://127.0.0.1:1/ws", Node: "NODE", Token: "token.of." + node}.UserData()
	if err != nil {
		r.Fatal(err)
	}
	return r.launchWith(node, strings.Replace(data, "=NODE", "="+node, 1))
}

func (r *machineRoom) launchWith(node, data string) string {
	r.Helper()
	in := &ec2.RunInstancesInput{ImageId: aws.String("ami-12345678"), InstanceType: types.InstanceTypeC7gLarge, MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeInstance, Tags: []types.Tag{
			{Key: aws.String(cloud.TagStack), Value: &r.stack}, {Key: aws.String(cloud.TagNode), Value: &node}}}}}
	if data != "" {
		in.UserData = aws.String(base64.StdEncoding.EncodeToString([]byte(data)))
	}
	got, err := r.ec2.RunInstances(r.Context(), in)
	if err != nil {
		r.Fatal(err)
	}
	return aws.ToString(got.Instances[0].InstanceId)
}

func (r *machineRoom) terminate(instance string) {
	r.Helper()
	if _, err := r.ec2.TerminateInstances(r.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{instance}}); err != nil {
		r.Fatal(err)
	}
}

// state is what EC2 says of an instance.
func (r *machineRoom) state(instance string) types.InstanceStateName {
	r.Helper()
	got, err := r.ec2.DescribeInstances(r.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{instance}})
	if err != nil {
		r.Fatal(err)
	}
	return got.Reservations[0].Instances[0].State.Name
}

func (r *machineRoom) eventually(what string, yes func() bool) {
	r.Helper()
	for deadline := time.Now().Add(patience); !yes(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("still not: %s; changes %v", what, r.states(""))
		}
	}
}

// states are the changes of an instance so far; of all if it is empty.
func (r *machineRoom) states(instance string) (all []State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.changes {
		if instance == "" || c.Instance == instance {
			all = append(all, c.State)
		}
	}
	return all
}

func (r *machineRoom) wantStates(instance string, want ...State) {
	r.Helper()
	r.eventually(fmt.Sprintf("%s went through %v", instance, want), func() bool { return len(r.states(instance)) >= len(want) })
	if got := r.states(instance); !slices.Equal(got, want) {
		r.Errorf("%s went through %v, want %v", instance, got, want)
	}
}

// trace is a file that boot left, empty if there is none.
func (r *machineRoom) trace(name string) string {
	b, _ := os.ReadFile(filepath.Join(r.out, name))
	return string(b)
}

// pids waits until a node runs and returns its processes.
func (r *machineRoom) pids(node string) (pids []int) {
	r.Helper()
	r.eventually(node+" runs", func() bool { return r.trace(node+".pids") != "" })
	for _, f := range strings.Fields(r.trace(node + ".pids")) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			r.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// wantGone fails if one of the processes does not end.
func (r *machineRoom) wantGone(pids []int) {
	r.Helper()
	for _, pid := range pids {
		r.eventually(fmt.Sprintf("process %d is gone", pid), func() bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if os.IsNotExist(err) {
				return syscall.Kill(pid, 0) != nil // where there is no /proc
			}
			return strings.Contains(string(stat), ") Z ") // ended; whoever inherits it collects it later
		})
	}
}

func (r *machineRoom) wantNoFolders() {
	r.Helper()
	if left, _ := os.ReadDir(r.dir); len(left) != 0 {
		r.Errorf("%s still holds %v", r.dir, left)
	}
}
