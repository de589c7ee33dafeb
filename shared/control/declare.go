package control

import (
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/room"
)

// DeclaredLasts is how long a declared room is kept while nobody is in it, where
// the customer does not say.
const DeclaredLasts = 24 * time.Hour

// Declaration is a customer's wish for a room: its profile, and until when it is
// kept while nobody is in it.
type Declaration struct {
	Room      room.Name
	Profile   room.Profile
	KeepUntil time.Time
	// Metadata, unless nil, is the room's from now on.
	Metadata *string
}

// Declare makes a room with a profile of its own, or changes the limits of one
// that exists. What seats cost cannot change while some are granted, nor can a
// limit fall below what is granted, because whoever sits there was promised it.
func Declare(was *room.Room, d Declaration, now time.Time, set Settings) (Plan, error) {
	if err := d.Profile.Validate(); err != nil {
		return Plan{}, events.Errorf(events.CodeBadField, "%s", err.Error())
	}
	if d.KeepUntil.Before(now) || d.KeepUntil.Sub(now) > maxAhead {
		return Plan{}, events.Errorf(events.CodeBadField, "keepUntil is %s, expected a time from now to 31 days ahead", d.KeepUntil.UTC().Format(time.RFC3339))
	}
	r, revision := room.New(d.Room, set.Region, d.Profile, now), int64(0)
	if was != nil {
		r, revision = was.Clone(), was.Revision
		if err := changeable(r, d.Profile); err != nil {
			return Plan{}, err
		}
		r.Profile = d.Profile
		r.SeatsLeft = d.Profile.MaxParticipants - was.Given()
	}
	if m := d.Metadata; m != nil && *m != r.Metadata {
		r = r.WithMetadata(*m, now)
	}
	r.KeepUntil = d.KeepUntil
	r.Revision++
	return Plan{
		Commits: []Commit{One(PutRoom{r, revision})},
		Decision: Decision{Choice: "declare", Why: "the customer asked for it", Inputs: map[string]any{
			"room": d.Room, "maxParticipants": d.Profile.MaxParticipants, "maxPublishers": d.Profile.MaxPublishers, "existed": was != nil}},
	}, nil
}

// changeable reports why a room's profile cannot become next, if it cannot.
func changeable(r room.Room, next room.Profile) error {
	for _, role := range []room.Role{room.Publisher, room.Viewer} {
		if (r.Apart || r.GrantedTo(role) > 0) && r.Profile.SeatLoad(role) != next.SeatLoad(role) {
			return events.Errorf(events.CodeBadField, "people are in the room: its streams and bitrates can be changed when it is empty")
		}
	}
	if n := r.Given(); n > next.MaxParticipants {
		return events.Errorf(events.CodeBadField, "maxParticipants is %d, but %d seats are granted", next.MaxParticipants, n)
	}
	if n := r.GrantedTo(room.Publisher); n > next.MaxPublishers {
		return events.Errorf(events.CodeBadField, "maxPublishers is %d, but %d seats on stage are granted", next.MaxPublishers, n)
	}
	return nil
}
