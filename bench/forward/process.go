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
	"syscall"
	"time"
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

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		_ = p.cmd.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-ended
	}
}

// onItsCores makes a command that is replaced by name, so that its process id is
// name's.
func onItsCores(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("taskset", append([]string{"-c", *cores, name}, args...)...)
	cmd.Stderr = os.Stderr
	return cmd
}

// freePort is one on which nothing listened a moment ago.
func freePort() (int, error) {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// listening waits until somebody listens on a port of this machine.
func listening(port int, patience time.Duration) error {
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp4", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(end) {
			return fmt.Errorf("nothing listens on port %d: %w", port, err)
		}
	}
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
