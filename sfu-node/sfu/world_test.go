package sfu

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"go.uber.org/goleak"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// world is one SFU on loopback and what it reported.
type world struct {
	*SFU
	t    *testing.T
	left chan Departure
}

func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, left: make(chan Departure, 100)}
	cfg := Config{
		Node: "node-1", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		Log:  slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Left: func(d Departure) { w.left <- d },
	}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	if w.SFU, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := w.Close(ctx, events.CodeNodeGone); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return w
}

var testProfile = events.Profile{AudioStreams: 3, VideoStreams: 9, ReceiveKbps: 10_000, SendKbps: 3_000, VideoCodecs: []string{"vp8"}}

// person is one participant's client and everything it was sent.
type person struct {
	*lightpeer.Client
	t     *testing.T
	offer events.Offer

	mu       sync.Mutex
	changed  chan struct{} // closed and remade at each change
	messages []events.Message
	packets  map[string][]*rtp.Packet
	reports  map[string][]*rtcp.SenderReport
	keys     map[string]int // key frames asked for, by source and rid
}

// newPerson makes a client with an offer, which it does not send.
func newPerson(t *testing.T, name string, change ...func(*events.Offer, *lightpeer.Options)) *person {
	t.Helper()
	p := &person{t: t, changed: make(chan struct{}), packets: map[string][]*rtp.Packet{}, reports: map[string][]*rtcp.SenderReport{}, keys: map[string]int{}}
	p.offer = events.Offer{
		Header: events.Head(events.ActionOffer), Generation: 1, Room: "room", Profile: testProfile,
		Person:  events.Person{Key: "key-" + name, Identity: name, Name: name, Role: events.Publisher},
		Session: "session-" + name, Revision: 1, ID: "1", Ticket: "ticket",
	}
	opt := lightpeer.Options{
		Loopback:  true,
		OnMessage: func(m events.Message) { p.note(func() { p.messages = append(p.messages, m) }) },
		OnPacket: func(mid string, pkt *rtp.Packet) {
			p.note(func() { p.packets[mid] = append(p.packets[mid], pkt) })
		},
		OnReport: func(mid string, r *rtcp.SenderReport) {
			p.note(func() { p.reports[mid] = append(p.reports[mid], r) })
		},
		OnKeyRequest: func(source events.Source, rid string) {
			p.note(func() { p.keys[fmt.Sprint(source, rid)]++ })
		},
	}
	for _, c := range change {
		c(&p.offer, &opt)
	}
	var err error
	if p.Client, err = lightpeer.New(opt); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close %s: %v", name, err)
		}
	})
	if p.offer.Offer, p.offer.Media, err = p.Offer(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *person) note(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}

// until waits until ok, which runs under the person's lock, is true.
func (p *person) until(what string, ok func() bool) {
	p.t.Helper()
	deadline := time.After(patience)
	// What is asked for may also be a state of the node, which it tells p nothing of.
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		p.mu.Lock()
		done, changed := ok(), p.changed
		p.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-look.C:
		case <-deadline:
			p.t.Fatalf("%s: never came to pass for %s, who has %s", what, p.offer.Person.Identity, p.state())
		}
	}
}

// state tells what came so far.
func (p *person) state() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, _ := last[events.Streams](p)
	s := fmt.Sprintf("streams %+v", m.Streams)
	for mid, packets := range p.packets {
		s += fmt.Sprintf("; %d packets on %s, first %v, last %v", len(packets), mid, packets[0].Header, packets[len(packets)-1].Header)
	}
	return s
}

// connect joins and waits for the data channel.
func (w *world) connect(p *person) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.offer.Validate(); err != nil {
		w.t.Fatalf("offer of %s: %v", p.offer.Person.Identity, err)
	}
	answer, err := w.Join(ctx, p.offer, nil)
	if err != nil {
		w.t.Fatalf("join %s: %v", p.offer.Person.Identity, err)
	}
	if err := p.Accept(ctx, answer); err != nil {
		w.t.Fatalf("connect %s: %v", p.offer.Person.Identity, err)
	}
}

func (w *world) join(name string, change ...func(*events.Offer, *lightpeer.Options)) *person {
	w.t.Helper()
	p := newPerson(w.t, name, change...)
	w.connect(p)
	return p
}

func viewer(o *events.Offer, _ *lightpeer.Options) { o.Person.Role = events.Viewer }

func (p *person) send(m events.Message) {
	p.t.Helper()
	if err := p.Send(m); err != nil {
		p.t.Fatal(err)
	}
}

// publishes tells the node what the person publishes.
func (p *person) publishes(revision int64, tracks ...events.Track) {
	p.t.Helper()
	p.send(events.Tracks{Header: events.Head(events.ActionTracks), Revision: revision, Tracks: tracks})
}

var (
	micOn    = events.Track{Source: events.Microphone}
	cameraOn = events.Track{Source: events.Camera, Width: 1280, Height: 720}
)

// last returns the newest message of a type. The caller holds the lock.
func last[M events.Message](p *person) (m M, ok bool) {
	for _, x := range slices.Backward(p.messages) {
		if m, ok := x.(M); ok {
			return m, true
		}
	}
	return m, false
}

// carrying returns the stream that carries a publication by the newest map. The
// caller holds the lock.
func (p *person) carrying(participant string, source events.Source) (events.Stream, bool) {
	m, _ := last[events.Streams](p)
	for _, s := range m.Streams {
		if s.Participant == participant && s.Source == source {
			return s, true
		}
	}
	return events.Stream{}, false
}

// film makes a person send camera frames of all layers, and sound, until the
// test ends. The first byte after each VP8 header tells the layer.
func (p *person) film(rids ...string) {
	p.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	p.t.Cleanup(func() { stop(); <-ended })
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		cam := newCamera(p, rids)
		began := time.Now()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// By the clock: a busy machine loses ticks.
			ts := uint32(time.Since(began) / (20 * time.Millisecond) * 960)
			_ = p.Microphone().Write([]byte{0xf8, 0xff, 0xfe}, ts, n == 0, 30)
			if n%2 == 0 {
				cam.frame()
			}
		}
	}()
}

// camera makes VP8-like frames: a key frame when asked for one.
type camera struct {
	p      *person
	layers []string
	start  map[string]time.Time
	base   map[string]uint32
	id     map[string]uint16
	served map[string]int
}

func newCamera(p *person, rids []string) *camera {
	c := &camera{p: p, layers: rids, base: map[string]uint32{}, id: map[string]uint16{}, served: map[string]int{}, start: map[string]time.Time{}}
	for i, rid := range rids {
		c.base[rid] = uint32(i+1) * 1_000_000_000 // each layer counts from elsewhere
		c.id[rid] = uint16(i * 10_000)
		c.served[rid] = -1
		c.start[rid] = time.Now()
	}
	return c
}

// frame sends one frame of two packets on each layer.
func (c *camera) frame() {
	for i, rid := range c.layers {
		c.p.mu.Lock()
		asked := c.p.keys[fmt.Sprint(events.Camera, rid)]
		c.p.mu.Unlock()
		key := asked > c.served[rid]
		c.served[rid] = asked
		c.id[rid]++
		ts := c.base[rid] + uint32(time.Since(c.start[rid])*90/time.Millisecond)
		for part := range 2 {
			_ = c.p.Camera(rid).Write(vp8(c.id[rid], byte(i), part == 0, key), ts, part == 1, 0)
		}
	}
}

// vp8 makes a payload with a 15-bit picture id, TL0PICIDX, TID and a body that
// names its layer.
func vp8(id uint16, layer byte, start, key bool) []byte {
	first := byte(0x80)
	if start {
		first |= 0x10
	}
	frame := byte(1)
	if key {
		frame = 0
	}
	return append([]byte{first, 0xe0, 0x80 | byte(id>>8), byte(id), byte(id), 0, frame, layer}, make([]byte, 100)...)
}
