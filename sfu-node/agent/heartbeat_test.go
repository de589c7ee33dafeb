package agent

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/pipe"
	"github.com/spillway-sfu/spillway/sfu-node/sfu"
)

func TestPipesAreMeasuredBetweenHeartbeats(t *testing.T) {
	at := time.Now()
	m := meter{at: at}
	beat := func(pipes ...pipe.Traffic) []events.Pipe {
		at = at.Add(2 * time.Second)
		r := sfu.Report{Pipes: pipes}
		out := m.measurePipes(at, r)
		m.measure(at, r)
		return out
	}
	beat(pipe.Traffic{Node: "n-a", Up: true, BytesOut: 1000}, pipe.Traffic{Node: "n-b"})
	for i, c := range []struct {
		pipes []pipe.Traffic
		want  []events.Pipe
	}{
		{[]pipe.Traffic{{Node: "n-a", Up: true, BytesOut: 1000 + 250_000, BytesIn: 500}, {Node: "n-b", Up: true, BytesIn: 500_000}},
			[]events.Pipe{{Node: "n-b", Up: true, ReceiveKbps: 2000}, {Node: "n-a", Up: true, SendKbps: 1000, ReceiveKbps: 2}}},
		{[]pipe.Traffic{{Node: "n-a", Up: true, BytesOut: 250}, {Node: "n-b"}}, // one made anew, one cut
			[]events.Pipe{{Node: "n-a", Up: true, SendKbps: 1}, {Node: "n-b"}}},
		{nil, nil},
	} {
		if got := beat(c.pipes...); !slices.Equal(got, c.want) {
			t.Errorf("heartbeat %d tells %+v, want %+v", i, got, c.want)
		}
	}
	var many []pipe.Traffic
	for i := range 20 {
		many = append(many, pipe.Traffic{Node: fmt.Sprintf("n-%02d", i), Up: true, BytesOut: int64(i) * 1_000_000})
	}
	if got := beat(many...); len(got) != events.MaxHeartbeatPipes || got[0].Node != "n-19" || got[7].Node != "n-12" {
		t.Errorf("of twenty pipes it tells %+v", got)
	}
}

func TestLossIsMeasuredBetweenHeartbeats(t *testing.T) {
	m := meter{}
	for i, c := range []struct {
		reported, lost int64
		want           int
	}{{10, 256, 100}, {10, 256, 0}, {14, 256 + 4*128, 500}, {15, 256 + 5*256, 1000}} {
		if got := m.measureLoss(sfu.Report{Reported: c.reported, ReportedLost: c.lost}); got != c.want {
			t.Errorf("heartbeat %d: %d ‰, want %d", i, got, c.want)
		}
	}
}
