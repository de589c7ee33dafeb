package main_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/infra/local/harness"
	"github.com/spillway-sfu/spillway/infra/local/process"
)

// own is a stack of one test alone, which may end it as it likes.
type own struct {
	*harness.Stack
	t   *testing.T
	out *output
	tmp string // where its temporary files go
}

func startOwn(t *testing.T, env ...string) *own {
	t.Helper()
	o := &own{t: t, out: &output{}, tmp: t.TempDir()}
	var err error
	if o.Stack, err = harness.Start(t.Context(), "../..", o.out, append(env, "TMPDIR="+o.tmp)...); err != nil {
		t.Fatalf("%v: %s", err, o.out)
	}
	t.Cleanup(func() {
		o.Stop()
		if t.Failed() {
			t.Logf("the stack said: %s", o.out)
		}
	})
	return o
}

// output is what a stack prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// join admits somebody and leaves the connection open.
func (o *own) join(room, identity string) events.Answer {
	o.t.Helper()
	_, j := peer(o.t, identity)
	return admitted(o.t, dialAt(o.t, o.Stack, mintAt(o.t, o.Stack, room, identity)), j)
}

// rooms lists the names of rooms, instances their ids.
func (o *own) rooms() (names []string) {
	o.t.Helper()
	var list struct{ Rooms []struct{ Name string } }
	if err := o.Call(o.t.Context(), "GET", "/v1/rooms", &list); err != nil {
		o.t.Fatal(err)
	}
	for _, r := range list.Rooms {
		names = append(names, r.Name)
	}
	return names
}

func (o *own) instances() []string {
	o.t.Helper()
	var list struct{ Instances []string }
	if err := o.Call(o.t.Context(), "GET", "/local/instances", &list); err != nil {
		o.t.Fatal(err)
	}
	return list.Instances
}

// family is a stack's process with all that it has started, by process id.
type family map[int]string

// processes lists what runs because of the stack.
func (o *own) processes() family {
	o.t.Helper()
	return processesOf(o.t, o.PID())
}

func processesOf(t *testing.T, root int) family {
	t.Helper()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("only Linux shows who started whom")
	}
	children := map[int][]int{}
	names := map[int]string{}
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		pid, name, state, parent := readStat(file)
		if pid != 0 && state != "Z" {
			children[parent] = append(children[parent], pid)
			names[pid] = name
		}
	}
	found := family{}
	for next := []int{root}; len(next) > 0; next = next[1:] {
		found[next[0]] = names[next[0]]
		next = append(next, children[next[0]]...)
	}
	return found
}

// readStat reads the first fields of proc_pid_stat(5); pid is 0 if the process
// is gone.
func readStat(file string) (pid int, name, state string, parent int) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, "", "", 0
	}
	head, tail, _ := strings.Cut(string(b), "(")
	end := strings.LastIndex(tail, ")") // names may hold anything
	fields := strings.Fields(tail[end+1:])
	pid, _ = strconv.Atoi(strings.TrimSpace(head))
	parent, _ = strconv.Atoi(fields[1])
	return pid, tail[:end], fields[0], parent
}

// called picks a process by its name.
func (f family) called(name string) int {
	for pid, n := range f {
		if strings.Contains(n, name) {
			return pid
		}
	}
	return 0
}

// wantGone fails if one of the processes goes on.
func (f family) wantGone(t *testing.T) {
	t.Helper()
	for pid, name := range f {
		eventually(t, fmt.Sprintf("process %d, %s, is gone", pid, name), func() bool {
			now, same, state, _ := readStat(fmt.Sprintf("/proc/%d/stat", pid))
			return now == 0 || state == "Z" || same != name
		})
	}
}

// end sends a signal and returns how the stack ended, and after how long.
func (o *own) end(signal syscall.Signal) (took time.Duration, err error) {
	o.t.Helper()
	began := time.Now()
	if err := syscall.Kill(o.PID(), signal); err != nil {
		o.t.Fatal(err)
	}
	select {
	case <-o.Done():
	case <-time.After(30 * time.Second):
		o.t.Fatalf("still running after %v: %s", signal, o.out)
	}
	return time.Since(began), o.Err()
}

func TestTwoStacksSideBySide(t *testing.T) {
	t.Parallel()

	left, right := startOwn(t), startOwn(t)
	a, b := left.join("apples", "ann"), right.join("pears", "ann")
	if a.Node == b.Node {
		t.Errorf("both are on %s", a.Node)
	}
	if l, r := left.rooms(), right.rooms(); !slices.Equal(l, []string{"apples"}) || !slices.Equal(r, []string{"pears"}) {
		t.Errorf("one has rooms %v, the other %v", l, r)
	}
	if l, r := left.instances(), right.instances(); len(l) != 1 || len(r) != 1 || l[0] == r[0] {
		t.Errorf("one has instances %v, the other %v", l, r)
	}
	for _, o := range []*own{left, right} {
		items, err := o.Items(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		theirs := map[*own]string{left: "pears", right: "apples"}[o]
		if all := strings.Join(items, "\n"); strings.Contains(all, theirs) {
			t.Errorf("the table of one knows of the other:\n%s", all)
		}
	}
	if c, status, err := right.Dial(t.Context(), mintAt(t, left.Stack, "pears", "eve")); err == nil || status != 401 {
		if c != nil {
			c.Close()
		}
		t.Errorf("a token of one stack at the other: %d %v", status, err)
	}

	// One ends in order, and the other does not notice.
	before := left.processes()
	if before.called("sfu-node") == 0 || before.called("moto_server") == 0 || before.called("bootstrap") == 0 {
		t.Errorf("does not run all that it should: %v", before)
	}
	took, err := left.end(syscall.SIGINT)
	if err != nil || took > 10*time.Second {
		t.Errorf("Ctrl-C: %v after %v", err, took)
	}
	before.wantGone(t)
	if rest, _ := os.ReadDir(left.tmp); len(rest) != 0 {
		t.Errorf("temporary files are left: %v", rest)
	}
	if out := left.out.String(); !strings.Contains(out, "stopping") || strings.Contains(out, "terminated") || strings.Contains(out, "ERROR") {
		t.Errorf("it says %s", out)
	}
	if c := right.join("pears", "bob"); c.Node != b.Node {
		t.Errorf("bob is on %s, ann on %s", c.Node, b.Node)
	}

	// The other has no time to end anything.
	before = right.processes()
	if _, err := right.end(syscall.SIGKILL); err == nil {
		t.Error("kill -9 ends it with 0")
	}
	before.wantGone(t)
}

func TestASlowBootIsAnnouncedAndMotosEndIsTheEnd(t *testing.T) {
	t.Parallel()
	const delay = 2 * time.Second
	o := startOwn(t, "BOOT_DELAY="+delay.String())
	began := time.Now()
	c := dialAt(t, o.Stack, mintAt(t, o.Stack, "slow", "ann"))
	_, j := peer(t, "slow")
	if err := c.Send(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	var estimates []events.Waiting
	for ready := false; !ready; {
		m, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case events.Waiting:
			estimates = append(estimates, m)
			// The whole delay is still to come when the first estimate is made.
			if e := time.Duration(m.EstimateMs) * time.Millisecond; e < time.Second || e > delay+2*time.Second || len(estimates) == 1 && e < delay {
				t.Errorf("estimate %d is %v", len(estimates), e)
			}
		case events.Ready, events.Answer:
			ready = true
		default:
			t.Fatalf("got %+v", m)
		}
	}
	if took := time.Since(began); took < delay || len(estimates) == 0 {
		t.Errorf("ready after %v and %d estimates", took, len(estimates))
	}

	before := o.processes()
	if err := syscall.Kill(before.called("moto_server"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-o.Done():
	case <-time.After(20 * time.Second):
		t.Fatalf("goes on without moto: %s", o.out)
	}
	if o.Err() == nil {
		t.Error("ends with 0")
	}
	if out := o.out.String(); !strings.Contains(out, "spillway: moto has ended") || !strings.Contains(out, "moto.log") {
		t.Errorf("it says %s", out)
	}
	before.wantGone(t)
}

// A node that does not end is waited for; a second Ctrl-C waits for nobody.
func TestCtrlCTwice(t *testing.T) {
	t.Parallel()
	build := t.TempDir()
	for _, f := range []string{"authorize", "participant", "node", "fleet", "rooms"} {
		target, err := filepath.Abs(filepath.Join("../../build/local", f))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(build, f)); err != nil {
			t.Fatal(err)
		}
	}
	stubborn := "#!/bin/sh\ntrap '' TERM\nexec sleep 600\n"
	if err := os.WriteFile(filepath.Join(build, "sfu-node"), []byte(stubborn), 0o755); err != nil {
		t.Fatal(err)
	}
	o := startOwn(t, "BUILD_DIR="+build)
	c := dialAt(t, o.Stack, mintAt(t, o.Stack, "r", "ann"))
	_, j := peer(t, "twice")
	if err := c.Send(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node runs", func() bool { return o.processes().called("sleep") != 0 })
	before := o.processes()
	if err := syscall.Kill(o.PID(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it says that it stops", func() bool { return strings.Contains(o.out.String(), "stopping; once more") })
	if took, _ := o.end(syscall.SIGINT); took > 2*time.Second {
		t.Errorf("the second Ctrl-C took %v", took)
	}
	before.wantGone(t)
}

func TestCtrlCWhileItStarts(t *testing.T) {
	t.Parallel()
	binary, err := filepath.Abs("../../build/local/spillway-local")
	if err != nil {
		t.Fatal(err)
	}
	tmp, out := t.TempDir(), &output{}
	cmd := exec.Command(binary)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "LOG_DIR="+t.TempDir(), "PORT=0")
	cmd.Stdout, cmd.Stderr = out, out
	p, err := process.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	var before family
	eventually(t, "moto starts", func() bool {
		before = processesOf(t, p.PID())
		return len(before) > 1
	})
	if err := syscall.Kill(p.PID(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := p.Err(); err != nil || strings.Contains(out.String(), "ready") {
		t.Errorf("%v: %s", err, out)
	}
	before.wantGone(t)
	if rest, _ := os.ReadDir(tmp); len(rest) != 0 {
		t.Errorf("temporary files are left: %v", rest)
	}
}
