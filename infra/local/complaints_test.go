package main_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// complain runs the stack with an environment that it cannot work with, and
// returns the one line that it says.
func complain(t *testing.T, env ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	binary, err := filepath.Abs("../../build/local/spillway-local")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, binary)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "LOG_DIR="+filepath.Join(t.TempDir(), "logs"), "PORT=0")
	cmd.Env = append(cmd.Env, env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("ended with %v: %s", err, &stderr)
	}
	said, ok := strings.CutPrefix(strings.TrimSuffix(stderr.String(), "\n"), "spillway: ")
	if !ok || strings.Contains(said, "\n") {
		t.Errorf("%q is not one line that says who complains", stderr.String())
	}
	for _, noise := range []string{"goroutine", ".go:", "syscall", "exit status"} {
		if strings.Contains(said, noise) {
			t.Errorf("%q is for programmers", said)
		}
	}
	return said
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	for _, c := range []struct{ env, says string }{
		{"PORT=http", `PORT is "http", expected a number from 0 to 65535`},
		{"PORT=70000", `PORT is "70000"`},
		{"PORT=-1", `PORT is "-1"`},
		{"IDLE_AFTER=2", `IDLE_AFTER is "2", expected a duration of at least 1s, such as 90s or 2m`},
		{"IDLE_AFTER=-1m", `IDLE_AFTER is "-1m"`},
		{"IDLE_AFTER=10ms", `IDLE_AFTER is "10ms"`},
		{"NODE_SEATS=few", `NODE_SEATS is "few", expected a number from 0 to 10000`},
		{"NODE_SEATS=-3", `NODE_SEATS is "-3"`},
		{"MAX_NODES=0", `MAX_NODES is "0"`},
		{"BOOT_DELAY=soon", `BOOT_DELAY is "soon"`},
		{"SWEEP_EVERY=1ns", `SWEEP_EVERY is "1ns"`},
		{"JOIN_KEY_SECRET=short", `JOIN_KEY_SECRET has 5 characters, at least 32 are needed`},
	} {
		if said := complain(t, c.env); !strings.Contains(said, c.says) {
			t.Errorf("%s: %q does not say %q", c.env, said, c.says)
		}
	}
}

func TestWhatIsMissing(t *testing.T) {
	empty := t.TempDir()
	for _, c := range []struct{ env, says, remedy string }{
		{"BUILD_DIR=" + empty, filepath.Join(empty, "sfu-node") + " is missing", "make build"},
		{"DEMO_DIR=" + empty, "the demo is missing in " + empty, "make build"},
		{"PATH=" + empty, "moto_server is missing", "pip install"},
	} {
		if said := complain(t, c.env); !strings.Contains(said, c.says) || !strings.Contains(said, c.remedy) {
			t.Errorf("%s: %q does not say %q and %q", c.env, said, c.says, c.remedy)
		}
	}
}

func TestAPortThatIsTaken(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0"} {
		t.Run(address, func(t *testing.T) {
			l, err := net.Listen("tcp", address)
			if err != nil {
				t.Skip("this machine has no such address: ", err)
			}
			defer l.Close()
			port := l.Addr().(*net.TCPAddr).Port
			logs := t.TempDir()
			theirs := filepath.Join(logs, "local.log")
			if err := os.WriteFile(theirs, []byte("of the stack that runs\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			said := complain(t, "PORT="+strconv.Itoa(port), "LOG_DIR="+logs)
			if !strings.Contains(said, "port "+strconv.Itoa(port)+" is taken") || !strings.Contains(said, "PORT=") {
				t.Errorf("%q names neither the port nor a way out", said)
			}
			if kept, _ := os.ReadFile(theirs); string(kept) != "of the stack that runs\n" {
				t.Errorf("the log of the stack that runs is now %q", kept)
			}
		})
	}
}
