package steptest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

func (s *suite) beats() {
	n := s.node(0, room.Load{Kbps: 10_000, PPS: 1000})
	beat := func(g room.Generation, seq int64) fleet.Beat {
		return fleet.Beat{Generation: g, Seq: seq, LeaseUntil: now.Add(time.Duration(seq) * time.Second), Load: room.Load{Kbps: 5, PPS: 6}, People: 2, Rooms: 1, CPUPercent: 3}
	}
	s.does("node", control.PutNode{Node: n})
	s.does("first", control.PutBeat{Node: n.ID, Beat: beat(1, 1)})
	s.conflicts("the same again", control.PutBeat{Node: n.ID, Beat: beat(1, 1)})
	s.does("third", control.PutBeat{Node: n.ID, Beat: beat(1, 3)})
	s.conflicts("second, late", control.PutBeat{Node: n.ID, Beat: beat(1, 2)})
	s.does("first of the next generation", control.PutBeat{Node: n.ID, Beat: beat(2, 1)})
	s.conflicts("a late one of the generation before", control.PutBeat{Node: n.ID, Beat: beat(1, 9)})
	touch := control.SetInstance{Node: n.ID, Instance: "i-1"}
	s.conflicts("if the heartbeat is an earlier one", control.CheckBeat{Node: n.ID, Generation: 1, Seq: 3}, touch)
	s.conflicts("if there is no heartbeat", control.CheckBeat{Node: n.ID}, touch)
	s.does("if the heartbeat is this one", control.CheckBeat{Node: n.ID, Generation: 2, Seq: 1}, touch)
	s.does("if there is no heartbeat, and there is none", control.CheckBeat{Node: n.ID + "-x"}, touch)
	s.same("view", fleet.View{Node: n, Beat: beat(2, 1)}, s.get(step.NodeKey{Node: n.ID}).Nodes[0])
	for _, v := range s.find(step.AllNodes{}).Nodes {
		if v.Node.ID == n.ID {
			s.same("view by index", fleet.View{Node: n, Beat: beat(2, 1)}, v)
			return
		}
	}
	s.Fatal("the node is not among all nodes")
}

func (s *suite) waits() {
	w := fleet.Wait{Region: "r-" + s.tag, Room: "a room", Key: "k", Identity: "i", Role: room.Viewer, Session: "s1", Connection: "c", RequestID: "q", Avoid: []room.NodeID{"n"},
		Load: room.Load{Kbps: 1, PPS: 2}, Since: now, SeenAt: now}
	key := step.WaitKey{Region: w.Region, Room: w.Room, Key: w.Key}
	s.does("in line", control.PutWait{Wait: w})
	s.conflicts("in line twice", control.PutWait{Wait: w})
	again := w
	again.SeenAt, again.Session = now.Add(time.Second), "s2"
	s.does("asks again", control.PutWait{Wait: again, If: "s1"})
	s.same("wait", []fleet.Wait{again}, s.get(key).Waits)
	other := w
	other.Key = "k2"
	s.does("another", control.PutWait{Wait: other})
	s.same("who waits", 2, len(s.find(step.Waiting{Region: w.Region}).Waits))
	s.same("who waits elsewhere", 0, len(s.find(step.Waiting{Region: w.Region + "x"}).Waits))
	s.conflicts("leave by the session before", control.DeleteWait{Region: w.Region, Room: w.Room, Key: w.Key, If: "s1"})
	s.does("leave", control.DeleteWait{Region: w.Region, Room: w.Room, Key: w.Key, If: "s2"})
	s.conflicts("leave again", control.DeleteWait{Region: w.Region, Room: w.Room, Key: w.Key, If: "s2"})
}

func (s *suite) capacity() {
	n := s.node(0, room.Load{Kbps: 2000, PPS: 200})
	set := func(g room.Generation, from, to int64) control.Change {
		return control.SetCapacity{Node: n.ID, Generation: g, From: room.Load{Kbps: from, PPS: from / 10}, To: room.Load{Kbps: to, PPS: to / 10}}
	}
	s.does("create", control.PutNode{Node: n})
	s.conflicts("of another generation", set(2, 10_000, 15_000))
	s.conflicts("from another capacity", set(1, 9_000, 15_000))
	s.does("more", set(1, 10_000, 15_000))
	got := s.get(step.NodeKey{Node: n.ID}).Nodes[0].Node
	s.same("capacity", room.Load{Kbps: 15_000, PPS: 1500}, got.Capacity)
	s.same("available", room.Load{Kbps: 7000, PPS: 700}, got.Available)
	s.does("much less", set(1, 15_000, 6_000))
	got = s.get(step.NodeKey{Node: n.ID}).Nodes[0].Node
	s.same("a rest below zero", room.Load{Kbps: -2000, PPS: -200}, got.Available)
	s.conflicts("grants none", control.ClaimLoad{Node: n.ID, Generation: 1, Load: room.Load{Kbps: 1, PPS: 1}, At: now})
	s.same("candidates", 0, len(s.find(step.Candidates{Region: n.Region, Need: room.Load{Kbps: 1, PPS: 1}, Limit: 5}).Nodes))
	s.does("return", control.ReturnLoad{Node: n.ID, Generation: 1, Load: room.Load{Kbps: 8000, PPS: 800}, At: now})
	s.does("empty by what may be granted", control.SetState{Node: n.ID, Generation: 1, From: fleet.Ready, To: fleet.Draining, IfEmpty: true})
}

func (s *suite) reservations() {
	r := fleet.Reservation{Region: "r-" + s.tag, Room: "a # room", Seats: 9, Seat: room.Load{Kbps: 1, PPS: 2}, StartAt: now, Revision: 1}
	key := step.ReservationKey{Region: r.Region, Room: r.Room}
	s.conflicts("change of none", control.PutReservation{Reservation: r, If: 1})
	s.does("reserve", control.PutReservation{Reservation: r})
	s.conflicts("reserve again", control.PutReservation{Reservation: r})
	more := r
	more.Seats, more.Revision = 20, 2
	s.does("change", control.PutReservation{Reservation: more, If: 1})
	s.same("reservation", []fleet.Reservation{more}, s.get(key).Reservations)
	s.same("reservations", []fleet.Reservation{more}, s.find(step.Reservations{Region: r.Region}).Reservations)
	s.conflicts("delete on another revision", control.DeleteReservation{Region: r.Region, Room: r.Room, If: 1})
	s.does("delete", control.DeleteReservation{Region: r.Region, Room: r.Room, If: 2})
	s.same("reservations", 0, len(s.find(step.Reservations{Region: r.Region}).Reservations))
}

func (s *suite) bell() {
	ring := func(after time.Duration) control.Change {
		return control.Ring{Region: "r-" + s.tag, At: now.Add(after)}
	}
	s.does("first", ring(0))
	s.conflicts("at the same time", ring(0))
	s.conflicts("within the second", ring(control.RingEvery-time.Millisecond))
	s.does("a second later", ring(control.RingEvery))
	s.conflicts("late", ring(0))
	s.does("elsewhere", control.Ring{Region: "r-x-" + s.tag, At: now})
}

func (s *suite) launches() {
	region := "r-" + s.tag
	l := fleet.Launch{ID: s.nodeID(0), Region: region, Type: "c7g.large", Capacity: room.Load{Kbps: 1, PPS: 2}, State: fleet.Asked, Attempt: 1,
		At: now, AskedAt: now, Why: "3 wait"}
	s.does("intent", control.PutDemand{Demand: fleet.Demand{Region: region, Revision: 1}}, control.PutLaunch{Launch: l})
	late := l
	late.ID = s.nodeID(1)
	s.conflicts("intent on the same demand", control.PutDemand{Demand: fleet.Demand{Region: region, Revision: 1}}, control.PutLaunch{Launch: late})
	got := s.find(step.Demand{Region: region})
	s.same("demand", fleet.Demand{Region: region, Revision: 1}, got.Demand)
	s.same("launches", []fleet.Launch{l}, got.Launches)
	boots := fleet.Boots{Region: region}.With("c7g.large", 20*time.Second)
	s.does("boots", control.PutBoots{Boots: boots})
	s.conflicts("boots on another revision", control.PutBoots{Boots: boots})
	s.same("boots by key", boots, s.get(step.BootsKey{Region: region}).Boots)
	got = s.find(step.Demand{Region: region})
	s.same("boots with the demand", boots, got.Boots)
	s.same("launches beside them", 1, len(got.Launches))
	landed := l
	landed.State, landed.LandedAt = fleet.Landed, now
	s.does("land", control.PutLaunch{Launch: landed, If: fleet.Asked})
	s.conflicts("expire what has landed", control.DeleteLaunch{Region: region, ID: l.ID, If: fleet.Asked})
	s.same("launch", []fleet.Launch{landed}, s.get(step.LaunchKey{Region: region, ID: l.ID}).Launches)
	s.does("forget", control.DeleteLaunch{Region: region, ID: l.ID, If: fleet.Landed})
	s.same("launches", 0, len(s.find(step.Demand{Region: region}).Launches))
}

func (s *suite) records() {
	region := "r-" + s.tag
	record := func(id string) control.Record {
		return control.Record{Region: region, ID: id, At: now, Step: "capacity", Choice: "launch 1", Why: "2 wait", Inputs: `{"waiting":2}`}
	}
	for _, id := range []string{"1", "3", "2"} {
		s.does("keep "+id, control.PutRecord{Record: record(id)})
	}
	other := record("4")
	other.Region += "x"
	s.does("keep elsewhere", control.PutRecord{Record: other})
	s.same("newest first", []control.Record{record("3"), record("2")}, s.find(step.Records{Region: region, Limit: 2}).Records)
	s.same("all", 3, len(s.find(step.Records{Region: region, Limit: 9}).Records))
}

func (s *suite) candidates() {
	for i, kbps := range []int64{5000, 3000, 9000, 1000, 7000} {
		n := s.node(i, room.Load{Kbps: kbps, PPS: 500})
		if i == 2 {
			n.Available.PPS = 10
		}
		s.does("create", control.PutNode{Node: n})
	}
	find := func(limit int, pps int64) []room.NodeID {
		var ids []room.NodeID
		for _, v := range s.find(step.Candidates{Region: "r-" + s.tag, Need: room.Load{Kbps: 2000, PPS: pps}, Limit: limit}).Nodes {
			ids = append(ids, v.Node.ID)
		}
		return ids
	}
	s.same("fullest first", []room.NodeID{s.nodeID(1), s.nodeID(0), s.nodeID(4), s.nodeID(2)}, find(5, 1))
	s.same("two at most", []room.NodeID{s.nodeID(1), s.nodeID(0)}, find(2, 1))
	s.same("enough packets", []room.NodeID{s.nodeID(1), s.nodeID(0), s.nodeID(4)}, find(5, 100))
	var emptiest []room.NodeID
	for _, v := range s.find(step.Candidates{Region: "r-" + s.tag, Need: room.Load{Kbps: 2000, PPS: 100}, Limit: 3, Emptiest: true}).Nodes {
		emptiest = append(emptiest, v.Node.ID)
	}
	s.same("emptiest first", s.nodeID(4), emptiest[0])
	s.does("claim moves it in the index", control.ClaimLoad{Node: s.nodeID(4), Generation: 1, Load: room.Load{Kbps: 4500, PPS: 1}, At: now})
	s.same("fullest first", []room.NodeID{s.nodeID(4), s.nodeID(1), s.nodeID(0)}, find(5, 100))
}

func (s *suite) together() {
	n := s.node(0, room.Load{Kbps: 5000, PPS: 500})
	r := s.room()
	s.does("node", control.PutNode{Node: n})
	b := s.block(0, 4, map[room.Key]room.Revision{"a": 1})
	claim := control.ClaimLoad{Node: n.ID, Generation: 1, Load: b.Load, At: now}
	s.does("grant", claim, control.PutRoom{Room: r}, control.PutBlock{Block: b})
	second := s.block(1, 4, nil)
	s.conflicts("grant beyond what is available", claim, control.PutRoom{Room: r.WithFull(0, true), If: r.Revision}, control.PutBlock{Block: second})
	s.same("room after the failed grant", []room.Room{r}, s.get(step.RoomKey{Room: r.Name}).Rooms)
	s.same("block after the failed grant", 0, len(s.get(step.BlockKey{Room: b.Room, Index: 1}).Blocks))
	s.does("return", control.DeleteBlock{Room: b.Room, Index: 0, Node: b.Node, Generation: 1, Member: "a", If: 1},
		control.ReturnLoad{Node: n.ID, Generation: 1, Load: b.Load, At: now}, control.DeleteRoom{Name: r.Name, If: r.Revision})
	s.same("available", room.Load{Kbps: 5000, PPS: 500}, s.get(step.NodeKey{Node: n.ID}).Nodes[0].Node.Available)
}

// racers lets ten create the same room: one wins.
func (s *suite) racers() {
	r := s.room()
	won := s.race(10, func(int) control.Change { return control.PutRoom{Room: r} })
	s.same("winners", 1, won)
}

// seatRacers lets twelve sit down on five seats.
func (s *suite) seatRacers() {
	b := s.block(0, 5, nil)
	s.does("create", control.PutBlock{Block: b})
	won := s.race(12, func(i int) control.Change {
		return control.TakeSeat{Room: b.Room, Index: 0, Generation: 1, Key: room.Key(fmt.Sprintf("k%d", i)), Revision: 1}
	})
	s.same("winners", 5, won)
	s.same("members", 5, len(s.get(step.BlockKey{Room: b.Room, Index: 0}).Blocks[0].Members))
}

func (s *suite) race(n int, change func(i int) control.Change) int {
	s.Helper()
	var wg sync.WaitGroup
	results := make([]error, n)
	for i := range n {
		wg.Go(func() { results[i] = s.store.Commit(s.ctx, []control.Change{change(i)}) })
	}
	wg.Wait()
	won := 0
	for _, err := range results {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, step.ErrConflict):
			s.Errorf("a racer got %v", err)
		}
	}
	return won
}

// leaving shrinks a block together with somebody's leaving it.
func (s *suite) leaving() {
	b := s.block(0, 3, map[room.Key]room.Revision{"a": 1, "b": 2, "c": 3})
	s.does("create", control.PutBlock{Block: b})
	to := func(seats, from int, key room.Key, rev room.Revision) control.Change {
		after := b
		after.Seats, after.Members, after.Load = seats, nil, room.Load{Kbps: int64(seats) * 100}
		return control.ShrinkBlock{Block: after, From: from, Member: key, If: rev}
	}
	s.conflicts("shrink under a full block without anybody leaving", to(2, 3, "", 0))
	s.conflicts("leave as another session", to(2, 3, "b", 1))
	s.conflicts("leave without sitting there", to(2, 3, "d", 2))
	s.conflicts("leave with one who stays without a seat", to(1, 3, "b", 2))
	s.conflicts("leave a block of another size", to(2, 4, "b", 2))
	s.does("leave with the seat", to(2, 3, "b", 2))
	b.Seats, b.Load = 2, room.Load{Kbps: 200}
	b.Members = map[room.Key]room.Revision{"a": 1, "c": 3}
	s.same("left", []fleet.Block{b}, s.get(step.BlockKey{Room: b.Room, Index: 0}).Blocks)
	s.conflicts("leave again", to(1, 2, "b", 2))
}
