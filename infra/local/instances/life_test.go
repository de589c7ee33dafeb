package instances

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

func TestAnInstanceLivesUntilItIsTerminated(t *testing.T) {
	r := newRoom(t)
	id := r.launch("n-polite")
	pids := r.pids("n-polite")
	r.wantStates(id, Pending, Running)
	if got := r.agent.Instances(); !slices.Equal(got, []string{id}) {
		t.Errorf("instances %v, want %s", got, id)
	}
	if got, want := r.trace("n-polite.env"), "SPILLWAY_URL=ws://127.0.0.1:1/ws\nSPILLWAY_NODE=n-polite\nSPILLWAY_TOKEN=token.of.n-polite\n"; got != want {
		t.Errorf("configuration %q, want %q", got, want)
	}
	if info, err := os.Stat(filepath.Join(r.out, "n-polite.env")); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the token is for everybody to read: %v %v", info.Mode(), err)
	}
	if environment := "\n" + r.trace("n-polite.environment"); strings.Contains(environment, "\nHOME=") || !strings.Contains(environment, "\nPATH=") {
		t.Errorf("the environment is not an instance's own:%s", environment)
	}
	r.mu.Lock()
	if first := r.changes[0]; first.Node != "n-polite" || first.Instance != id {
		t.Errorf("%+v", first)
	}
	r.mu.Unlock()

	r.terminate(id)
	r.wantStates(id, Pending, Running, Terminated)
	r.wantGone(pids)
	if r.trace("n-polite.term") == "" {
		t.Error("it was not asked to end")
	}
	if got := r.agent.Instances(); len(got) != 0 {
		t.Errorf("instances %v", got)
	}
	r.wantNoFolders()
	r.stop()
	if out := r.logs[id].String(); !strings.Contains(out, "n-polite boots") {
		t.Errorf("its log holds %q", out)
	}
}

func TestAnInstanceThatIgnoresTheSignalIsKilled(t *testing.T) {
	const grace = 300 * time.Millisecond
	r := newRoom(t, func(c *Config) { c.Grace = grace })
	id := r.launch("n-stubborn")
	pids := r.pids("n-stubborn")
	asked := time.Now()
	r.terminate(id)
	r.wantStates(id, Pending, Running, Terminated)
	if took := time.Since(asked); took < grace {
		t.Errorf("killed after %v, before its grace was over", took)
	}
	r.wantGone(pids)
	r.wantNoFolders()
}

func TestAProcessThatEndsTakesItsInstanceWithIt(t *testing.T) {
	r := newRoom(t)
	quits, fails, empty := r.launch("n-quits"), r.launch("n-fails"), r.launchWith("n-empty", "")
	lost := r.launchWith("n-lost", "#!/bin/sh\nexec /no/such/boot\n")
	for _, id := range []string{quits, fails, lost} {
		r.wantStates(id, Pending, Running, Terminated)
	}
	r.wantStates(empty, Pending, Terminated)
	for _, id := range []string{quits, fails, empty, lost} {
		if s := r.state(id); s != types.InstanceStateNameTerminated {
			t.Errorf("EC2 says that %s is %s", id, s)
		}
	}
	r.wantNoFolders()
	r.stop()
	for _, says := range []string{"n-fails", "exit status 3", "n-empty", "no user data", "n-lost", "exit status 127"} {
		if !strings.Contains(r.log.String(), says) {
			t.Errorf("the log does not mention %q: %s", says, r.log)
		}
	}
	if strings.Contains(r.log.String(), "n-quits") {
		t.Errorf("exit code 0 is reported as a failure: %s", r.log)
	}
}

func TestBootDelay(t *testing.T) {
	const delay = 400 * time.Millisecond
	r := newRoom(t, func(c *Config) { c.BootDelay = delay })
	id := r.launch("n-late")
	r.wantStates(id, Pending, Running)
	r.mu.Lock()
	defer r.mu.Unlock()
	if took := r.at[1].Sub(r.at[0]); took < delay {
		t.Errorf("it ran %v after its launch", took)
	}
}

func TestTerminatedBeforeItRan(t *testing.T) {
	r := newRoom(t, func(c *Config) { c.BootDelay = time.Hour })
	id := r.launch("n-never")
	r.wantStates(id, Pending)
	r.terminate(id)
	r.wantStates(id, Pending, Terminated)
	if r.trace("n-never.env") != "" {
		t.Error("it ran all the same")
	}
}

func TestTerminatedBeforeItWasSeen(t *testing.T) {
	r := newRoom(t, func(c *Config) { c.Poll = time.Hour })
	id := r.launch("n-brief")
	r.terminate(id)
	for range 2 { // it is told once
		if err := r.agent.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.wantStates(id, Terminated)
	}
	if got := r.agent.Instances(); len(got) != 0 {
		t.Errorf("instances %v", got)
	}
}

func TestTheEndOfTheAgentIsTheEndOfAllProcesses(t *testing.T) {
	r := newRoom(t, func(c *Config) { c.Grace = 200 * time.Millisecond })
	a, b := r.launch("n-polite"), r.launch("n-stubborn")
	pids := append(r.pids("n-polite"), r.pids("n-stubborn")...)
	r.stop()
	r.wantGone(pids)
	r.wantNoFolders()
	for _, id := range []string{a, b} {
		r.wantStates(id, Pending, Running) // nobody terminated it
		if s := r.state(id); s != types.InstanceStateNameRunning {
			t.Errorf("EC2 says that %s is %s", id, s)
		}
	}
}

func TestOtherStacksAreLeftAlone(t *testing.T) {
	r := newRoom(t)
	mine := r.stack
	r.stack = "another"
	other := r.launch("n-other")
	r.stack = mine
	own := r.launch("n-own")
	r.pids("n-own")
	if got := r.agent.Instances(); !slices.Equal(got, []string{own}) {
		t.Errorf("instances %v, want %s", got, own)
	}
	if got := r.states(other); len(got) != 0 {
		t.Errorf("the other stack's instance went through %v", got)
	}
}
