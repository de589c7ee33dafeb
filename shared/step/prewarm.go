package step

import (
	"context"
	"errors"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Reserve brings capacity for a room's seats up by startAt, and lets it go if
// nobody comes; no seats cancel what was reserved before. Seats claim the
// profile of the room if it is declared, else the deployment's. The error is an events.Error for whoever asked,
// or a fault.
func (w *World) Reserve(ctx context.Context, name room.Name, seats int, startAt time.Time) error {
	_, err := run(ctx, w, "reserve",
		func(ctx context.Context, _ bool) (Items, error) {
			return w.Store.Get(ctx, true, ReservationKey{w.Settings.Region, name}, RoomKey{Room: name})
		},
		func(was Items) (control.Plan, error) {
			profile := w.Settings.Profile
			if r := first(was.Rooms); r != nil {
				profile = r.Profile
			}
			return control.Reserve(first(was.Reservations), fleet.Reservation{Region: w.Settings.Region, Room: name, Seats: seats,
				Seat: profile.MeanSeat(seats), StartAt: startAt}, w.Now())
		})
	return err
}

// sweepAhead launches what is reserved or to be spare and is not there, forgets
// reservations that are over, and returns the idle nodes that must stay for
// them.
func (w *World) sweepAhead(ctx context.Context, demand Items, nodes []fleet.View) (map[room.NodeID]bool, error) {
	items, err := w.Store.Find(ctx, Reservations{w.Settings.Region})
	if err != nil || len(items.Reservations) == 0 && w.Settings.SpareSeats == 0 {
		return nil, err
	}
	a := control.Ahead{Reservations: items.Reservations,
		Pressure: control.Pressure{Demand: demand.Demand, Boots: demand.Boots, Launches: demand.Launches, Nodes: nodes}}
	var keys []Key
	for _, r := range a.Reservations {
		err = errors.Join(err, w.once(ctx, "sweep reservation", control.EndReservation(r, w.Now())))
		keys = append(keys, RoomKey{Room: r.Room})
	}
	waiting, failed := w.Store.Find(ctx, Waiting{w.Settings.Region})
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	a.Waits = waiting.Waits
	if items, err = w.Store.Get(ctx, true, keys...); err != nil {
		return nil, err
	}
	a.Rooms = items.Rooms
	return control.Keep(a, w.Now(), w.Settings), w.once(ctx, "prewarm", control.Prewarm(a, w.Now(), w.Settings))
}
