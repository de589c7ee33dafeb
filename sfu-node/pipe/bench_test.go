package pipe_test

import (
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/sfu-node/pipe"
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
	f, err := x.joined().Open(y.joined().Expect(&c), 256)
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
