package sfu

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

func (p *person) says(text string, lossy bool, to ...string) {
	p.t.Helper()
	m := events.Data{Header: events.Head(events.ActionData), To: to, Topic: "chat", Payload: base64.StdEncoding.EncodeToString([]byte(text))}
	// The channel for data may open a moment after the one for control.
	waitFor(p.t, "the data channel opens", func() bool { return p.SendData(m, lossy) == nil })
}

// heard lists what the person was told, as "who: what". The caller holds the lock.
func (p *person) heard() (said []string) {
	for _, m := range p.messages {
		if m, ok := m.(events.DataFrom); ok {
			text, _ := base64.StdEncoding.DecodeString(m.Payload)
			said = append(said, m.From+": "+string(text))
		}
	}
	return said
}

func TestDataReachesThoseItIsFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob, eve := w.join("ann"), w.join("bob"), w.join("eve", viewer)
	stranger := w.join("stranger", func(o *events.Offer, _ *lightpeer.Options) { o.Room = "other" })
	for _, p := range []*person{ann, bob, eve, stranger} {
		p.isHere()
	}
	for _, lossy := range []bool{false, true} {
		kind := fmt.Sprint("lossy ", lossy)
		ann.says("to all, "+kind, lossy)
		ann.says("to eve and me, "+kind, lossy, "eve", "ann", "nobody", "stranger")
		for p, want := range map[*person][]string{
			bob: {"ann: to all, " + kind},
			eve: {"ann: to all, " + kind, "ann: to eve and me, " + kind},
		} {
			p.until("what is for it", func() bool {
				return !slices.ContainsFunc(want, func(s string) bool { return !slices.Contains(p.heard(), s) })
			})
		}
	}
	eve.says("viewers may talk", false)
	ann.until("to hear a viewer", func() bool { return slices.Equal(ann.heard(), []string{"eve: viewers may talk"}) })
	bob.until("to hear it after all else", func() bool { return slices.Contains(bob.heard(), "eve: viewers may talk") })
	stranger.mu.Lock()
	defer stranger.mu.Unlock()
	if said := stranger.heard(); len(said) > 0 {
		t.Errorf("another room hears %q", said)
	}
	bob.mu.Lock()
	defer bob.mu.Unlock()
	if said := bob.heard(); slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "eve and me") }) {
		t.Errorf("bob hears what is for others: %q", said)
	}
}

func TestDataIsRefusedWhereItMayNotGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mute := w.join("mute", func(o *events.Offer, _ *lightpeer.Options) { o.Person.NoData = true })
	ann := w.join("ann")
	ann.isHere()
	refused := func(p *person, code events.Code) {
		t.Helper()
		p.until("a refusal: "+string(code), func() bool { e, ok := last[events.Error](p); return ok && e.Code == code })
	}
	mute.says("may I?", false)
	refused(mute, events.CodeTokenNoPermission)
	ann.send(events.Data{Header: events.Head(events.ActionData), Payload: ""}) // on the control channel
	refused(ann, events.CodeUnknownAction)
	ann.says(strings.Repeat("x", events.MaxData+1), false)
	refused(ann, events.CodeBadField)
	for i := range 2 * events.DataPerSecond * events.DataBurst {
		ann.says(fmt.Sprint(i), false)
	}
	refused(ann, events.CodeRateLimited)
	mute.until("the first of them to arrive", func() bool { return slices.Contains(mute.heard(), "ann: 0") })
	if n := w.Counters().DataLimited.Load(); n == 0 {
		t.Error("nothing is counted")
	}
	ann.publishes(1, micOn) // and goes on
	mute.until("ann to publish", func() bool { _, ok := mute.carrying("ann", events.Microphone); return ok })
}

func TestDataBudget(t *testing.T) {
	b := dataBudget{messages: 2, bytes: 1000}
	for i, c := range []struct {
		n    int
		at   time.Duration
		want bool
	}{
		{500, 0, true}, {600, 0, false}, {500, 0, true}, {0, 0, false}, // no message is left
		{1, time.Second, true},
		{events.DataBytes * events.DataBurst, time.Minute, true}, {1, time.Minute, false},
	} {
		if got := b.spend(c.n, c.at); got != c.want {
			t.Errorf("%d: %d bytes at %v: %v", i, c.n, c.at, got)
		}
	}
}

// What applications say goes over all nodes of a room, to each of them once.
func TestDataReachesOtherNodes(t *testing.T) {
	s := newSpread(t, 3)
	ann, bob, eve := s.nodes[0].join("ann"), s.nodes[1].join("bob"), s.nodes[2].join("eve", viewer)
	s.join("room", [2]int{0, 1}, [2]int{1, 2})
	for _, p := range []*person{ann, bob, eve} {
		p.knows(map[string]string{"ann": "node-1", "bob": "node-2", "eve": "node-3"})
	}
	ann.says("to all", false)
	ann.says("to eve", false, "eve")
	ann.says("to bob", false, "bob")
	eve.says("back", false)
	bob.until("what is for bob", func() bool {
		said := bob.heard()
		return len(said) == 3 && slices.Contains(said, "ann: to all") && slices.Contains(said, "ann: to bob") && slices.Contains(said, "eve: back")
	})
	eve.until("what is for eve", func() bool { return slices.Equal(eve.heard(), []string{"ann: to all", "ann: to eve"}) })
	ann.until("what is for ann", func() bool { return slices.Equal(ann.heard(), []string{"eve: back"}) })
	bob.mu.Lock()
	defer bob.mu.Unlock()
	if n := len(bob.heard()); n != 3 {
		t.Errorf("bob heard %d things", n)
	}
}
