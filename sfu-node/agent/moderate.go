package agent

import (
	"time"

	"github.com/spillway-sfu/spillway/events"
)

// moderateWithin is for how long what a participant asks for is worth sending.
const moderateWithin = 10 * time.Second

// Moderate asks the control plane for what a participant wants done. It does not
// block.
func (a *Agent) Moderate(m events.ModerateFor) {
	m.Node, m.Generation = a.cfg.Node, a.generation()
	a.send(m, moderateWithin)
}

// moderate does what the control plane wants done to participants.
func (a *Agent) moderate(message events.Message) {
	switch m := message.(type) {
	case events.Recast:
		if a.ours(m.Generation, m.Action) {
			a.media.Recast(m.Room, m.Key, m.Revision, m.Role)
		}
	case events.MuteTracks:
		if a.ours(m.Generation, m.Action) {
			a.media.MuteTracks(m.Room, m.Key, m.Sources)
		}
	case events.DescribeFor:
		if a.ours(m.Generation, m.Action) {
			a.media.Describe(m.Room, m.Key, m.Metadata)
		}
	case events.RoomDescribed:
		if a.ours(m.Generation, m.Action) {
			a.media.DescribeRoom(m.Room, m.Metadata)
		}
	case events.End:
		if a.ours(m.Generation, m.Action) {
			a.media.End(m.Room, m.Code)
		}
	case events.Moderated:
		if a.ours(m.Generation, m.Action) {
			a.media.Moderated(m)
		}
	}
}
