package burst

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A kernel that cannot segment on a device says so at the first try only: with
// EIO, from the second run on here. It is believed from then on.
func TestUnableAtRunTime(t *testing.T) {
	s := NewSocket(open(t), false)
	if !s.Segmented() {
		t.Skip("this system does not segment")
	}
	checkAll(t, s, 20, func(w *Writer) {
		calls := 0
		w.call = func(fd uintptr) bool {
			if calls++; calls > 1 {
				w.done, w.errno = 0, unix.EIO
				return true
			}
			to := w.to
			w.to = w.from + 1
			defer func() { w.to = to }()
			return w.send(fd)
		}
	})
	if s.Segmented() {
		t.Error("it goes on to segment")
	}
}
