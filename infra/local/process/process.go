// Package process runs the programs that a local stack is made of, so that
// none of them outlives it: not after an orderly stop, not after a crash, and
// on Linux not even after kill -9. What these programs start in turn ends with
// them as long as the stack is there to see to it.
package process

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// pipeGrace is how long output that grandchildren keep open is waited for once
// the process itself has ended.
const pipeGrace = 500 * time.Millisecond

// Process is a running program and whatever it starts, in a process group of
// its own that ends with it. A Ctrl-C in the terminal reaches only whoever
// started it.
// Its methods may be called by several goroutines.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // set before done is closed

	mu    sync.Mutex
	ended bool // the group's id may by now be somebody else's
}

// Start runs cmd. The process is killed when the calling program dies, however
// that happens, where the operating system can promise it (Linux).
//
// The caller must not use cmd afterwards.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// run keeps the thread that forked for as long as the process lives: Linux
// sends the parent-death signal when that thread ends, not when the program
// does (prctl(2), PR_SET_PDEATHSIG).
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p.cmd.SysProcAttr = attributes()
	p.cmd.WaitDelay = pipeGrace
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	if errors.Is(p.err, exec.ErrWaitDelay) {
		p.err = nil // it exited with 0; only its output was held open
	}
	p.signal(syscall.SIGKILL) // what it left behind ends with it
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	close(p.done)
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err waits for the end of the process and tells how it ended: nil after exit
// code 0.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Stop asks the whole group to end with SIGTERM, kills it after grace, and
// returns when the process has ended.
func (p *Process) Stop(grace time.Duration) {
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
	}
	p.Kill()
	<-p.done
}

// Kill ends the whole group at once. It does not wait.
func (p *Process) Kill() { p.signal(syscall.SIGKILL) }

// signal reaches the whole group.
func (p *Process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		// An error means that nobody is left to receive it.
		_ = syscall.Kill(-p.PID(), s)
	}
}
