package control

import (
	"errors"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Deed is what is to be done to a participant of a room, by whoever may: the
// customer's backend, or a participant whom its node has checked.
type Deed struct {
	Kind events.Deed
	Room room.Name
	Key  room.Key
	// Identity is whose key that is, where the asker knows: somebody who is not
	// there can be barred by it.
	Identity string
	// Sources are what to mute.
	Sources []events.Source
	// Metadata is what the participant has from now on.
	Metadata string
	// BarFor is for how long a removed participant may not come back with any
	// token.
	BarFor time.Duration
}

// Moderate does a deed to one participant. It is safe to repeat: what is so
// already is told to the node again. moving says that a promoted participant is
// asked to change nodes, and takes its new role there.
func Moderate(s Seating, d Deed, now time.Time, set Settings) (plan Plan, moving bool, err error) {
	if !s.Complete {
		return Plan{}, false, ErrLookAgain
	}
	if d.Kind == events.RemoveDeed {
		plan, err = s.putOut(d, now)
		return plan, false, err
	}
	p := s.Participant
	if p == nil || !p.Removed.IsZero() {
		return Plan{}, false, errNobody
	}
	b := s.block(p.Block)
	if b == nil || b.Members[p.Key] != p.Revision {
		return Plan{}, false, unsettled()
	}
	home := s.node(b.Node)
	if home == nil || home.Node.Generation != b.Generation {
		return Plan{}, false, unsettled()
	}
	if d.Kind == events.Mute {
		return Plan{
			Sends: []Send{{To: Sockets(home.Node, 0), Message: events.MuteTracks{Header: events.Head(events.ActionMute),
				Generation: int64(home.Node.Generation), Room: string(p.Room), Key: string(p.Key), Sources: d.Sources}}},
			Decision: Decision{Choice: "mute", Inputs: map[string]any{"room": p.Room, "participant": p.Key, "sources": d.Sources}},
		}, false, nil
	}
	if d.Kind == events.SetMetadata {
		return describe(*p, d.Metadata, home.Node), false, nil
	}
	role := room.Viewer
	if d.Kind == events.Promote {
		role = room.Publisher
	}
	return s.cast(*p, *b, *home, role, now, set)
}

var errNobody = events.Errorf(events.CodeNotFound, "no such participant is in the room")

// unsettled refuses what cannot be done in the middle of a join or a move.
func unsettled() error {
	err := events.Errorf(events.CodeBusy, "the participant is about to change its place; try again")
	err.RetryAfterMs = 1000
	return err
}

// cast gives a participant another role. Its seat is one of a block for that
// role: a free one on the same node, else one of a new block there, for whose
// load the old seat's may be used. All of it is one transaction, so neither the
// room's limits nor the node's are passed at any moment, and nobody is refused
// for the seat that it leaves itself. Where the node cannot carry it, the
// participant is asked to move, and takes its seat as it arrives.
func (s Seating) cast(p room.Participant, b fleet.Block, home fleet.View, role room.Role, now time.Time, set Settings) (Plan, bool, error) {
	d := Decision{Choice: "cast", Inputs: map[string]any{"room": p.Room, "participant": p.Key, "role": role,
		"node": home.Node.ID, "from": b.Index, "revision": p.Revision}}
	told := Send{To: Sockets(home.Node, 0), Message: events.Recast{Header: events.Head(events.ActionRole), Generation: int64(home.Node.Generation),
		Room: string(p.Room), Key: string(p.Key), Revision: int64(p.Revision), Role: events.Role(role)}}
	next := p
	next.Role, next.Cast = role, role
	if b.For(role) {
		d.Why = "it has a seat of that role"
		plan := Plan{Sends: []Send{told}, Decision: d}
		if next != p {
			plan.Commits = []Commit{One(PutParticipant{next, p.Revision})}
		}
		return plan, false, nil
	}
	if p.Held.Revision > 0 {
		return Plan{}, false, unsettled()
	}
	if s.Head != nil && role != room.Viewer {
		return s.callToStage(p, home, d)
	}
	if c, to := s.sitOver(next, b, now); to != nil {
		d.Why, d.Inputs["to"] = "a free seat of that role on its node", to.Index
		return Plan{Commits: c, Sends: []Send{told}, Decision: d}, false, nil
	}
	c, err := s.standOver(next, b, now, set)
	if err == nil {
		d.Why = "a new block for that role on its node"
		return Plan{Commits: []Commit{c}, Sends: []Send{told}, Decision: d}, false, nil
	}
	if errors.Is(err, ErrLookAgain) {
		return Plan{}, false, err
	}
	// Elsewhere there must be a seat, or a node to be launched for it.
	who := seeker{Room: p.Room, Key: p.Key, Identity: p.Identity, Role: role, stays: true}
	if _, other := s.pick(who, room.Participant{}, now); other == nil {
		if _, _, err := s.grant(who, next, room.Held{}, now, set); err != nil && !errors.Is(err, errNoNode) {
			return Plan{}, false, s.refusal(err, role)
		}
	}
	waits := p // the seat and its role stay until it has moved
	waits.Cast = role
	d.Why = "its node cannot carry it in that role: " + err.Error()
	plan := Plan{Decision: d, Sends: []Send{{To: told.To, Message: events.MoveAway{Header: events.Head(events.ActionMove),
		Generation: int64(home.Node.Generation), Room: string(p.Room), Keys: []string{string(p.Key)}}}}}
	if role == room.Viewer {
		plan.Sends = append([]Send{told}, plan.Sends...) // nobody need wait to be silent
	}
	if waits != p {
		plan.Commits = []Commit{One(PutParticipant{waits, p.Revision})}
	}
	return plan, true, nil
}

// refusal is why somebody who has a seat does not get one of another role: that the
// room is full is no reason.
func (s Seating) refusal(err error, role room.Role) error {
	var e *events.Error
	if errors.As(err, &e) && e.Code == events.CodeRoomFull && role != room.Viewer && s.Room != nil && s.Room.StageLeft() < 1 {
		return stageFull(*s.Room)
	}
	return err
}

// sitOver moves p from its seat in a block to a free one of its new role on the
// same node.
func (s Seating) sitOver(p room.Participant, from fleet.Block, now time.Time) ([]Commit, *fleet.Block) {
	if s.Room == nil {
		return nil, nil
	}
	for i := range s.Blocks {
		to := &s.Blocks[i]
		if to.Node != from.Node || !to.For(p.Role) || to.Free() < 1 || s.usable(*to, nil, now) == nil {
			continue
		}
		out := []Change{ReleaseSeat{from.Room, from.Index, p.Key, p.Revision}}
		if len(from.Members) == 1 {
			out = returnBlock(s, from, p.Key, p.Revision, now).Changes
		}
		p.Block = to.Index
		c := One(append([]Change{TakeSeat{to.Room, to.Index, to.Generation, p.Key, p.Revision}, PutParticipant{p, p.Revision}}, out...)...)
		commits := []Commit{c}
		if ref := s.Room.Ref(from.Index); len(from.Members) > 1 && ref != nil && ref.Full {
			commits = append(commits, Hint(PutRoom{s.Room.WithFull(from.Index, false), s.Room.Revision}))
		}
		return commits, to
	}
	return nil, nil
}

// standOver moves p to a new block for its new role on the node of its old one.
// With seats left to grant it keeps to the usual size of a block; else its own
// seat is what the block is made of.
func (s Seating) standOver(p room.Participant, from fleet.Block, now time.Time, set Settings) (Commit, error) {
	if s.Room == nil || s.Room.Ref(from.Index) == nil {
		return Commit{}, unsettled()
	}
	who := seeker{Room: p.Room, Key: p.Key, Identity: p.Identity, Role: p.Role, stays: true}
	for _, v := range slices.Concat(s.Nodes, s.Candidates) {
		if v.Node.ID != from.Node {
			who.Avoid = append(who.Avoid, v.Node.ID)
		}
	}
	onStage := p.Role != room.Viewer && s.Room.StageLeft() < 1
	if s.Room.SeatsLeft > 0 && len(from.Members) > 1 || onStage {
		ref, g, err := s.grant(who, p, room.Held{}, now, set)
		if err == nil {
			p.Block = ref.Index
			return One(append(g.commit.Changes, PutParticipant{p, p.Revision}, ReleaseSeat{from.Room, from.Index, p.Key, p.Revision})...), nil
		}
		if onStage || errors.Is(err, ErrLookAgain) {
			return Commit{}, err
		}
	}
	ref, g, err := s.claim(who, p, *s.Room, 1, s.convert(*s.Room, from, p.Key), now, set)
	if err != nil {
		return Commit{}, err
	}
	p.Block = ref.Index
	return One(append(g.commit.Changes, PutParticipant{p, p.Revision})...), nil
}

// putOut removes a participant: its seats are free, its session is void, and it
// waits no more.
func (s Seating) putOut(d Deed, now time.Time) (Plan, error) {
	plan := Plan{Decision: Decision{Choice: "remove", Why: "somebody who may asked for it", Inputs: map[string]any{"room": d.Room, "participant": d.Key, "bar": d.BarFor.String()}}}
	if w := s.Wait; w != nil {
		plan.Commits = append(plan.Commits, One(DeleteWait{w.Region, w.Room, w.Key, w.Session}))
		plan.Sends = append(plan.Sends, Send{To: []string{w.Connection}, Close: true,
			Message: events.Errorf(events.CodeRemoved, "removed from the room").For(w.RequestID)})
	}
	if p := s.Participant; p != nil && p.Removed.IsZero() {
		for _, at := range []room.Participant{*p, p.Back()} {
			b := s.block(at.Block)
			if b == nil || at.Revision == 0 {
				continue
			}
			switch {
			case at.Revision == p.Revision:
				plan.Commits = append(plan.Commits, release(s, *b, p.Key, at.Revision, now)...)
			case b.Members[p.Key] == at.Revision:
				// The block, if nobody else sits there, waits for the sweep.
				plan.Commits = append(plan.Commits, Hint(s.leaveBehind(*b, p.Key, plan.Commits, now)...))
			}
			if v := s.node(b.Node); v != nil {
				plan.Sends = append(plan.Sends, remove(*v, at, events.CodeRemoved))
			}
		}
		gone := p.PutOut(now)
		if d.BarFor > 0 {
			gone.Barred = now.Add(d.BarFor)
		}
		plan.Commits = append(plan.Commits, One(PutParticipant{gone, p.Revision}))
	} else if d.BarFor > 0 || p == nil && s.Wait != nil {
		out, revision := room.Participant{Room: d.Room, Key: d.Key, Identity: d.Identity}.PutOut(now), room.Revision(0)
		if p != nil {
			out, revision = *p, p.Revision
		}
		if d.BarFor > 0 {
			out.Barred = now.Add(d.BarFor)
		}
		plan.Commits = append(plan.Commits, One(PutParticipant{out, revision}))
	}
	if p := s.Participant; p != nil && !p.Removed.IsZero() && now.Sub(p.Removed) < SettleAfter {
		// The same again: whoever asked the first time may not have lived to tell the
		// nodes.
		for _, v := range s.Nodes {
			plan.Sends = append(plan.Sends, remove(v, *p, events.CodeRemoved))
		}
	}
	if len(plan.Commits)+len(plan.Sends) == 0 {
		return Plan{}, errNobody
	}
	return plan, nil
}

// Ending is what the end of a room is decided from.
type Ending struct {
	Room  *room.Room
	Nodes []fleet.View
	Waits []fleet.Wait
}

// EndRoom disconnects everybody and forgets that the room was declared. Seats
// come back as the nodes report who has left, so it is safe to repeat.
func EndRoom(s Ending, name room.Name) (Plan, error) {
	if s.Room == nil && len(s.Waits) == 0 {
		return Plan{}, events.Errorf(events.CodeNotFound, "no such room")
	}
	plan := Plan{Decision: Decision{Choice: "end the room", Why: "somebody who may asked for it",
		Inputs: map[string]any{"room": name, "nodes": len(s.Nodes), "waiting": len(s.Waits)}}}
	if r := s.Room; r != nil {
		switch {
		case r.Over():
			plan.Commits = append(plan.Commits, One(DeleteRoom{Name: r.Name, If: r.Revision}))
		case !r.KeepUntil.IsZero():
			next := r.Clone()
			next.KeepUntil = time.Time{}
			next.Revision++
			plan.Commits = append(plan.Commits, One(PutRoom{next, r.Revision}))
		}
	}
	for _, w := range s.Waits {
		plan.Commits = append(plan.Commits, Hint(DeleteWait{w.Region, w.Room, w.Key, w.Session}))
		plan.Sends = append(plan.Sends, Send{To: []string{w.Connection}, Close: true,
			Message: events.Errorf(events.CodeRoomEnded, "the room is over").For(w.RequestID)})
	}
	for _, v := range s.Nodes {
		plan.Sends = append(plan.Sends, Send{To: Sockets(v.Node, 0), Message: events.End{Header: events.Head(events.ActionEnd),
			Generation: int64(v.Node.Generation), Room: string(name), Code: events.CodeRoomEnded}})
	}
	return plan, nil
}
