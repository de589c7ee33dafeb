package pipe_test

import (
	"encoding/binary"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/sfu-node/pipe"
)

func readers(n int) func(*pipe.Config) { return func(c *pipe.Config) { c.Readers = n } }

// onlyWhereDivided skips a test where the kernel divides by peers at best.
func onlyWhereDivided(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux divides datagrams by flows")
	}
}

// meeting is a receiver that goes on when another one is called at the same time.
type meeting struct {
	here, there chan struct{}
	met         chan struct{}
	once        sync.Once
}

func (m *meeting) Packet([]byte) bool {
	m.once.Do(func() {
		close(m.here)
		select {
		case <-m.there:
			close(m.met)
		case <-time.After(patience):
		}
	})
	return false
}

func (*meeting) Flush() {}

// What comes over one pipe is read by several goroutines at the same time.
func TestFlowsOfOnePipeAreReadAtTheSameTime(t *testing.T) {
	onlyWhereDivided(t)
	t.Parallel()
	a, b, _ := pair(t, readers(2))
	first, second := make(chan struct{}), make(chan struct{})
	met := [2]*meeting{
		{here: first, there: second, met: make(chan struct{})},
		{here: second, there: first, met: make(chan struct{})},
	}
	for _, m := range met {
		f, err := a.joined().Open(b.joined().Expect(500, m), 16)
		if err != nil {
			t.Fatal(err)
		}
		send(a, f, 1, 1, 0)
	}
	for i, m := range met {
		select {
		case <-m.met:
		case <-time.After(patience):
			t.Fatalf("flow %d was read alone", i)
		}
	}
}

// A goroutine is given a flow when it has least to carry.
func TestFlowsGoToWhoHasLeastToCarry(t *testing.T) {
	t.Parallel()
	_, b, _ := pair(t, readers(2))
	var c collector
	l := b.joined()
	reader := func(kbps int64) uint32 { return l.Expect(kbps, &c) % 2 }
	large := l.Expect(1700, &c)
	for range 5 {
		if reader(40) == large%2 {
			t.Fatal("sound shares a reader with the only video")
		}
	}
	second := reader(1000)
	if second == large%2 {
		t.Error("1200 kbps are more than 1700")
	}
	l.Forget(large)
	if reader(40) != large%2 {
		t.Error("what is forgotten is still counted")
	}
}

// inOrder is a receiver without a lock: the race detector sees if two goroutines
// call it.
type inOrder struct {
	packets int
	last    uint16
	wrong   int
	done    chan struct{}
}

const orderedPackets = 1500

func (o *inOrder) Packet(b []byte) bool {
	if n := binary.BigEndian.Uint16(b[2:]); n != o.last+1 {
		o.wrong++
	}
	o.last = binary.BigEndian.Uint16(b[2:])
	if o.packets++; o.packets == orderedPackets {
		close(o.done)
	}
	return false
}

func (*inOrder) Flush() {}

// Whoever reads it, a flow keeps its order: many flows at the same time, sent by
// several goroutines as rooms do.
func TestAFlowKeepsItsOrder(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a", readers(4)), newNode(t, "b", readers(4))
	a.Assign([]pipe.Peer{b.peer(b.Port())})
	b.Assign([]pipe.Peer{a.peer(a.Port())})
	from, to := a.joined(), b.joined()
	var sending sync.WaitGroup
	var all []*inOrder
	for range 12 {
		o := &inOrder{done: make(chan struct{})}
		all = append(all, o)
		f, err := from.Open(to.Expect(500, o), 256)
		if err != nil {
			t.Fatal(err)
		}
		sending.Go(func() { send(a, f, 1, orderedPackets, time.Millisecond) })
	}
	sending.Wait()
	for i, o := range all {
		select {
		case <-o.done:
			if o.wrong > 0 {
				t.Errorf("flow %d: %d of %d packets were out of order", i, o.wrong, o.packets)
			}
		case <-time.After(patience):
			t.Fatalf("flow %d has not come whole", i)
		}
	}
}

// A way that loses half of what it is given is not given much more.
func TestANarrowRoadIsNotFlooded(t *testing.T) {
	t.Parallel()
	a, b, road := pair(t)
	var c collector
	f, err := a.joined().Open(b.joined().Expect(500, &c), 256)
	if err != nil {
		t.Fatal(err)
	}
	const packets = 800
	road.Lose(2)
	send(a, f, 1, packets, time.Millisecond)
	// The last repetitions are asked for within a second.
	var repeated int64
	for quiet := time.Now(); time.Since(quiet) < time.Second; time.Sleep(10 * time.Millisecond) {
		if now := a.Traffic()[0].Repeated; now != repeated {
			repeated, quiet = now, time.Now()
		}
	}
	if repeated == 0 || repeated > 64+packets/4 {
		t.Errorf("%d packets were sent, and %d repeated", packets, repeated)
	}
}
