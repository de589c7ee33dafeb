package burst

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"
)

// serve runs a reader until it ends.
func serve(t *testing.T, c *Conn, plain bool, take func(r *Reader, n int) time.Time) {
	t.Helper()
	r, err := NewReader(c, 100, plain)
	if err != nil {
		t.Fatal(err)
	}
	run(t, r, take)
}

func run(t *testing.T, r *Reader, take func(r *Reader, n int) time.Time) {
	t.Helper()
	c := r.conn
	ended := make(chan error, 1)
	go func() { ended <- r.Serve(func(n int) time.Time { return take(r, n) }) }()
	t.Cleanup(func() {
		c.Close()
		select {
		case err := <-ended:
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("reading ended with %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("reading does not end with the socket")
		}
	})
}

// Everything that is sent is handed on, in order and with its sender, whether it
// comes while the reader waits or works; a datagram that is too long is empty.
func TestRead(t *testing.T) {
	for name, plain := range map[string]bool{"as the system can": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			in, out := taken(t), open(t)
			const total = 1000
			got := make(chan []byte, total)
			serve(t, in, plain, func(r *Reader, n int) time.Time {
				for i := range n {
					b, from := r.Datagram(i)
					if from != address(out) {
						t.Errorf("from %v", from)
					}
					got <- bytes.Clone(b)
				}
				return time.Time{}
			})
			for i := range total {
				b := []byte{byte(i), byte(i >> 8)}
				if i%100 == 50 && !plain {
					b = make([]byte, 200)
				}
				if _, err := out.WriteToUDPAddrPort(b, address(in)); err != nil {
					t.Fatal(err)
				}
			}
			for i := range total {
				select {
				case b := <-got:
					if i%100 == 50 && !plain {
						if len(b) != 0 {
							t.Errorf("a datagram that is too long comes as %d bytes", len(b))
						}
					} else if !bytes.Equal(b, []byte{byte(i), byte(i >> 8)}) {
						t.Fatalf("datagram %d is % x", i, b)
					}
				case <-time.After(10 * time.Second):
					t.Fatalf("datagram %d never came", i)
				}
			}
		})
	}
}

// A reader that is asked to wait no longer than some time says so, and goes on.
func TestReadWaitsNoLonger(t *testing.T) {
	for name, plain := range map[string]bool{"as the system can": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			in, out := taken(t), open(t)
			calls := make(chan int, 10)
			serve(t, in, plain, func(_ *Reader, n int) time.Time {
				calls <- n
				if n > 0 {
					return time.Now().Add(5 * time.Millisecond)
				}
				return time.Time{}
			})
			for range 3 {
				if _, err := out.WriteToUDPAddrPort([]byte{1}, address(in)); err != nil {
					t.Fatal(err)
				}
				for _, want := range []int{1, 0} {
					select {
					case n := <-calls:
						if n != want {
							t.Fatalf("%d datagrams, expected %d", n, want)
						}
					case <-time.After(10 * time.Second):
						t.Fatalf("nothing, expected %d", want)
					}
				}
			}
			select {
			case n := <-calls:
				t.Fatalf("called again with %d", n)
			case <-time.After(20 * time.Millisecond):
			}
		})
	}
}

// A buffer that was swapped is not written to any more.
func TestSwap(t *testing.T) {
	in, out := taken(t), open(t)
	kept := make(chan []byte, 2)
	serve(t, in, false, func(r *Reader, n int) time.Time {
		for i := range n {
			kept <- r.Swap(i, make([]byte, 100))[:1]
		}
		return time.Time{}
	})
	for i := range byte(2) {
		if _, err := out.WriteToUDPAddrPort([]byte{i}, address(in)); err != nil {
			t.Fatal(err)
		}
	}
	a, b := <-kept, <-kept
	if a[0] != 0 || b[0] != 1 {
		t.Errorf("kept % x and % x", a, b)
	}
}

// Whether to look later follows from how often a reader was woken, and whether to be
// woken from how much comes.
func TestLoad(t *testing.T) {
	var l load
	now := time.Unix(1, 0)
	second := func(every time.Duration, n int) (busy bool) {
		for end := now.Add(time.Second); now.Before(end); now = now.Add(every) {
			busy = l.note(n, now)
		}
		return busy
	}
	for i, c := range []struct {
		every time.Duration
		n     int
		busy  bool
	}{
		{5 * time.Millisecond, 60, false}, // much, but it comes together
		{time.Millisecond * 2 / 3, 1, true},
		{LookEvery, 2, true},
		{LookEvery, 1, false},
		{LookEvery, 2, false},
		{time.Millisecond / 2, 1, true},
	} {
		if busy := second(c.every, c.n); busy != c.busy {
			t.Errorf("step %d: busy is %v", i, busy)
		}
	}
}
