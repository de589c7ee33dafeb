package sfu

import (
	"slices"
	"testing"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

func admin(o *events.Offer, _ *lightpeer.Options) { o.Person.Admin = true }

// moderates asks for something to be done.
func (p *person) moderates(id string, deed events.Deed, participant string, sources ...events.Source) {
	p.t.Helper()
	p.send(events.Moderate{Header: events.Head(events.ActionModerate), ID: id, Deed: deed, Participant: participant, Sources: sources})
}

// role is the newest role of somebody that the person was told.
func (p *person) role(identity string) (role events.Role) {
	for _, m := range p.messages {
		var members []events.Member
		switch m := m.(type) {
		case events.Snapshot:
			members = m.Members
		case events.Delta:
			members = m.Changed
		}
		for _, member := range members {
			if member.Identity == identity {
				role = member.Role
			}
		}
	}
	return role
}

// A viewer sends in vain; once promoted, what it sends arrives over the same
// connection; demoted, it sends in vain again.
func TestARoleChangesWithoutANewConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bob := w.join("bob")
	eve := w.join("eve", viewer)
	eve.publishes(1, micOn, cameraOn)
	eve.until("a refusal", func() bool { e, ok := last[events.Error](eve); return ok && e.Code == events.CodeTokenNoPermission })
	eve.film("q", "h", "f")
	waitFor(t, "a viewer's media is dropped", func() bool { return w.Counters().Dropped(DropViewer) > 20 })

	w.Recast("room", "key-eve", 99, events.Publisher) // another session's
	w.Recast("room", "key-nobody", 1, events.Publisher)
	w.Recast("room", "key-eve", 1, events.Publisher)
	bob.until("eve to be on stage", func() bool { return bob.role("eve") == events.Publisher })
	eve.until("to know it", func() bool { return eve.role("eve") == events.Publisher })
	eve.publishes(2, micOn, cameraOn)
	for _, source := range []events.Source{events.Microphone, events.Camera} {
		bob.until("media from eve", func() bool {
			s, ok := bob.carrying("eve", source)
			return ok && len(bob.packets[s.Mid]) > 0
		})
	}

	w.Recast("room", "key-eve", 1, events.Viewer)
	bob.until("eve to have left the stage", func() bool { return bob.role("eve") == events.Viewer })
	bob.until("nothing more to come from eve", func() bool {
		_, camera := bob.carrying("eve", events.Camera)
		_, sound := bob.carrying("eve", events.Microphone)
		return !camera && !sound
	})
	before := w.Counters().Dropped(DropViewer)
	waitFor(t, "it is dropped again", func() bool { return w.Counters().Dropped(DropViewer) > before+20 })
	if w.Report().Members["room"]["key-eve"] != 1 {
		t.Error("the session is another")
	}
}

func TestAnAdminMutesAndOthersDoNot(t *testing.T) {
	t.Parallel()
	asked := make(chan events.ModerateFor, 10)
	w := newWorld(t, func(c *Config) { c.Moderate = func(m events.ModerateFor) { asked <- m } })
	ann := w.join("ann", admin)
	bob := w.join("bob")
	bob.publishes(1, micOn, cameraOn)
	ann.until("bob to publish", func() bool { _, ok := ann.carrying("bob", events.Camera); return ok })

	bob.moderates("1", events.Mute, "ann", events.Microphone)
	bob.until("a refusal that names the request", func() bool {
		e, ok := last[events.Error](bob)
		return ok && e.Code == events.CodeTokenNoPermission && e.ID == "1"
	})
	ann.moderates("2", events.Mute, "bob", events.Microphone, events.Camera)
	ann.until("it to be done", func() bool { d, ok := last[events.Done](ann); return ok && d.ID == "2" })
	bob.until("to be told", func() bool {
		m, ok := last[events.Muted](bob)
		return ok && slices.Equal(m.Sources, []events.Source{events.Microphone, events.Camera})
	})
	ann.until("the picture to be gone", func() bool { _, ok := ann.carrying("bob", events.Camera); return !ok })
	ann.until("the roster to say so", func() bool {
		d, ok := last[events.Delta](ann)
		return ok && len(d.Changed) == 1 && d.Changed[0].Tracks[0].Muted
	})
	bob.publishes(2, micOn, cameraOn) // its owner may switch it on again
	ann.until("the picture to be back", func() bool { _, ok := ann.carrying("bob", events.Camera); return ok })

	// The rest is for the control plane to do.
	ann.moderates("3", events.Promote, "somebody elsewhere")
	m := <-asked
	if m.ID != "3" || m.By != "key-ann" || m.Room != "room" || m.Deed != events.Promote || m.Participant != "somebody elsewhere" {
		t.Errorf("asked %+v", m)
	}
	w.Moderated(events.Moderated{Room: "room", By: "key-ann", ID: "3", Fault: &events.Fault{Code: events.CodeStageFull, Text: "the stage is full"}})
	ann.until("to be told why not", func() bool {
		e, ok := last[events.Error](ann)
		return ok && e.Code == events.CodeStageFull && e.ID == "3"
	})
	w.Moderated(events.Moderated{Room: "room", By: "key-ann", ID: "4", Moving: true})
	ann.until("to be told", func() bool { d, ok := last[events.Done](ann); return ok && d.ID == "4" && d.Moving })
	bob.moderates("5", events.Demote, "bob") // everybody may leave the stage
	if m := <-asked; m.ID != "5" || m.By != "key-bob" {
		t.Errorf("asked %+v", m)
	}
}

func TestARoomThatEndsTellsEverybody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	people := []*person{w.join("ann"), w.join("bob")}
	other := w.join("cas", func(o *events.Offer, _ *lightpeer.Options) { o.Room = "other" })
	w.End("room", events.CodeRoomEnded)
	for _, p := range people {
		p.until("the end", func() bool { c, ok := last[events.Closing](p); return ok && c.Code == events.CodeRoomEnded })
	}
	for range people {
		if d := <-w.left; d.Room != "room" || d.Reason != events.LeftEnded {
			t.Errorf("left %+v", d)
		}
	}
	if w.Report().People != 1 {
		t.Errorf("%d are left", w.Report().People)
	}
	other.publishes(1, micOn) // and is not disturbed
}
