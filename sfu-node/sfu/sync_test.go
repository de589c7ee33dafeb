package sfu

import (
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/spillway-sfu/spillway/events"
)

// acted is a person who is filmed: sound and picture in one clock, which is hours away from
// the node's and runs a little fast, each with its own RTP clock and delay.
type acted struct {
	pubs   [2]*publication // sound, picture
	up     [2]*uplink
	offset time.Duration
	base   [2]uint32
}

var rates = [2]time.Duration{48000, 90000}

const (
	clockDrift = 100e-6
	truthAt    = 8 // in a payload of vp8: when it was captured
)

func newActed(offset time.Duration, base uint32) *acted {
	sound, picture := newBench(events.Microphone), newBench(events.Camera)
	f := &acted{pubs: [2]*publication{sound.pub, picture.pub}, up: [2]*uplink{sound.up[2], picture.up[0]}, offset: offset, base: [2]uint32{base, 3 * base}}
	f.up[1].clock = f.up[0].clock // one person
	return f
}

// clock is what the sender's clock shows.
func (f *acted) clock(at time.Duration) time.Duration {
	return f.offset + at + time.Duration(clockDrift*float64(at))
}

func (f *acted) timestamp(kind int, at time.Duration) uint32 {
	return f.base[kind] + uint32(int64(f.clock(at)-f.offset)*int64(rates[kind])/int64(time.Second))
}

// report sends a sender report of both.
func (f *acted) report(at time.Duration) {
	for kind, u := range f.up {
		u.feed().sync.Store(&syncPoint{clock: int64(f.clock(at)), timestamp: f.timestamp(kind, at)})
	}
}

// seen is what a receiver got on one stream.
type seen struct {
	stamp uint32
	truth time.Duration
	csrc  uint32
}

type viewerSink struct {
	kind int
	got  []seen
}

func (v *viewerSink) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	v.got = append(v.got, seen{h.Timestamp, time.Duration(binary.BigEndian.Uint64(payload[truthAt:])), h.CSRC[0]})
	return len(payload), nil
}

// Whoever is shown, sound and picture keep their distance: by the node's sender
// reports, over twenty changes of the person, with a twentieth of the packets lost.
func TestSoundAndPictureStayTogether(t *testing.T) {
	t.Parallel()
	people := []*acted{newActed(5*time.Hour, 1000), newActed(-2*time.Hour, 777_777_777)}
	sinks := [2]*viewerSink{{kind: 0}, {kind: 1}}
	node := people[0].up[0].room.sfu
	peer := newPeer(node, events.Offer{})
	streams := [2]*stream{}
	for kind, pub := range people[0].pubs {
		b := &bench{sfu: node, pub: pub}
		streams[kind] = b.receiver(sinks[kind], [2]codec{codecOpus, codecVP8}[kind])
		streams[kind].peer = peer
		streams[kind].bound.Load().audio = kind == 0
	}
	random := rand.New(rand.NewPCG(4, 5))
	const span, switchEvery = 44 * time.Second, 2 * time.Second
	film := filmAll(people, random, span)
	shown, switches, next := 0, 0, switchEvery
	show := func(who int, now time.Duration) {
		shown = who
		for kind, s := range streams {
			s.carry(people[who].pubs[kind], now)
		}
		streams[1].aim(0)
	}
	show(0, 0)
	w := newSyncWatch(t, streams, sinks)
	for _, e := range film {
		if e.at >= next {
			w.judge()
			show(1-shown, e.at)
			switches++
			next += switchEvery
		}
		w.report(e.at)
		e.do()
	}
	w.judge()
	if switches < 20 || len(sinks[0].got) < 1500 || len(sinks[1].got) < 900 {
		t.Fatalf("%d switches, %d packets of sound, %d of pictures", switches, len(sinks[0].got), len(sinks[1].got))
	}
	if w.worst > 80*time.Millisecond || w.spans < 40 {
		t.Errorf("sound and picture were up to %v apart, in %d spans", w.worst, w.spans)
	}
	t.Logf("up to %v apart", w.worst)
}

// happening is something at a time.
type happening struct {
	at time.Duration
	do func()
}

// filmAll makes everybody's packets in the order in which they arrive.
func filmAll(people []*acted, random *rand.Rand, span time.Duration) (all []happening) {
	jitter := func(most time.Duration) time.Duration { return time.Duration(random.Float64() * float64(most)) }
	for _, f := range people {
		for at := time.Duration(0); at < span; at += time.Second {
			all = append(all, happening{at + 30*time.Millisecond, func() { f.report(at) }})
		}
		seq := [2]uint16{}
		for kind, every := range [2]time.Duration{20 * time.Millisecond, 40 * time.Millisecond} {
			delay := [2]time.Duration{30 * time.Millisecond, 80 * time.Millisecond}[kind] // encoding takes longer
			for at := 10 * time.Millisecond; at < span; at += every {
				seq[kind]++
				if random.Float64() < 0.05 {
					continue
				}
				payload := vp8(uint16(at/every), 0, true, at%time.Second < every)
				binary.BigEndian.PutUint64(payload[truthAt:], uint64(at))
				packet := raw([2]uint8{opusIn, vp8In}[kind], seq[kind], f.timestamp(kind, at), payload)
				arrives := at + delay + jitter(40*time.Millisecond)
				all = append(all, happening{arrives, func() { f.up[kind].take(packet, arrives) }})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b happening) int { return cmp.Compare(a.at, b.at) })
	return all
}

// syncWatch reads sender reports once a second, as receivers get them, and works
// out from them when what came was captured.
type syncWatch struct {
	t       *testing.T
	streams [2]*stream
	sinks   [2]*viewerSink
	next    time.Duration
	at      [2]time.Duration // by the latest report: the node's clock
	stamp   [2]uint32
	known   [2]bool
	judged  [2]int
	spans   int
	worst   time.Duration
}

func newSyncWatch(t *testing.T, streams [2]*stream, sinks [2]*viewerSink) *syncWatch {
	return &syncWatch{t: t, streams: streams, sinks: sinks, next: time.Second}
}

func (w *syncWatch) report(now time.Duration) {
	if now < w.next {
		return
	}
	w.next += time.Second
	w.judge()
	epoch := time.Unix(1_700_000_000, 0)
	for kind, s := range w.streams {
		if r := s.report(now, epoch.Add(now)); r != nil {
			w.at[kind], w.stamp[kind], w.known[kind] = time.Duration(fromNTP(r.NTPTime)-fromNTP(ntp(epoch))), r.RTPTime, true
		}
	}
}

// judge compares what came since the last report: how far from the truth sound and
// picture of one person seem to be.
func (w *syncWatch) judge() {
	seems := [2]map[uint32][2]time.Duration{{}, {}} // by person: the least and the most
	for kind, sink := range w.sinks {
		for _, s := range sink.got[w.judged[kind]:] {
			if !w.known[kind] {
				continue
			}
			off := w.at[kind] + time.Duration(int32(s.stamp-w.stamp[kind]))*time.Second/rates[kind] - s.truth
			span, ok := seems[kind][s.csrc]
			if !ok {
				span = [2]time.Duration{off, off}
			}
			seems[kind][s.csrc] = [2]time.Duration{min(span[0], off), max(span[1], off)}
		}
		w.judged[kind] = len(sink.got)
	}
	picture, ok := seems[1][w.streams[1].pub.csrc]
	sound, ok2 := seems[0][w.streams[0].pub.csrc]
	if ok && ok2 {
		w.spans++
		w.worst = max(w.worst, picture[1]-sound[0], sound[1]-picture[0])
	}
}
