package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// generator is one row's peers.
type generator struct {
	publishers  []*publisher
	subscribers []*subscriber
	watcher     *watcher
	memory      float64 // KB for each subscriber
	stopping    chan struct{}
	running     sync.WaitGroup
}

// count is the state of all counters at one moment.
type count struct {
	cpu           time.Duration
	arrived, sent int64
}

func newGenerator(ctx context.Context, s server, profile string, l load) (*generator, error) {
	g := &generator{stopping: make(chan struct{}), watcher: &watcher{next: map[string]uint32{}, from: map[string]uint32{}}}
	suite := dtls.SRTP_AEAD_AES_128_GCM
	if profile == "cm" {
		suite = dtls.SRTP_AES128_CM_HMAC_SHA1_80
	}
	for i := range l.publishers {
		p := &publisher{number: uint32(i)}
		opt := lightpeer.Options{Loopback: true, Audio: 1, Video: 1, Profile: suite,
			OnKeyRequest: func(events.Source, string) { p.key.Store(true) }}
		client, err := connect(ctx, s, fmt.Sprintf("publisher-%02d", i), events.Publisher, opt)
		if err != nil {
			return g, err
		}
		p.client = client
		g.publishers = append(g.publishers, p)
		err = client.Send(events.Tracks{Header: events.Head(events.ActionTracks), Revision: 1, Tracks: l.kind.tracks()})
		if err != nil {
			return g, err
		}
		share := float64(i) / float64(l.publishers)
		for _, flow := range l.kind.flows() {
			g.running.Go(func() { g.publish(p, flow, share) })
		}
	}
	time.Sleep(time.Second) // the SFU learns of the tracks
	before := residentKB(s.pid())
	for i := range l.subscribers {
		if err := g.subscribe(ctx, s, i, l, suite); err != nil {
			return g, err
		}
	}
	time.Sleep(2 * time.Second)
	g.memory = (residentKB(s.pid()) - before) / float64(l.subscribers)
	for _, sub := range g.subscribers[1:] {
		g.running.Add(1)
		go g.report(sub)
	}
	return g, nil
}

// subscribe adds a subscriber; the first one is the watcher.
func (g *generator) subscribe(ctx context.Context, s server, i int, l load, suite dtls.SRTPProtectionProfile) error {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	_ = conn.SetReadBuffer(4 << 20)
	opt := lightpeer.Options{Loopback: true, Audio: 1, Video: l.publishers, Profile: suite, Socket: conn, Content: i > 0}
	if l.kind == gallery {
		opt.Audio = l.publishers
	}
	if i == 0 {
		opt.OnPacket = g.watcher.take
	}
	client, err := connect(ctx, s, fmt.Sprintf("subscriber-%03d", i), events.Viewer, opt)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	sub := &subscriber{client: client, conn: conn}
	g.subscribers = append(g.subscribers, sub)
	if i == 0 {
		return nil
	}
	// At once: a crowd of peers that read what they get would be the load
	// generator's end.
	return sub.filter()
}

func connect(ctx context.Context, s server, name string, role events.Role, opt lightpeer.Options) (*lightpeer.Client, error) {
	client, err := lightpeer.New(opt)
	if err != nil {
		return nil, err
	}
	offer, media, err := client.Offer()
	if err == nil {
		var answer string
		answer, err = s.join(ctx, events.Offer{
			Header: events.Head(events.ActionOffer), Generation: 1, Room: "room", Ticket: "ticket", Session: "session-" + name, Revision: 1,
			Profile: events.Profile{AudioStreams: opt.Audio, VideoStreams: opt.Video, ReceiveKbps: 100_000, SendKbps: 3000, VideoCodecs: []string{"vp8"}},
			Person:  events.Person{Key: "key-" + name, Identity: name, Name: name, Role: role}, Offer: offer, Media: media,
		})
		if err == nil {
			err = client.Accept(ctx, answer)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect %s: %w", name, err), client.Close())
	}
	return client, nil
}

func (g *generator) close() {
	if g == nil {
		return
	}
	close(g.stopping)
	g.running.Wait()
	for _, p := range g.publishers {
		_ = p.client.Close()
	}
	for _, s := range g.subscribers {
		_ = s.client.Close()
	}
}

// take reads all counters.
func (g *generator) take(pid int) count {
	c := count{cpu: cpuTime(pid)}
	for _, s := range g.subscribers[1:] {
		c.arrived += s.dropped()
	}
	for _, p := range g.publishers {
		c.sent += p.sent.Load()
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
	case known && w.from[mid] != sender:
		w.note(fmt.Errorf("stream %s: packet %d is publisher %d's, not %d's", mid, number, sender, w.from[mid]))
	case known && number != expected:
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

// subscriber is one that drops RTP unseen.
type subscriber struct {
	client *lightpeer.Client
	conn   *net.UDPConn
	drops  uint32 // the socket's counter, which is 32 bits wide
	total  int64
	mu     sync.Mutex
}

// report says twenty times a second what arrived, as browsers do.
func (g *generator) report(s *subscriber) {
	defer g.running.Done()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var told int64
	begun := time.Now()
	since := begun // what came after it is not told yet
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
			packets = append(packets, feedback(uint16(told), uint16(arrived), uint8(n), since.Sub(begun), now.Sub(begun)))
			told += arrived
			since = now
		}
		if n%20 == 0 {
			packets = append(packets, &rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: 2, LastSequenceNumber: uint32(total)}}})
		}
		if len(packets) > 0 {
			_ = s.client.Connection().WriteRTCP(packets)
		}
	}
}

// feedback is transport-wide feedback on packets that all arrived, evenly between
// two times.
func feedback(base, packets uint16, n uint8, from, to time.Duration) *rtcp.TransportLayerCC {
	const reference, tick = 64 * time.Millisecond, rtcp.TypeTCCDeltaScaleFactor * time.Microsecond
	t := &rtcp.TransportLayerCC{
		SenderSSRC: 1, MediaSSRC: 2, BaseSequenceNumber: base, PacketStatusCount: packets,
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
