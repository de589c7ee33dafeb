package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	payloadBytes = 1200
	// Video of a flow: so many frames a second, at most so many Mbps.
	frameRate = 30
	flowMbps  = 2.0
	// flatFrame is the packets of a frame when as much is sent as is taken, and
	// flatAhead how many may be on their way then.
	flatFrame = 5
	flatAhead = 100
	// At the end is waited for what is on its way: where some is lost no longer than
	// drainFor, else until it is there, or will never be.
	drainFor = 500 * time.Millisecond
	patience = 10 * time.Second
)

// carrier carries frames from one end to the other.
type carrier interface {
	// send hands over the packets of one frame of a flow, each with its payload. It
	// reports how many of them it had no room for.
	send(flow int, timestamp uint32, payloads [][]byte) (unsent int)
	close()
	// wire is how many bytes have left both ends, and zero if nobody counted.
	wire() int64
}

// taker takes the payload of a packet that has come.
type taker func(payload []byte)

// figures are what one carrier showed.
type figures struct {
	shaped    bool
	cpu       float64 // µs for a packet that came
	delivered float64 // of those that were offered
	p50, p99  float64 // ms
	p999      float64
	unsent    float64 // of those that were offered: given up before they were sent
	overhead  float64 // bytes on the way for each byte of payload that was offered
}

// String implements [fmt.Stringer]: the cells of the table.
func (f figures) String() string {
	cpu, overhead := fmt.Sprintf("%.1f", f.cpu), ""
	if f.shaped { // what shapes the way would be counted too
		cpu, overhead = "", fmt.Sprintf("%.2f", f.overhead)
	}
	return fmt.Sprintf("%s | %.1f %% | %.2f | %.2f | %.2f | %.1f %% | %s", cpu, 100*f.delivered, f.p50, f.p99, f.p999, 100*f.unsent, overhead)
}

// meter notes what comes.
type meter struct {
	epoch time.Time
	came  atomic.Int64
	more  chan struct{}
	spans []time.Duration // by order of arrival
}

func (m *meter) take(payload []byte) {
	span := time.Since(m.epoch) - time.Duration(binary.BigEndian.Uint64(payload))
	n := m.came.Add(1)
	if n <= int64(len(m.spans)) {
		m.spans[n-1] = span
	}
	if n%flatAhead == 0 {
		select {
		case m.more <- struct{}{}:
		default:
		}
	}
}

func (m *meter) percentile(q float64) float64 {
	spans := slices.Clone(m.spans[:min(int(m.came.Load()), len(m.spans))])
	if len(spans) == 0 {
		return 0
	}
	slices.Sort(spans)
	return float64(spans[int(q*float64(len(spans)-1))].Microseconds()) / 1000
}

// maker makes a row's traffic.
type maker struct {
	row      row
	carrier  carrier
	meter    *meter
	payloads [][]byte
	offered  int64
	unsent   int64
}

// measure carries a row's traffic for a while.
func measure(ctx context.Context, r row, connect func(context.Context, int, shape, taker) (carrier, error), length time.Duration) (figures, error) {
	m := &meter{epoch: time.Now(), more: make(chan struct{}, 1), spans: make([]time.Duration, 1<<20)}
	flows := max(1, int(r.mbps/flowMbps))
	c, err := connect(ctx, flows, r.shape, m.take)
	if err != nil {
		return figures{}, err
	}
	defer c.close()
	k := &maker{row: r, carrier: c, meter: m}
	before := cpuTime()
	if r.mbps == 0 {
		err = k.flatOut(ctx, length)
	} else {
		err = k.paced(ctx, length, flows)
	}
	if err != nil {
		return figures{}, err
	}
	took := cpuTime() - before
	came := m.came.Load()
	if came == 0 {
		return figures{}, errors.New("nothing came")
	}
	return figures{
		shaped:    r.shape != shape{},
		cpu:       float64(took.Microseconds()) / float64(came),
		delivered: float64(came) / float64(k.offered),
		p50:       m.percentile(0.5), p99: m.percentile(0.99), p999: m.percentile(0.999),
		unsent:   float64(k.unsent) / float64(k.offered),
		overhead: float64(c.wire()) / float64(k.offered*payloadBytes),
	}, nil
}

// frame hands over one frame, stamped now.
func (k *maker) frame(flow, packets int, timestamp uint32) {
	for len(k.payloads) < packets {
		k.payloads = append(k.payloads, make([]byte, payloadBytes))
	}
	now := uint64(time.Since(k.meter.epoch))
	for _, p := range k.payloads[:packets] {
		binary.BigEndian.PutUint64(p, now)
	}
	k.unsent += int64(k.carrier.send(flow, timestamp, k.payloads[:packets]))
	k.offered += int64(packets)
}

// flatOut sends as fast as the other end takes it.
func (k *maker) flatOut(ctx context.Context, length time.Duration) error {
	stuck := time.NewTimer(length + patience)
	defer stuck.Stop()
	for end := time.Now().Add(length); time.Now().Before(end); {
		k.frame(0, flatFrame, uint32(k.offered))
		for k.offered-k.meter.came.Load() > 2*flatAhead {
			select {
			case <-k.meter.more:
			case <-ctx.Done():
				return ctx.Err()
			case <-stuck.C:
				return errors.New("what was sent does not come")
			}
		}
	}
	return ctx.Err()
}

// paced sends each flow's frames when they are due, and waits for the last ones.
func (k *maker) paced(ctx context.Context, length time.Duration, flows int) error {
	const every = time.Second / frameRate
	packets := k.row.mbps / float64(flows) * 1e6 / 8 / payloadBytes / frameRate // a fraction of one is owed
	owed := make([]float64, flows)
	start := time.Now()
	for n := 0; ; n++ {
		due := every * time.Duration(n) / time.Duration(flows)
		if due > length {
			break
		}
		if err := sleep(ctx, time.Until(start.Add(due))); err != nil {
			return err
		}
		flow := n % flows
		owed[flow] += packets
		whole := int(owed[flow])
		owed[flow] -= float64(whole)
		k.frame(flow, whole, uint32(n/flows)*90000/frameRate)
	}
	wait := patience
	if (k.row.shape != shape{}) {
		wait = drainFor
	}
	end := time.Now().Add(wait)
	for k.meter.came.Load()+k.unsent < k.offered && time.Now().Before(end) {
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
