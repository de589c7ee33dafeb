package burst

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Conn is a UDP socket that the Go runtime does not watch: it would be woken by every
// datagram, also while a [Reader] has chosen to look later. Nothing done to it waits.
type Conn struct {
	file  *os.File
	raw   syscall.RawConn
	local *net.UDPAddr

	closed  atomic.Bool
	mu      sync.Mutex
	readers []*os.File // what they wait on
}

// Take makes a Conn of a socket, which must not be used any more, also upon error.
func Take(c *net.UDPConn) (*Conn, error) {
	defer c.Close()
	t := &Conn{local: c.LocalAddr().(*net.UDPAddr)}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var copied int
	var failed error
	err = raw.Control(func(fd uintptr) {
		if copied, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); failed != nil {
			return
		}
		// Of one that blocks the runtime keeps away. All calls say that they do not.
		failed = unix.SetNonblock(copied, false)
		t.file = os.NewFile(uintptr(copied), "udp")
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		t.raw, err = t.file.SyscallConn()
	}
	if err != nil && t.file != nil {
		_ = t.file.Close()
	}
	return t, err
}

// LocalAddr is what the socket is bound to.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// WriteToUDPAddrPort sends one datagram.
func (c *Conn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	var name unix.RawSockaddrInet6
	size := putAddress(&name, c.six(), to)
	var errno syscall.Errno
	err := c.raw.Control(func(fd uintptr) {
		_, _, errno = unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
			unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&name)), uintptr(size))
	})
	runtime.KeepAlive(&name)
	runtime.KeepAlive(b)
	switch {
	case err != nil:
		return 0, net.ErrClosed
	case errno != 0:
		return 0, os.NewSyscallError("sendto", errno)
	}
	return len(b), nil
}

// Close closes the socket, and ends reading from it.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.readers {
		_ = r.Close() // nothing is lost with it
	}
	return c.file.Close()
}

// watch makes a file that is readable when the socket is, while it is armed.
func (c *Conn) watch() (*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return nil, net.ErrClosed
	}
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err = unix.SetNonblock(poll, true); err == nil {
		var failed error
		err = c.raw.Control(func(fd uintptr) {
			failed = unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{})
		})
		if err == nil {
			err = failed
		}
	}
	if err != nil {
		_ = unix.Close(poll)
		return nil, err
	}
	file := os.NewFile(uintptr(poll), "arrivals")
	c.readers = append(c.readers, file)
	return file, nil
}
