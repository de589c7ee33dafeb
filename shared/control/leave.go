package control

import (
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Leave gives back the seat of a session, or its place in line, at the wish of
// the browser while its socket is open.
func Leave(s Seating, c Caller, m events.Leave, now time.Time) (Plan, error) {
	done := Send{To: []string{c.Connection}, Message: events.LeaveDone{Header: events.Head(events.ActionLeft), ID: m.ID}}
	var plan Plan
	if s.Wait != nil && s.Wait.Session == m.Session {
		plan.Commits = append(plan.Commits, One(DeleteWait{s.Wait.Region, s.Wait.Room, s.Wait.Key, m.Session}))
	}
	if s.Participant != nil && s.Participant.Session == m.Session && s.Participant.Removed.IsZero() {
		p := *s.Participant
		plan.Commits = append(plan.Commits, s.free(p, now)...) // or the held session's again
		if b := s.block(p.Block); b != nil {
			if v := s.node(b.Node); v != nil {
				plan.Sends = append(plan.Sends, remove(*v, p, events.CodeRemoved))
			}
		}
	}
	if len(plan.Commits) == 0 {
		return Plan{}, events.Errorf(events.CodeNotJoined, "this session has no seat and does not wait for one")
	}
	plan.Sends = append(plan.Sends, done)
	plan.Decision = Decision{Choice: "release", Why: "the participant left", Inputs: map[string]any{"room": c.Room, "participant": c.Key}}
	return plan, nil
}

// free releases the seat of a participant and then forgets it. In this order a
// crash between the two leaves a participant without a seat, which the next join
// puts right, and never a seat without a participant.
//
// Where an earlier session is held, the seat and the participant are its again.
func (s Seating) free(p room.Participant, now time.Time) []Commit {
	if p.Held.Revision > 0 {
		return s.revert(p, now)
	}
	var commits []Commit
	if b := s.block(p.Block); b != nil {
		commits = release(s, *b, p.Key, p.Revision, now)
	}
	return append(commits, One(DeleteParticipant{p.Room, p.Key, p.Revision}))
}

// Left gives back the seat of somebody who is no longer on its node. A report
// about an earlier session than the present one changes nothing.
func Left(s Seating, from fleet.View, m events.Left, now time.Time) (Plan, error) {
	if err := Fence(from, room.Generation(m.Generation)); err != nil {
		return Plan{}, err
	}
	p := s.Participant
	if p != nil && p.Held.Revision > 0 && p.Held.Revision == room.Revision(m.Revision) {
		return Plan{
			Commits: s.freeHeld(*p, now),
			Decision: Decision{Choice: "release", Why: "the session that follows stands: " + string(m.Reason), Inputs: map[string]any{
				"room": p.Room, "participant": p.Key, "revision": p.Held.Revision, "node": from.Node.ID}},
		}, nil
	}
	if p == nil || p.Revision != room.Revision(m.Revision) {
		return Plan{Decision: Decision{Choice: "nothing", Why: "the session that left is not the present one"}}, nil
	}
	if b := s.block(p.Block); b != nil && b.Node != from.Node.ID {
		return Plan{}, events.Errorf(events.CodeUnknownParticipant, "the participant has its seat on another node")
	}
	commits := s.free(*p, now)
	if m.Reason == events.LeftEnded && p.Held.Revision == 0 {
		commits[len(commits)-1] = One(PutParticipant{p.PutOut(now), p.Revision})
	}
	return Plan{
		Commits: commits,
		Decision: Decision{Choice: "release", Why: "the node reports: " + string(m.Reason), Inputs: map[string]any{
			"room": p.Room, "participant": p.Key, "revision": p.Revision, "node": from.Node.ID}},
	}, nil
}

// Disconnected drops somebody's place in line when its socket closes. A seat is
// not touched: the media does not go over that socket.
func Disconnected(w *fleet.Wait, connection string) Plan {
	if w == nil || w.Connection != connection {
		return Plan{}
	}
	return Plan{
		Commits:  []Commit{One(DeleteWait{w.Region, w.Room, w.Key, w.Session})},
		Decision: Decision{Choice: "leave the line", Why: "the socket closed", Inputs: map[string]any{"room": w.Room, "participant": w.Key}},
	}
}

// Answered passes a node's answer on to the browser that its ticket names, or
// frees the seat again where the node could not answer.
func Answered(s Seating, from fleet.View, m events.Answered, t Ticket, now time.Time) (Plan, error) {
	if err := Fence(from, room.Generation(m.Generation)); err != nil {
		return Plan{}, err
	}
	if t.Node != from.Node.ID || t.Generation != from.Node.Generation || string(t.Room) != m.Room || string(t.Key) != m.Key ||
		t.Session != m.Session || int64(t.Revision) != m.Revision || t.RequestID != m.ID {
		return Plan{}, events.Errorf(events.CodeUnknownParticipant, "the ticket is for another participant, session or node")
	}
	to := []string{t.Connection}
	if m.Fault == nil {
		resume := NewResume(t.Key, t.Session, now)
		return Plan{Sends: []Send{{To: to, Resume: &resume, Message: events.Answer{
			Header: events.Head(events.ActionAnswer), ID: t.RequestID, Session: t.Session, Revision: int64(t.Revision),
			Room: string(t.Room), Identity: t.Identity, Role: events.Role(t.Role), Node: string(t.Node), Answer: m.Answer}}}}, nil
	}
	fault := events.Errorf(m.Fault.Code, "%s", m.Fault.Text).For(t.RequestID)
	if m.Fault.Code.Retryable() {
		fault.RetryAfterMs = 1500
	}
	plan := Plan{Sends: []Send{{To: to, Message: fault}}}
	if p := s.Participant; p != nil && p.Revision == t.Revision {
		plan.Commits = s.free(*p, now)
	}
	plan.Decision = Decision{Choice: "release", Why: "the node could not answer: " + string(m.Fault.Code),
		Inputs: map[string]any{"room": t.Room, "participant": t.Key, "node": t.Node}}
	return plan, nil
}
