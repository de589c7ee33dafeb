package sim

import (
	"fmt"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// holds reports whether a change's condition holds. The conditions are those
// that the change's own documentation states.
func (s *Store) holds(c control.Change) bool {
	switch c := c.(type) {
	case control.PutRoom:
		return s.section(c.Room.Name, c.Room.Section).Revision == c.If
	case control.DeleteRoom:
		return c.If > 0 && s.section(c.Name, c.Section).Revision == c.If
	case control.PutTree:
		return s.trees[c.Tree.Room].Epoch == c.If
	case control.DeleteTree:
		return c.If > 0 && s.trees[c.Room].Epoch == c.If
	case control.PutParticipant:
		return s.participants[step.ParticipantKey{Room: c.Participant.Room, Key: c.Participant.Key}].Revision == c.If
	case control.DeleteParticipant:
		p, ok := s.participants[step.ParticipantKey{Room: c.Room, Key: c.Key}]
		return ok && p.Revision == c.If
	case control.PutBeat:
		b, ok := s.beats[c.Node]
		return !ok || b.Generation < c.Beat.Generation || b.Generation == c.Beat.Generation && b.Seq < c.Beat.Seq
	case control.CheckBeat:
		b := s.beats[c.Node]
		return b.Generation == c.Generation && b.Seq == c.Seq
	case control.PutWait:
		return s.waits[waitKey(c.Wait)].Session == c.If
	case control.DeleteWait:
		w, ok := s.waits[step.WaitKey{Region: c.Region, Room: c.Room, Key: c.Key}]
		return ok && w.Session == c.If
	case control.PutRecord:
		return true
	case control.PutDemand:
		return s.demands[c.Demand.Region].Revision == c.If
	case control.PutLaunch:
		return s.launches[launchKey(c.Launch)].State == c.If
	case control.DeleteLaunch:
		l, ok := s.launches[step.LaunchKey{Region: c.Region, ID: c.ID}]
		return ok && l.State == c.If
	default:
		return s.holdsOnBlock(c)
	}
}

// section is a room, or one of its further sections.
func (s *Store) section(name room.Name, section int) room.Room {
	if section > 0 {
		return s.sections[step.RoomKey{Room: name, Section: section}]
	}
	return s.rooms[name]
}

func (s *Store) holdsOnBlock(c control.Change) bool {
	switch c := c.(type) {
	case control.PutBlock:
		_, ok := s.blocks[blockKey(c.Block)]
		return !ok
	case control.DeleteBlock:
		b, ok := s.blocks[step.BlockKey{Room: c.Room, Index: c.Index}]
		rev, sits := b.Members[c.Member]
		return ok && b.Node == c.Node && b.Generation == c.Generation && (len(b.Members) == 0 || len(b.Members) == 1 && sits && rev == c.If)
	case control.ShrinkBlock:
		b, ok := s.blocks[blockKey(c.Block)]
		stay := len(b.Members)
		if rev, sits := b.Members[c.Member]; c.Member != "" {
			ok, stay = ok && sits && rev == c.If, stay-1
		}
		return ok && b.Node == c.Block.Node && b.Generation == c.Block.Generation && b.Seats == c.From && stay <= c.Block.Seats
	case control.SealBlock:
		b, ok := s.blocks[step.BlockKey{Room: c.Room, Index: c.Index}]
		return ok && b.Node == c.Node && b.Generation == c.Generation
	case control.MoveBlock:
		b, ok := s.blocks[blockKey(c.Block)]
		return ok && b.Node == c.From && b.Generation == c.If && b.Seats == c.Block.Seats
	case control.DropBlock:
		b, ok := s.blocks[step.BlockKey{Room: c.Room, Index: c.Index}]
		return ok && b.Node == c.Node && b.Generation == c.Generation
	case control.TakeSeat:
		b, ok := s.blocks[step.BlockKey{Room: c.Room, Index: c.Index}]
		rev, sits := b.Members[c.Key]
		return ok && b.Generation == c.Generation && !b.Sealed && (sits && rev <= c.Revision || !sits && len(b.Members) < b.Seats)
	case control.ReleaseSeat:
		rev, sits := s.blocks[step.BlockKey{Room: c.Room, Index: c.Index}].Members[c.Key]
		return sits && rev == c.Revision
	}
	return s.holdsOnNode(c)
}

func (s *Store) holdsOnNode(c control.Change) bool {
	has := func(id room.NodeID, g room.Generation) (fleet.Node, bool) {
		n, ok := s.nodes[id]
		return n, ok && n.Generation == g
	}
	switch c := c.(type) {
	case control.PutBoots:
		return s.boots[c.Boots.Region].Revision == c.If
	case control.PutReservation:
		return s.reservations[step.ReservationKey{Region: c.Reservation.Region, Room: c.Reservation.Room}].Revision == c.If
	case control.DeleteReservation:
		r, ok := s.reservations[step.ReservationKey{Region: c.Region, Room: c.Room}]
		return ok && r.Revision == c.If
	case control.Ring:
		return c.At.Sub(s.bells[c.Region]) >= control.RingEvery
	case control.ClaimLoad:
		n, ok := has(c.Node, c.Generation)
		return ok && n.State.Takes() && c.Load.Fits(n.Available)
	case control.ReturnLoad:
		_, ok := has(c.Node, c.Generation)
		return ok
	case control.PutNode:
		return s.nodes[c.Node.ID].Generation == c.If
	case control.SetConnection:
		_, ok := has(c.Node, c.Generation)
		return ok
	case control.ClearConnection:
		n, ok := has(c.Node, c.Generation)
		return ok && n.Connections[c.Slot] == c.Connection
	case control.SetInstance:
		_, ok := s.nodes[c.Node]
		return ok
	case control.SetState:
		n, ok := has(c.Node, c.Generation)
		return ok && n.State == c.From && (!c.IfEmpty || n.Empty())
	case control.Hasten:
		n, ok := has(c.Node, c.Generation)
		return ok && n.State == fleet.Draining && (n.DrainBy.IsZero() || n.DrainBy.After(c.By))
	case control.SetCapacity:
		n, ok := has(c.Node, c.Generation)
		return ok && n.Capacity == c.From
	case control.DeleteNode:
		n, ok := has(c.Node, c.Generation)
		return ok && n.State == c.State
	}
	panic(fmt.Sprintf("unknown change %T", c))
}

// apply makes a change whose condition holds.
func (s *Store) apply(c control.Change) {
	switch c := c.(type) {
	case control.PutRoom:
		r := c.Room.Clone().Stored()
		if r.Section > 0 {
			s.sections[step.RoomKey{Room: r.Name, Section: r.Section}] = r
		} else {
			s.rooms[r.Name] = r
		}
	case control.DeleteRoom:
		if c.Section > 0 {
			delete(s.sections, step.RoomKey{Room: c.Name, Section: c.Section})
		} else {
			delete(s.rooms, c.Name)
		}
	case control.PutTree:
		s.trees[c.Tree.Room] = c.Tree.Clone()
	case control.DeleteTree:
		delete(s.trees, c.Room)
	case control.PutParticipant:
		s.participants[step.ParticipantKey{Room: c.Participant.Room, Key: c.Participant.Key}] = c.Participant
	case control.DeleteParticipant:
		delete(s.participants, step.ParticipantKey{Room: c.Room, Key: c.Key})
	case control.PutBeat:
		s.beats[c.Node] = c.Beat
	case control.CheckBeat:
	case control.PutWait:
		s.waits[waitKey(c.Wait)] = c.Wait
	case control.DeleteWait:
		delete(s.waits, step.WaitKey{Region: c.Region, Room: c.Room, Key: c.Key})
	case control.PutRecord:
		s.records = append(s.records[max(0, len(s.records)-maxRecords):], c.Record)
	case control.PutDemand:
		s.demands[c.Demand.Region] = c.Demand
	case control.PutBoots:
		s.boots[c.Boots.Region] = c.Boots
	case control.PutReservation:
		s.reservations[step.ReservationKey{Region: c.Reservation.Region, Room: c.Reservation.Room}] = c.Reservation
	case control.DeleteReservation:
		delete(s.reservations, step.ReservationKey{Region: c.Region, Room: c.Room})
	case control.Ring:
		s.bells[c.Region] = c.At
	case control.PutLaunch:
		s.launches[launchKey(c.Launch)] = c.Launch
	case control.DeleteLaunch:
		delete(s.launches, step.LaunchKey{Region: c.Region, ID: c.ID})
	default:
		s.applyToBlock(c)
	}
}

func (s *Store) applyToBlock(c control.Change) {
	switch c := c.(type) {
	case control.PutBlock:
		b := cloneBlock(c.Block)
		if b.Members == nil {
			b.Members = map[room.Key]room.Revision{}
		}
		s.blocks[blockKey(b)] = b
	case control.DeleteBlock:
		delete(s.blocks, step.BlockKey{Room: c.Room, Index: c.Index})
	case control.ShrinkBlock:
		b, was := cloneBlock(c.Block), s.blocks[blockKey(c.Block)]
		b.Members, b.Sealed = was.Members, was.Sealed
		delete(b.Members, c.Member)
		s.blocks[blockKey(b)] = b
	case control.SealBlock:
		b := s.blocks[step.BlockKey{Room: c.Room, Index: c.Index}]
		b.Sealed = true
		s.blocks[blockKey(b)] = b
	case control.MoveBlock:
		b := cloneBlock(c.Block)
		b.Members, b.Sealed = s.blocks[blockKey(b)].Members, false
		s.blocks[blockKey(b)] = b
	case control.DropBlock:
		delete(s.blocks, step.BlockKey{Room: c.Room, Index: c.Index})
	case control.TakeSeat:
		s.blocks[step.BlockKey{Room: c.Room, Index: c.Index}].Members[c.Key] = c.Revision
	case control.ReleaseSeat:
		delete(s.blocks[step.BlockKey{Room: c.Room, Index: c.Index}].Members, c.Key)
	default:
		s.applyToNode(c)
	}
}

func (s *Store) applyToNode(c control.Change) {
	change := func(id room.NodeID, f func(*fleet.Node)) {
		n := cloneNode(s.nodes[id])
		f(&n)
		s.nodes[id] = n
	}
	switch c := c.(type) {
	case control.ClaimLoad:
		change(c.Node, func(n *fleet.Node) { n.Available, n.TouchedAt = n.Available.Minus(c.Load), c.At })
	case control.ReturnLoad:
		change(c.Node, func(n *fleet.Node) { n.Available, n.TouchedAt = n.Available.Plus(c.Load), c.At })
	case control.PutNode:
		s.nodes[c.Node.ID] = cloneNode(c.Node)
	case control.SetConnection:
		change(c.Node, func(n *fleet.Node) {
			if n.Connections == nil {
				n.Connections = map[int]string{}
			}
			n.Connections[c.Slot] = c.Connection
		})
	case control.ClearConnection:
		change(c.Node, func(n *fleet.Node) { delete(n.Connections, c.Slot) })
	case control.SetInstance:
		change(c.Node, func(n *fleet.Node) { n.Instance = c.Instance })
	case control.SetState:
		change(c.Node, func(n *fleet.Node) {
			n.State = c.To
			if c.To == fleet.Draining {
				n.DrainAt, n.DrainBy = c.At, c.By
			}
		})
	case control.Hasten:
		change(c.Node, func(n *fleet.Node) { n.DrainBy = c.By })
	case control.SetCapacity:
		change(c.Node, func(n *fleet.Node) {
			n.Available = n.Available.Plus(c.To.Minus(c.From))
			n.Capacity = c.To
		})
	case control.DeleteNode:
		delete(s.nodes, c.Node)
		delete(s.beats, c.Node)
	}
}

func blockKey(b fleet.Block) step.BlockKey { return step.BlockKey{Room: b.Room, Index: b.Index} }

func waitKey(w fleet.Wait) step.WaitKey {
	return step.WaitKey{Region: w.Region, Room: w.Room, Key: w.Key}
}

func launchKey(l fleet.Launch) step.LaunchKey { return step.LaunchKey{Region: l.Region, ID: l.ID} }
