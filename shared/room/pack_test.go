package room_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/spillway-sfu/spillway/shared/room"
)

func directory(t *rapid.T) room.Room {
	id := rapid.Map(rapid.StringN(1, 12, 40), func(s string) room.NodeID { return room.NodeID(s) })
	small := rapid.IntRange(0, 1<<40)
	r := room.Room{Name: "r"}
	for range rapid.IntRange(0, 12).Draw(t, "nodes") {
		n := room.NodeRef{Node: id.Draw(t, "node"), Generation: room.Generation(small.Draw(t, "generation")), Since: rapid.Int64().Draw(t, "since"), Section: small.Draw(t, "section")}
		if rapid.Bool().Draw(t, "fed") {
			n.Feeder = id.Draw(t, "feeder")
		}
		r.Nodes = append(r.Nodes, n)
	}
	for range rapid.IntRange(0, 12).Draw(t, "blocks") {
		r.Blocks = append(r.Blocks, room.BlockRef{Index: rapid.Int().Draw(t, "index"), Node: id.Draw(t, "node"), Generation: room.Generation(small.Draw(t, "generation")),
			Seats: small.Draw(t, "seats"), Role: rapid.SampledFrom([]room.Role{"", room.Publisher, room.Viewer}).Draw(t, "role"), Full: rapid.Bool().Draw(t, "full")})
	}
	for range rapid.IntRange(0, 12).Draw(t, "sections") {
		r.Sections = append(r.Sections, room.SectionRef{Index: small.Draw(t, "index"), Full: rapid.Bool().Draw(t, "full")})
	}
	return r
}

func TestADirectoryComesOutAsItWasPacked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := directory(t)
		got, err := room.Room{Name: "r"}.Unpacked(r.Pack())
		if d := cmp.Diff(r, got, cmpopts.EquateEmpty()); err != nil || d != "" {
			t.Fatalf("%v\n%s", err, d)
		}
	})
}

// What is cut off, or goes on, is no directory.
func TestADirectoryIsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := directory(t).Pack()
		for i := range data {
			if _, err := (room.Room{}).Unpacked(data[:i]); err == nil {
				t.Fatalf("%d of %d bytes are taken", i, len(data))
			}
		}
		if _, err := (room.Room{}).Unpacked(append(bytes.Clone(data), 0)); err == nil {
			t.Fatal("one byte more is taken")
		}
	})
}

func FuzzUnpacked(f *testing.F) {
	r := room.New("r", "region", room.Default(), time.UnixMilli(1_790_000_000_000)).
		WithBlock(room.BlockRef{Index: 1_790_000_000_000, Node: "n-abcdefgh", Generation: 1, Seats: 24, Role: room.Viewer, Full: true})
	f.Add(r.Settled(func(room.NodeID) int { return 1 }, time.UnixMilli(1)).Pack())
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := room.Room{}.Unpacked(data)
		if err != nil {
			return
		}
		again, err := room.Room{}.Unpacked(r.Pack())
		if d := cmp.Diff(r, again, cmpopts.EquateEmpty()); err != nil || d != "" {
			t.Errorf("%v\n%s", err, d)
		}
	})
}

// A block takes five bytes, a node thirty: a section's directory is read in one
// unit.
func TestWhatADirectoryTakes(t *testing.T) {
	r := room.New("r", "region", room.Default(), time.UnixMilli(1_790_000_000_000))
	size := len(r.Pack())
	node := func(i int) room.NodeID { return room.NodeID("n-abcdefg" + string(rune('A'+i))) }
	for i := range room.SectionBlocks {
		r = r.WithBlock(room.BlockRef{Index: r.NextBlock, Node: node(i % room.SectionNodes), Generation: 1, Seats: 24, Role: room.Viewer, Full: true})
	}
	blocks := len(r.Pack()) - size
	r = r.Settled(func(room.NodeID) int { return room.Fanout + 1 }, time.UnixMilli(1_790_000_000_000))
	nodes := len(r.Pack()) - size - blocks
	t.Logf("%d bytes without any; %d blocks on %d nodes %d bytes; their tree %d", size, len(r.Blocks), len(r.Nodes), blocks, nodes)
	if blocks > 6*room.SectionBlocks || nodes > 30*room.SectionNodes {
		t.Error("too many")
	}
}
