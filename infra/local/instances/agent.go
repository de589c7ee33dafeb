// Package instances is the machine room of the local stack: for each EC2
// instance that appears it boots a process with that instance's user data, and
// ends it when the instance is terminated. An instance whose process ends by
// itself is terminated, as one that shuts itself down is in AWS.
package instances

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/spillway-sfu/spillway/infra/local/process"
	"github.com/spillway-sfu/spillway/shared/cloud"
)

// Config says what boots and how.
type Config struct {
	AWS   aws.Config
	Stack string
	// Boot is the program that user data goes on with (SPILLWAY_BOOT).
	Boot string
	// Env is the environment of an instance's processes, as KEY=VALUE.
	Env []string
	// Dir holds a folder for each instance while it lives.
	Dir string
	// Logs returns where an instance's output goes.
	Logs func(instance string) (io.WriteCloser, error)
	// BootDelay is how long an instance takes before its user data runs.
	BootDelay time.Duration
	// Poll is the time between two looks at EC2 (300 ms).
	Poll time.Duration
	// Grace is how long a process may take to end before it is killed (10 s).
	Grace time.Duration
	// Changed is called with each change of an instance's state, by any goroutine,
	// in order for each instance. The end of the Agent itself is none.
	Changed func(ctx context.Context, c Change)
	Log     *slog.Logger
}

// Change is an instance's new state.
type Change struct {
	Instance string
	Node     string
	State    State
}

// State is a state as EC2 names it.
type State string

// The states that are reported.
const (
	Pending    State = "pending"
	Running    State = "running"
	Terminated State = "terminated"
)

// Agent boots and ends processes. Its methods may be called by several
// goroutines.
type Agent struct {
	c   Config
	ec2 *ec2.Client

	mu       sync.Mutex
	machines map[string]*machine
	wg       sync.WaitGroup
}

// machine is one instance.
type machine struct {
	id, node string
	cancel   context.CancelFunc // the instance was terminated
	ended    bool               // whatever EC2 still says
}

// New makes an Agent.
func New(c Config) *Agent {
	if c.Poll == 0 {
		c.Poll = 300 * time.Millisecond
	}
	if c.Grace == 0 {
		c.Grace = 10 * time.Second
	}
	return &Agent{c: c, ec2: ec2.NewFromConfig(c.AWS), machines: map[string]*machine{}}
}

// Run looks after instances until ctx ends; then it ends all processes and
// returns when they are gone. Their instances stay as they are: nobody asked for
// their end.
func (a *Agent) Run(ctx context.Context) {
	defer a.wg.Wait()
	tick := time.NewTicker(a.c.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := a.look(ctx); err != nil && ctx.Err() == nil {
			a.c.Log.Warn("describe instances", "error", err)
		}
	}
}

// Instances returns the instances whose processes are booting or running.
func (a *Agent) Instances() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	ids := make([]string, 0, len(a.machines))
	for id, m := range a.machines {
		if !m.ended {
			ids = append(ids, id)
		}
	}
	return ids
}

// look starts what is new and ends what is terminated.
func (a *Agent) look(ctx context.Context) error {
	pages := ec2.NewDescribeInstancesPaginator(a.ec2, &ec2.DescribeInstancesInput{
		Filters: []types.Filter{{Name: aws.String("tag:" + cloud.TagStack), Values: []string{a.c.Stack}}}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				a.see(ctx, i)
			}
		}
	}
	return nil
}

func (a *Agent) see(ctx context.Context, i types.Instance) {
	id := aws.ToString(i.InstanceId)
	a.mu.Lock()
	defer a.mu.Unlock()
	m, known := a.machines[id] // for ever: EC2 may list what is terminated for long
	switch i.State.Name {
	case types.InstanceStateNamePending, types.InstanceStateNameRunning:
		if known {
			return
		}
		wanted, cancel := context.WithCancel(ctx)
		m = &machine{id: id, node: tag(i, cloud.TagNode), cancel: cancel}
		a.machines[id] = m
		a.wg.Go(func() {
			defer cancel()
			a.live(ctx, wanted, m)
		})
	case types.InstanceStateNameShuttingDown, types.InstanceStateNameTerminated:
		if known {
			m.cancel()
			return
		}
		m = &machine{id: id, node: tag(i, cloud.TagNode), cancel: func() {}, ended: true}
		a.machines[id] = m
		a.wg.Go(func() { a.change(ctx, m, Terminated) })
	}
}

// live is an instance's whole life: boot, run, end. Its process runs while it is
// wanted; ctx is the Agent's.
func (a *Agent) live(ctx, wanted context.Context, m *machine) {
	a.change(ctx, m, Pending)
	if err := a.boot(wanted, m); err != nil && wanted.Err() == nil {
		a.c.Log.Error("instance failed", "instance", m.id, "node", m.node, "error", err)
	}
	a.mu.Lock()
	m.ended = true
	a.mu.Unlock()
	if wanted.Err() == nil { // the end of a process is the end of its instance
		if _, err := a.ec2.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{m.id}}); err != nil && ctx.Err() == nil {
			a.c.Log.Warn("terminate instance", "instance", m.id, "error", err)
		}
	}
	if ctx.Err() == nil {
		a.change(ctx, m, Terminated)
	}
}

// boot runs the user data and returns when its process has ended.
func (a *Agent) boot(ctx context.Context, m *machine) error {
	delay := time.NewTimer(a.c.BootDelay)
	defer delay.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-delay.C:
	}
	script, err := a.userData(ctx, m.id)
	if err != nil {
		return err
	}
	dir := filepath.Join(a.c.Dir, m.id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "user-data")
	if err := os.WriteFile(file, script, 0o700); err != nil {
		return fmt.Errorf("write user data: %w", err)
	}
	log, err := a.c.Logs(m.id)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command("/bin/sh", file) // not by itself: a file just written may still be open in a child of ours (ETXTBSY)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "SPILLWAY_ETC=" + dir, "SPILLWAY_BOOT=" + a.c.Boot}, a.c.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	p, err := process.Start(cmd)
	if err != nil {
		return fmt.Errorf("run user data: %w", err)
	}
	a.change(ctx, m, Running)
	select {
	case <-p.Done():
		return p.Err()
	case <-ctx.Done():
		p.Stop(a.c.Grace)
		return nil
	}
}

func (a *Agent) userData(ctx context.Context, id string) ([]byte, error) {
	out, err := a.ec2.DescribeInstanceAttribute(ctx, &ec2.DescribeInstanceAttributeInput{InstanceId: &id, Attribute: types.InstanceAttributeNameUserData})
	if err != nil {
		return nil, fmt.Errorf("read user data: %w", err)
	}
	if out.UserData == nil || aws.ToString(out.UserData.Value) == "" {
		return nil, fmt.Errorf("the instance has no user data")
	}
	script, err := base64.StdEncoding.DecodeString(*out.UserData.Value)
	if err != nil {
		return nil, fmt.Errorf("user data is not base64: %w", err)
	}
	return script, nil
}

func (a *Agent) change(ctx context.Context, m *machine, s State) {
	if a.c.Changed != nil {
		a.c.Changed(ctx, Change{m.id, m.node, s})
	}
}

func tag(i types.Instance, key string) string {
	for _, t := range i.Tags {
		if aws.ToString(t.Key) == key {
			return aws.ToString(t.Value)
		}
	}
	return ""
}
