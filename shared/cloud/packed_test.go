package cloud

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
)

// A room that an earlier version stored is read as it was, and written over by its
// revision; an earlier version's condition fits nothing that is stored now.
func TestARoomOfAnEarlierVersion(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000).UTC()
	r := room.New("r", "eu-north-1", room.Default(), now).WithBlock(room.BlockRef{Index: 1_790_000_000_000, Node: "n-abcdefgh", Generation: 1, Seats: 4, Full: true})
	r = r.Settled(func(room.NodeID) int { return 1 }, now)
	doc, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	old := roomKey("r", 0).attributes()
	old[attrDoc], old[attrRevision], old[attrBy] = str(string(doc)), num(r.Revision), str(byRooms)
	items, err := collect([]item{old})
	if err != nil || len(items.Rooms) != 1 {
		t.Fatal(items.Rooms, err)
	}
	if d := cmp.Diff(r.Stored(), items.Rooms[0], cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	w, err := writesOf(control.PutRoom{Room: r, If: r.Revision})
	if err != nil || len(w) != 1 {
		t.Fatal(w, err)
	}
	is := w[0].item
	if is[attrRevision] != nil || w[0].cond != "#v = :r OR #r = :r" {
		t.Errorf("%v under %q", is, w[0].cond)
	}
	if items, err = collect([]item{is}); err != nil || len(items.Rooms) != 1 {
		t.Fatal(items.Rooms, err)
	}
	if d := cmp.Diff(r.Stored(), items.Rooms[0], cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	is[attrPacked] = &types.AttributeValueMemberB{Value: []byte{1, 2}}
	if _, err := collect([]item{is}); err == nil {
		t.Error("half a directory is read")
	}
}
