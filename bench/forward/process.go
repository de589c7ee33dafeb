package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spillway-sfu/spillway/bench/others"
)

// server is an SFU in a process of its own.
type server interface {
	// join lets somebody in.
	join(ctx context.Context, s seat) (*peer, error)
	// host is the address that peers bind to.
	host() net.IP
	pid() int
	stop()
}

// process is a child on the cores of the SFU.
type process struct{ cmd *exec.Cmd }

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) host() net.IP { return net.IPv4(127, 0, 0, 1) }

func (p *process) stop() { others.Stop(p.cmd) }

// onItsCores makes a command that is replaced by name, so that its process id is
// name's.
func onItsCores(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("taskset", append([]string{"-c", *cores, name}, args...)...)
	cmd.Stderr = os.Stderr
	return cmd
}

// cpuTime is what all threads of a process have used.
func cpuTime(pid int) time.Duration {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	var sum time.Duration
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		first, _, _ := strings.Cut(string(text), " ")
		ns, _ := strconv.ParseInt(first, 10, 64)
		sum += time.Duration(ns)
	}
	return sum
}

// residentKB is the memory that a process holds.
func residentKB(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb
		}
	}
	return 0
}
