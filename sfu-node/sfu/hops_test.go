package sfu

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/spillway-sfu/spillway/events"
)

// Many viewers beyond two pipes ask for key frames again and again: each node asks
// the one before it, and the first the publisher, once a second.
func TestKeyRequestsAreMergedOnEachHop(t *testing.T) {
	t.Parallel()
	const viewers, rounds = 6, 20
	s := newSpread(t, 3)
	s.join("room", [2]int{0, 1}, [2]int{1, 2})
	anna := s.nodes[0].join("anna")
	anna.publishes(1, cameraOn)
	anna.film("q")
	var people []*person
	for i := range viewers {
		people = append(people, s.nodes[2].join(fmt.Sprint("viewer-", i), viewer))
	}
	for _, p := range people {
		p.sees("anna", events.Camera)
	}
	// By now nobody is without a first picture, so nothing hurries.
	asked := func() []int64 {
		anna.mu.Lock()
		defer anna.mu.Unlock()
		return []int64{int64(anna.keys["cameraq"]), s.nodes[1].Counters().KeysSent.Load(), s.nodes[2].Counters().KeysSent.Load()}
	}
	before, begin := asked(), time.Now()
	for range rounds {
		for _, p := range people {
			p.mu.Lock()
			st, ok := p.carrying("anna", events.Camera)
			var ssrc uint32
			if got := p.packets[st.Mid]; ok && len(got) > 0 {
				ssrc = got[len(got)-1].SSRC
			}
			p.mu.Unlock()
			if err := p.Connection().WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: ssrc}}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	anna.until("the publisher is asked", func() bool { return int64(anna.keys["cameraq"]) > before[0] })
	after, most := asked(), int64(time.Since(begin)/keyEvery)+2
	for i, who := range []string{"the publisher", "the first node, by the second", "the second node, by the third"} {
		if n := after[i] - before[i]; n < 1 || n > most {
			t.Errorf("%s was asked %d times for what %d viewers asked %d times in %v", who, n, viewers, rounds, time.Since(begin).Round(time.Millisecond))
		}
	}
}

// Pipes go by private addresses where nodes have any.
func TestPrivateAddressesComeFirst(t *testing.T) {
	t.Parallel()
	p := peerOf(events.PipePeer{Node: "n", Generation: 3, PipePort: 7883, Fingerprint: "AA", Addresses: []events.Address{
		{IP: "203.0.113.7", Port: 7882, Scope: events.PublicScope}, {IP: "10.0.0.7", Port: 7882, Scope: events.PrivateScope},
		{IP: "2001:db8::7", Port: 7882, Scope: events.PublicScope}, {IP: "10.0.1.7", Port: 7882, Scope: events.PrivateScope},
	}})
	var got []string
	for _, a := range p.Addresses {
		got = append(got, a.String())
	}
	if want := []string{"10.0.0.7:7883", "10.0.1.7:7883", "203.0.113.7:7883", "[2001:db8::7]:7883"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
