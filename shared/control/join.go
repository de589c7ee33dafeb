package control

import (
	"errors"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// JoinEvent is a browser's join.
type JoinEvent struct {
	Caller  Caller
	Message events.Join
	// Spread is any number; another one on each attempt makes racers choose
	// differently.
	Spread uint64
	// Looked is how often a seat has been looked for before.
	Looked int
}

// Join seats a participant and hands its offer to the node, or puts it in line.
//
// A session that has its seat keeps it and its offer is passed on again, so a
// retry costs nothing. Another session of the same participant takes the seat
// over with a higher revision.
func Join(s Seating, e JoinEvent, now time.Time, set Settings) (Plan, error) {
	if err := s.resumes(e); err != nil {
		return Plan{}, err
	}
	role, err := s.role(e, now)
	if err != nil {
		return Plan{}, err
	}
	who := seeker{Room: e.Caller.Room, Key: e.Caller.Key, Identity: e.Caller.Identity, Name: e.Caller.Name,
		Role: role, Session: e.Message.Session, Spread: e.Spread, Looked: e.Looked}
	who.From, who.Resumed = e.Message.From, e.Caller.Resume
	who.Avoid = Nodes(e.Message.Avoid)
	st, err := seat(s, who, now, set)
	var lost lossNoted
	if errors.As(err, &lost) {
		return lost.plan(s, e, who, now, set), nil
	}
	if errors.Is(err, errNoNode) {
		plan := wait(s, e, who, now, set)
		plan.Commits = append(st.commits, plan.Commits...)
		return plan, nil
	}
	if errors.Is(err, errCut) {
		if !s.Complete {
			return Plan{}, ErrLookAgain
		}
		refused := unreachable("")
		refused.RetryAfterMs = cutAgainMs
		return Plan{}, &refused
	}
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Commits: st.commits, Sends: append([]Send{offer(st, e)}, st.left...)}
	plan.Decision = Decision{Choice: "seat", Why: st.why, Inputs: map[string]any{
		"room": who.Room, "participant": who.Key, "session": who.Session, "revision": st.participant.Revision,
		"node": st.node.Node.ID, "block": st.participant.Block, "nodeAvailableKbps": st.node.Node.Available.Kbps}}
	if e.Message.From != "" {
		plan.Decision.Inputs["from"] = e.Message.From
	}
	st.note(plan.Decision.Inputs)
	return plan, nil
}

// role is what the caller joins as: what its token and its wish say, unless
// somebody has given it another role.
func (s Seating) role(e JoinEvent, now time.Time) (room.Role, error) {
	role, err := e.Caller.Role(e.Message.Role)
	p := s.Participant
	switch {
	case p == nil:
	case now.Before(p.Barred):
		return "", events.Errorf(events.CodeRemoved, "the participant was removed from the room, and may come back at %s", p.Barred.UTC().Format(time.RFC3339))
	case p.Cast != "":
		return p.Cast, nil
	}
	return role, err
}

// Nodes reads the nodes that a message names.
func Nodes(names []string) []room.NodeID {
	var out []room.NodeID
	for _, n := range names {
		out = append(out, room.NodeID(n))
	}
	return out
}

func offer(st seated, e JoinEvent) Send {
	p, c := st.participant, e.Caller
	if p.Described {
		c.Metadata = p.Metadata
	}
	return Send{
		To: Sockets(st.node.Node, e.Spread),
		Message: events.Offer{
			Header: events.Head(events.ActionOffer), Generation: int64(st.node.Node.Generation), Room: string(p.Room),
			Profile: events.Profile{
				AudioStreams: st.profile.AudioStreams, VideoStreams: st.profile.VideoStreams,
				ReceiveKbps: st.profile.ReceiveKbps, SendKbps: st.profile.SendKbps, VideoCodecs: st.profile.VideoCodecs,
			},
			Person: events.Person{Key: string(p.Key), Identity: p.Identity, Name: p.Name, Metadata: c.Metadata,
				Role: events.Role(p.Role), Sources: c.Sources, Admin: c.Admin, NoData: c.NoData, Describes: c.Describes || c.Admin},
			Session: p.Session, Revision: int64(p.Revision), ID: e.Message.ID, Offer: e.Message.Offer, Media: e.Message.Media,
			From: e.Message.From, ReceiveKbps: e.Message.ReceiveKbps, RoomMetadata: st.about,
		},
		Ticket: &Ticket{Connection: c.Connection, Node: st.node.Node.ID, Generation: st.node.Node.Generation, Room: p.Room,
			Key: p.Key, Identity: p.Identity, Role: p.Role, Session: p.Session, Revision: p.Revision, RequestID: e.Message.ID},
		Or:   unreachable(e.Message.ID),
		OrTo: c.Connection,
	}
}

func unreachable(id string) events.Error {
	err := events.Errorf(events.CodeNodeUnreachable, "the server of this room does not answer; trying again").For(id)
	err.RetryAfterMs = 1500
	return err
}

// remove tells a node to close a session that ended or moved elsewhere.
func remove(v fleet.View, p room.Participant, code events.Code) Send {
	return Send{To: Sockets(v.Node, 0), Message: events.Remove{Header: events.Head(events.ActionRemove),
		Generation: int64(v.Node.Generation), Room: string(p.Room), Key: string(p.Key), Revision: int64(p.Revision), Code: code}}
}

// wait puts a participant in line, or keeps it there: its place is by when it
// first asked.
func wait(s Seating, e JoinEvent, who seeker, now time.Time, set Settings) Plan {
	w, known := placeInLine(s, e, who, now, set)
	return Plan{
		Commits:  []Commit{One(PutWait{w, known})},
		Sends:    []Send{{To: []string{w.Connection}, Message: waiting(w, s.Launches, now, set)}},
		Capacity: "a participant waits",
		Decision: Decision{Choice: "wait", Why: "no node has room for a block of the room", Inputs: map[string]any{
			"room": w.Room, "participant": w.Key, "candidates": len(s.Candidates), "launches": len(s.Launches)}},
	}
}

// placeInLine is a participant's place in line, and the session that has it so far.
func placeInLine(s Seating, e JoinEvent, who seeker, now time.Time, set Settings) (w fleet.Wait, known string) {
	w = fleet.Wait{Region: set.Region, Room: e.Caller.Room, Key: e.Caller.Key, Identity: e.Caller.Identity, Name: e.Caller.Name,
		Role: who.Role, Session: e.Message.Session, From: e.Message.From, Resumed: e.Caller.Resume, Wish: e.Caller.Wish, Connection: e.Caller.Connection, RequestID: e.Message.ID, Avoid: who.Avoid,
		Load: set.Profile.SeatLoad(who.Role), Since: now, SeenAt: now}
	if s.Room != nil {
		w.Load = s.Room.Profile.SeatLoad(who.Role)
	}
	if s.Wait != nil {
		known = s.Wait.Session
		w.Since = s.Wait.Since
	}
	return w, known
}

// waiting estimates how long w still waits: until the oldest launch that is
// under way has had the time that a launch takes.
func waiting(w fleet.Wait, launches []fleet.Launch, now time.Time, set Settings) events.Waiting {
	m := events.Waiting{Header: events.Head(events.ActionWaiting), ID: w.RequestID, SinceMs: w.Since.UnixMilli(),
		EstimateMs: set.BootMs, Stage: events.StageAsked}
	for _, l := range launches {
		if l.State == fleet.Landed {
			continue
		}
		boot := l.BootMs
		if boot == 0 {
			boot = set.BootMs
		}
		left := max(boot-now.Sub(l.At).Milliseconds(), 1000)
		if m.Stage == events.StageAsked || left < m.EstimateMs {
			m.EstimateMs = left
		}
		if l.State == fleet.Started {
			m.Stage = events.StageBooting
		} else if m.Stage == events.StageAsked {
			m.Stage = events.StageStarting
		}
	}
	return m
}
