package control

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/room"
)

// ErrLookAgain says that a decision would refuse somebody on the strength of a
// snapshot that may be stale or partial: load a complete one and decide again.
var ErrLookAgain = errors.New("the snapshot is not complete")

// Seating is what seating a participant, or freeing a seat, is decided from.
type Seating struct {
	Room        *room.Room
	Participant *room.Participant
	// Head is the room where Room is one of its further sections, and Fresh says that
	// this section is to be made. Tried are sections that had no seat; Last says that
	// there is no other to be tried, Squeezed that this one has seats left, and is to
	// grant them whatever its bounds.
	Head     *room.Room
	Fresh    bool
	Tried    []int
	Last     bool
	Squeezed bool
	// Narrow says that of a section only those blocks were looked at that may have a
	// seat, with their nodes: enough to sit down, and to see a crowd.
	Narrow bool
	// Blocks are those of the room that were loaded, Nodes the nodes of the room.
	Blocks []fleet.Block
	Nodes  []fleet.View
	// Candidates are other nodes that may take more.
	Candidates []fleet.View
	Wait       *fleet.Wait
	Launches   []fleet.Launch
	// Complete snapshots were read consistently and hold everything above. Others
	// hold at most the room, some block and its node; they are cheap and are
	// enough to seat somebody, because the writes are conditioned, but never to
	// refuse anybody.
	Complete bool
}

func (s Seating) node(id room.NodeID) *fleet.View {
	i := slices.IndexFunc(s.Nodes, func(v fleet.View) bool { return v.Node.ID == id })
	if i < 0 {
		return nil
	}
	return &s.Nodes[i]
}

func (s Seating) block(index int) *fleet.Block {
	i := slices.IndexFunc(s.Blocks, func(b fleet.Block) bool { return b.Index == index })
	if i < 0 {
		return nil
	}
	return &s.Blocks[i]
}

// usable returns the node of a block if the block can seat people there now.
func (s Seating) usable(b fleet.Block, avoid []room.NodeID, now time.Time) *fleet.View {
	v := s.node(b.Node)
	if v == nil || v.Node.Generation != b.Generation || !v.Takes(now) || slices.Contains(avoid, b.Node) {
		return nil
	}
	return v
}

// seeker is who wants a seat.
type seeker struct {
	Room     room.Name
	Key      room.Key
	Identity string
	Name     string
	Role     room.Role
	Session  string
	// From is the session that this one continues, if any.
	From string
	// Resumed is the session of the resume ticket that it came with, if any.
	Resumed string
	Avoid   []room.NodeID
	// Spread makes racers choose differently.
	Spread uint64
	// Looked is how often it has looked before; negative for those who are seated in
	// turn, who are no crowd.
	Looked int
	// stays says that the room is not to be moved for it.
	stays bool
	// crowd says that a block it is granted is one of a crowd's.
	crowd bool
	// turn is set for those who are seated in turn.
	turn *Turn
}

// seated is the outcome of seating: what to commit, and where the seat is.
type seated struct {
	commits     []Commit
	participant room.Participant
	node        fleet.View
	profile     room.Profile
	about       *events.RoomMetadata
	// left tells the nodes of seats elsewhere that were given up.
	left []Send
	why  string
	// asked and choice tell how a new block was placed.
	asked  *placement.Question
	choice placement.Choice
	// together are those who are seated by the same grant, free is how many of its
	// seats nobody has.
	together []follower
	free     int
}

// note adds to a decision's inputs what placing a new block was decided from, so
// that it can be explained later.
func (o seated) note(inputs map[string]any) {
	if o.asked != nil {
		inputs[placement.KeyQuestion], inputs[placement.KeyChoice] = *o.asked, o.choice
	}
}

// errCut says that the room's nodes cannot be reached at this moment. Either they
// dial again soon, or one of their people says that they are dead, and brings the
// room elsewhere: whoever comes to a room that is there must not be seated apart from
// it.
var errCut = errors.New("the room's server is out of reach")

// cutAgainMs is when somebody who comes to such a room may try again.
const cutAgainMs = 500

// cut reports whether the room is on nodes none of which can be reached, apart from
// those that somebody avoids.
func (s Seating) cut(avoid []room.NodeID, now time.Time) bool {
	homes := slices.DeleteFunc(s.homes(now), func(v fleet.View) bool { return slices.Contains(avoid, v.Node.ID) })
	return len(homes) > 0 && !slices.ContainsFunc(homes, func(v fleet.View) bool { return v.Node.Reached() })
}

// errNoNode says that no node has room now, so the participant has to wait.
var errNoNode = errors.New("no node has room")

// seat finds a participant a seat: its own, one in a block of the room, one in
// a new block on one of the room's nodes, or one in a block on the fullest
// further node that fits. It returns errNoNode, with what is to be committed all the same, when a launch would help, and an
// [*events.Error] when nothing would.
func seat(s Seating, who seeker, now time.Time, set Settings) (seated, error) {
	var prev room.Participant
	if s.Participant != nil {
		prev = *s.Participant
	}
	made := set.made(who.Room, now)
	out := seated{profile: made.Profile, about: about(made)}
	p := who.participant(prev, now)
	if s.Room != nil {
		out.profile, out.about = s.Room.Profile, about(*s.Room)
	}

	if who.From != "" && !s.Complete {
		return seated{}, ErrLookAgain
	}
	held, err := s.held(who, prev)
	if err != nil {
		return seated{}, err
	}
	s, first, err := s.leave(who, prev, now, set)
	if err != nil {
		return seated{commits: first}, err
	}
	who.Avoid = append(slices.Clone(who.Avoid), s.Room.Shunned(now)...)
	block, node := s.pick(who, prev, now)
	var grants bool
	grants, who.crowd, err = s.grants(who, block, now)
	if err != nil {
		return seated{}, err
	}
	if !grants {
		p.Block = block.Index
		settleHeld(&p, held)
		out.participant, out.node, out.why = p, *node, "a seat in the room's block"
		out.commits = append(append(first, sitDown(s, *block, p, prev)...), s.noteFull()...)
		out.giveUp(s, now)
		return out, nil
	}

	ref, grant, err := s.grant(who, p, held, now, set)
	if s.bereft(who.Key, prev, err, now) {
		err = errNoNode
	}
	if err != nil {
		return seated{commits: first}, err
	}
	p.Block = ref.Index
	settleHeld(&p, held)
	out.participant = p
	out.node = *grant.node
	out.why = grant.why
	out.asked, out.choice = &grant.asked, grant.choice
	out.together, out.free = grant.together, grant.free
	out.commits = append(append(first, One(PutParticipant{p, prev.Revision}), grant.commit), grant.after...)
	out.commits = append(out.commits, s.noteFull()...)
	out.left = grant.sends
	out.giveUp(s, now)
	return out, nil
}

// participant is who is seated after prev, so far without a block.
func (who seeker) participant(prev room.Participant, now time.Time) room.Participant {
	p := room.Participant{Room: who.Room, Key: who.Key, Identity: who.Identity, Name: who.Name, Role: who.Role,
		Session: who.Session, Revision: prev.Revision.Next(now), SeatedAt: now, Cast: prev.Cast, Metadata: prev.Metadata, Described: prev.Described, Resumed: cmp.Or(who.Resumed, who.From)}
	if prev.Session == who.Session && prev.Revision > 0 {
		p.Revision, p.SeatedAt = prev.Revision, prev.SeatedAt
		p.Resumed = cmp.Or(p.Resumed, prev.Resumed)
	}
	return p
}

// pick chooses a block with a seat for who's role: the one it sits in already, else
// one with a free seat. Among several, Spread picks one of the free seats, so that
// racers for the last seat of a block are few.
func (s Seating) pick(who seeker, prev room.Participant, now time.Time) (*fleet.Block, *fleet.View) {
	if prev.Revision > 0 {
		if b := s.block(prev.Block); b != nil {
			_, sits := b.Members[who.Key]
			sits = sits && (!b.Sealed || who.Session == prev.Session && b.Members[who.Key] == prev.Revision)
			if v := s.usable(*b, who.Avoid, now); v != nil && b.For(who.Role) && (sits || b.Free() > 0 && v.Node.Reached()) {
				return b, v
			}
		}
	}
	free := 0
	for _, b := range s.Blocks {
		if v := s.usable(b, who.Avoid, now); v != nil && v.Node.Reached() && b.For(who.Role) {
			free += b.Free()
		}
	}
	if free == 0 {
		return nil, nil
	}
	seat := int(who.Spread % uint64(free))
	for i := range s.Blocks {
		b := &s.Blocks[i]
		if v := s.usable(*b, who.Avoid, now); v != nil && v.Node.Reached() && b.For(who.Role) {
			if seat -= b.Free(); seat < 0 {
				return b, v
			}
		}
	}
	return nil, nil
}

// sitDown commits participant, then seat. What is already so is not written
// again, so a retry writes nothing. Whoever takes what looks like the last seat
// marks the block full.
func sitDown(s Seating, b fleet.Block, p, prev room.Participant) []Commit {
	var commits []Commit
	if p != prev {
		commits = append(commits, One(PutParticipant{p, prev.Revision}))
	}
	rev, sits := b.Members[p.Key]
	if rev == p.Revision {
		return commits
	}
	commits = append(commits, One(TakeSeat{b.Room, b.Index, b.Generation, p.Key, p.Revision}))
	if ref := s.Room.Ref(b.Index); !sits && len(b.Members)+1 >= b.Seats && ref != nil && !ref.Full {
		commits = append(commits, Hint(PutRoom{s.Room.WithFull(b.Index, true), s.Room.Revision}))
	}
	return commits
}

// giveUp frees whatever other seats the participant has, but for the one that is
// held: those of earlier sessions, and of attempts at this one that came to
// nothing between two commits. It is optional: a block may have gone with its
// node.
func (o *seated) giveUp(s Seating, now time.Time) {
	p := o.participant
	for _, b := range s.Blocks {
		rev, sits := b.Members[p.Key]
		if !sits || b.Index == p.Block || p.Held.Revision == rev && p.Held.Block == b.Index {
			continue
		}
		o.commits = append(o.commits, Hint(s.leaveBehind(b, p.Key, o.commits, now)...))
		if v := s.node(b.Node); v != nil && b.Node != o.node.Node.ID {
			left := p
			left.Revision = rev
			o.left = append(o.left, remove(*v, left, events.CodeReplaced))
		}
	}
}

// leaveBehind frees a seat beside another one, after earlier commits. Where more is
// granted than the room takes, it goes with who leaves it: somebody else would sit
// down on it.
func (s Seating) leaveBehind(b fleet.Block, key room.Key, earlier []Commit, now time.Time) []Change {
	for _, c := range earlier {
		for _, change := range c.Changes {
			if x, ok := change.(PutRoom); ok {
				s.Room = &x.Room
			}
		}
	}
	if r := s.Room; r != nil && r.Ref(b.Index) != nil && (r.SeatsLeft < 0 || b.For(room.Publisher) && r.StageLeft() < 0) {
		t, loads := s.convert(*r, b, key), map[room.NodeID]room.Load{}
		changes := t.changes(loads)
		return append(changes, s.without(*r, t.room, loads, now)...)
	}
	return []Change{ReleaseSeat{b.Room, b.Index, key, b.Members[key]}}
}

// Stays reports whether a seat that is freed in a block stays there, free: then its
// node is not touched, and need not be known.
func (s Seating) Stays(b fleet.Block) bool {
	r := s.Room
	return len(b.Members) > 1 && r != nil && r.SeatsLeft >= 0 && (!b.For(room.Publisher) || r.StageLeft() >= 0)
}

// release frees a member's seat in a block, and gives the block back when it
// was the last. It returns nothing when the member does not sit there with that
// revision.
func release(s Seating, b fleet.Block, key room.Key, revision room.Revision, now time.Time) []Commit {
	if rev, sits := b.Members[key]; !sits || rev != revision {
		return nil
	}
	if s.foreign(b.Index) {
		return []Commit{One(ReleaseSeat{b.Room, b.Index, key, revision})} // a sweep sees to the rest
	}
	if len(b.Members) == 1 {
		return []Commit{returnBlock(s, b, key, revision, now)}
	}
	if r := s.Room; r != nil && r.Ref(b.Index) != nil && !s.Stays(b) {
		// More is granted than the room takes, for those who change their homes: the
		// seat goes with who leaves it.
		t, loads := s.convert(*r, b, key), map[room.NodeID]room.Load{}
		changes := t.changes(loads)
		return []Commit{One(append(changes, s.without(*r, t.room, loads, now)...)...)}
	}
	commits := []Commit{One(ReleaseSeat{b.Room, b.Index, key, revision})}
	if s.Room != nil {
		if ref := s.Room.Ref(b.Index); ref != nil && ref.Full {
			commits = append(commits, Hint(PutRoom{s.Room.WithFull(b.Index, false), s.Room.Revision}))
		}
	}
	return commits
}
