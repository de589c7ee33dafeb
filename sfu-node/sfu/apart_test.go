package sfu

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
	"github.com/spillway-sfu/spillway/sfu-node/pipe/pipetest"
)

// While nodes cannot reach each other their people stay in each other's rosters,
// unreachable and without tracks; when they can, all is as before.
func TestCutAndHealedRooms(t *testing.T) {
	t.Parallel()
	s := newSpread(t, 2)
	road := s.road(0, 1)
	s.join("room", [2]int{0, 1})
	anna, bob := s.nodes[0].join("anna"), s.nodes[1].join("bob")
	anna.publishes(1, cameraOn)
	anna.film("q")
	bob.sees("anna", events.Camera)
	road.Cut()
	cut := time.Now()
	for p, other := range map[*person]string{anna: "bob", bob: "anna"} {
		p.until(other+" is unreachable", func() bool {
			m, ok := p.people()[other]
			return ok && m.Unreachable && len(m.Tracks) == 0
		})
	}
	noticed := time.Since(cut)
	if noticed > 4*time.Second {
		t.Errorf("the cut was noticed after %v", noticed)
	}
	bob.until("nothing is carried", func() bool { _, ok := bob.carrying("anna", events.Camera); return !ok })
	road.Heal()
	healed := time.Now()
	bob.sees("anna", events.Camera)
	t.Logf("noticed after %v, media after %v", noticed.Round(time.Millisecond), time.Since(healed).Round(time.Millisecond))
	both := map[string]string{"anna": "node-1", "bob": "node-2"}
	anna.knows(both)
	bob.knows(both)
	// Parted for good, each is alone at once.
	s.join("room")
	anna.knows(map[string]string{"anna": "node-1"})
	bob.knows(map[string]string{"bob": "node-2"})
}

// People beyond a cut stay in the roster for fifteen seconds, and not for longer.
func TestTheUnreachableAreKeptForFifteenSeconds(t *testing.T) {
	t.Parallel()
	s := newSpread(t, 2)
	road := s.road(0, 1)
	s.join("room", [2]int{0, 1})
	anna := s.nodes[0].join("anna")
	s.nodes[1].join("bob")
	anna.knows(map[string]string{"anna": "node-1", "bob": "node-2"})
	road.Cut()
	anna.until("bob is unreachable", func() bool { return anna.people()["bob"].Unreachable })
	w := s.nodes[0]
	w.mu.Lock()
	room := w.rooms["room"]
	w.mu.Unlock()
	kept := func(after time.Duration) bool {
		room.mu.Lock()
		defer room.mu.Unlock()
		room.lookAround(room.neighbours["node-2"].lost + after)
		return room.remotes["bob"] != nil
	}
	if !kept(15 * time.Second) {
		t.Error("bob is forgotten within fifteen seconds")
	}
	if kept(15*time.Second + time.Millisecond) {
		t.Error("bob is kept for longer than fifteen seconds")
	}
	anna.knows(map[string]string{"anna": "node-1"})
}

// A lossy road costs receivers nothing: what is lost is repeated on that pipe.
func TestALossyPipeIsRepaired(t *testing.T) {
	t.Parallel()
	s := newSpread(t, 2)
	road := s.road(0, 1)
	s.join("room", [2]int{0, 1})
	anna, bob := s.nodes[0].join("anna"), s.nodes[1].join("bob")
	anna.publishes(1, cameraOn)
	anna.film("q")
	bob.sees("anna", events.Camera)
	road.Lose(10)
	for range 5 {
		bob.sees("anna", events.Camera)
	}
	road.Lose(0)
	bob.sees("anna", events.Camera)
	bob.mu.Lock()
	defer bob.mu.Unlock()
	st, _ := bob.carrying("anna", events.Camera)
	seen := map[uint16]bool{}
	first, last := ^uint16(0), uint16(0)
	for _, p := range bob.packets[st.Mid] {
		seen[p.SequenceNumber] = true
		first, last = min(first, p.SequenceNumber), max(last, p.SequenceNumber)
	}
	if missing := int(last-first) + 1 - len(seen); missing > 0 {
		t.Errorf("%d of %d packets never came", missing, int(last-first)+1)
	}
}

// Somebody changes nodes with both connections open for a while: others keep the
// picture, under the same name, and go over to the new home at a key frame.
func TestMovingToAnotherNodeIsSeamless(t *testing.T) {
	t.Parallel()
	s := newSpread(t, 3)
	s.join("room", [2]int{0, 1}, [2]int{1, 2})
	bob := s.nodes[1].join("bob", viewer)
	carl := s.nodes[0].join("carl", viewer)
	anna := s.nodes[0].join("anna")
	anna.publishes(1, micOn, cameraOn)
	anna.film("q")
	for _, p := range []*person{bob, carl} {
		p.sees("anna", events.Camera)
	}
	bob.mu.Lock()
	before, _ := bob.carrying("anna", events.Camera)
	bob.mu.Unlock()

	later := newPerson(t, "anna", func(o *events.Offer, _ *lightpeer.Options) {
		o.Revision, o.Session, o.From = 2, "session-anna-2", "session-anna"
	})
	s.nodes[2].connect(later)
	bob.knows(map[string]string{"anna": "node-3", "bob": "node-2", "carl": "node-1"})
	bob.sees("anna", events.Camera) // still of the old home
	later.publishes(1, micOn, cameraOn)
	later.film("q")
	s.crosses(2, 1, "anna camera 0", "anna microphone 2")
	if err := anna.Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*person{bob, carl} {
		p.knows(map[string]string{"anna": "node-3", "bob": "node-2", "carl": "node-1"})
		p.sees("anna", events.Camera)
		p.sees("anna", events.Microphone)
	}
	bob.mu.Lock()
	defer bob.mu.Unlock()
	after, _ := bob.carrying("anna", events.Camera)
	if after.Mid != before.Mid || after.CSRC != before.CSRC || after.Timestamp != before.Timestamp {
		t.Errorf("carried as %+v before, %+v after", before, after)
	}
	count := map[bool]int{}
	for _, p := range bob.packets[after.Mid] {
		count[len(p.CSRC) == 1 && p.CSRC[0] == after.CSRC]++
	}
	if count[false] > 0 {
		t.Errorf("%d packets under another name", count[false])
	}
}

// Somebody whose node is cut off comes back on another one, with its seat there:
// the others have it again at once, and nothing of the earlier session.
func TestWhoseNodeIsCutOffComesBackElsewhere(t *testing.T) {
	t.Parallel()
	s := newSpread(t, 3)
	roads := []*pipetest.Road{s.road(0, 1), s.road(0, 2)}
	s.join("room", [2]int{0, 1}, [2]int{0, 2}, [2]int{1, 2}) // a ring, as while a tree changes
	anna, bob := s.nodes[0].join("anna"), s.nodes[1].join("bob", viewer)
	anna.publishes(1, cameraOn)
	anna.film("q")
	bob.sees("anna", events.Camera)
	for _, r := range roads {
		r.Cut()
	}
	bob.until("anna is unreachable", func() bool { return bob.people()["anna"].Unreachable })
	again := newPerson(t, "anna", func(o *events.Offer, _ *lightpeer.Options) {
		o.Revision, o.Session, o.From = 2, "session-anna-2", "session-anna"
	})
	s.nodes[2].connect(again)
	again.publishes(1, cameraOn)
	again.film("q")
	bob.knows(map[string]string{"anna": "node-3", "bob": "node-2"})
	bob.sees("anna", events.Camera)
	// The earlier node comes back with the earlier session: the later one counts.
	for _, r := range roads {
		r.Heal()
	}
	anna.knows(map[string]string{"anna": "node-3", "bob": "node-2"})
	bob.sees("anna", events.Camera)
	bob.mu.Lock()
	defer bob.mu.Unlock()
	if m := bob.people()["anna"]; m.Node != "node-3" || m.Unreachable {
		t.Errorf("bob knows anna as %+v", m)
	}
}

// How long a packet of sound is on its way through no, one and two pipes. The bound
// is loose: it is told for the log.
func TestLatencyThroughPipes(t *testing.T) {
	t.Parallel()
	s := newSpread(t, 3)
	s.join("room", [2]int{0, 1}, [2]int{1, 2})
	begin := time.Now()
	delays := make([]chan time.Duration, 3)
	for i := range delays {
		delays[i] = make(chan time.Duration, 1000)
		s.nodes[i].join(fmt.Sprint("listener ", i), viewer, func(_ *events.Offer, o *lightpeer.Options) {
			o.OnPacket = func(_ string, p *rtp.Packet) {
				if len(p.Payload) >= 16 {
					at := time.Duration(binary.BigEndian.Uint64(p.Payload[len(p.Payload)-8:]))
					delays[i] <- time.Since(begin) - at
				}
			}
		})
	}
	anna := s.nodes[0].join("anna")
	anna.publishes(1, micOn)
	const packets = 50
	for n, heard := 0, 0; heard < packets; n++ {
		if n > 1000 {
			t.Fatalf("%d of %d packets came", heard, packets)
		}
		payload := binary.BigEndian.AppendUint64(make([]byte, 8), uint64(time.Since(begin)))
		_ = anna.Microphone().Write(payload, uint32(n)*960, n == 0, 30)
		time.Sleep(10 * time.Millisecond)
		heard = min(len(delays[0]), len(delays[1]), len(delays[2]))
	}
	for i, c := range delays {
		var all []time.Duration
		for len(c) > 0 {
			all = append(all, <-c)
		}
		slices.Sort(all)
		t.Logf("%d pipes: median %v, 95 %% within %v", i, all[len(all)/2].Round(time.Microsecond), all[len(all)*95/100].Round(time.Microsecond))
		if all[len(all)/2] > time.Second {
			t.Errorf("%d pipes take %v", i, all[len(all)/2])
		}
	}
}

// Of a node with more microphones than anybody has streams only the loudest may be
// asked for, and whoever begins to speak is among them.
func TestOnlyTheLoudestCross(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := newRoom(w.SFU, "crowded")
	defer r.stopping.Do(func() { close(r.stop) })
	n := &neighbour{node: "node-2"}
	r.mu.Lock()
	defer r.mu.Unlock()
	speak := func(who string) {
		now := w.now()
		for i := range 100 {
			r.detector.Observe(who, 20, now+time.Duration(i)*20*time.Millisecond)
		}
		r.detector.Tick(now + 2*time.Second)
	}
	for i := range 3 * events.MaxAudioStreams {
		identity := fmt.Sprintf("person %02d", i)
		pub := &publication{identity: identity, source: events.Microphone}
		r.list(pub, events.Track{Source: events.Microphone})
	}
	last := fmt.Sprintf("person %02d", 3*events.MaxAudioStreams-1)
	if got := r.loudestFor(n); len(got) != events.MaxAudioStreams || slices.Contains(got, last) {
		t.Fatalf("before anybody speaks, %d may be asked for: %v", len(got), got)
	}
	speak(last)
	if got := r.loudestFor(n); len(got) != events.MaxAudioStreams || !slices.Contains(got, last) {
		t.Errorf("after %s spoke, %d may be asked for: %v", last, len(got), got)
	}
	// What a neighbour's own people say is not told back to it.
	for _, pub := range r.listed {
		pub.far = &far{room: r, via: n}
	}
	n.loudest = map[string]bool{last: true}
	if got := r.loudestFor(n); len(got) > 0 {
		t.Errorf("back go %v", got)
	}
	if audio, _ := r.candidates(); len(audio) != 1 || audio[0].identity != last {
		t.Errorf("%d of the neighbour's microphones are for receivers", len(audio))
	}
}
