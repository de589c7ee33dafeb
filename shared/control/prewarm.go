package control

import (
	"fmt"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/room"
)

// maxAhead bounds how far ahead capacity can be reserved and a room be kept.
const maxAhead = 31 * 24 * time.Hour

// Reserve makes, changes or, with no seats, cancels a room's reservation.
func Reserve(was *fleet.Reservation, r fleet.Reservation, now time.Time) (Plan, error) {
	var revision int64
	if was != nil {
		revision = was.Revision
	}
	plan := Plan{Decision: Decision{Choice: "reserve", Why: "a room was announced", Inputs: map[string]any{"room": r.Room, "seats": r.Seats, "startAt": r.StartAt}}}
	switch {
	case r.Seats < 0:
		return Plan{}, events.Errorf(events.CodeBadField, "seats is %d, it cannot be negative", r.Seats)
	case r.Seats == 0 && was == nil:
		return Plan{}, nil
	case r.Seats == 0:
		plan.Decision.Choice, plan.Decision.Why = "cancel a reservation", "no seats are wanted"
		plan.Commits = []Commit{One(DeleteReservation{was.Region, was.Room, revision})}
		return plan, nil
	case r.Ended(now):
		return Plan{}, events.Errorf(events.CodeBadField, "startAt is over")
	case r.StartAt.Sub(now) > maxAhead:
		return Plan{}, events.Errorf(events.CodeBadField, "startAt is more than 31 days ahead")
	}
	r.Revision = revision + 1
	plan.Commits = []Commit{One(PutReservation{r, revision})}
	return plan, nil
}

// Ahead is what capacity kept ahead of people is decided from.
type Ahead struct {
	Pressure
	Reservations []fleet.Reservation
	// Rooms are those reserved for, where they exist: what they have been granted
	// already needs no capacity any more.
	Rooms []room.Room
}

// sweepEvery is the time between sweeps: what is due before the next one is
// begun now.
const sweepEvery = time.Minute

// needs are the seats to keep free: for reservations that begin within the time
// that a launch takes, and the deployment's spare ones.
func (a Ahead) needs(now time.Time, set Settings) []placement.Need {
	var needs []placement.Need
	lead := time.Duration(set.BootMs)*time.Millisecond + sweepEvery + sweepEvery/2
	for _, r := range a.Reservations {
		if r.Ended(now) || r.StartAt.Sub(now) > lead {
			continue
		}
		left := r.Seats
		if i := slices.IndexFunc(a.Rooms, func(x room.Room) bool { return x.Name == r.Room }); i >= 0 {
			left -= a.Rooms[i].Given()
		}
		if left > 0 {
			needs = append(needs, placement.Need{Seat: r.Seat, Seats: left, Rooms: 1})
		}
	}
	if set.SpareSeats > 0 {
		needs = append(needs, placement.Need{Seat: set.Profile.SeatLoad(room.Publisher), Seats: 1, Rooms: set.SpareSeats})
	}
	return needs
}

// bins are what is free on nodes that take people, and on what is coming beyond
// what those who wait will use.
func (a Ahead) bins(now time.Time, without map[room.NodeID]bool, set Settings) []room.Load {
	var bins []room.Load
	for _, l := range a.Launches {
		shown := slices.ContainsFunc(a.Nodes, func(v fleet.View) bool { return v.Node.ID == l.ID })
		if l.State != fleet.Landed || !shown { // the index may not show it yet
			bins = append(bins, set.forSeats(l.Capacity, l.Capacity))
		}
	}
	for _, w := range a.Waits {
		if i := slices.IndexFunc(bins, w.Load.Fits); i >= 0 {
			bins[i] = bins[i].Minus(w.Load)
		}
	}
	for _, v := range a.Nodes {
		if v.Takes(now) && !without[v.Node.ID] {
			bins = append(bins, set.forSeats(v.Node.Available, v.Node.Capacity))
		}
	}
	return bins
}

// Prewarm launches what is to be kept ahead of people and is not there. It is
// committed with the demand's revision, as [Launch] is.
func Prewarm(a Ahead, now time.Time, set Settings) Plan {
	question := a.shortage(set)
	question.Needs, question.Bins = a.needs(now, set), a.bins(now, nil, set)
	supply := placement.Provide(question)
	if len(supply.Launch) == 0 {
		return Plan{}
	}
	plan := Plan{Decision: Decision{Inputs: map[string]any{"reservations": len(a.Reservations), "spareSeats": set.SpareSeats,
		"demandRevision": a.Demand.Revision, placement.KeyShortage: question, placement.KeySupply: supply}}}
	a.launch(&plan, question, supply, fmt.Sprintf("kept ahead of people: %d nodes", len(supply.Launch)), now, set)
	plan.Decision.Why = "reserved or spare capacity is not there"
	return plan
}

// Keep returns the empty nodes that must stay though they are idle, because what
// is to be kept ahead of people does not fit without them.
func Keep(a Ahead, now time.Time, set Settings) map[room.NodeID]bool {
	needs := a.needs(now, set)
	keep := map[room.NodeID]bool{}
	if len(needs) == 0 {
		return keep
	}
	question := a.shortage(set)
	question.Needs = needs
	gone := map[room.NodeID]bool{}
	for _, v := range a.Nodes {
		if !v.Node.Empty() || !v.Node.State.Takes() {
			continue
		}
		gone[v.Node.ID] = true
		question.Bins = a.bins(now, gone, set)
		if s := placement.Provide(question); len(s.Launch) > 0 || s.Unserved > 0 {
			delete(gone, v.Node.ID)
			keep[v.Node.ID] = true
		}
	}
	return keep
}

// EndReservation forgets a reservation that holds nothing any more.
func EndReservation(r fleet.Reservation, now time.Time) Plan {
	if !r.Ended(now) {
		return Plan{}
	}
	return Plan{Commits: []Commit{One(DeleteReservation{r.Region, r.Room, r.Revision})},
		Decision: Decision{Choice: "end a reservation", Why: "its time is over", Inputs: map[string]any{"room": r.Room, "seats": r.Seats, "startAt": r.StartAt}}}
}
