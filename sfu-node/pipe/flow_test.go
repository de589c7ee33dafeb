package pipe_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/spillway-sfu/spillway/sfu-node/pipe"
)

// collector is a receiver of a flow.
type collector struct {
	mu      sync.Mutex
	got     []uint16
	stamps  []uint32
	types   []uint8
	markers int
	flushed int
	bytes   int
}

func (c *collector) Packet(b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, binary.BigEndian.Uint16(b[2:]))
	c.stamps = append(c.stamps, binary.BigEndian.Uint32(b[4:]))
	c.types = append(c.types, b[1]&0x7f)
	c.bytes += len(b)
	if b[1]&0x80 != 0 {
		c.markers++
		return false
	}
	return true
}

func (c *collector) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushed++
}

// reach waits for n different packets.
func (c *collector) reach(t *testing.T, n int) []uint16 {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		c.mu.Lock()
		got := slices.Clone(c.got)
		c.mu.Unlock()
		if slices.Sort(got); len(slices.Compact(slices.Clone(got))) >= n {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d packets came", len(got), n)
		}
		time.Sleep(time.Millisecond)
	}
}

// send sends packets with the publisher's numbers from first on, five at a time.
func send(n *node, f *pipe.Flow, first, packets int, each time.Duration) {
	for i := 0; i < packets; i += 5 {
		b := n.Batch()
		b.Packets = b.Packets[:0]
		for k := i; k < min(i+5, packets); k++ {
			b.Packets = append(b.Packets, pipe.Packet{
				Sequence: uint16(first + k), Timestamp: uint32(i) * 3000, Type: 3, Marker: k%5 == 4, Payload: make([]byte, 1100+k%2)})
		}
		f.Send(b)
		b.Release()
		time.Sleep(each)
	}
}

// described keeps the dependency descriptors of what comes.
type described struct{ came chan []byte }

func (d *described) Packet(b []byte) bool {
	var h rtp.Header
	n, err := h.Unmarshal(b)
	if err != nil {
		return false
	}
	d.came <- append(slices.Clone(h.GetExtension(pipe.DependencyID)), b[n:]...)
	return false
}

func (*described) Flush() {}

func TestADependencyDescriptorGoesAlong(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t)
	to := &described{make(chan []byte, 10)}
	f, err := a.joined().Open(b.joined().Expect(500, to), 16)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]byte{bytes.Repeat([]byte{7}, 95), {1, 2, 3}, nil}
	batch := a.Batch()
	batch.Packets = batch.Packets[:0]
	for i, d := range want {
		batch.Packets = append(batch.Packets, pipe.Packet{Sequence: uint16(i), Marker: true, Payload: []byte{0xff}, Dependency: d})
	}
	f.Send(batch)
	batch.Release()
	for i, d := range want {
		select {
		case got := <-to.came:
			if !bytes.Equal(got, append(slices.Clone(d), 0xff)) {
				t.Errorf("packet %d: got % x", i, got)
			}
		case <-time.After(patience):
			t.Fatalf("packet %d did not come", i)
		}
	}
}

// What is lost on the way is repeated. Numbers begin at 1 and keep gaps, whatever
// the publisher's were; timestamps are the publisher's.
func TestALossyRoadLosesNothing(t *testing.T) {
	t.Parallel()
	a, b, road := pair(t)
	// One in so many that of ten thousand runs none loses all questions, or all answers,
	// about one packet; and all can be repeated: they come faster here than media does.
	road.Lose(31)
	var c collector
	number := b.joined().Expect(500, &c)
	f, err := a.joined().Open(number, 1024)
	if err != nil {
		t.Fatal(err)
	}
	send(a, f, 65500, 1000, time.Millisecond) // wraps on the way
	// The last ones are known to be lost only when others follow.
	road.Lose(0)
	send(a, f, 65500+1000, 10, 0)
	got := c.reach(t, 1010)
	if len(got) != 1010 || got[0] != 1 || got[1009] != 1010 {
		t.Errorf("%d packets, from %d to %d", len(got), got[0], got[len(got)-1])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.markers != 202 || c.types[0] != 3 || slices.Max(c.stamps) != 995*3000 {
		t.Errorf("%d markers, type %d, last timestamp %d", c.markers, c.types[0], slices.Max(c.stamps))
	}
	if f.Packets() != 1010 {
		t.Errorf("%d packets were sent", f.Packets())
	}
}

// Rooms ask at the same time, so numbers may come in another order than they were
// chosen in, but none twice.
func TestFlowNumbersAreUsedOnce(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t)
	var c collector
	l := b.joined()
	first, second := l.Expect(500, &c), l.Expect(500, &c)
	if second <= first {
		t.Fatalf("numbers %d and %d", first, second)
	}
	var f *pipe.Flow
	for _, n := range []uint32{second, first} {
		var err error
		if f, err = a.joined().Open(n, 0); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	late, err := a.joined().Open(second+5000, 0)
	if err != nil {
		t.Fatal(err)
	}
	late.Close()
	for _, n := range []uint32{0, first, second, second + 5000, second + 1} {
		if _, err := a.joined().Open(n, 0); err == nil {
			t.Errorf("flow %d was opened", n)
		}
	}
	b1 := a.Batch()
	b1.Packets = append(b1.Packets[:0], pipe.Packet{Sequence: 1, Payload: []byte("late")})
	f.Send(b1) // a closed flow sends nothing
	b1.Release()
	if f.Packets() != 0 {
		t.Error("a closed flow sent a packet")
	}
}

// Frames whose last packet is late are not held for long.
func TestPacketsWithoutAnEndAreFlushed(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t)
	var c collector
	f, err := a.joined().Open(b.joined().Expect(500, &c), 16)
	if err != nil {
		t.Fatal(err)
	}
	out := a.Batch()
	out.Packets = append(out.Packets[:0], pipe.Packet{Sequence: 9, Payload: []byte("no marker")})
	f.Send(out)
	out.Release()
	deadline := time.Now().Add(patience)
	for {
		c.mu.Lock()
		flushed := c.flushed
		c.mu.Unlock()
		if flushed == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it was never flushed")
		}
		time.Sleep(time.Millisecond)
	}
}

// Flows come and go: more of them in the life of a pipe than may be at a time.
func TestManyFlowsComeAndGo(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t)
	from, to := a.joined(), b.joined()
	for i := range 2500 {
		var c collector
		number := to.Expect(500, &c)
		f, err := from.Open(number, 1)
		if err != nil {
			t.Fatal(err)
		}
		out := a.Batch()
		out.Packets = append(out.Packets[:0], pipe.Packet{Sequence: uint16(i), Marker: true, Payload: []byte("x")})
		f.Send(out)
		out.Release()
		c.reach(t, 1)
		f.Close()
		to.Forget(number)
	}
}
