package sfu

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/layer"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
	"github.com/spillway-sfu/spillway/sfu-node/seal"
)

// A receiver that cannot be reached, one that reads nothing, and one without a
// handshake cost the others nothing: they get every packet, in order.
func TestSlowReceiversSlowNobody(t *testing.T) {
	b := newBench(events.Camera)
	b.onWire(t, false)
	good := loopback(t)
	_, opener := b.wired(t, good, seal.AES128GCM)
	deaf := loopback(t)
	_ = deaf.SetReadBuffer(1)
	b.wired(t, deaf, seal.AES128GCM)
	unconnected, _ := b.wired(t, loopback(t), seal.AES128GCM)
	unconnected.peer.egress.sealer = nil
	closed := loopback(t)
	b.wired(t, closed, seal.AES128GCM)
	closed.Close()
	quiet, _ := b.wired(t, loopback(t), seal.AES128GCM)
	quiet.peer.quiet.Store(true)
	broken, _ := b.wired(t, loopback(t), seal.AES128GCM)
	broken.peer.egress.to = netip.MustParseAddrPort("127.0.0.1:0") // which the kernel refuses
	for _, s := range *b.pub.receivers.Load() {
		s.aim(0)
	}
	const rounds = 200
	seq := uint16(0)
	for id := range uint16(rounds) {
		bodies := b.up[0].frame([]int{1000, 1001, 1000, 1001, 300}, &seq, id+1, time.Duration(id)*33*time.Millisecond)
		for i := range bodies {
			p, _ := receive(t, good, opener)
			if d, ok := layer.ParseVP8(p.Payload); !ok || d.PictureID != id+1 || len(p.Payload) != len(bodies[i]) {
				t.Fatalf("frame %d, packet %d: picture %d in %d bytes", id, i, d.PictureID, len(p.Payload))
			}
		}
	}
	for cause, want := range map[Drop]int64{DropUnconnected: 5 * rounds, DropQuiet: 5 * rounds} {
		if n := b.sfu.count.Dropped(cause); n != want {
			t.Errorf("%d packets count as dropped for %v, expected %d", n, cause, want)
		}
	}
	if n := b.sfu.count.Dropped(DropWrite); n < 5*rounds {
		t.Errorf("%d packets count as not written, expected those to where nothing may be sent", n)
	}
}

// soakFor is how long a soak goes on.
func soakFor(t *testing.T) time.Duration {
	text := os.Getenv("SPILLWAY_SOAK")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("SPILLWAY_SOAK: %v", err)
	}
	return d
}

// visitors is people who join and leave around two who stay, and check all they get.
type visitors struct {
	w     *world
	t     *testing.T
	mu    sync.Mutex
	wrong []string
	heard int
}

// TestSoak lets people come and go while others publish. Nobody gets a packet of
// another room or of itself, and what they leave behind does not grow. With
// SPILLWAY_SOAK=30m it goes on for as long.
func TestSoak(t *testing.T) {
	c := &visitors{w: newWorld(t), t: t}
	long := soakFor(t)
	for _, room := range []string{"east", "west"} {
		p := c.join(t, room, "host-"+room, events.Publisher)
		p.publishes(1, cameraOn)
		c.film(p, room)
	}
	before, n := c.rounds(2, 0), 2
	for begin := time.Now(); time.Since(begin) < long/10; n++ { // what the hosts keep of what they sent fills
		before = c.rounds(1, n)
	}
	after := before
	for begin, least := time.Now(), n+4; time.Since(begin) < long || n < least; n++ {
		after = c.rounds(1, n)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.heard == 0 || len(c.wrong) > 0 {
		t.Errorf("%d packets arrived, and %d at the wrong person: %.5s", c.heard, len(c.wrong), c.wrong)
	}
	waitFor(t, "the goroutines of those who left have ended", func() bool { return runtime.NumGoroutine() <= before.goroutines+10 })
	if after.bytes > before.bytes+before.bytes/2+2<<20 {
		t.Errorf("memory grew from %d to %d KB", before.bytes>>10, after.bytes>>10)
	}
	t.Logf("%d packets; %d goroutines, %d KB", c.heard, after.goroutines, after.bytes>>10)
}

type footprint struct {
	goroutines int
	bytes      uint64
}

// rounds lets four people come, see, and go, n times over, and measures what is
// left of them.
func (c *visitors) rounds(n, at int) footprint {
	for i := range n {
		// A test of its own, so that nothing of these people is kept.
		c.t.Run(fmt.Sprintf("round %d", at+i), func(t *testing.T) {
			var people []*person
			for j := range 4 {
				room := [2]string{"east", "west"}[j%2]
				people = append(people, c.join(t, room, fmt.Sprintf("guest-%d-%d", at+i, j), events.Viewer))
			}
			for _, p := range people {
				p.until("pictures", func() bool { return len(p.packets["seen"]) > 20 })
			}
			for _, p := range people {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
				c.w.gone()
			}
		})
	}
	waitFor(c.t, "only the hosts are here", func() bool { return c.w.Report().People == 2 })
	f := footprint{goroutines: runtime.NumGoroutine()}
	for quiet := time.Now(); time.Since(quiet) < 300*time.Millisecond; time.Sleep(20 * time.Millisecond) {
		// The last goroutines of who left end when they may.
		if now := runtime.NumGoroutine(); now < f.goroutines {
			f.goroutines, quiet = now, time.Now()
		}
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	f.bytes = m.HeapAlloc
	return f
}

// join lets somebody in who checks that all pictures are of the room.
func (c *visitors) join(t *testing.T, room, name string, role events.Role) *person {
	t.Helper()
	var p *person
	p = newPerson(t, name, func(o *events.Offer, opt *lightpeer.Options) {
		o.Room, o.Person.Role = room, role
		opt.OnPacket = func(_ string, pkt *rtp.Packet) {
			c.mu.Lock()
			c.heard++
			if !strings.HasSuffix(string(pkt.Payload), room) || role == events.Publisher {
				c.wrong = append(c.wrong, name)
			}
			c.mu.Unlock()
			p.note(func() { p.packets["seen"] = append(p.packets["seen"], pkt) })
		}
	})
	c.w.connect(p)
	return p
}

// film sends pictures that say which room they are of.
func (c *visitors) film(p *person, room string) {
	stop, ended := make(chan struct{}), make(chan struct{})
	c.t.Cleanup(func() { close(stop); <-ended })
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := uint16(1); ; n++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			// Each is a key frame: a guest does not stay long.
			payload := binary.BigEndian.AppendUint16(vp8(n, 0, true, true), n)
			_ = p.Camera("q").Write(append(payload, room...), uint32(n)*1800, true, 0)
		}
	}()
}
