package burst

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// atOnce is how many runs one system call takes.
const atOnce = 64

// segments reports whether the kernel knows UDP_SEGMENT (Linux 4.18).
func segments(conn *Conn) bool {
	known := false
	err := conn.raw.Control(func(fd uintptr) {
		_, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT)
		known = err == nil
	})
	return err == nil && known
}

// listen opens n sockets with SO_REUSEPORT. As others of this user could join them
// unnoticed, it fails when the port is in use, unless that happens meanwhile.
func listen(network string, at *net.UDPAddr, n int) ([]*net.UDPConn, error) {
	first, err := net.ListenUDP(network, at)
	if err != nil || n == 1 {
		return []*net.UDPConn{first}, err
	}
	bound := first.LocalAddr()
	if err := first.Close(); err != nil {
		return nil, err
	}
	share := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var set error
		err := raw.Control(func(fd uintptr) {
			set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		return errors.Join(err, set)
	}}
	conns := make([]*net.UDPConn, 0, n)
	for range n {
		c, err := share.ListenPacket(context.Background(), network, bound.String())
		if err != nil {
			for _, c := range conns {
				err = errors.Join(err, c.Close())
			}
			return nil, err
		}
		conns = append(conns, c.(*net.UDPConn))
	}
	return conns, nil
}

// Steer makes the kernel divide what comes to sockets of one port (from [Listen], in
// its order) by the four bytes at an offset in a datagram, as a big-endian number:
// modulo the sockets it says whose it is. Datagrams that end before are the first
// one's. On an error senders are divided as before.
func Steer(conns []*Conn, offset int) error {
	if len(conns) < 2 {
		return nil
	}
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: uint32(offset)},
		{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: uint32(len(conns))},
		{Code: unix.BPF_RET | unix.BPF_A},
	}
	var set error
	err := conns[0].raw.Control(func(fd uintptr) {
		set = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
			&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	})
	return errors.Join(err, set)
}

// message is struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// control is a control message that holds a segment size.
type control struct {
	header unix.Cmsghdr
	size   uint16
	_      [6]byte
}

// Writer writes bursts. It is for one goroutine at a time; several write to a socket
// without waiting for each other.
type Writer struct {
	socket   *Socket
	six      bool
	messages [atOnce + 1]message // the last is for datagrams that go alone
	vectors  [atOnce + 1]unix.Iovec
	names    [atOnce + 1]unix.RawSockaddrInet6 // or Inet4, which is smaller
	controls [atOnce + 1]control

	from, to int // which messages the next call is about
	done     int
	errno    syscall.Errno
	call     func(fd uintptr)
}

// NewWriter makes a writer. Writers keep nothing of the socket.
func (s *Socket) NewWriter() (*Writer, error) {
	w := &Writer{socket: s, six: s.conn.six()}
	w.call = w.send
	for i := range w.messages {
		h := &w.messages[i].header
		h.Iov = &w.vectors[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&w.names[i]))
		w.controls[i].header.Level = unix.IPPROTO_UDP
		w.controls[i].header.Type = unix.UDP_SEGMENT
		w.controls[i].header.SetLen(unix.CmsgLen(2))
	}
	return w, nil
}

// Write sends runs and returns how many datagrams the socket took. It does not
// wait: what finds the socket's buffer full is dropped, as the network would. A
// destination that cannot be reached costs the others nothing.
func (w *Writer) Write(runs []Run) (sent int) {
	for len(runs) > 0 {
		n := min(len(runs), atOnce)
		sent += w.write(runs[:n])
		runs = runs[n:]
	}
	return sent
}

func (w *Writer) write(runs []Run) (sent int) {
	if !w.socket.Segmented() {
		for _, r := range runs {
			sent += w.writePlain(r)
		}
		return sent
	}
	for i, r := range runs {
		w.prepare(i, r)
	}
	for w.from, w.to = 0, len(runs); w.from < w.to; {
		if err := w.socket.conn.raw.Control(w.call); err != nil {
			return sent // the socket is closed
		}
		for _, r := range runs[w.from : w.from+w.done] {
			sent += r.Packets()
		}
		w.from += w.done
		switch {
		case w.errno == 0 || w.errno == unix.EINTR:
		case w.errno == unix.EAGAIN:
			return sent
		case unable(w.errno) && runs[w.from].Packets() > 1:
			// No path here segments (a device without checksum offload, say).
			w.socket.segmented.Store(false)
			return sent + w.write(runs[w.from:])
		case w.errno == unix.EINVAL && runs[w.from].Packets() > 1:
			// This one does not: its path takes only smaller datagrams whole.
			from, to := w.from, w.to
			sent += w.writePlain(runs[from])
			w.from, w.to = from+1, to
		default:
			w.from++ // this destination fails, not the next
		}
	}
	return sent
}

func unable(errno syscall.Errno) bool { return errno == unix.EIO || errno == unix.EOPNOTSUPP }

// send makes one system call, which never waits: so the runtime need not know of it.
// If it did, its monitor would look after this goroutine every 20 µs, for a tenth of
// what sending costs.
func (w *Writer) send(fd uintptr) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&w.messages[w.from])), uintptr(w.to-w.from), unix.MSG_DONTWAIT, 0, 0)
	w.done, w.errno = int(n), errno
	if errno != 0 {
		w.done = 0
	}
}

// writePlain writes a run datagram by datagram. It returns how many were written.
func (w *Writer) writePlain(r Run) (sent int) {
	for data := r.Data; len(data) > 0; {
		n := min(r.Size, len(data))
		w.prepare(atOnce, Run{To: r.To, Data: data[:n], Size: n})
		w.from, w.to = atOnce, atOnce+1
		if err := w.socket.conn.raw.Control(w.call); err != nil {
			return sent // the socket is closed
		}
		sent += w.done
		data = data[n:]
	}
	return sent
}

// prepare describes a run to the kernel.
func (w *Writer) prepare(i int, r Run) {
	h := &w.messages[i].header
	w.vectors[i].Base = &r.Data[0]
	w.vectors[i].SetLen(len(r.Data))
	h.Namelen = putAddress(&w.names[i], w.six, r.To)
	h.Control, h.Controllen = nil, 0
	if len(r.Data) > r.Size {
		w.controls[i].size = uint16(r.Size)
		h.Control = (*byte)(unsafe.Pointer(&w.controls[i]))
		h.SetControllen(unix.CmsgSpace(2))
	}
}

// putAddress writes struct sockaddr_in6, or sockaddr_in in its place, and returns its
// length.
func putAddress(name *unix.RawSockaddrInet6, six bool, to netip.AddrPort) uint32 {
	ip := to.Addr().Unmap()
	var port [2]byte
	binary.BigEndian.PutUint16(port[:], to.Port())
	if six {
		name.Family, name.Addr = unix.AF_INET6, ip.As16()
		name.Port = *(*uint16)(unsafe.Pointer(&port))
		return unix.SizeofSockaddrInet6
	}
	four := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
	four.Family, four.Addr = unix.AF_INET, ip.As4()
	four.Port = *(*uint16)(unsafe.Pointer(&port))
	return unix.SizeofSockaddrInet4
}
