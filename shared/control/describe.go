package control

import (
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// made is a room as it becomes when nobody has declared it.
func (s Settings) made(name room.Name, now time.Time) room.Room {
	r := room.New(name, s.Region, s.Profile, now)
	if s.Metadata != "" {
		r = r.WithMetadata(s.Metadata, now)
	}
	return r
}

// about is a room's metadata as nodes are told of it, nil where it never had any.
func about(r room.Room) *events.RoomMetadata {
	if r.MetadataRevision == 0 {
		return nil
	}
	return &events.RoomMetadata{Text: r.Metadata, Revision: r.MetadataRevision}
}

// describe gives a participant metadata that stays until it leaves, whichever node it
// comes back on, and tells its node.
func describe(p room.Participant, metadata string, home fleet.Node) Plan {
	next := p
	next.Metadata, next.Described = metadata, true
	plan := Plan{
		Sends: []Send{{To: Sockets(home, 0), Message: events.DescribeFor{Header: events.Head(events.ActionDescribe),
			Generation: int64(home.Generation), Room: string(p.Room), Key: string(p.Key), Metadata: metadata}}},
		Decision: Decision{Choice: "describe", Inputs: map[string]any{"room": p.Room, "participant": p.Key, "bytes": len(metadata)}},
	}
	if next != p {
		plan.Commits = []Commit{One(PutParticipant{next, p.Revision})}
	}
	return plan
}

// DescribeRoom changes a room's metadata, and tells its nodes, of which any tells the
// others. It is safe to repeat; what is lost of it is told again when a node lists
// whom it has.
func DescribeRoom(s Ending, name room.Name, metadata string, now time.Time) (Plan, error) {
	if s.Room == nil {
		return Plan{}, events.Errorf(events.CodeNotFound, "no such room")
	}
	if len(metadata) > events.MaxRoomMetadata {
		return Plan{}, events.Errorf(events.CodeBadField, "metadata has %d bytes, at most %d are taken", len(metadata), events.MaxRoomMetadata)
	}
	next := *s.Room
	plan := Plan{Decision: Decision{Choice: "describe the room", Inputs: map[string]any{"room": name, "bytes": len(metadata)}}}
	if metadata != next.Metadata {
		next = next.WithMetadata(metadata, now)
		next.Revision++
		plan.Commits = []Commit{One(PutRoom{next, s.Room.Revision})}
	}
	plan.Sends = Described(next, s.Nodes)
	return plan, nil
}

// Described tells nodes of a room's metadata.
func Described(r room.Room, nodes []fleet.View) []Send {
	var sends []Send
	if m := about(r); m != nil {
		for _, v := range nodes {
			sends = append(sends, Send{To: Sockets(v.Node, 0), Message: events.RoomDescribed{Header: events.Head(events.ActionDescribeRoom),
				Generation: int64(v.Node.Generation), Room: string(r.Name), Metadata: *m}})
		}
	}
	return sends
}

// Undescribed tells a node of rooms whose metadata it does not know as it is now.
func Undescribed(v fleet.View, rooms []room.Room, inv events.Inventory) []Send {
	var sends []Send
	for _, r := range rooms {
		for _, has := range inv.Rooms {
			if has.Room == string(r.Name) && has.Described < r.MetadataRevision {
				sends = append(sends, Described(r, []fleet.View{v})...)
			}
		}
	}
	return sends
}
