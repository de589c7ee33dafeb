package control

import (
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// A participant who changes its home has two seats for a moment: the new one,
// taken by a session that names the one before (events.Join.From), and the held
// one, whose connection goes on until the new one stands. When the old
// connection ends the held seat is freed; when the new one comes to nothing, the
// held one is the seat again.

// follow tells how a session comes after the one that is seated: as its
// continuation, whose seat is then held, or in its place. Somebody who would
// continue a session that another has taken the place of is told so.
func (who seeker) follow(prev room.Participant) (held room.Held, err error) {
	switch {
	case !prev.Removed.IsZero() && prev.Session != "" && (prev.Session == who.Session || prev.Session == who.From):
		return room.Held{}, events.Errorf(events.CodeRemoved, "this session was removed from the room")
	case prev.Revision == 0 || prev.Session == who.Session:
		return prev.Held, nil
	case who.From == "":
		return room.Held{}, nil
	case prev.Session == who.From:
		return room.Held{Session: prev.Session, Revision: prev.Revision, Block: prev.Block, Role: prev.Role}, nil
	case prev.Held.Session == who.From, prev.Resumed == who.From: // one more try
		return prev.Held, nil
	}
	return room.Held{}, events.Errorf(events.CodeReplaced, "the same participant connected from elsewhere")
}

// unforgotten is the seat that somebody continues of whom nothing is known any
// more: the new home died, and what was known went with the seat there. Its only
// other seat is the one it comes from, which must not be taken for one that an
// earlier session has left behind.
func (s Seating) unforgotten(who seeker) room.Held {
	var held room.Held
	for _, b := range s.Blocks {
		v := s.node(b.Node)
		rev, sits := b.Members[who.Key]
		if sits && rev > held.Revision && v != nil && v.Node.State.Living() && v.Node.Generation == b.Generation {
			held = room.Held{Session: who.From, Revision: rev, Block: b.Index, Role: b.Role}
		}
	}
	return held
}

// held tells what is held for who, whose present session may be forgotten.
func (s Seating) held(who seeker, prev room.Participant) (room.Held, error) {
	if prev.Revision == 0 && who.From != "" {
		return s.unforgotten(who), nil
	}
	return who.follow(prev)
}

// settleHeld notes what is held of p, once p's new block is known. A held seat in
// the same block is no other seat: there, the node keeps both connections.
func settleHeld(p *room.Participant, held room.Held) {
	p.Held = held
	if held.Revision > 0 && held.Block == p.Block {
		p.Held = room.Held{}
	}
}

// holds reports whether a seeker keeps a seat for its role until a new one stands.
func (s Seating) holds(who seeker, held room.Held) bool {
	b := s.block(held.Block)
	if held.Revision == 0 || b == nil || !b.For(who.Role) || s.foreign(b.Index) {
		return false
	}
	rev, sits := b.Members[who.Key]
	return sits && rev == held.Revision
}

// revert frees the seat of a session that continued another, whose seat is the
// participant's again.
func (s Seating) revert(p room.Participant, now time.Time) []Commit {
	var commits []Commit
	if b := s.block(p.Block); b != nil {
		commits = release(s, *b, p.Key, p.Revision, now)
	}
	return append(commits, One(PutParticipant{p.Back(), p.Revision}))
}

// freeHeld frees the seat of a session that another continued.
func (s Seating) freeHeld(p room.Participant, now time.Time) []Commit {
	var commits []Commit
	if b := s.block(p.Held.Block); b != nil {
		commits = release(s, *b, p.Key, p.Held.Revision, now)
	}
	next := p
	next.Held = room.Held{}
	return append(commits, One(PutParticipant{next, p.Revision}))
}

// lossesNeeded is how many of a room must say within [room.LossLasts] that a node
// does not answer them for the room to leave it while its lease still runs. With
// fewer people there, all of them.
const lossesNeeded = 3

// lossesLaunch is how many must say so for a node to be launched in its place, if no
// other has room for the room. Should the node be well, the launch was in vain, and
// nothing else happens.
const lossesLaunch = 2

// splits decides about somebody who cannot reach the node of its seat, or, where
// the room may be on no further one, any of its nodes. What it says is noted; when
// enough say so, the room takes the node for dead and leaves it, without waiting
// for the lease to end; one is enough where the node's sockets have ended. Until then
// it is refused where the room could only follow it, and seated elsewhere where it can. It returns the snapshot to go on with, and
// what to commit first.
func (s Seating) splits(who seeker, prev room.Participant, now time.Time, set Settings) (Seating, []Commit, error) {
	home, elsewhere := s.unreached(who, prev, now, set)
	if home == nil {
		return s, nil, nil
	}
	if !s.Complete {
		return s, nil, ErrLookAgain
	}
	there, others := 0, 0
	for _, b := range s.Blocks {
		if b.Node != home.Node.ID {
			continue
		}
		for key := range b.Members {
			there++
			if key != who.Key {
				others++
			}
		}
	}
	if others == 0 {
		return s, nil, nil
	}
	if who.turn != nil && home.Node.Reached() {
		return s, nil, lossNoted{} // it said so a while ago, when it got in line
	}
	before := s.Room.Revision
	r, lost := s.Room.WithLoss(room.Loss{Node: home.Node.ID, Generation: home.Node.Generation, Key: who.Key, At: now})
	enough := lost >= min(lossesNeeded, there) || !home.Node.Reached()
	if enough {
		r = r.WithSuspect(home.Node.ID, now)
	}
	noted := One(PutRoom{r, before})
	if enough || elsewhere {
		s.Room = &r
		return s, []Commit{noted}, nil
	}
	out := lossNoted{commit: noted}
	if lost >= lossesLaunch {
		out.homeless = s.homeless(who, prev, now, set)
	}
	return s, nil, out
}

// homeless returns what the room has on the node of somebody's seat, if no node takes
// it: should that node be dead, one will have to be launched.
func (s Seating) homeless(who seeker, prev room.Participant, now time.Time, set Settings) room.Load {
	own := s.own(who.Key, prev)
	if own == nil {
		return room.Load{}
	}
	all, load := s.together(*own), room.Load{}
	if _, _, ok := s.rehomed(who, all, now, set); ok {
		return load
	}
	for _, b := range all {
		load = load.Plus(b.Load)
	}
	return load
}

// unreached returns the node that who says does not answer it, if the room still
// takes it for alive, and whether who can be seated elsewhere.
func (s Seating) unreached(who seeker, prev room.Participant, now time.Time, set Settings) (home *fleet.View, elsewhere bool) {
	homes := s.homes(now)
	elsewhere = len(homes) < set.nodesPerRoom() ||
		slices.ContainsFunc(homes, func(v fleet.View) bool { return !slices.Contains(who.Avoid, v.Node.ID) })
	if len(homes) > 0 && !elsewhere {
		home = &homes[0]
	}
	if b := s.own(who.Key, prev); b != nil {
		for i := range homes {
			if homes[i].Node.ID == b.Node && slices.Contains(who.Avoid, b.Node) {
				home = &homes[i]
			}
		}
	}
	return home, elsewhere
}

// lossNoted refuses somebody who cannot reach the room's node while others may,
// and has a commit that counts the loss.
type lossNoted struct {
	commit Commit
	// homeless is what there would be no room for if the node were dead.
	homeless room.Load
}

func (l lossNoted) Error() string {
	return "the room's server does not answer you, but others are on it; trying again"
}

// plan tells the participant to try again soon: by then others may have said the
// same.
//
// Where there would be no room for the room's people elsewhere, it also gets in line
// on their behalf, so that a node is launched. Nobody hears of that place in line.
func (l lossNoted) plan(s Seating, e JoinEvent, who seeker, now time.Time, set Settings) Plan {
	err := events.Errorf(events.CodeNodeUnreachable, "%s", l.Error()).For(e.Message.ID)
	err.RetryAfterMs = 300
	plan := Plan{Commits: []Commit{l.commit}, Sends: []Send{{To: []string{e.Caller.Connection}, Message: err}},
		Decision: Decision{Choice: "refuse", Why: l.Error(), Inputs: map[string]any{"room": who.Room, "participant": who.Key}}}
	if l.homeless != (room.Load{}) {
		w, known := placeInLine(s, e, who, now, set)
		w.Load, w.Connection = l.homeless, ""
		plan.Commits = append(plan.Commits, Hint(PutWait{w, known}))
		plan.Capacity = "a node does not answer some of its people, and no other has room for them"
		plan.Decision.Inputs["homeless"] = l.homeless
	}
	return plan
}
