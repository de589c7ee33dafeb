package agent

import (
	"cmp"
	"encoding/json"
	"maps"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/pipe"
	"github.com/spillway-sfu/spillway/sfu-node/sfu"
)

// defaultBeat is the time between two looks before a welcome names another.
const defaultBeat = time.Second

// deafBeats is how many heartbeats a socket may take without anything coming
// back on it.
const deafBeats = 5

// beatAll sends heartbeats until the agent is closed.
func (a *Agent) beatAll() {
	m := meter{at: time.Now(), cpu: cpuTime()}
	var listed time.Time
	var parts []events.Inventory
	for {
		a.mu.Lock()
		look := a.lease.every / 6
		a.mu.Unlock()
		if look <= 0 {
			look = defaultBeat
		}
		timer := time.NewTimer(look)
		select {
		case <-a.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			a.mu.Lock()
			due := a.lease.due(time.Now())
			a.mu.Unlock()
			if !due {
				continue
			}
		case <-a.beat: // a new generation: everybody is listed at once
			timer.Stop()
			listed = time.Time{}
		}
		report := a.media.Report()
		a.lookAlone(report)
		now := time.Now()
		if len(parts) == 0 && now.Sub(listed) >= a.cfg.ListEvery {
			parts, listed = inventory(report, now), now
		}
		if a.beatOnce(&m, report, parts) && len(parts) > 0 {
			parts = parts[1:]
		}
	}
}

// lookAlone ends the node when nothing was heard for long and nobody is here.
func (a *Agent) lookAlone(r sfu.Report) {
	a.mu.Lock()
	silent := time.Since(a.heard)
	a.mu.Unlock()
	if silent > a.cfg.AloneAfter && r.People == 0 {
		a.end(ErrAlone)
	}
}

// beatOnce sends one heartbeat, with the first of parts. It reports whether a
// socket took it.
func (a *Agent) beatOnce(m *meter, report sfu.Report, parts []events.Inventory) bool {
	a.mu.Lock()
	if a.lease.generation == 0 {
		a.mu.Unlock()
		return false
	}
	now := time.Now()
	h := events.Heartbeat{
		Header: events.Head(events.ActionHeartbeat), Node: a.cfg.Node,
		Generation: a.lease.generation, Seq: a.lease.next(now),
		People: report.People, Rooms: len(report.Members),
	}
	ends := a.ends
	a.mu.Unlock()
	if !ends.IsZero() {
		h.EndsMs = ends.UnixMilli()
	}
	h.Screens = report.Screens
	h.Pipes, h.LossPermille = m.measurePipes(now, report), m.measureLoss(report)
	h.Load, h.CPUPercent = m.measure(now, report)
	if len(parts) > 0 {
		h.Inventory = &parts[0]
	}
	raw, err := encode(h)
	if err != nil {
		a.log.Error("heartbeat cannot be sent", "error", err)
		return true // the next part may fit
	}
	l, ok := a.write(raw)
	if !ok {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if l.beats++; l.beats > deafBeats {
		a.log.Warn("socket is deaf: closing it", "slot", l.slot)
		l.close("no answer")
	}
	return true
}

// renewed takes the answer to a heartbeat.
func (a *Agent) renewed(r events.Renewed) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.lease.renewed(r) {
		return
	}
	if r.Token != "" {
		a.token = r.Token
	}
}

// meter measures load between two heartbeats.
type meter struct {
	at             time.Time
	packets, bytes int64
	cpu            time.Duration
	pipes          map[string]pipe.Traffic // by node
	reported, lost int64
}

func (m *meter) measure(now time.Time, r sfu.Report) (events.Load, int) {
	span := now.Sub(m.at).Seconds()
	cpu := cpuTime()
	if span <= 0 {
		return events.Load{}, 0
	}
	load := events.Load{
		Kbps: int64(float64(r.BytesOut-m.bytes) * 8 / 1000 / span),
		PPS:  int64(float64(r.PacketsOut-m.packets) / span),
	}
	share := (cpu - m.cpu).Seconds() / span / float64(runtime.NumCPU())
	*m = meter{at: now, packets: r.PacketsOut, bytes: r.BytesOut, cpu: cpu, pipes: m.pipes, reported: m.reported, lost: m.lost}
	return load, min(100, max(0, int(share*100+0.5)))
}

// measurePipes returns the busiest pipes, with what each carried since the last
// heartbeat. It comes before [meter.measure], which ends that time.
func (m *meter) measurePipes(now time.Time, r sfu.Report) []events.Pipe {
	span := now.Sub(m.at).Seconds()
	before := m.pipes
	m.pipes = make(map[string]pipe.Traffic, len(r.Pipes))
	var out []events.Pipe
	for _, t := range r.Pipes {
		m.pipes[t.Node] = t
		was := before[t.Node]
		if t.BytesOut < was.BytesOut || t.BytesIn < was.BytesIn { // it was made anew
			was = pipe.Traffic{}
		}
		kbps := func(bytes int64) int64 { return int64(float64(bytes) * 8 / 1000 / max(span, 0.001)) }
		out = append(out, events.Pipe{Node: t.Node, Up: t.Up, SendKbps: kbps(t.BytesOut - was.BytesOut), ReceiveKbps: kbps(t.BytesIn - was.BytesIn)})
	}
	slices.SortFunc(out, func(a, b events.Pipe) int {
		return cmp.Or(cmp.Compare(b.SendKbps+b.ReceiveKbps, a.SendKbps+a.ReceiveKbps), cmp.Compare(a.Node, b.Node))
	})
	return out[:min(len(out), events.MaxHeartbeatPipes)]
}

// measureLoss returns the share of packets that receivers have reported as lost
// since the last heartbeat, in thousandths.
func (m *meter) measureLoss(r sfu.Report) int {
	reported, lost := r.Reported-m.reported, r.ReportedLost-m.lost
	m.reported, m.lost = r.Reported, r.ReportedLost
	if reported <= 0 {
		return 0
	}
	return int(min(1000, lost*1000/(256*reported)))
}

// cpuTime is what the process has used so far, in user and kernel mode.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// inventory lists everybody in as many parts as are needed for each to be taken.
// There is always at least one.
func inventory(r sfu.Report, now time.Time) []events.Inventory {
	for n := 1; ; n += 1 + n/4 {
		parts := split(r, n, now)
		if n > maxParts || !slices.ContainsFunc(parts, tooLarge) {
			return parts
		}
	}
}

// maxParts is where keys that are no hashes would get no smaller by more parts.
const maxParts = 500

// split makes n parts. A room without people that has an assignment, because
// others' media passes through, is listed once.
func split(r sfu.Report, n int, now time.Time) []events.Inventory {
	parts := make([]events.Inventory, n)
	for i := range parts {
		parts[i] = events.Inventory{TakenMs: now.UnixMilli(), Part: i, Parts: n, Roles: true}
	}
	empty := 0
	for _, room := range slices.Sorted(maps.Keys(r.Epochs)) {
		if len(r.Members[room]) == 0 {
			p := &parts[empty%n]
			empty++
			p.Rooms = append(p.Rooms, events.RoomMembers{Room: room, Members: map[string]int64{}, Epoch: r.Epochs[room], Described: r.Described[room]})
		}
	}
	for _, room := range slices.Sorted(maps.Keys(r.Members)) {
		for key, revision := range r.Members[room] {
			p := &parts[events.InventoryPart(key, n)]
			if len(p.Rooms) == 0 || p.Rooms[len(p.Rooms)-1].Room != room {
				p.Rooms = append(p.Rooms, events.RoomMembers{Room: room, Members: map[string]int64{}, Epoch: r.Epochs[room], Described: r.Described[room]})
			}
			p.Rooms[len(p.Rooms)-1].Members[key] = revision
		}
		for _, key := range r.Stage[room] {
			if _, listed := r.Members[room][key]; listed {
				p := &parts[events.InventoryPart(key, n)]
				p.Rooms[len(p.Rooms)-1].Stage = append(p.Rooms[len(p.Rooms)-1].Stage, key)
			}
		}
	}
	return parts
}

// besides is more than what a heartbeat has in bytes besides its inventory.
const besides = 1 << 10

func tooLarge(i events.Inventory) bool {
	people, names := 0, 0
	for _, r := range i.Rooms {
		people += len(r.Members)
		names += len(r.Room)
	}
	if people > events.MaxInventoryMembers || names > events.MaxInventoryNames {
		return true
	}
	raw, err := json.Marshal(i)
	return err != nil || len(raw) > events.MaxFrame-besides
}
