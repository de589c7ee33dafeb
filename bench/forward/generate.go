package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/spillway-sfu/spillway/events"
)

// generator is one row's peers.
type generator struct {
	load        load
	publishers  []*publisher
	subscribers []*subscriber
	watcher     *watcher
	memory      float64 // KB for each subscriber
	stopping    chan struct{}
	paused      atomic.Bool // nobody begins a frame
	running     sync.WaitGroup
}

// count is the state of all counters at one moment.
type count struct {
	cpu     time.Duration
	arrived int64
	bytes   int64   // of payloads, of those who read them
	owed    float64 // to all whose packets are counted
}

func newGenerator(ctx context.Context, s server, profile string, l load) (*generator, error) {
	g := &generator{load: l, stopping: make(chan struct{}), watcher: &watcher{next: map[string]uint32{}, from: map[string]uint32{}}}
	suite := dtls.SRTP_AEAD_AES_128_GCM
	if profile == "cm" {
		suite = dtls.SRTP_AES128_CM_HMAC_SHA1_80
	}
	for i := range l.publishers {
		flows := l.kind.flows(i)
		p := &publisher{number: uint32(i), sent: make([]atomic.Int64, len(flows))}
		var err error
		p.peer, err = g.join(ctx, s, seat{name: publisherName(i), publishes: true, number: i, load: l, suite: suite, onKey: p.askKey})
		if err != nil {
			return g, err
		}
		g.publishers = append(g.publishers, p)
		share := float64(i) / float64(l.publishers)
		for index, flow := range flows {
			g.running.Go(func() { g.publish(p, index, flow, share) })
		}
	}
	time.Sleep(3 * time.Second) // the SFU learns of the tracks, however busy the machine is
	before := residentKB(s.pid())
	for i := range l.subscribers {
		if err := g.subscribe(ctx, s, i, suite); err != nil {
			return g, err
		}
	}
	time.Sleep(2 * time.Second)
	g.memory = (residentKB(s.pid()) - before) / float64(l.subscribers)
	for _, sub := range g.subscribers {
		if !sub.reads {
			g.running.Go(func() { g.report(sub) })
		}
	}
	return g, nil
}

// join lets somebody in on a socket of its own.
func (g *generator) join(ctx context.Context, s server, who seat) (*peer, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: s.host()})
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(4 << 20)
	who.socket = conn
	p, err := s.join(ctx, who)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return p, nil
}

// subscribe adds a subscriber; the first one is the watcher.
func (g *generator) subscribe(ctx context.Context, s server, i int, suite dtls.SRTPProtectionProfile) error {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: s.host()})
	if err != nil {
		return err
	}
	_ = conn.SetReadBuffer(4 << 20)
	sub := &subscriber{conn: conn, reads: i == 0 || g.load.kind == meeting}
	who := seat{name: fmt.Sprintf("subscriber-%03d", i), number: i, load: g.load, suite: suite, socket: conn, reads: sub.reads, onKey: func(string) {}}
	switch {
	case i == 0:
		who.onPacket = g.watcher.take
	case sub.reads:
		who.onPacket = func(_ string, p *rtp.Packet) {
			if len(p.Payload) > 0 {
				sub.read.Add(1)
				sub.bytes.Add(int64(len(p.Payload)))
			}
		}
	}
	if sub.peer, err = s.join(ctx, who); err != nil {
		return errors.Join(err, conn.Close())
	}
	g.subscribers = append(g.subscribers, sub)
	if sub.reads {
		return nil
	}
	// At once: a crowd of peers that read what they get would be the load
	// generator's end.
	return sub.filter()
}

func (g *generator) close() {
	if g == nil {
		return
	}
	close(g.stopping)
	g.running.Wait()
	var ending sync.WaitGroup
	for _, p := range g.publishers {
		ending.Go(func() { _ = p.close() })
	}
	for _, s := range g.subscribers {
		ending.Go(func() { _ = s.close() })
	}
	ending.Wait()
}

// take reads all counters.
func (g *generator) take(pid int) count {
	c := count{cpu: cpuTime(pid)}
	for _, s := range g.subscribers[1:] {
		c.arrived += s.arrived()
		c.bytes += s.bytes.Load()
	}
	for i, p := range g.publishers {
		for index, f := range g.load.kind.flows(i) {
			if f.source == events.Microphone || f.rid == g.load.kind.wanted(i) {
				c.owed += float64(p.sent[index].Load())
			}
		}
	}
	c.owed *= float64(len(g.subscribers) - 1)
	return c
}

// rest takes the counters when nothing is under way: nobody sends, and nothing has
// arrived for a while.
func (g *generator) rest(pid int) count {
	const settled, patience = 300 * time.Millisecond, 5 * time.Second
	g.paused.Store(true)
	defer g.paused.Store(false)
	time.Sleep(settled)
	c := g.take(pid)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		time.Sleep(settled)
		before := c.arrived
		if c = g.take(pid); c.arrived == before {
			break
		}
	}
	return c
}

// watcher looks at everything that the unfiltered subscriber gets.
type watcher struct {
	mu     sync.Mutex
	on     bool
	next   map[string]uint32 // by stream, the number of the packet expected
	from   map[string]uint32 // by stream, who sends
	delays []float64
	wrong  int
	first  error
}

func (w *watcher) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on = true
}

func (w *watcher) take(mid string, p *rtp.Packet) {
	now := time.Now().UnixNano()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.on || len(p.Payload) < stampAt+16 {
		return
	}
	sender, number := binary.BigEndian.Uint32(p.Payload[stampAt:]), binary.BigEndian.Uint32(p.Payload[stampAt+4:])
	w.delays = append(w.delays, float64(now-int64(binary.BigEndian.Uint64(p.Payload[stampAt+8:])))/1e6)
	expected, known := w.next[mid]
	switch {
	case known && w.from[mid]>>8 != sender>>8:
		w.note(fmt.Errorf("stream %s: packet %d is publisher %d's, not %d's", mid, number, sender>>8, w.from[mid]>>8))
	case known && w.from[mid] == sender && number != expected:
		w.note(fmt.Errorf("stream %s: packet %d instead of %d", mid, number, expected))
	}
	w.next[mid], w.from[mid] = number+1, sender
}

func (w *watcher) note(err error) {
	if w.wrong++; w.first == nil {
		w.first = err
	}
}

// end returns the delays, from a publisher's write to this program's read, and an
// error when more than a thousandth of the packets were not the expected ones.
func (w *watcher) end() (delay, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.delays) == 0 {
		return delay{}, errors.New("the unfiltered subscriber received nothing")
	}
	d := delay{quantile(w.delays, 0.5), quantile(w.delays, 0.99)}
	if w.wrong*1000 > len(w.delays) {
		return d, fmt.Errorf("%d of %d packets were not the expected ones, the first: %w", w.wrong, len(w.delays), w.first)
	}
	return d, nil
}

// subscriber is one that drops RTP unseen, or, in a meeting, reads it: what chooses
// layers must be told when each packet came.
type subscriber struct {
	*peer
	reads bool
	read  atomic.Int64
	bytes atomic.Int64 // of what it reads
	conn  *net.UDPConn
	drops uint32 // the socket's counter, which is 32 bits wide
	total int64
	mu    sync.Mutex
}

// arrived is how many packets have.
func (s *subscriber) arrived() int64 {
	if s.reads {
		return s.read.Load()
	}
	return s.dropped()
}

// ssrc is a stream of those that it gets, as far as the SFU has named any; what is
// said of streams is not looked at elsewhere.
func (s *subscriber) ssrc() uint32 {
	for _, r := range s.pc.GetReceivers() {
		if t := r.Track(); t != nil && t.SSRC() != 0 && t.Kind() == webrtc.RTPCodecTypeVideo {
			return uint32(t.SSRC())
		}
	}
	return 2
}

// report says twenty times a second what arrived, as browsers do.
func (g *generator) report(s *subscriber) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var told int64
	begun := time.Now()
	since := begun // what came after it is not told yet
	about := s.ssrc()
	for n := 0; ; n++ {
		select {
		case <-g.stopping:
			return
		case <-tick.C:
		}
		total := s.dropped()
		packets := []rtcp.Packet{}
		if arrived := min(total-told, 1000); arrived > 0 {
			now := time.Now()
			packets = append(packets, feedback(about, uint16(told), uint16(arrived), uint8(n), since.Sub(begun), now.Sub(begun)))
			told += arrived
			since = now
		}
		if n%20 == 0 {
			packets = append(packets, &rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: about, LastSequenceNumber: uint32(total)}}})
		}
		if len(packets) > 0 {
			_ = s.pc.WriteRTCP(packets)
		}
	}
}

// feedback is transport-wide feedback on packets that all arrived, evenly between
// two times.
func feedback(about uint32, base, packets uint16, n uint8, from, to time.Duration) *rtcp.TransportLayerCC {
	const reference, tick = 64 * time.Millisecond, rtcp.TypeTCCDeltaScaleFactor * time.Microsecond
	t := &rtcp.TransportLayerCC{
		SenderSSRC: 1, MediaSSRC: about, BaseSequenceNumber: base, PacketStatusCount: packets,
		ReferenceTime: uint32(from / reference), FbPktCount: n,
	}
	t.PacketChunks = []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{PacketStatusSymbol: rtcp.TypeTCCPacketReceivedSmallDelta, RunLength: packets}}
	before := from / reference * reference / tick
	for i := range time.Duration(packets) {
		at := (from + (to-from)*i/time.Duration(packets)) / tick
		delta := min(at-before, 255)
		before += delta
		t.RecvDeltas = append(t.RecvDeltas, &rtcp.RecvDelta{Type: rtcp.TypeTCCPacketReceivedSmallDelta, Delta: int64(delta) * rtcp.TypeTCCDeltaScaleFactor})
	}
	size := 20 + 2 + int(packets)
	t.Header = rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Padding: size%4 != 0, Length: uint16((size+3)/4 - 1)}
	return t
}
