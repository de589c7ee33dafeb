package cloud

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// DynamoDB bills by the size of items and by what its indexes have to follow.
// Its stand-ins report other figures, so the units are worked out here
// ("Read and write capacity", DynamoDB developer guide).

// size is an item's, or a value's, in bytes as DynamoDB counts them.
func size(v types.AttributeValue) int {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return (len(strings.TrimLeft(v.Value, "-"))+1)/2 + 1
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberBOOL:
		return 1
	case *types.AttributeValueMemberM:
		n := 3
		for name, v := range v.Value {
			n += len(name) + size(v) + 1
		}
		return n
	}
	return 0
}

func itemSize(i item) int {
	n := 0
	for name, v := range i {
		n += len(name) + size(v)
	}
	return n
}

// readUnits is what reading the items costs, and half or one unit for each of
// those asked for that do not exist.
func readUnits(items []item, asked int, consistent bool) float64 {
	units := 0
	for _, i := range items {
		units += max((itemSize(i)+4095)/4096, 1)
	}
	units += max(asked-len(items), 0)
	if consistent {
		return float64(units)
	}
	return float64(units) / 2
}

// writeUnits is what the writes cost: a unit for each began KB of an item, twice
// in a transaction, and for each index a unit where the item appears in it,
// disappears from it, or both (two units) where its key there changes. Updated
// and deleted items are taken to be of at most 1 KB, which the bounds on blocks
// and participants ensure.
func writeUnits(writes []write) float64 {
	units := 0.0
	for _, w := range writes {
		base := 1.0
		if w.item != nil {
			base = float64(max((itemSize(w.item)+1023)/1024, 1))
		}
		if len(writes) > 1 {
			base *= 2
		}
		units += base + indexUnits(w)
	}
	return units
}

func indexUnits(w write) float64 {
	units := 0.0
	switch kind := kindOf(w.key); {
	case w.item == nil && w.update == "" && (kind == "ROOM" || kind == "BLOCK" || kind == "NODE"):
		units++ // leaves the index "lists"
	case w.item != nil && w.item[attrBy] != nil && strings.Contains(w.cond, "attribute_not_exists"):
		units++ // enters it
	}
	if strings.Contains(w.update, "#ak") {
		units += 2 // moves within the index of candidates
	}
	if strings.Contains(w.update, "#in") {
		units++ // enters or leaves it
	}
	return units
}
