package step

import (
	"context"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Declare makes a room with a profile of its own, or changes one's limits. The
// error is an [*events.Error] for the customer, or a fault.
func (w *World) Declare(ctx context.Context, d control.Declaration) error {
	_, err := run(ctx, w, "declare",
		func(ctx context.Context, _ bool) (*room.Room, error) {
			items, err := w.Store.Get(ctx, true, RoomKey{Room: d.Room})
			return first(items.Rooms), err
		},
		func(was *room.Room) (control.Plan, error) { return control.Declare(was, d, w.Now(), w.Settings) })
	return err
}
