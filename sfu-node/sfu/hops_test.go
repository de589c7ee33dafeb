package sfu

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
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

// Two rooms on the same two nodes share one pipe, and nothing of one is told or sent
// to the other.
func TestRoomsShareOnePipe(t *testing.T) {
	t.Parallel()
	s := newSpread(t, 2)
	people := map[string][2]*person{}
	for _, room := range []string{"red", "blue"} {
		s.join(room, [2]int{0, 1})
		in := func(o *events.Offer, _ *lightpeer.Options) { o.Room = room }
		anna, bob := s.nodes[0].join(room+"-anna", in), s.nodes[1].join(room+"-bob", in)
		anna.publishes(1, cameraOn)
		anna.film("q")
		people[room] = [2]*person{anna, bob}
	}
	for room, both := range people {
		everybody := map[string]string{room + "-anna": "node-1", room + "-bob": "node-2"}
		for _, p := range both {
			p.knows(everybody)
		}
		both[1].sees(room+"-anna", events.Camera)
	}
	for i, w := range s.nodes {
		if pipes := w.web.mesh.Traffic(); len(pipes) != 1 || !pipes[0].Up {
			t.Errorf("node %d has pipes %+v", i+1, pipes)
		}
	}
	crossing := map[string]int{}
	for _, f := range s.nodes[0].Flows() {
		crossing[f.Room+" "+f.Identity]++
	}
	if want := map[string]int{"red red-anna": 1, "blue blue-anna": 1}; !maps.Equal(crossing, want) {
		t.Errorf("what crosses is %v, want %v", crossing, want)
	}
}

// What an administrator does to somebody on another node goes by the control plane to
// that node; everybody sees what came of it, wherever they sit.
func TestDeedsReachOtherNodes(t *testing.T) {
	t.Parallel()
	asked := make(chan events.ModerateFor, 1)
	s := newSpread(t, 3, func(c *Config) { c.Moderate = func(m events.ModerateFor) { asked <- m } })
	s.join("room", [2]int{0, 1}, [2]int{1, 2})
	ann, bob, cas := s.nodes[0].join("ann", admin), s.nodes[2].join("bob"), s.nodes[1].join("cas", viewer)
	bob.publishes(1, cameraOn)
	bob.film("q")
	ann.sees("bob", events.Camera)
	cas.sees("bob", events.Camera)

	ann.moderates("1", events.Mute, "bob", events.Camera)
	if m := <-asked; m.Deed != events.Mute || m.Participant != "bob" {
		t.Fatalf("asked %+v", m)
	}
	s.nodes[2].MuteTracks("room", "key-bob", []events.Source{events.Camera}) // as the control plane tells it
	for _, p := range []*person{ann, cas} {
		p.until("bob's camera is muted and not carried", func() bool {
			_, carried := p.carrying("bob", events.Camera)
			tracks := p.people()["bob"].Tracks
			return !carried && len(tracks) == 1 && tracks[0].Muted
		})
	}
	s.nodes[2].Recast("room", "key-bob", 1, events.Viewer)
	s.nodes[1].Recast("room", "key-cas", 1, events.Publisher)
	for _, p := range []*person{ann, bob, cas} {
		p.until("bob has left the stage to cas", func() bool {
			now := p.people()
			return now["bob"].Role == events.Viewer && len(now["bob"].Tracks) == 0 && now["cas"].Role == events.Publisher
		})
	}
	cas.publishes(1, cameraOn)
	cas.film("q")
	ann.sees("cas", events.Camera)
	bob.sees("cas", events.Camera)
}
