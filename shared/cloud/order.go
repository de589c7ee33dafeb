package cloud

import (
	"cmp"
	"slices"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// BatchGetItem returns items in any order; what was found by an index comes
// back in the index's order.

func sortedByAvailable(nodes []fleet.View) []fleet.View {
	slices.SortFunc(nodes, func(a, b fleet.View) int {
		return cmp.Or(cmp.Compare(a.Node.Available.Kbps, b.Node.Available.Kbps), cmp.Compare(a.Node.ID, b.Node.ID))
	})
	return nodes
}

func sortItems(i *step.Items) {
	slices.SortFunc(i.Nodes, func(a, b fleet.View) int { return cmp.Compare(a.Node.ID, b.Node.ID) })
	slices.SortFunc(i.Rooms, func(a, b room.Room) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(i.Blocks, func(a, b fleet.Block) int {
		return cmp.Or(cmp.Compare(a.Room, b.Room), cmp.Compare(a.Index, b.Index))
	})
}
