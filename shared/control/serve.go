package control

import (
	"errors"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Serve seats a participant who waits, and tells it to join again; its seat is
// held until then. It returns false when no node has room yet. Who has not
// asked for [fleet.WaitLasts] has given up and leaves the line.
//
// The participant is stored in one transaction with its leaving the line, so
// that somebody who has been served and has left again in the meantime is not
// seated by a pass that still has it in its list. Where that transaction was
// made and the seat was not, because the block filled up meanwhile, the seat is
// still owed.
func Serve(s Seating, w fleet.Wait, spread uint64, now time.Time, set Settings) (Plan, bool, error) {
	out := One(DeleteWait{w.Region, w.Room, w.Key, w.Session})
	inputs := map[string]any{"room": w.Room, "participant": w.Key, "waitedMs": now.Sub(w.Since).Milliseconds()}
	inLine := s.Wait != nil && s.Wait.Session == w.Session
	if !inLine && !s.owed(w) {
		return Plan{}, true, nil
	}
	if now.Sub(w.SeenAt) > fleet.WaitLasts {
		return Plan{Commits: []Commit{out}, Decision: Decision{Choice: "leave the line", Why: "did not ask for too long", Inputs: inputs}}, true, nil
	}
	if p := s.Participant; p != nil && p.Revision > room.Revision(w.SeenAt.UnixMilli()) && p.Session != w.Session {
		return Plan{Commits: []Commit{out}, Decision: Decision{Choice: "leave the line", Why: "a later session is seated", Inputs: inputs}}, true, nil
	}
	st, err := seat(s, seeker{Room: w.Room, Key: w.Key, Identity: w.Identity, Name: w.Name, Role: w.Role, Session: w.Session, From: w.From, Resumed: w.Resumed, Avoid: w.Avoid, Spread: spread, Looked: -1}, now, set)
	var refused *events.Error
	switch {
	case errors.Is(err, errNoNode) && !inLine:
		return Plan{Commits: []Commit{Hint(PutWait{Wait: w})}}, false, nil
	case errors.Is(err, errNoNode):
		return Plan{}, false, nil
	case errors.As(err, &refused):
		return Plan{Commits: []Commit{Hint(out.Changes...)}, Sends: []Send{{To: []string{w.Connection}, Message: refused.For(w.RequestID)}},
			Decision: Decision{Choice: "refuse", Why: refused.Error(), Inputs: inputs}}, true, nil
	case err != nil:
		return Plan{}, false, err
	}
	inputs["node"], inputs["block"] = st.node.Node.ID, st.participant.Block
	st.note(inputs)
	return Plan{
		Commits:  leavingTheLine(st.commits, out, inLine),
		Sends:    append([]Send{{To: []string{w.Connection}, Message: events.Ready{Header: events.Head(events.ActionReady), ID: w.RequestID}}}, st.left...),
		Decision: Decision{Choice: "seat", Why: "first in line: " + st.why, Inputs: inputs},
	}, true, nil
}

// owed reports whether who waited has been stored as a participant and has no
// seat yet.
func (s Seating) owed(w fleet.Wait) bool {
	p := s.Participant
	if p == nil || p.Session != w.Session {
		return false
	}
	b := s.block(p.Block)
	return b == nil || b.Members[p.Key] != p.Revision
}

// leavingTheLine adds the end of the waiting to the commit that stores the
// participant.
func leavingTheLine(commits []Commit, out Commit, inLine bool) []Commit {
	switch {
	case !inLine:
		return commits
	case len(commits) > 0:
		if _, ok := commits[0].Changes[0].(PutParticipant); ok {
			commits[0].Changes = append(commits[0].Changes, out.Changes...)
			return commits
		}
	}
	return append(commits, Hint(out.Changes...))
}

// Served moves a node that has served those who waited on to ready, which puts
// it into the index.
func Served(n fleet.Node) Plan {
	to, err := n.State.Next(fleet.Served)
	if err != nil {
		return Plan{}
	}
	return Plan{
		Commits:  []Commit{One(SetState{Node: n.ID, Generation: n.Generation, From: n.State, To: to})},
		Decision: Decision{Choice: string(to), Why: "whoever waited has been served", Inputs: map[string]any{"node": n.ID}},
	}
}
