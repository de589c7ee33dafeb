package sfu

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

// Whatever somebody sends, in the room or from outside, the call of the others goes on:
// sound and pictures come in one run of numbers.
func TestRubbishDisturbsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := filmed(w)
	random := rand.New(rand.NewPCG(7, 11))
	noise := func(most int) []byte {
		b := make([]byte, random.IntN(most)+1)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	video, audio := ben.flows("anna", 0, 0)
	for name, throw := range map[string]func(*person){
		"datagrams": func(*person) { throwDatagrams(t, w, noise) },
		"offers":    func(*person) { throwOffers(t, w, random) },
		"RTP":       func(m *person) { throwRTP(w, m, noise) },
		"RTCP":      func(m *person) { throwRTCP(m, noise) },
		"messages":  func(m *person) { throwMessages(m, noise) },
	} {
		mallory := w.join("mallory-"+name, func(o *events.Offer, _ *lightpeer.Options) { o.Person.Role = events.Publisher })
		mallory.publishes(1, micOn, cameraOn)
		throw(mallory)
		video, audio = ben.flows("anna", video, audio)
	}
	inOneRun(t, ben, "anna")
	if c := w.Counters(); c.BadMessages.Load() < 50 || c.Dropped(DropMalformed) < 50 || c.Dropped(DropStranger) < 50 {
		t.Errorf("%d bad messages, %d malformed packets and %d of nobody were counted: this shows nothing", c.BadMessages.Load(), c.Dropped(DropMalformed), c.Dropped(DropStranger))
	}
	// And it still is a node that takes people.
	anna.flows(w.filming("carl").offer.Person.Identity, 0, 0)
}

// filming makes somebody join and film.
func (w *world) filming(name string) *person {
	w.t.Helper()
	p := w.join(name)
	p.publishes(1, micOn, cameraOn)
	p.film("q", "h")
	return p
}

// inOneRun checks that of somebody's sound and picture no packet was left out.
func inOneRun(t *testing.T, p *person, of string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, source := range []events.Source{events.Microphone, events.Camera} {
		s, ok := p.carrying(of, source)
		if !ok || s.Paused {
			t.Errorf("%s is not carried, or paused: %+v", source, s)
			continue
		}
		seen := map[uint16]bool{}
		least, most := p.packets[s.Mid][0].SequenceNumber, p.packets[s.Mid][0].SequenceNumber
		for _, packet := range p.packets[s.Mid] {
			seen[packet.SequenceNumber] = true
			if int16(packet.SequenceNumber-least) < 0 {
				least = packet.SequenceNumber
			}
			if int16(packet.SequenceNumber-most) > 0 {
				most = packet.SequenceNumber
			}
		}
		// A socket of a busy machine may be full for a moment.
		if want := int(most-least) + 1; len(seen) < want*98/100 {
			t.Errorf("%s: %d packets of %d came", source, len(seen), want)
		}
	}
}

// throwDatagrams sends to the media port what begins as each of the protocols on it.
func throwDatagrams(t *testing.T, w *world, noise func(int) []byte) {
	t.Helper()
	c, err := net.Dial("udp4", fmt.Sprintf("127.0.0.1:%d", w.Port()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 2000 {
		b := noise(1400)
		b[0] = []byte{0, 1, 20, 22, 23, 63, 64, 128, 144, 192, 255}[i%11]
		if i%11 < 2 && len(b) > 20 { // STUN
			copy(b[4:], []byte{0x21, 0x12, 0xa4, 0x42})
		}
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
}

// throwOffers asks to join with descriptions in which bytes and lines are wrong.
func throwOffers(t *testing.T, w *world, random *rand.Rand) {
	t.Helper()
	p := newPerson(t, "eve")
	good, err := events.Unpack(p.offer.Offer)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		bad := []byte(good)
		switch i % 3 {
		case 0:
			for range 1 + random.IntN(20) {
				bad[random.IntN(len(bad))] = byte(random.Uint32())
			}
		case 1:
			bad = bad[:random.IntN(len(bad))]
		case 2:
			lines := bytes.SplitAfter(bad, []byte("\n"))
			random.Shuffle(len(lines), func(a, b int) { lines[a], lines[b] = lines[b], lines[a] })
			bad = bytes.Join(lines, nil)
		}
		offer := p.offer
		offer.Offer, offer.Session, offer.ID = events.Pack(string(bad)), fmt.Sprint("session-", i), fmt.Sprint(i)
		offer.Person.Key, offer.Person.Identity = fmt.Sprint("key-", i), fmt.Sprint("eve-", i)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, _ = w.Join(ctx, offer, nil) // an answer to what can be understood all the same
		cancel()
		w.Remove(offer.Room, offer.Person.Key, offer.Revision, events.CodeRemoved)
	}
	offer := p.offer
	offer.Offer = "no base64, and nothing deflated"
	if _, err := w.Join(context.Background(), offer, nil); err == nil {
		t.Error("what is no description at all is answered")
	}
}

// throwRTP publishes packets whose payloads are no such codec's.
func throwRTP(w *world, m *person, noise func(int) []byte) {
	// What it publishes may not be listed yet.
	for end := time.Now().Add(patience); w.Counters().Dropped(DropMalformed) < 100 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for i := range 30 {
			_ = m.Camera([]string{"q", "h", "f"}[i%3]).Write(noise(1200), uint32(i)*3000, i%2 == 0, 0)
			_ = m.Camera("q").Write([]byte{0x90, 0xf0}, uint32(i)*3000, true, 0) // ends within its descriptor
			_ = m.Microphone().Write(noise(400), uint32(i)*960, false, 10)
		}
	}
	_ = m.Microphone().Write(nil, 0, false, 10)
}

// throwRTCP reports what is no report, under the right keys.
func throwRTCP(m *person, noise func(int) []byte) {
	for i := range 500 {
		b := noise(300)
		b = append(b, make([]byte, 8)...)[:max(8, len(b)/4*4)]
		b[0], b[1] = 0x80|b[0]&0x3f, []byte{200, 201, 202, 203, 204, 205, 206, 207}[i%8]
		if i%2 == 0 { // with a length that fits
			b[2], b[3] = byte((len(b)/4-1)>>8), byte(len(b)/4-1)
		}
		raw := rtcp.RawPacket(b)
		_ = m.Connection().WriteRTCP([]rtcp.Packet{&raw})
	}
}

// throwMessages says what is no message, or is none for it to say, on each channel.
func throwMessages(m *person, noise func(int) []byte) {
	said := [][]byte{
		nil, []byte("{"), []byte("null"), []byte("[]"), []byte(`{"action":`), []byte(`{"action":"want"}`), []byte(`{"v":1,"action":"want","video":[{"height":-1}]}`),
		[]byte(`{"v":1,"action":"tracks","revision":9223372036854775807,"tracks":[{"source":"moon"}]}`), []byte(`{"v":99,"action":"want"}`),
		bytes.Repeat([]byte("["), 10_000), bytes.Repeat([]byte(`{"a":`), 5_000), []byte(`{"v":1,"action":"data","text":"` + string(make([]byte, 40_000)) + `"}`),
	}
	for range 100 {
		said = append(said, noise(2000))
	}
	for _, raw := range said {
		_ = m.SendRaw(raw)
	}
	for i := range 100 {
		_ = m.SendData(events.Data{Header: events.Head(events.ActionData), To: []string{"nobody", ""}}, i%2 == 0)
	}
}
