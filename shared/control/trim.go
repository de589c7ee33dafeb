package control

import (
	"maps"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Times of giving back what nobody sits on.
const (
	// ripens is how old a block is before seats are taken out of it.
	ripens = time.Minute
	// recent is for how long as many seats are kept open in a block as people have
	// come to it.
	recent = 2 * time.Minute
)

// trim takes open seats out of blocks to which nobody has come for a while, so that
// other rooms can have them: a room in which it is calm keeps none, and grants
// again when somebody comes.
func (s NodeSweep) trim(now time.Time) []Commit {
	if !s.View.Takes(now) {
		return nil
	}
	of := map[room.Name][]fleet.Block{}
	for _, b := range s.Blocks {
		if _, known := s.Rooms[b.Room]; known && b.Generation == s.View.Node.Generation && len(b.Members) > 0 && spare(b, now) > 0 {
			of[b.Room] = append(of[b.Room], b)
		}
	}
	var commits []Commit
	for _, name := range slices.Sorted(maps.Keys(of)) {
		r, loads := s.Rooms[name], map[room.NodeID]room.Load{}
		next := r
		var changes []Change
		for _, b := range of[name] {
			t := &transfer{block: b, node: &s.View, seats: spare(b, now)}
			t.load = r.Profile.SeatLoad(b.Role).Times(t.seats)
			left := b.Seats - t.seats
			next = next.WithSeats(b.Index, left, len(b.Members) >= left)
			changes = append(changes, t.changes(loads)...)
		}
		next.Revision = r.Revision + 1
		commits = append(commits, Hint(append(changes, s.seating(r).without(r, next, loads, now)...)...))
		delete(s.Rooms, name)
		if len(commits) == maxDrops {
			break
		}
	}
	return commits
}

// spare is how many of a block's open seats the room can do without.
func spare(b fleet.Block, now time.Time) int {
	if b.Sealed || now.Sub(b.CreatedAt) < ripens || now.Sub(b.MovedAt) < ripens {
		return 0
	}
	keep := 0
	for _, revision := range b.Members {
		if now.Sub(revision.Time()) < recent {
			keep++
		}
	}
	return max(b.Free()-keep, 0)
}
