package control

import (
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
)

// surplusAfter is how long a node is empty that is ended because others have room.
const surplusAfter = time.Minute

func (s NodeSweep) idle(now time.Time, set Settings) bool {
	empty := now.Sub(s.View.Node.TouchedAt)
	return empty.Milliseconds() > set.IdleAfterMs || s.Surplus && empty > surplusAfter
}

// Surplus reports whether one of the other nodes has half of itself free, so that a
// node is not needed if it is empty. Of several empty ones the first is needed.
func Surplus(nodes []fleet.View, of fleet.View, now time.Time) bool {
	return slices.ContainsFunc(nodes, func(v fleet.View) bool {
		if v.Node.ID == of.Node.ID || !v.Opens(now) || v.Hot() || v.Node.Empty() && v.Node.ID > of.Node.ID {
			return false
		}
		return v.Node.Capacity.Kbps <= 2*v.Node.Available.Kbps && v.Node.Capacity.PPS <= 2*v.Node.Available.PPS
	})
}
