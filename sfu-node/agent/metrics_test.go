package agent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/sfu"
)

func TestMetricsReachTheControlPlane(t *testing.T) {
	g := newGateway(t)
	media := &fakeMedia{
		report:  sfu.Report{People: 3, OverTCP: 1, Screens: 1},
		figures: []events.RoomFigures{{Room: "stand-up", People: 3, Publishers: 2, OverTCP: 1, RTTMs: []int64{20, 40}}},
	}
	run(t, g, media, func(c *Config) { c.MetricsEvery = 100 * time.Millisecond })
	m := take(t, "metrics", g.got).Message.(events.Metrics)
	if m.Node != "node-1" || m.Generation == 0 || m.Figures == nil || len(m.Rooms) != 1 {
		t.Fatalf("metrics %+v", m)
	}
	if f := m.Figures; f.People != 3 || f.OverTCP != 1 || f.Screens != 1 || f.Rooms != 1 || f.RoomsUntold != 0 {
		t.Errorf("figures %+v", f)
	}
	if m.Rooms[0].Room != "stand-up" || m.Rooms[0].RTTMs[1] != 40 {
		t.Errorf("rooms %+v", m.Rooms)
	}
}

func TestWhatIsCountedIsOfTheTimeSince(t *testing.T) {
	at := time.UnixMilli(1_790_000_000_000)
	m := metricsMeter{load: meter{at: at}, at: at}
	media := &fakeMedia{report: sfu.Report{BytesOut: 1000, PacketsOut: 10, Reported: 100, ReportedLost: 25600 / 100, Counts: sfu.Counts{BytesIn: 125_000, Nacks: 5, Dropped: 2}}}
	first := m.parts(media, "n", 1, at.Add(10*time.Second))[0].Figures
	if first.Nacks != 5 || first.Dropped != 2 || first.ReceiveKbps != 100 || first.LossPermille != 10 {
		t.Errorf("first %+v", first)
	}
	media.report.Counts.Nacks, media.report.Counts.BytesIn = 8, 250_000
	media.report.BytesOut, media.report.PacketsOut = 1000+2_500_000, 10+2000
	second := m.parts(media, "n", 1, at.Add(20*time.Second))[0].Figures
	if second.Nacks != 3 || second.Dropped != 0 || second.ReceiveKbps != 100 || second.SendKbps != 2000 || second.SendPPS != 200 || second.LossPermille != 0 {
		t.Errorf("second %+v", second)
	}
}

// However many rooms there are, each message fits a frame and is taken, and what is
// left out is said.
func TestMetricsOfManyRoomsFitFrames(t *testing.T) {
	values := make([]int64, events.MaxMetricsValues)
	for i := range values {
		values[i] = 1000
	}
	room := func(i int, name string, values []int64) events.RoomFigures {
		return events.RoomFigures{Room: fmt.Sprint(name, i), People: 1, RTTMs: values, JitterMs: values, SendLossPermille: values,
			ReceiveLossPermille: values, ClientSendKbps: values, ClientReceiveKbps: values}
	}
	for name, c := range map[string]struct {
		rooms int
		name  string
		of    []int64
		all   bool
		parts int
	}{
		"none":     {0, "r", nil, true, 1},
		"small":    {230, "r", nil, true, 3},
		"large":    {400, "r", values, false, 8},
		"awkward":  {1200, strings.Repeat("\u2028", 40), nil, false, 8}, // a name that grows when it is written
		"too many": {2000, "r", values[:3], false, 8},
	} {
		t.Run(name, func(t *testing.T) {
			media := &fakeMedia{}
			for i := range c.rooms {
				media.figures = append(media.figures, room(i, c.name, c.of))
			}
			m := metricsMeter{at: time.Now()}
			parts, told := m.parts(media, "node-1", 1, time.Now()), 0
			for i, p := range parts {
				raw, err := encode(p)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := events.Decode(events.FromNode, raw); err != nil {
					t.Fatalf("part %d: %v", i, err)
				}
				if (p.Figures != nil) != (i == 0) {
					t.Errorf("figures of the node in part %d", i)
				}
				told += len(p.Rooms)
			}
			if len(parts) != c.parts {
				t.Errorf("%d parts", len(parts))
			}
			if f := parts[0].Figures; f.Rooms != c.rooms || f.RoomsUntold != c.rooms-told {
				t.Errorf("%d of %d rooms are told, but the node says %+v", told, c.rooms, f)
			}
			if (told == c.rooms) != c.all {
				t.Errorf("%d of %d rooms are told of", told, c.rooms)
			}
		})
	}
}
