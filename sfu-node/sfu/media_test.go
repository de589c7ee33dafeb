package sfu

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// The answer is what the contract promises: ICE-lite, DTLS server, our one
// certificate and address, sections as offered, an own stream id for each.
func TestAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) {
		c.Addresses = append(c.Addresses, netip.MustParseAddr("192.0.2.7"))
	})
	p := newPerson(t, "anna")
	packed, err := w.Join(t.Context(), p.offer, nil)
	if err != nil {
		t.Fatal(err)
	}
	sdp, err := events.Unpack(packed)
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(w.Port())
	for _, want := range []string{"a=ice-lite\r\n", "a=setup:passive\r\n", "a=fingerprint:sha-256 " + w.Fingerprint() + "\r\n",
		" 127.0.0.1 " + port + " typ host", " 192.0.2.7 " + port + " typ host", "m=application 9 "} {
		if !strings.Contains(sdp, want) {
			t.Errorf("the answer lacks %q", want)
		}
	}
	if strings.Contains(sdp, "a=setup:active") || strings.Contains(sdp, "a=setup:actpass") {
		t.Error("the answer would let the node be a DTLS client")
	}
	direction := map[string]string{}
	ids := map[string]string{}
	mid := ""
	for line := range strings.Lines(sdp) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "a=mid:"):
			mid = line[len("a=mid:"):]
		case line == "a=sendonly" || line == "a=recvonly" || line == "a=inactive" || line == "a=sendrecv":
			direction[mid] = line[2:]
		case strings.HasPrefix(line, "a=msid:"):
			stream, _, _ := strings.Cut(line[len("a=msid:"):], " ")
			if other, twice := ids[stream]; twice {
				t.Errorf("sections %s and %s share the stream id %s", other, mid, stream)
			}
			ids[stream] = mid
		}
	}
	for source, mid := range p.offer.Media.Sending() {
		if direction[mid] != "recvonly" {
			t.Errorf("%s is %q", source, direction[mid])
		}
	}
	receive := append(slices.Clone(p.offer.Media.Audio), p.offer.Media.Video...)
	for _, mid := range receive {
		if direction[mid] != "sendonly" {
			t.Errorf("receive stream %s is %q", mid, direction[mid])
		}
	}
	if len(ids) != len(receive) {
		t.Errorf("%d stream ids for %d receive streams", len(ids), len(receive))
	}
}

// A node is often announced under an address that is not its machine's own.
func TestAnnouncedAddressIsAnothers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) {
		c.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("127.0.0.1")}
	})
	w.join("anna").isHere()
}

// Sections in any order, named by media in any order, are what media says.
func TestMidsAreWhatMediaSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.join("anna")
	ben := newPerson(t, "ben")
	slices.Reverse(ben.offer.Media.Video)
	slices.Reverse(ben.offer.Media.Audio)
	w.connect(ben)
	anna.publishes(1, micOn, cameraOn)
	anna.film("q")
	ben.until("media on the streams that were named", func() bool {
		sound, ok := ben.carrying("anna", events.Microphone)
		picture, ok2 := ben.carrying("anna", events.Camera)
		return ok && ok2 && sound.Mid == ben.offer.Media.Audio[0] && picture.Mid == ben.offer.Media.Video[0] &&
			len(ben.packets[sound.Mid]) > 5 && len(ben.packets[picture.Mid]) > 5
	})
}

// Payload types are each offer's own.
func TestPayloadTypesOfTheOffer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.join("anna", func(_ *events.Offer, o *lightpeer.Options) { o.VP8, o.Opus = 120, 109 })
	ben := w.join("ben", func(_ *events.Offer, o *lightpeer.Options) { o.VP8, o.Opus = 100, 96 })
	for _, p := range []*person{anna, ben} {
		p.publishes(1, micOn, cameraOn)
		p.film("q")
	}
	for _, c := range []struct {
		who        *person
		from       string
		vp8, sound uint8
	}{{anna, "ben", 120, 109}, {ben, "anna", 100, 96}} {
		c.who.until("media", func() bool {
			sound, ok := c.who.carrying(c.from, events.Microphone)
			picture, ok2 := c.who.carrying(c.from, events.Camera)
			s, p := c.who.packets[sound.Mid], c.who.packets[picture.Mid]
			return ok && ok2 && len(s) > 0 && len(p) > 0 && s[0].PayloadType == c.sound && p[0].PayloadType == c.vp8
		})
	}
}

// Twelve people, all of them publishing: everybody gets as many as there are
// streams, unbroken, and never itself.
func TestTwelve(t *testing.T) {
	w := newWorld(t)
	const n = 12
	profile := func(o *events.Offer, opt *lightpeer.Options) {
		opt.Audio, opt.Video = n-1, 6
		o.Profile.AudioStreams, o.Profile.VideoStreams = n-1, 6
	}
	var people []*person
	for i := range n {
		people = append(people, w.join(fmt.Sprintf("p%02d", i), profile))
	}
	for _, p := range people {
		p.publishes(1, micOn, cameraOn)
		p.film("q")
	}
	for _, p := range people {
		p.until("all sound and six pictures", func() bool {
			m, _ := last[events.Streams](p)
			if len(m.Streams) != n-1+6 {
				return false
			}
			for _, s := range m.Streams {
				if len(p.packets[s.Mid]) < 5 {
					return false
				}
			}
			return true
		})
	}
	for _, p := range people {
		p.mu.Lock()
		for _, m := range p.messages {
			if s, ok := m.(events.Streams); ok && slices.ContainsFunc(s.Streams, func(s events.Stream) bool { return s.Participant == p.offer.Person.Identity }) {
				t.Errorf("%s receives itself", p.offer.Person.Identity)
			}
		}
		p.mu.Unlock()
	}
	if err := people[0].Close(); err != nil {
		t.Error(err)
	}
	w.gone()
	people[1].until("p00 is gone from roster and streams", func() bool {
		_, seen := people[1].carrying("p00", events.Microphone)
		return !seen && !people[1].roster()["p00"]
	})
}

// lossy is a socket that loses some of what arrives.
type lossy struct {
	net.PacketConn
	n    atomic.Int64
	open atomic.Bool
}

func (l *lossy) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := l.PacketConn.ReadFrom(b)
		// RTP and RTCP begin with 128 to 191, DTLS and STUN lower (RFC 7983).
		if err == nil && n > 0 && b[0] >= 128 && b[0] < 192 && l.open.Load() && l.n.Add(1)%10 == 0 {
			continue
		}
		return n, from, err
	}
}

// What a receiver loses is repeated.
func TestLostPacketsAreRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cable := &lossy{PacketConn: conn}
	anna := w.join("anna")
	ben := w.join("ben", func(_ *events.Offer, o *lightpeer.Options) { o.Socket = cable })
	cable.open.Store(true)
	anna.publishes(1, cameraOn)
	anna.film("q")
	var mid string
	complete := func(packets []*rtp.Packet) int {
		if len(packets) == 0 {
			return 0
		}
		have := map[uint16]bool{}
		for _, p := range packets {
			have[p.SequenceNumber] = true
		}
		n := 0
		for seq := packets[0].SequenceNumber; have[seq]; seq++ {
			n++
		}
		return n
	}
	ben.until("100 packets in a row", func() bool {
		s, ok := ben.carrying("anna", events.Camera)
		mid = s.Mid
		return ok && complete(ben.packets[mid]) > 100
	})
	if w.Counters().Nacks.Load() == 0 {
		t.Error("nothing was asked for again: the test lost nothing")
	}
}

// Sender reports are in the node's clock and fit the packets.
func TestSenderReports(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.join("anna"), w.join("ben")
	anna.publishes(1, micOn, cameraOn)
	anna.film("q")
	var sound, picture events.Stream
	ben.until("two reports of each stream", func() bool {
		var ok, ok2 bool
		sound, ok = ben.carrying("anna", events.Microphone)
		picture, ok2 = ben.carrying("anna", events.Camera)
		return ok && ok2 && len(ben.reports[sound.Mid]) >= 2 && len(ben.reports[picture.Mid]) >= 2
	})
	ben.mu.Lock()
	defer ben.mu.Unlock()
	for mid, hz := range map[string]float64{sound.Mid: 48000, picture.Mid: 90000} {
		a, b := ben.reports[mid][0], ben.reports[mid][1]
		clock := time.Duration(fromNTP(b.NTPTime) - fromNTP(a.NTPTime)).Seconds()
		stamps := float64(b.RTPTime-a.RTPTime) / hz
		if diff := clock - stamps; diff < -0.15 || diff > 0.15 {
			t.Errorf("stream %s: %.3f s by the clock, %.3f s by timestamps", mid, clock, stamps)
		}
		now := time.Since(time.Unix(0, 0)) + ntpEpoch*time.Second
		if age := now - time.Duration(fromNTP(b.NTPTime)); age < 0 || age > patience {
			t.Errorf("stream %s: the report is %v old", mid, age)
		}
		packets := ben.packets[mid]
		if b.SSRC != packets[0].SSRC || b.PacketCount == 0 || b.OctetCount == 0 || b.PacketCount < a.PacketCount {
			t.Errorf("stream %s: report %+v", mid, b)
		}
	}
}
