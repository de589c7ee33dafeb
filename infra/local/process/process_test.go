package process

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// parentEnv makes this test binary play the program that starts others.
const parentEnv = "SPILLWAY_TEST_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(parentEnv) != "" {
		p, err := Start(exec.Command("sleep", "600"))
		if err != nil {
			os.Exit(3)
		}
		os.Stdout.WriteString(strconv.Itoa(p.PID()) + "\n")
		<-p.Done()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// eventually waits for ok without a fixed sleep.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not so within 10 s: %s", what)
}

func gone(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	// A zombie has ended; whoever inherits it collects it later.
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestChildDiesWithKilledParent(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("only Linux promises this")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), parentEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	parent, err := Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer parent.Kill()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if gone(child) {
		t.Fatal("child is gone before its parent was killed")
	}
	// The parent alone, not its group.
	if err := parent.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "child of a killed parent ends", func() bool { return gone(child) })
}

func TestStopReachesWhatTheProcessStarted(t *testing.T) {
	dir := t.TempDir()
	// A shell that ignores SIGTERM, with a child of its own that it waits for.
	p, err := Start(exec.Command("sh", "-c", `trap "" TERM; sleep 600 & echo $! > "$0"/pid; wait; wait`, dir))
	if err != nil {
		t.Fatal(err)
	}
	var child int
	eventually(t, "the shell starts its child", func() bool {
		b, _ := os.ReadFile(dir + "/pid")
		child, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil
	})
	p.Stop(20 * time.Millisecond)
	if err := p.Err(); err == nil {
		t.Error("a killed process reports no error")
	}
	eventually(t, "the shell's child ends too", func() bool { return gone(child) })
}

func TestEndsAreTold(t *testing.T) {
	for _, c := range []struct {
		script string
		ok     bool
	}{{"exit 0", true}, {"exit 3", false}} {
		p, err := Start(exec.Command("sh", "-c", c.script))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Err(); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.script, err)
		}
		p.Stop(time.Second) // harmless after the end
	}
	if _, err := Start(exec.Command("/no/such/program")); err == nil {
		t.Error("a program that does not exist starts")
	}
}
