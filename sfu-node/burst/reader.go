package burst

import (
	"net/netip"
	"time"
)

// Reader reads the datagrams of a socket, as many at once as have come. It is for
// one goroutine.
//
// Where little arrives it is woken by each datagram. Where much does, being woken
// costs more than reading: then it looks every [LookEvery], and finds what belongs
// together lying together.
type Reader struct {
	conn  *Conn
	many  many
	bufs  [][]byte
	sizes []int
	from  []netip.AddrPort

	until time.Time // how long is waited at most
	armed bool      // the wait has a deadline
	load  load
}

const (
	// readAtOnce is how many datagrams are read at once.
	readAtOnce = 64

	// LookEvery is how long a reader to which much comes leaves it lying.
	LookEvery = 2 * time.Millisecond
	// A reader looks every so often once it has been woken wokenOften times within
	// loadWindow, and until fewer datagrams than calmBelow come within it.
	loadWindow = 100 * time.Millisecond
	wokenOften = 100
	calmBelow  = 70
)

// NewReader makes a reader of datagrams of at most size bytes; longer ones are
// left out. plain reads one at a time.
func NewReader(conn *Conn, size int, plain bool) (*Reader, error) {
	n := readAtOnce
	if plain || !manyAtOnce {
		n = 1
	}
	r := &Reader{conn: conn, bufs: make([][]byte, n), sizes: make([]int, n), from: make([]netip.AddrPort, n)}
	for i := range r.bufs {
		r.bufs[i] = make([]byte, size)
	}
	return r, r.many.prepare(r)
}

// Datagram is one of those that have come, and where it is from.
func (r *Reader) Datagram(i int) ([]byte, netip.AddrPort) { return r.bufs[i][:r.sizes[i]], r.from[i] }

// Swap gives the buffer of a datagram away for another one of the same size.
func (r *Reader) Swap(i int, other []byte) []byte {
	buf := r.bufs[i]
	r.bufs[i] = other
	return buf
}

// load is how much arrives.
type load struct {
	since            time.Time
	reads, datagrams int
	busy             bool
}

// note counts a read that found n datagrams and left none, and reports whether it
// is better to look again later than to be woken.
func (l *load) note(n int, now time.Time) bool {
	if l.since.IsZero() {
		l.since = now
	}
	l.reads++
	l.datagrams += n
	if passed := now.Sub(l.since); passed >= loadWindow {
		windows := float64(passed) / float64(loadWindow)
		if l.busy {
			l.busy = float64(l.datagrams) >= calmBelow*windows
		} else {
			l.busy = float64(l.reads) >= wokenOften*windows
		}
		l.since, l.reads, l.datagrams = now, 0, 0
	}
	return l.busy
}
