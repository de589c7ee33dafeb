package steptest

import (
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// sections: each is an item of its own, as is the tree of all.
func (s *suite) sections() {
	r := s.room()
	r = r.Settled(func(room.NodeID) int { return 1 }, now)
	further, ok := r.NewSection(now)
	if !ok {
		s.Fatal("no section")
	}
	head := r.WithSection(further.Section, 20)
	further.SeatsLeft = 20
	further = further.WithBlock(room.BlockRef{Index: further.NextBlock, Node: s.nodeID(1), Generation: 1, Seats: 4, Role: room.Viewer})
	further = further.Settled(func(room.NodeID) int { return 1 }, now)
	key, tree := step.RoomKey{Room: r.Name, Section: further.Section}, further.Tree()
	s.does("create", control.PutRoom{Room: r})
	s.conflicts("create beside a tree that is there", control.PutRoom{Room: further}, control.PutTree{Tree: tree, If: tree.Epoch})
	s.same("sections", 0, len(s.get(key).Rooms))
	s.does("go on in sections", control.PutRoom{Room: head, If: r.Revision}, control.PutRoom{Room: further}, control.PutTree{Tree: tree})
	s.conflicts("create again", control.PutRoom{Room: further})
	s.conflicts("another tree", control.PutTree{Tree: tree})
	s.same("section", []room.Room{further.Stored()}, s.get(key).Rooms)
	s.same("room", []room.Room{head.Stored()}, s.get(step.RoomKey{Room: r.Name}).Rooms)
	s.same("tree", []room.Tree{tree}, s.get(step.TreeKey{Room: r.Name}).Trees)
	s.same("together", 2, len(s.get(key, step.RoomKey{Room: r.Name}, step.TreeKey{Room: r.Name}).Rooms))
	for _, other := range s.find(step.AllRooms{}).Rooms {
		if other.Name == r.Name && other.Section > 0 {
			s.Error("a section is listed as a room")
		}
	}
	tree.Epoch++
	s.does("grow", control.PutTree{Tree: tree, If: tree.Epoch - 1})
	s.conflicts("delete a tree of another epoch", control.DeleteTree{Room: r.Name, If: tree.Epoch - 1})
	s.conflicts("delete a section of another revision", control.DeleteRoom{Name: r.Name, Section: further.Section, If: further.Revision - 1})
	s.does("delete", control.DeleteRoom{Name: r.Name, Section: further.Section, If: further.Revision}, control.DeleteTree{Room: r.Name, If: tree.Epoch})
	s.conflicts("delete again", control.DeleteRoom{Name: r.Name, Section: further.Section, If: further.Revision})
	s.conflicts("delete the tree again", control.DeleteTree{Room: r.Name, If: tree.Epoch})
	s.same("section", 0, len(s.get(key).Rooms))
	s.same("tree", 0, len(s.get(step.TreeKey{Room: r.Name}).Trees))
	s.same("room", []room.Room{head.Stored()}, s.get(step.RoomKey{Room: r.Name}).Rooms)
}

// nodeOf: a node with its heartbeat is what the key names.
func (s *suite) nodeOf() {
	n := s.node(0, room.Load{Kbps: 10, PPS: 10})
	s.same("no node", 0, len(s.find(step.NodeOf{Node: n.ID}).Nodes))
	s.does("land", control.PutNode{Node: n}, control.PutBeat{Node: n.ID, Beat: fleet.Beat{Generation: 1, Seq: 3, LeaseUntil: now}})
	s.same("node", s.get(step.NodeKey{Node: n.ID}).Nodes, s.find(step.NodeOf{Node: n.ID}).Nodes)
}
