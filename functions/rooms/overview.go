package main

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// Bounds of an overview, which is asked for every few seconds: it must stay
// small, and cheap to read, with any number of rooms.
const (
	overviewRooms   = 200
	overviewRecords = 60
)

// overview answers GET /v1/overview: the fleet at a glance, from the rows of
// nodes and rooms alone, without reading any block.
type overview struct {
	At       time.Time      `json:"at"`
	Region   string         `json:"region"`
	MaxNodes int            `json:"maxNodes"`
	Nodes    []overviewNode `json:"nodes"`
	// Rooms are those with the most seats; RoomsTotal counts all.
	Rooms      []overviewRoom `json:"rooms"`
	RoomsTotal int            `json:"roomsTotal"`
	Launches   []launch       `json:"launches"`
	Waiting    []waiting      `json:"waiting"`
	Decisions  []decision     `json:"decisions"`
}

// overviewNode is a node with what its last heartbeat counted.
type overviewNode struct {
	node
	People    int `json:"people"`
	RoomCount int `json:"roomCount"`
	// Pipes are the busiest of the node's, by its last heartbeat.
	Pipes []pipeEnd `json:"pipes,omitempty"`
}

// pipeEnd is one end of a pipe: node is the other.
type pipeEnd struct {
	Node        room.NodeID `json:"node"`
	Up          bool        `json:"up"`
	SendKbps    int64       `json:"sendKbps"`
	ReceiveKbps int64       `json:"receiveKbps"`
}

type overviewRoom struct {
	Name            room.Name `json:"name"`
	CreatedAt       time.Time `json:"createdAt"`
	MaxParticipants int       `json:"maxParticipants"`
	Seats           int       `json:"seats"` // granted, taken or not
	On              []share   `json:"on"`
}

// share is how many seats of a room are on a node.
type share struct {
	Node  room.NodeID `json:"node"`
	Seats int         `json:"seats"`
}

type launch struct {
	ID      room.NodeID       `json:"id"`
	Type    string            `json:"type"`
	Zone    string            `json:"zone,omitempty"`
	State   fleet.LaunchState `json:"state"`
	Attempt int               `json:"attempt"`
	At      time.Time         `json:"at"`
	Why     string            `json:"why"`
}

// waiting is how many wait for a room, and since when the first does.
type waiting struct {
	Room  room.Name `json:"room"`
	Count int       `json:"count"`
	Since time.Time `json:"since"`
}

type decision struct {
	ID     string          `json:"id"`
	At     time.Time       `json:"at"`
	Step   string          `json:"step"`
	Choice string          `json:"choice"`
	Why    string          `json:"why"`
	Inputs json.RawMessage `json:"inputs"`
}

func (a api) overview(ctx context.Context) (any, error) {
	out := overview{At: a.world.Now().UTC(), Region: a.world.Settings.Region, MaxNodes: a.world.Settings.MaxNodes,
		Nodes: []overviewNode{}, Rooms: []overviewRoom{}, Launches: []launch{}, Waiting: []waiting{}, Decisions: []decision{}}
	found := map[string]step.Items{}
	for name, q := range map[string]step.Query{
		"nodes": step.AllNodes{}, "rooms": step.AllRooms{}, "demand": step.Demand{Region: out.Region},
		"waiting": step.Waiting{Region: out.Region}, "records": step.Records{Region: out.Region, Limit: overviewRecords},
	} {
		items, err := a.world.Store.Find(ctx, q)
		if err != nil {
			return nil, err
		}
		found[name] = items
	}
	for i, r := range found["rooms"].Rooms {
		joined, err := a.world.Joined(ctx, r)
		if err != nil {
			return nil, err
		}
		found["rooms"].Rooms[i] = joined
	}
	out.addRooms(found["rooms"].Rooms)
	out.addNodes(found["nodes"].Nodes, found["rooms"].Rooms, a.world.Now(), a.world.Settings)
	for _, l := range found["demand"].Launches {
		if l.State != fleet.Landed {
			out.Launches = append(out.Launches, launch{l.ID, l.Type, l.Zone, l.State, l.Attempt, l.At, l.Why})
		}
	}
	out.addWaiting(found["waiting"].Waits)
	for _, r := range found["records"].Records {
		out.Decisions = append(out.Decisions, newDecision(r))
	}
	return out, nil
}

func newDecision(r control.Record) decision {
	d := decision{ID: r.ID, At: r.At, Step: r.Step, Choice: r.Choice, Why: r.Why, Inputs: json.RawMessage(r.Inputs)}
	if !json.Valid(d.Inputs) {
		d.Inputs = json.RawMessage("{}")
	}
	return d
}

func (o *overview) addRooms(rooms []room.Room) {
	o.RoomsTotal = len(rooms)
	for _, r := range rooms {
		s := overviewRoom{Name: r.Name, CreatedAt: r.CreatedAt, MaxParticipants: r.Profile.MaxParticipants, Seats: r.Granted(), On: []share{}}
		for _, b := range r.Blocks {
			i := slices.IndexFunc(s.On, func(on share) bool { return on.Node == b.Node })
			if i < 0 {
				i = len(s.On)
				s.On = append(s.On, share{Node: b.Node})
			}
			s.On[i].Seats += b.Seats
		}
		o.Rooms = append(o.Rooms, s)
	}
	slices.SortFunc(o.Rooms, func(a, b overviewRoom) int {
		return cmp.Or(cmp.Compare(b.Seats, a.Seats), cmp.Compare(a.Name, b.Name))
	})
	o.Rooms = o.Rooms[:min(len(o.Rooms), overviewRooms)]
}

func (o *overview) addNodes(views []fleet.View, rooms []room.Room, now time.Time, set control.Settings) {
	for _, v := range views {
		n := overviewNode{node: newNode(v, now, set), People: v.Beat.People}
		for _, p := range v.Beat.Pipes {
			n.Pipes = append(n.Pipes, pipeEnd(p))
		}
		for _, r := range rooms {
			for _, b := range r.Blocks {
				if b.Node != v.Node.ID || b.Generation != v.Node.Generation {
					continue
				}
				n.Seats += b.Seats
				if k := len(n.Rooms); k == 0 || n.Rooms[k-1] != r.Name {
					n.Rooms = append(n.Rooms, r.Name)
				}
			}
		}
		n.RoomCount = len(n.Rooms)
		n.Rooms = n.Rooms[:min(len(n.Rooms), overviewRooms)]
		o.Nodes = append(o.Nodes, n)
	}
	slices.SortFunc(o.Nodes, func(a, b overviewNode) int { return cmp.Compare(a.ID, b.ID) })
}

func (o *overview) addWaiting(waits []fleet.Wait) {
	for _, w := range waits {
		i := slices.IndexFunc(o.Waiting, func(g waiting) bool { return g.Room == w.Room })
		if i < 0 {
			i = len(o.Waiting)
			o.Waiting = append(o.Waiting, waiting{Room: w.Room, Since: w.Since})
		}
		o.Waiting[i].Count++
		if w.Since.Before(o.Waiting[i].Since) {
			o.Waiting[i].Since = w.Since
		}
	}
	slices.SortFunc(o.Waiting, func(a, b waiting) int { return a.Since.Compare(b.Since) })
}
