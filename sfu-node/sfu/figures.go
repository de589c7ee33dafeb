package sfu

import (
	"cmp"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/framed"
	"github.com/spillway-sfu/spillway/sfu-node/pipe"
)

// Report is what an SFU carries at one moment.
type Report struct {
	// Members is everybody: room → participant key → session revision.
	Members map[string]map[string]int64
	// Stage are those of them who may send, by room.
	Stage map[string][]string
	// Epochs are those of the assignments in force, by room.
	Epochs map[string]int64
	// Described are the revisions of the rooms' metadata, of those that have any.
	Described map[string]int64
	People    int
	// Screens is how many of them share their screen, OverTCP how many are reached
	// over TCP.
	Screens, OverTCP int
	// PacketsOut and BytesOut are what went to participants and to other nodes since
	// the start.
	PacketsOut, BytesOut int64
	// Reported are the packets that receivers have reported on since the start, and
	// ReportedLost those of them that were lost, in 256ths of a packet.
	Reported, ReportedLost int64
	// Pipes are those to other nodes.
	Pipes []pipe.Traffic
	// Counts are further totals since the start.
	Counts Counts
}

// Report takes stock.
func (s *SFU) Report() Report {
	epochs, screens, stage := s.web.epochs(), s.screens(), s.stage()
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Report{
		Epochs: epochs, Screens: screens, Members: map[string]map[string]int64{}, Stage: stage, Described: map[string]int64{}, People: len(s.peers),
		PacketsOut: s.count.PacketsOut.Load(), BytesOut: s.count.BytesOut.Load(),
		Reported: s.count.Reported.Load(), ReportedLost: s.count.ReportedLost.Load(), Counts: s.count.counts(),
	}
	if s.web.mesh != nil {
		packets, bytes := s.web.mesh.Sent()
		r.PacketsOut, r.BytesOut = r.PacketsOut+packets, r.BytesOut+bytes
		r.Pipes = s.web.mesh.Traffic()
	}
	for name, room := range s.rooms {
		if revision := room.describedAs.Load(); revision > 0 {
			r.Described[name] = revision
		}
	}
	for at, p := range s.peers {
		if p.overTCP() {
			r.OverTCP++
		}
		if r.Members[at.room] == nil {
			r.Members[at.room] = map[string]int64{}
		}
		r.Members[at.room][at.key] = p.revision
	}
	return r
}

// RoomFigures measures each room that has participants here, the largest first. What
// it counts begins anew with each call, for whatever time has passed since the last.
func (s *SFU) RoomFigures(passed time.Duration) []events.RoomFigures {
	s.mu.Lock()
	rooms := make([]*Room, 0, len(s.rooms))
	for _, r := range s.rooms {
		rooms = append(rooms, r)
	}
	s.mu.Unlock()
	var figures []events.RoomFigures
	for _, r := range rooms {
		if f := r.figures(passed); f.People > 0 {
			figures = append(figures, f)
		}
	}
	slices.SortFunc(figures, func(a, b events.RoomFigures) int {
		return cmp.Or(cmp.Compare(b.People, a.People), cmp.Compare(a.Room, b.Room))
	})
	return figures
}

func (r *Room) figures(passed time.Duration) events.RoomFigures {
	f := events.RoomFigures{Room: r.name}
	now := r.sfu.now()
	bytes := int64(0)
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range r.peers {
		bytes += p.sentSince()
	}
	for _, p := range r.members {
		f.People++
		if p.person.Role == events.Publisher {
			f.Publishers++
		}
		if p.overTCP() {
			f.OverTCP++
		}
		f.Freezes += p.told.freezes
		p.told.freezes = 0
		if p.told.ever && now-p.told.at <= statsFresh {
			note(&f, p.told.stats)
		}
	}
	for _, values := range lists(&f) {
		*values = sample(*values, events.MaxMetricsValues)
	}
	f.SendKbps = int64(float64(bytes) * 8 / 1000 / max(passed.Seconds(), 0.001))
	return f
}

func lists(f *events.RoomFigures) [6]*events.List[int64] {
	return [6]*events.List[int64]{&f.RTTMs, &f.JitterMs, &f.SendLossPermille, &f.ReceiveLossPermille, &f.ClientSendKbps, &f.ClientReceiveKbps}
}

// note adds what one browser has said.
func note(f *events.RoomFigures, m events.Stats) {
	if m.RTTMs > 0 {
		f.RTTMs = append(f.RTTMs, int64(m.RTTMs))
	}
	f.JitterMs = append(f.JitterMs, int64(m.JitterMs))
	f.SendLossPermille = append(f.SendLossPermille, int64(m.SendLossPermille))
	f.ReceiveLossPermille = append(f.ReceiveLossPermille, int64(m.ReceiveLossPermille))
	f.ClientSendKbps = append(f.ClientSendKbps, m.SendKbps)
	f.ClientReceiveKbps = append(f.ClientReceiveKbps, m.ReceiveKbps)
	switch m.LimitedBy {
	case events.LimitedByCPU:
		f.LimitedByCPU++
	case events.LimitedByBandwidth:
		f.LimitedByBandwidth++
	}
}

// sample sorts values and returns at most so many of them, evenly spread, the least
// and the greatest among them.
func sample(values []int64, most int) []int64 {
	slices.Sort(values)
	if len(values) <= most {
		return values
	}
	some := make([]int64, most)
	for i := range some {
		some[i] = values[i*(len(values)-1)/(most-1)]
	}
	return some
}

// sentSince is how many bytes of media went to a participant since this was last
// asked.
func (p *Peer) sentSince() int64 {
	total := uint32(0)
	for _, streams := range [2][]*stream{p.audio, p.video} {
		for _, s := range streams {
			s.mu.Lock()
			total += s.octets
			s.mu.Unlock()
		}
	}
	since := total - p.octets // they wrap, and so does this
	p.octets = total
	return int64(since)
}

// overTCP reports whether a participant is reached over TCP.
func (p *Peer) overTCP() bool {
	p.egress.mu.Lock()
	defer p.egress.mu.Unlock()
	return framed.Stands(p.egress.to)
}
