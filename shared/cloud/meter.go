package cloud

import (
	"context"
	"strconv"
	"strings"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// Meter is another store whose requests are counted as DynamoDB would bill them:
// by the sizes of the items read, of those written before and after, and by what
// the indexes have to follow. It counts into the context's [step.Usage], beside
// nothing else: the store behind it must not count.
//
// Counting reads the written items before and after. Where others write them
// meanwhile, what it counts is near the truth only.
type Meter struct{ store step.Store }

var _ step.Store = (*Meter)(nil)

// NewMeter returns a meter before a store.
func NewMeter(store step.Store) *Meter { return &Meter{store} }

// Get implements [step.Store].
func (m *Meter) Get(ctx context.Context, consistent bool, keys ...step.Key) (step.Items, error) {
	items, err := m.store.Get(ctx, consistent, keys...)
	if err != nil || len(keys) == 0 {
		return items, err
	}
	want := map[itemKey]bool{}
	for _, k := range keys {
		for _, i := range keysOf(k) {
			want[i] = true
		}
	}
	there, err := images(items)
	units := 0.0
	for k := range want {
		units += readUnits([]item{there[k]}, 1, consistent)
	}
	for range (len(want) + batchLimit - 1) / batchLimit {
		step.UsageOf(ctx).Add(units, 0)
		units = 0
	}
	return items, err
}

// Find implements [step.Store]. What is found by an index costs a query of the
// index and a consistent read of each item; what is a partition of the table,
// its size.
func (m *Meter) Find(ctx context.Context, q step.Query) (step.Items, error) {
	items, err := m.store.Find(ctx, q)
	if err != nil {
		return items, err
	}
	there, err := images(items)
	all, entries, apart := 0, 0, 0.0
	for k, i := range there {
		all += itemSize(i)
		if kindOf(k) != "BEAT" {
			entries += itemSize(k.attributes()) + len(byNodes) + 100 // an index's own
		}
		apart += readUnits([]item{i}, 1, true)
	}
	switch q.(type) {
	case step.Waiting, step.Demand, step.Reservations:
		step.UsageOf(ctx).Add(began(all), 0)
	case step.Records, step.NodeOf:
		step.UsageOf(ctx).Add(began(all)/2, 0)
	default:
		step.UsageOf(ctx).Add(began(entries)/2, 0)
		if len(there) > 0 {
			step.UsageOf(ctx).Add(apart, 0)
		}
	}
	return items, err
}

// began is how many units of 4 KB a query of that size has begun, one at least.
func began(size int) float64 { return float64(max((size+4095)/4096, 1)) }

// Commit implements [step.Store]. A write whose condition fails costs what it
// would have.
func (m *Meter) Commit(ctx context.Context, changes []control.Change) error {
	var writes []write
	var keys []step.Key
	for _, c := range changes {
		w, err := writesOf(c)
		if err != nil {
			return err
		}
		writes = append(writes, w...)
	}
	for _, w := range writes {
		if k := keyOf(w.key); k != nil {
			keys = append(keys, k)
		}
	}
	before, err := m.look(ctx, keys)
	if err != nil {
		return err
	}
	err = m.store.Commit(ctx, changes)
	after, failed := m.look(ctx, keys)
	if failed != nil {
		return failed
	}
	units := 0.0
	for _, w := range writes {
		was, is := before[w.key], after[w.key]
		if keyOf(w.key) == nil || err != nil && w.item != nil {
			is = w.item // not to be read back, or not written
		}
		units += billed(was, is, len(writes) > 1)
	}
	step.UsageOf(ctx).Add(0, units)
	return err
}

func (m *Meter) look(ctx context.Context, keys []step.Key) (map[itemKey]item, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	items, err := m.store.Get(ctx, true, keys...)
	if err != nil {
		return nil, err
	}
	return images(items)
}

// billed is what writing an item costs: a unit for each KB begun of the larger
// of before and after, twice in a transaction, and for each index a unit where
// the item enters or leaves it, two where its place there changes.
func billed(before, after item, together bool) float64 {
	base := float64(max((max(itemSize(before), itemSize(after))+1023)/1024, 1))
	if together {
		base *= 2
	}
	return base + moved(before, after, attrBy, attrPK) + moved(before, after, attrIn, attrAvailKbps)
}

// moved is what an index with that hash and sort key costs.
func moved(before, after item, hash, sort string) float64 {
	place := func(i item) string {
		if i[hash] == nil || i[sort] == nil {
			return ""
		}
		return getStr(i, hash) + " " + getStr(i, sort) + " " + strconv.FormatInt(getNum(i, sort), 10)
	}
	switch was, is := place(before), place(after); {
	case was == is:
		return 0
	case was == "" || is == "":
		return 1
	}
	return 2
}

// images encodes items as they lie in the table.
func images(items step.Items) (map[itemKey]item, error) {
	out := map[itemKey]item{}
	var failed error
	add := func(i item, err error) {
		if err != nil {
			failed = err
			return
		}
		out[itemKey{getStr(i, attrPK), getStr(i, attrSK)}] = i
	}
	for _, r := range items.Rooms {
		add(encodeRoom(r))
	}
	for _, t := range items.Trees {
		add(encodeTree(t))
	}
	for _, b := range items.Blocks {
		add(encodeBlock(b))
	}
	for _, p := range items.Participants {
		add(encodeParticipant(p))
	}
	for _, v := range items.Nodes {
		add(encodeNode(v.Node))
		if v.Beat.Generation != 0 {
			add(encodeBeat(v.Node.ID, v.Beat))
		}
	}
	for _, w := range items.Waits {
		add(encodeWait(w))
	}
	for _, l := range items.Launches {
		add(encodeLaunch(l))
	}
	for _, r := range items.Reservations {
		add(encodeReservation(r))
	}
	for _, r := range items.Records {
		add(encodeRecord(r))
	}
	if items.Demand.Revision > 0 {
		add(encodeDemand(items.Demand))
	}
	return out, failed
}

// keyOf is the key of the contract that names an item, nil where none does.
func keyOf(k itemKey) step.Key {
	_, name, _ := strings.Cut(k.pk, "#")
	cut := strings.LastIndex(name, "#")
	switch kindOf(k) {
	case "ROOM":
		return step.RoomKey{Room: room.Name(name)}
	case "SECTION":
		section, _ := strconv.Atoi(name[cut+1:])
		return step.RoomKey{Room: room.Name(name[:cut]), Section: section}
	case "TREE":
		return step.TreeKey{Room: room.Name(name)}
	case "BLOCK":
		index, _ := strconv.Atoi(name[cut+1:])
		return step.BlockKey{Room: room.Name(name[:cut]), Index: index}
	case "PART":
		return step.ParticipantKey{Room: room.Name(name[:cut]), Key: room.Key(name[cut+1:])}
	case "NODE", "BEAT":
		return step.NodeKey{Node: room.NodeID(name)}
	case "WAIT":
		at := strings.LastIndex(k.sk, "#")
		return step.WaitKey{Region: name, Room: room.Name(k.sk[:at]), Key: room.Key(k.sk[at+1:])}
	case "RESERVE":
		return step.ReservationKey{Region: name, Room: room.Name(k.sk)}
	case "LAUNCH":
		return step.LaunchKey{Region: name, ID: room.NodeID(strings.TrimPrefix(k.sk, "LAUNCH#"))}
	}
	return nil
}
