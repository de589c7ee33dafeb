package burst

import (
	"encoding/binary"
	"net"
	"sync"
	"testing"
	"time"
)

// Datagrams of one sender go to the socket that the number in them names, segmented
// or not; those too short to have one go to the first.
func TestSteer(t *testing.T) {
	const sockets, numbers, offset = 3, 30, 8
	conns, err := Listen("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, sockets, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := Steer(conns, offset); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	came := map[uint32][]int{} // number → sockets
	more := make(chan struct{}, 1000)
	for i, c := range conns {
		serve(t, c, false, func(r *Reader, n int) time.Time {
			mu.Lock()
			defer mu.Unlock()
			for k := range n {
				number := uint32(1 << 31) // none
				if b, _ := r.Datagram(k); len(b) >= offset+4 {
					number = binary.BigEndian.Uint32(b[offset:])
				}
				came[number] = append(came[number], i)
				more <- struct{}{}
			}
			return time.Time{}
		})
	}
	to := address(conns[0])
	w, err := NewSocket(taken(t), false).NewWriter()
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for number := range uint32(numbers) {
		run := make([]byte, 5*50) // of five, in one system call
		for at := 0; at < len(run); at += 50 {
			binary.BigEndian.PutUint32(run[at+offset:], number)
		}
		sent += w.Write([]Run{{To: to, Data: run, Size: 50}})
	}
	sent += w.Write([]Run{{To: to, Data: make([]byte, offset), Size: offset}})
	if sent != 5*numbers+1 {
		t.Fatalf("%d datagrams were sent", sent)
	}
	for range sent {
		select {
		case <-more:
		case <-time.After(10 * time.Second):
			t.Fatalf("only these came: %v", came)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for number, at := range came {
		want := int(number % sockets)
		if number == 1<<31 {
			want = 0
		}
		for _, i := range at {
			if i != want {
				t.Errorf("number %d came to socket %d", number, i)
			}
		}
	}
}
