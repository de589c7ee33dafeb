package burst

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const manyAtOnce = true

// many is what recvmmsg writes to, and what is waited on.
type many struct {
	messages []message
	vectors  []unix.Iovec
	names    []unix.RawSockaddrInet6
	receive  func(fd uintptr)
	got      int

	arrivals *os.File // see Conn.watch
	raw      syscall.RawConn
	watched  bool
}

func (m *many) prepare(r *Reader) (err error) {
	n := len(r.bufs)
	m.messages, m.vectors, m.names = make([]message, n), make([]unix.Iovec, n), make([]unix.RawSockaddrInet6, n)
	m.receive = r.receive
	if m.arrivals, err = r.conn.watch(); err == nil {
		m.raw, err = m.arrivals.SyscallConn()
	}
	return err
}

// Serve hands on what arrives until the socket is closed, and returns why it
// ended. take gets how many datagrams have come: none when the time is up that it
// asked for when it was called last. It returns until when to wait for the next;
// zero waits for ever. What take is to look at is valid until it returns.
func (r *Reader) Serve(take func(n int) (until time.Time)) error {
	for {
		err := r.serve(take)
		switch {
		case r.conn.closed.Load():
			return net.ErrClosed
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		}
		r.arm(time.Time{})
		r.until = take(0)
		r.arm(r.until)
	}
}

// serve reads until the deadline or the socket's end. It stays within one wait of
// the runtime's poller, which forgets no arrival meanwhile: so a read that did not
// fill all buffers needs no further one to see that nothing is left.
func (r *Reader) serve(take func(n int) time.Time) error {
	var failed error
	err := r.many.raw.Read(func(poll uintptr) bool {
		for !r.conn.closed.Load() {
			if failed = r.conn.raw.Control(r.many.receive); failed != nil {
				return true
			}
			n, now := r.many.got, time.Now()
			if late := !r.until.IsZero() && !now.Before(r.until); n > 0 || late {
				r.until = take(n)
			}
			if n == len(r.bufs) {
				r.load.datagrams += n
				continue
			}
			later := r.load.note(n, now)
			if failed = r.watch(int(poll), !later); failed != nil {
				return true
			}
			if !later {
				r.arm(r.until)
				return false
			}
			r.rest()
		}
		return true
	})
	return errors.Join(failed, err)
}

// rest leaves what arrives lying for a while.
func (r *Reader) rest() {
	pause := LookEvery
	if !r.until.IsZero() {
		pause = min(pause, time.Until(r.until))
	}
	time.Sleep(pause)
}

// watch makes arrivals wake the reader, or not. Those that lie there already do so
// too.
func (r *Reader) watch(poll int, yes bool) error {
	if yes == r.many.watched {
		return nil
	}
	var failed error
	err := r.conn.raw.Control(func(fd uintptr) {
		var event unix.EpollEvent
		if yes {
			event.Events = unix.EPOLLIN
		}
		failed = unix.EpollCtl(poll, unix.EPOLL_CTL_MOD, int(fd), &event)
	})
	r.many.watched = yes
	return errors.Join(err, failed)
}

// arm makes the reader wait no longer than until.
func (r *Reader) arm(until time.Time) {
	if until.IsZero() && !r.armed {
		return
	}
	r.armed = !until.IsZero()
	_ = r.many.arrivals.SetReadDeadline(until) // fails only when closed, which reading tells
}

// receive makes one system call, which never waits (see Writer.send).
func (r *Reader) receive(fd uintptr) {
	m := &r.many
	for i := range m.messages {
		h := &m.messages[i].header
		m.vectors[i].Base = &r.bufs[i][0]
		m.vectors[i].SetLen(len(r.bufs[i]))
		h.Iov = &m.vectors[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&m.names[i]))
		h.Namelen = unix.SizeofSockaddrInet6
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&m.messages[0])), uintptr(len(m.messages)), unix.MSG_DONTWAIT, 0, 0)
	if m.got = int(n); errno != 0 { // EAGAIN, mostly
		m.got = 0
	}
	for i := range m.got {
		r.sizes[i], r.from[i] = int(m.messages[i].length), sender(&m.names[i])
		if m.messages[i].header.Flags&unix.MSG_TRUNC != 0 {
			r.sizes[i] = 0
		}
	}
}

// sender reads struct sockaddr_in or sockaddr_in6.
func sender(name *unix.RawSockaddrInet6) netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	if name.Family == unix.AF_INET {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(four.Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(name.Addr).Unmap(), port)
}
