package pipe_test

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/sfu-node/pipe"
	"github.com/spillway-sfu/spillway/sfu-node/seal"
)

// tally is a receiver that counts.
type tally struct {
	n    atomic.Int64
	more chan struct{}
}

func (c *tally) Packet([]byte) bool {
	if c.n.Add(1)%50 == 0 {
		select {
		case c.more <- struct{}{}:
		default:
		}
	}
	return false
}

func (c *tally) Flush() {}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPipe is the whole way of a packet through a pipe over loopback, in
// frames of five packets of 1,200 bytes: sealed, remembered, written, read and
// opened. cpu-ns/packet is what both sides together take, kernel included.
func BenchmarkPipe(b *testing.B) {
	x, y := newNode(b, "a"), newNode(b, "b")
	x.Assign([]pipe.Peer{y.peer(y.Port())})
	y.Assign([]pipe.Peer{x.peer(x.Port())})
	c := tally{more: make(chan struct{}, 1)}
	f, err := x.joined().Open(y.joined().Expect(500, &c), 256)
	if err != nil {
		b.Fatal(err)
	}
	payload := make([]byte, 1200)
	sequence, sent := uint16(0), int64(0)
	b.ReportAllocs()
	before := cpuTime()
	for b.Loop() {
		out := x.Batch()
		out.Packets = out.Packets[:0]
		for range 5 {
			sequence++
			out.Packets = append(out.Packets, pipe.Packet{Sequence: sequence, Timestamp: 90, Type: 3, Payload: payload})
		}
		f.Send(out)
		out.Release()
		// No faster than the other side takes it, or the socket would drop most.
		for sent += 5; sent-c.n.Load() > 200; {
			<-c.more
		}
	}
	b.ReportMetric(float64(cpuTime()-before)/float64(sent), "cpu-ns/packet")
}

// fanOut is a receiver that does with a packet what forwarding it to some people
// takes most of: it seals it for each.
type fanOut struct {
	*tally
	stream *seal.Stream
	out    []byte
	last   uint16
}

const (
	benchPeople = 50
	benchFlows  = 8
)

func (f *fanOut) Packet(b []byte) bool {
	for range benchPeople {
		n := copy(f.out, b)
		f.last++
		f.out[2], f.out[3] = byte(f.last>>8), byte(f.last)
		f.out[8], f.out[9], f.out[10], f.out[11] = 0, 0, 0, 1
		if _, err := f.stream.Seal(f.out, 12, n); err != nil {
			panic(err)
		}
	}
	return f.tally.Packet(b)
}

// BenchmarkReaders is how fast what comes over one pipe in eight flows is read and
// sealed for 50 people each, on one core and on more: an op is a frame of five
// packets.
func BenchmarkReaders(b *testing.B) {
	for n := 1; n <= runtime.GOMAXPROCS(0); n *= 2 {
		b.Run(fmt.Sprintf("%d", n), func(b *testing.B) { benchReaders(b, n) })
	}
}

func benchReaders(b *testing.B, n int) {
	x, y := newNode(b, "a", readers(n)), newNode(b, "b", readers(n))
	x.Assign([]pipe.Peer{y.peer(y.Port())})
	y.Assign([]pipe.Peer{x.peer(x.Port())})
	from, to := x.joined(), y.joined()
	c := tally{more: make(chan struct{}, 1)}
	var flows []*pipe.Flow
	for range benchFlows {
		k, _, err := seal.Split(seal.AES128GCM, make([]byte, seal.AES128GCM.ExportLen()))
		if err != nil {
			b.Fatal(err)
		}
		sealer, err := seal.NewSealer(k)
		if err != nil {
			b.Fatal(err)
		}
		f, err := from.Open(to.Expect(500, &fanOut{tally: &c, stream: sealer.Stream(1), out: make([]byte, 2048)}), 256)
		if err != nil {
			b.Fatal(err)
		}
		flows = append(flows, f)
	}
	payload := make([]byte, 1200)
	sequence, sent := uint16(0), int64(0)
	packets := make([]pipe.Packet, 5)
	b.ReportAllocs()
	before := cpuTime()
	for i := 0; b.Loop(); i++ {
		if i%benchFlows == 0 {
			sequence += 5
		}
		for k := range packets {
			packets[k] = pipe.Packet{Sequence: sequence + uint16(k), Timestamp: 90, Type: 3, Payload: payload}
		}
		out := x.Batch()
		out.Packets = append(out.Packets[:0], packets...)
		flows[i%benchFlows].Send(out)
		out.Release()
		for sent += 5; sent-c.n.Load() > 400; {
			<-c.more
		}
	}
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "packets/s")
	b.ReportMetric(float64(cpuTime()-before)/float64(sent), "cpu-ns/packet")
}
