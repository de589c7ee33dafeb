package room

import (
	"slices"
	"time"
)

// Key is a short keyed hash of room and identity: a participant's name in the
// store and towards nodes.
type Key string

// NodeID names a node, from the decision to launch it until it is gone.
type NodeID string

// Generation counts the lives of a node. It fences what an earlier life says.
type Generation int64

// Revision orders the sessions of one participant. It is the Unix time of the
// session's first join in milliseconds, or one more than the revision before
// where that is higher: so it also grows over a leave and a return, after
// which nothing is remembered.
type Revision int64

// Next is the revision of a session that begins at now after one with revision
// r (0 for none).
func (r Revision) Next(now time.Time) Revision {
	return max(r+1, Revision(now.UnixMilli()))
}

// Time is when the session began, as far as the clocks of the control plane
// agree.
func (r Revision) Time() time.Time { return time.UnixMilli(int64(r)) }

// Participant is one identity in one room, with its present session.
type Participant struct {
	Room     Name
	Key      Key
	Identity string
	Name     string
	Role     Role
	Session  string
	Revision Revision
	// Block is the index of the block that holds the seat.
	Block    int
	SeatedAt time.Time
	// Held is the seat of the session that the present one continues; the zero
	// value is none.
	Held Held
	// Cast is the role that somebody gave the participant while it is in the room;
	// it stands against what the token says. Empty is none.
	Cast Role `json:",omitempty"`
	// Resumed is the session whose resume ticket the present one came with, or that
	// it continues: until this one has a ticket of its own, that one leads back to it.
	Resumed string `json:",omitempty"`
	// Removed, when set, says that the participant was put out then: it has no seat,
	// and Session is void. Nobody joins as it before Barred.
	Removed time.Time `json:",omitzero"`
	// Metadata stands against what the token says, where Described says that somebody
	// gave it to the participant while it is in the room.
	Metadata  string    `json:",omitempty"`
	Described bool      `json:",omitempty"`
	Barred    time.Time `json:",omitzero"`
}

// Continues reports whether the participant's present session is one that a
// ticket of a session leads back to: that session itself, one that it is held
// for, or one that came with the same ticket and may not have been answered.
func (p Participant) Continues(session string) bool {
	return session != "" && (p.Session == session || p.Held.Session == session || p.Resumed == session)
}

// Held is the seat of a session whose connection goes on until the one that
// continues it stands.
type Held struct {
	Session  string
	Revision Revision
	Block    int
	Role     Role `json:",omitempty"`
}

// Back returns the participant as it is when the held session is the present one
// again.
func (p Participant) Back() Participant {
	p.Session, p.Revision, p.Block = p.Held.Session, p.Held.Revision, p.Held.Block
	if p.Held.Role != "" {
		p.Role = p.Held.Role
	}
	p.Held = Held{}
	return p
}

// PutOut is what is remembered of a participant who was removed at now, or whose
// room was ended: that it has no seat, and that its session is void.
func (p Participant) PutOut(now time.Time) Participant {
	return Participant{Room: p.Room, Key: p.Key, Identity: p.Identity, Name: p.Name, Role: p.Role, Session: p.Session,
		Revision: p.Revision.Next(now), Block: -1, SeatedAt: p.SeatedAt, Removed: now}
}

// Loss is what somebody says of a node that does not answer it.
type Loss struct {
	Node       NodeID
	Generation Generation
	Key        Key
	At         time.Time
}

// LossLasts is for how long what somebody says of a node counts.
const LossLasts = 5 * time.Second

// Suspect is a node that a room has left because enough of its people
// said that it does not answer.
type Suspect struct {
	Node NodeID
	At   time.Time
}

// SuspectLasts is for how long a room keeps away from a node; its lease will have
// ended by then if it is dead.
const SuspectLasts = 30 * time.Second

// BlockRef is a block in a room's directory.
type BlockRef struct {
	Index      int
	Node       NodeID
	Generation Generation
	Seats      int
	// Role is what those who sit here may do; one that is not Viewer counts as
	// Publisher.
	Role Role
	// Full blocks are not tried for a new seat. It is a hint: the block decides.
	Full bool
}

// For reports whether a block's seats are for a role.
func (b BlockRef) For(role Role) bool { return (b.Role == Viewer) == (role == Viewer) }

// Room is a named set of participants, with what is still to be granted and a
// directory of what has been.
type Room struct {
	Name      Name
	Region    string
	Profile   Profile
	CreatedAt time.Time
	// KeepUntil, when set, says that the customer declared the room: it is kept
	// while nobody is in it, until then at least.
	KeepUntil time.Time
	// Metadata is what the room's application says of it, at most [MaxMetadata] bytes.
	// MetadataRevision grows whenever that changes, over the end of a room too; 0 is
	// never.
	Metadata         string `json:",omitempty"`
	MetadataRevision int64  `json:",omitempty"`
	// SeatsLeft is how many seats of the profile's limit are not in any block.
	SeatsLeft int
	// NextBlock is the index of the next block; indexes are never used twice, not
	// in a later room of the same name either: they begin at the time too.
	NextBlock int
	Blocks    []BlockRef
	// Section is which of the room's sections this is; the first is the room itself.
	// Sections lists all in the first, once there are several: then Apart says so in
	// each of them, and that Nodes and Epoch are stored by themselves.
	Section  int          `json:",omitempty"`
	Sections []SectionRef `json:",omitempty"`
	Apart    bool         `json:",omitempty"`
	// Losses and Suspects are those of a moment ago; older ones go with the next.
	Losses   []Loss    `json:",omitempty"`
	Suspects []Suspect `json:",omitempty"`
	// Nodes are those that the blocks are on, with the pipes between them; Epoch
	// grows whenever they change, and orders what the nodes are told of them.
	Nodes []NodeRef
	Epoch int64
	// Tell are the nodes whose pipes a change of Nodes changed, those that have
	// left included. It belongs to the change and is not stored.
	Tell []NodeID `json:"-"`
	// Revision grows with each write and conditions the next. It begins at the time
	// at which the room was made, so that it also grows over the end of a room and a
	// later one of the same name: what was decided of the first never fits the second.
	Revision int64
}

// New makes a room with no seats granted.
func New(name Name, region string, profile Profile, now time.Time) Room {
	return Room{Name: name, Region: region, Profile: profile, CreatedAt: now, SeatsLeft: profile.MaxParticipants,
		NextBlock: int(now.UnixMilli()), Revision: now.UnixMilli()}
}

// MaxMetadata bounds a room's metadata, in bytes.
const MaxMetadata = 1024

// WithMetadata returns the room with other metadata; the revision of the room stays.
func (r Room) WithMetadata(text string, now time.Time) Room {
	r = r.Clone()
	r.Metadata, r.MetadataRevision = text, max(r.MetadataRevision+1, now.UnixMilli())
	return r
}

// Clone returns a copy that shares nothing with r.
func (r Room) Clone() Room {
	r.Blocks = append([]BlockRef(nil), r.Blocks...)
	r.Losses = append([]Loss(nil), r.Losses...)
	r.Suspects = append([]Suspect(nil), r.Suspects...)
	r.Nodes = append([]NodeRef(nil), r.Nodes...)
	r.Sections = append([]SectionRef(nil), r.Sections...)
	r.Tell = append([]NodeID(nil), r.Tell...)
	r.Profile.VideoCodecs = append([]string(nil), r.Profile.VideoCodecs...)
	return r
}

// Granted returns how many seats are in blocks.
func (r Room) Granted() int { return r.GrantedTo(Publisher) + r.GrantedTo(Viewer) }

// GrantedTo returns how many seats for a role are in blocks.
func (r Room) GrantedTo(role Role) int {
	n := 0
	for _, b := range r.Blocks {
		if b.For(role) {
			n += b.Seats
		}
	}
	return n
}

// StageLeft returns how many publishers' seats of the profile's limit are not in
// any block.
func (r Room) StageLeft() int {
	return r.Profile.MaxPublishers - r.GrantedTo(Publisher)
}

// Ref returns the directory's entry of a block, nil if there is none.
func (r *Room) Ref(index int) *BlockRef {
	for i := range r.Blocks {
		if r.Blocks[i].Index == index {
			return &r.Blocks[i]
		}
	}
	return nil
}

// WithBlock returns the room after a block of seats was granted to it.
func (r Room) WithBlock(ref BlockRef) Room {
	r = r.Clone()
	r.Blocks = append(r.Blocks, ref)
	r.NextBlock = max(r.NextBlock, ref.Index+1)
	r.SeatsLeft -= ref.Seats
	r.Revision++
	return r
}

// WithoutBlock returns the room after a block was given back; without such a
// block it returns r unchanged.
func (r Room) WithoutBlock(index int) Room {
	r = r.Clone()
	for i, b := range r.Blocks {
		if b.Index == index {
			r.Blocks = append(r.Blocks[:i], r.Blocks[i+1:]...)
			r.SeatsLeft += b.Seats
			r.Revision++
			break
		}
	}
	return r
}

// WithSeats returns the room after a block was made smaller; what it lost is to
// be granted anew. Full says whether nobody more fits in it.
func (r Room) WithSeats(index, seats int, full bool) Room {
	r = r.Clone()
	if ref := r.Ref(index); ref != nil {
		r.SeatsLeft += ref.Seats - seats
		ref.Seats, ref.Full = seats, full
	}
	r.Revision++
	return r
}

// WithMoved returns the room after blocks were moved to another node with whoever
// sits in them.
func (r Room) WithMoved(to NodeID, generation Generation, indexes ...int) Room {
	r = r.Clone()
	for _, index := range indexes {
		if ref := r.Ref(index); ref != nil {
			ref.Node, ref.Generation = to, generation
		}
	}
	r.Revision++
	return r
}

// WithFull returns the room with a block marked full or open.
func (r Room) WithFull(index int, full bool) Room {
	r = r.Clone()
	if ref := r.Ref(index); ref != nil {
		ref.Full = full
	}
	r.Revision++
	return r
}

// WithLoss returns the room after somebody said that a node does not answer it,
// and how many have said so of that life of the node within [LossLasts].
func (r Room) WithLoss(l Loss) (Room, int) {
	r = r.Clone()
	r.Losses = slices.DeleteFunc(r.Losses, func(o Loss) bool {
		return l.At.Sub(o.At) > LossLasts || o.Node == l.Node && o.Generation == l.Generation && o.Key == l.Key
	})
	r.Losses = append(r.Losses, l)
	n := 0
	for _, o := range r.Losses {
		if o.Node == l.Node && o.Generation == l.Generation {
			n++
		}
	}
	r.Revision++
	return r, n
}

// WithSuspect returns the room after it has left a node; the revision, which goes
// up with the loss that led to it, stays.
func (r Room) WithSuspect(node NodeID, now time.Time) Room {
	r = r.Clone()
	r.Losses = slices.DeleteFunc(r.Losses, func(l Loss) bool { return l.Node == node })
	r.Suspects = slices.DeleteFunc(r.Suspects, func(s Suspect) bool { return now.Sub(s.At) > SuspectLasts || s.Node == node })
	r.Suspects = append(r.Suspects, Suspect{node, now})
	return r
}

// Shunned lists the nodes that the room keeps away from.
func (r *Room) Shunned(now time.Time) []NodeID {
	var nodes []NodeID
	if r == nil {
		return nil
	}
	for _, s := range r.Suspects {
		if now.Sub(s.At) <= SuspectLasts {
			nodes = append(nodes, s.Node)
		}
	}
	return nodes
}
