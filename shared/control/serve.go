package control

import (
	"errors"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Serve seats a participant who waits, and those after it as far as the block
// that it is granted has seats, and tells them to join again; their seats are
// held until then. The first is not served when no node has room yet. Who has not
// asked for [fleet.WaitLasts] has given up and leaves the line.
//
// The participant is stored in one transaction with its leaving the line, so
// that somebody who has been served and has left again in the meantime is not
// seated by a pass that still has it in its list. Where that transaction was
// made and the seat was not, because the block filled up meanwhile, the seat is
// still owed. Those who are seated with it are so in the grant's transaction: all
// or none.
func Serve(s Seating, w Turn, spread uint64, now time.Time, set Settings) (Plan, Outcome, error) {
	out := One(DeleteWait{w.Region, w.Room, w.Key, w.Session})
	inputs := map[string]any{"room": w.Room, "participant": w.Key, "waitedMs": now.Sub(w.Since).Milliseconds()}
	inLine := s.Wait != nil && s.Wait.Session == w.Session
	first := Outcome{First: true}
	if !inLine && !s.owed(w.Wait) {
		return Plan{}, first, nil
	}
	if now.Sub(w.SeenAt) > fleet.WaitLasts {
		return Plan{Commits: []Commit{out}, Decision: Decision{Choice: "leave the line", Why: "did not ask for too long", Inputs: inputs}}, first, nil
	}
	if p := s.Participant; p != nil && p.Revision > room.Revision(w.SeenAt.UnixMilli()) && p.Session != w.Session {
		return Plan{Commits: []Commit{out}, Decision: Decision{Choice: "leave the line", Why: "a later session is seated", Inputs: inputs}}, first, nil
	}
	who := seekerOf(w.Wait)
	who.Spread, who.turn = spread, &w
	st, err := seat(s, who, now, set)
	var refused *events.Error
	switch {
	case errors.As(err, &refused) && refused.Code == events.CodeNoCapacity:
		err = errNoNode // as things are now
	case errors.Is(err, errCut), errors.As(err, new(lossNoted)):
		err = errNoNode // others may be on the room's node: it is not seated apart from them
	}
	switch {
	case errors.Is(err, errNoNode) && !inLine:
		return Plan{Commits: []Commit{Hint(PutWait{Wait: w.Wait})}}, Outcome{}, nil
	case errors.Is(err, errNoNode):
		return Plan{}, Outcome{}, nil
	case errors.As(err, &refused):
		return Plan{Commits: []Commit{Hint(out.Changes...)}, Sends: toWhoWaits(w.Wait, refused.For(w.RequestID)),
			Decision: Decision{Choice: "refuse", Why: refused.Error(), Inputs: inputs}}, first, nil
	case err != nil:
		return Plan{}, Outcome{}, err
	}
	inputs["node"], inputs["block"] = st.node.Node.ID, st.participant.Block
	st.note(inputs)
	plan := Plan{Commits: leavingTheLine(st.commits, out, inLine), Sends: ready(w.Wait),
		Decision: Decision{Choice: "seat", Why: "first in line: " + st.why, Inputs: inputs}}
	first.Free = st.free
	for _, f := range st.together {
		first.Sessions = append(first.Sessions, f.Session)
		plan.Sends = append(plan.Sends, ready(f.Wait)...)
	}
	if len(st.together) > 0 {
		inputs["together"] = 1 + len(st.together)
	}
	plan.Sends = append(plan.Sends, st.left...)
	return plan, first, nil
}

func ready(w fleet.Wait) []Send {
	return toWhoWaits(w, events.Ready{Header: events.Head(events.ActionReady), ID: w.RequestID})
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
