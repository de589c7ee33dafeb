package burst

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A kernel that cannot segment on a device says so at the first try only: with
// EIO, from the second run on here. It is believed from then on.
func TestUnableAtRunTime(t *testing.T) {
	s := NewSocket(taken(t), false)
	if !s.Segmented() {
		t.Skip("this system does not segment")
	}
	checkAll(t, s, 20, func(w *Writer) {
		calls := 0
		w.call = func(fd uintptr) {
			if calls++; calls == 2 {
				w.done, w.errno = 0, unix.EIO
				return
			}
			to := w.to
			w.to = w.from + 1
			defer func() { w.to = to }()
			w.send(fd)
		}
	})
	if s.Segmented() {
		t.Error("it goes on to segment")
	}
}

// A reader to which much has come looks now and then, and keeps to how long it may
// wait; one to which little comes any more is woken again.
func TestReadUnderLoad(t *testing.T) {
	in, out := taken(t), open(t)
	r, err := NewReader(in, 100, false)
	if err != nil {
		t.Fatal(err)
	}
	type call struct {
		n     int
		first byte
		busy  bool
	}
	r.load.busy = true
	calls := make(chan call, 1000)
	run(t, r, func(r *Reader, n int) time.Time {
		c := call{n: n, busy: r.load.busy}
		if n == 0 {
			calls <- c
			return time.Time{}
		}
		for i := range n {
			b, _ := r.Datagram(i)
			c.n, c.first = 1, b[0]
			calls <- c
		}
		return time.Now().Add(time.Millisecond)
	})
	calm := false
	for i := byte(0); !calm; i++ {
		if _, err := out.WriteToUDPAddrPort([]byte{i}, address(in)); err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{1, 0} {
			select {
			case c := <-calls:
				if c.n != want || want == 1 && c.first != i {
					t.Fatalf("%+v, expected %d of %d", c, want, i)
				}
				calm = !c.busy
			case <-time.After(10 * time.Second):
				t.Fatal("nothing comes")
			}
		}
	}
}
