//go:build unix && !linux

package process

import "syscall"

// attributes puts the child into a group of its own. Only Linux can also
// promise its end when the parent is killed with SIGKILL.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
