package control

import (
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/room"
)

// ResumeLasts is for how long a resume ticket lets its holder back in.
const ResumeLasts = 24 * time.Hour

// clocksApart is how far the clocks of two functions may be from each other.
const clocksApart = 10 * time.Second

// resumeUse tells a resume ticket from whatever else is sealed with the same key.
const resumeUse = "resume"

// Resume is what a resume ticket says: whose it is, which session it was given
// to, and when. It is sealed, and whoever comes with it also shows a join token
// of the same participant: it stands in for nothing but the time that the token
// is past.
type Resume struct {
	Use string `json:"u"`
	// Key stands for room and identity.
	Key     room.Key `json:"k"`
	Session string   `json:"s"`
	AtMs    int64    `json:"t"`
}

// NewResume is a ticket for a session of a participant.
func NewResume(key room.Key, session string, now time.Time) Resume {
	return Resume{Use: resumeUse, Key: key, Session: session, AtMs: now.UnixMilli()}
}

// Fits reports whether a ticket is one of that participant's, and young enough.
func (r Resume) Fits(key room.Key, now time.Time) bool {
	age := now.Sub(time.UnixMilli(r.AtMs))
	return r.Use == resumeUse && r.Key == key && r.Key != "" && r.Session != "" && age > -clocksApart && age < ResumeLasts
}

// resumes checks somebody whose join token has expired and who is let in for its
// ticket alone: not when it was removed, nor when a session that the ticket has
// nothing to do with has come after. Nobody of whom nothing is known any more is
// refused: who was silent for an hour is forgotten, and is to come back.
func (s Seating) resumes(e JoinEvent) error {
	if !e.Caller.Late {
		return nil
	}
	if !s.Complete {
		return ErrLookAgain
	}
	switch p := s.Participant; {
	case p == nil:
		return nil
	case !p.Removed.IsZero():
		return events.Errorf(events.CodeRemoved, "the participant was removed from the room, and the join token has expired")
	case p.Session == e.Message.Session, p.Continues(e.Caller.Resume):
		return nil
	}
	return events.Errorf(events.CodeReplaced, "the same participant connected from elsewhere, and the join token has expired")
}

// Renew gives a session that has its seat another resume ticket. One that has
// none is refused: a ticket must not outlive the seat by more than its time.
func Renew(p *room.Participant, c Caller, m events.Renew, now time.Time) (Plan, error) {
	if p == nil || !p.Removed.IsZero() || p.Session != m.Session && p.Held.Session != m.Session {
		return Plan{}, events.Errorf(events.CodeNotJoined, "this session has no seat")
	}
	ticket := NewResume(p.Key, m.Session, now)
	return Plan{
		Sends: []Send{{To: []string{c.Connection}, Resume: &ticket,
			Message: events.Resume{Header: events.Head(events.ActionResume), ID: m.ID, Session: m.Session}}},
		Decision: Decision{Choice: "renew the resume ticket", Why: "the session has its seat", Inputs: map[string]any{"room": p.Room, "participant": p.Key}},
	}, nil
}
