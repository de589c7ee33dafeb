package burst

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const manyAtOnce = true

// many is what recvmmsg writes to.
type many struct {
	raw      syscall.RawConn
	messages []message
	vectors  []unix.Iovec
	names    []unix.RawSockaddrInet6
}

func (m *many) prepare(r *Reader) (err error) {
	n := len(r.bufs)
	m.messages, m.vectors, m.names = make([]message, n), make([]unix.Iovec, n), make([]unix.RawSockaddrInet6, n)
	m.raw, err = r.conn.SyscallConn()
	return err
}

// serve reads until the socket's deadline or end. It stays within one wait of the
// runtime's poller, which forgets no arrival meanwhile: so a read that did not
// fill all buffers needs no further one to see that nothing is left.
func (m *many) serve(r *Reader, take func(n int) time.Time) error {
	return m.raw.Read(func(fd uintptr) bool {
		for {
			n, errno := m.receive(fd, r)
			switch {
			case errno == unix.EINTR:
				continue
			case errno != 0: // EAGAIN, mostly
				return false
			}
			r.until = take(n)
			if n < len(r.bufs) {
				r.arm(r.until)
				return false
			}
		}
	})
}

func (m *many) receive(fd uintptr, r *Reader) (int, syscall.Errno) {
	for i := range m.messages {
		h := &m.messages[i].header
		m.vectors[i].Base = &r.bufs[i][0]
		m.vectors[i].SetLen(len(r.bufs[i]))
		h.Iov = &m.vectors[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&m.names[i]))
		h.Namelen = unix.SizeofSockaddrInet6
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&m.messages[0])), uintptr(len(m.messages)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	for i := range int(n) {
		r.sizes[i], r.from[i] = int(m.messages[i].length), sender(&m.names[i])
		if m.messages[i].header.Flags&unix.MSG_TRUNC != 0 {
			r.sizes[i] = 0
		}
	}
	return int(n), 0
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
