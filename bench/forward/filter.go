package main

import (
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dropRTP is a socket filter that drops RTP and lets everything else pass: STUN
// and DTLS begin with other bytes (RFC 7983), RTCP has types 192 to 223 (RFC
// 5761). It looks at the datagram behind UDP's header.
var dropRTP = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 8},
	{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: 128, Jt: 0, Jf: 5},
	{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: 192, Jt: 4, Jf: 0},
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 9},
	{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: 192, Jt: 0, Jf: 1},
	{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: 224, Jt: 0, Jf: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 16},
}

// filter makes the subscriber's socket drop RTP.
func (s *subscriber) filter() error {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		program := unix.SockFprog{Len: uint16(len(dropRTP)), Filter: &dropRTP[0]}
		set = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	})
	if err != nil {
		return err
	}
	return set
}

// dropped is how many packets the socket has dropped since the first call.
func (s *subscriber) dropped() int64 {
	const drops = 8 // SK_MEMINFO_DROPS
	var info [9]uint32
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return s.total
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = raw.Control(func(fd uintptr) {
		size := uint32(unsafe.Sizeof(info))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if errno == 0 {
			s.total += int64(info[drops] - s.drops)
			s.drops = info[drops]
		}
	})
	return s.total
}

func quantile(v []float64, q float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[int(q*float64(len(v)-1)+0.5)]
}
