package agent

import (
	"encoding/json"
	"math/rand/v2"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/sfu"
)

// metricsWithin is how long what was measured is worth sending.
const metricsWithin = 30 * time.Second

// measureAll sends what the node has measured, every so often. It keeps to one moment
// of each minute, its own, so that each minute has one value of each node.
func (a *Agent) measureAll() {
	every := a.cfg.MetricsEvery
	phase := rand.N(every)
	m := metricsMeter{load: meter{at: time.Now(), cpu: cpuTime()}, at: time.Now()}
	for {
		now := time.Now()
		next := now.Truncate(every).Add(phase)
		for next.Sub(now) < every/2 { // less is no time to measure in
			next = next.Add(every)
		}
		a.pause(next.Sub(now))
		if a.ctx.Err() != nil {
			return
		}
		if a.generation() == 0 {
			continue // nobody would take it
		}
		for _, part := range m.parts(a.media, a.cfg.Node, a.generation(), time.Now()) {
			a.send(part, metricsWithin)
		}
	}
}

// metricsMeter measures between two messages.
type metricsMeter struct {
	load   meter
	at     time.Time
	counts sfu.Counts
}

// parts returns what was measured since the last call, as the messages that tell of it.
func (m *metricsMeter) parts(media Media, node string, generation int64, now time.Time) []events.Metrics {
	report, passed := media.Report(), now.Sub(m.at)
	m.at = now
	rooms := media.RoomFigures(passed)
	f := m.figures(report, now, passed)
	f.Rooms = len(rooms)
	head := events.Metrics{Header: events.Head(events.ActionMetrics), Node: node, Generation: generation, TakenMs: now.UnixMilli()}
	parts := splitRooms(head, rooms)
	for _, p := range parts {
		f.RoomsUntold -= len(p.Rooms)
	}
	f.RoomsUntold += len(rooms)
	parts[0].Figures = &f
	return parts
}

func (m *metricsMeter) figures(r sfu.Report, now time.Time, passed time.Duration) events.NodeFigures {
	was := m.counts
	m.counts = r.Counts
	f := events.NodeFigures{
		People: r.People, OverTCP: r.OverTCP, Screens: r.Screens,
		LossPermille: m.load.measureLoss(r),
		ReceiveKbps:  int64(float64(r.Counts.BytesIn-was.BytesIn) * 8 / 1000 / max(passed.Seconds(), 0.001)),
		Nacks:        r.Counts.Nacks - was.Nacks, Repeated: r.Counts.Repeated - was.Repeated,
		KeysAsked: r.Counts.KeysAsked - was.KeysAsked, KeysSent: r.Counts.KeysSent - was.KeysSent,
		Dropped: r.Counts.Dropped - was.Dropped, BadMessages: r.Counts.BadMessages - was.BadMessages,
	}
	load, cpu := m.load.measure(now, r)
	f.SendKbps, f.SendPPS, f.CPUPercent = load.Kbps, load.PPS, cpu
	return f
}

// figuresBytes is more than a message has beside its rooms.
const figuresBytes = 2 << 10

// splitRooms spreads rooms over as many messages as their size takes, at most
// [events.MaxMetricsParts]; the smallest rooms are left out. There is always one.
func splitRooms(head events.Metrics, rooms []events.RoomFigures) []events.Metrics {
	parts := []events.Metrics{head}
	room := events.MaxFrame - figuresBytes
	for _, r := range rooms {
		raw, err := json.Marshal(r)
		if err != nil {
			continue // numbers and a name that are no JSON
		}
		last := &parts[len(parts)-1]
		if len(raw)+1 > room || len(last.Rooms) == events.MaxMetricsRooms {
			if len(parts) == events.MaxMetricsParts {
				break
			}
			parts = append(parts, head)
			last, room = &parts[len(parts)-1], events.MaxFrame-figuresBytes
		}
		room -= len(raw) + 1
		last.Rooms = append(last.Rooms, r)
	}
	return parts
}
