// Package control decides. Each file holds one kind of event and the pure
// function that turns a snapshot of the store, the event and the time into a
// [Plan]: what to write, under which conditions, and what to say afterwards.
//
// The order is part of the contract. The commits of a plan are made in order;
// only when all that are not optional have been made are launches,
// terminations and sends attempted, each of which is safe to lose and to
// repeat. A commit whose condition no longer holds is a conflict: the snapshot
// is loaded again and decided anew. A crash between two commits leaves
// something that the same participant's retry finishes, and that an inventory,
// a sweep or the item's time to live undoes.
//
// The package is pure: no context, clock, logger, client or randomness inside.
package control

import (
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Plan is what a decision asks of the world.
type Plan struct {
	Commits []Commit
	// Launches and Terminations are requests to EC2.
	Launches     []fleet.Launch
	Terminations []Termination
	Sends        []Send
	// Capacity asks the fleet function to look at who waits, with a reason for
	// the log; empty means no.
	Capacity string
	// Decision explains the plan in the log.
	Decision Decision
}

// Commit is a set of changes that are made together or not at all.
type Commit struct {
	Changes []Change
	// Optional commits are hints: a conflict in one is no reason to decide again.
	Optional bool
}

// One makes a commit of changes.
func One(changes ...Change) Commit { return Commit{Changes: changes} }

// Hint makes an optional commit.
func Hint(changes ...Change) Commit { return Commit{Changes: changes, Optional: true} }

// Send is a message to whoever listens on one of the connections, which are
// tried in order.
type Send struct {
	To      []string
	Message events.Message
	// Ticket, when set, is sealed into the message's field of that name.
	Ticket *Ticket
	// Resume, when set, is sealed into the message's field of that name.
	Resume *Resume
	// Or is sent to OrTo when nobody takes the message.
	Or   events.Message
	OrTo string
	// Close ends the connection after the message.
	Close bool
}

// Ticket is what the control plane gives with an offer and gets back with the
// answer. It is sealed, so the answer of a node can only go where its offer came
// from, and needs no read to get there.
type Ticket struct {
	Connection string          `json:"c"`
	Node       room.NodeID     `json:"n"`
	Generation room.Generation `json:"g"`
	Room       room.Name       `json:"r"`
	Key        room.Key        `json:"k"`
	Identity   string          `json:"i"`
	Role       room.Role       `json:"o"`
	Session    string          `json:"s"`
	Revision   room.Revision   `json:"v"`
	RequestID  string          `json:"q"`
}

// Termination asks for the end of a node's instance, found by its tag or, for
// an instance of no known node, by its id.
type Termination struct {
	Node     room.NodeID
	Instance string
	Why      string
}

// Decision is one line in the log: what was decided, why, and from what.
type Decision struct {
	Choice string
	Why    string
	Inputs map[string]any
}

// RingEvery is the least time between two requests to look at who waits.
const RingEvery = time.Second

// Change is one conditioned write. Every kind says which condition justifies it;
// where the condition does not hold nothing of the commit happens.
type Change interface{ change() }

type (
	// PutRoom stores a room, or one of its sections, if the stored revision is If (0:
	// there is none). The tree of a room that is apart is not a part of it.
	PutRoom struct {
		Room room.Room
		If   int64
	}
	// DeleteRoom removes a room, or one of its sections, if its revision is If.
	DeleteRoom struct {
		Name    room.Name
		If      int64
		Section int
	}
	// PutTree stores the tree of a room that is apart if the stored epoch is If (0: no
	// tree).
	PutTree struct {
		Tree room.Tree
		If   int64
	}
	// DeleteTree removes a tree if its epoch is If.
	DeleteTree struct {
		Room room.Name
		If   int64
	}
	// PutParticipant stores a participant if the stored revision is If (0: no
	// participant).
	PutParticipant struct {
		Participant room.Participant
		If          room.Revision
	}
	// DeleteParticipant removes a participant if its revision is If.
	DeleteParticipant struct {
		Room room.Name
		Key  room.Key
		If   room.Revision
	}
	// PutBlock stores a block if there is none of that room and index.
	PutBlock struct{ Block fleet.Block }
	// DeleteBlock removes a block if it is on the node in that generation and nobody
	// sits in it, or nobody but Member with revision If.
	DeleteBlock struct {
		Room       room.Name
		Index      int
		Node       room.NodeID
		Generation room.Generation
		Member     room.Key
		If         room.Revision
	}
	// ShrinkBlock takes free seats out of a block, which becomes Block: if it has
	// is on the node in that generation, had From seats, and no more sit in it than
	// Block has seats. Who sits in it does not change, except for Member, if named,
	// who must sit there with revision If and leaves it.
	ShrinkBlock struct {
		Block  fleet.Block
		From   int
		Member room.Key
		If     room.Revision
	}
	// SealBlock lets nobody new sit down in a block, if it is on the node in that
	// generation. Sealing it again changes nothing.
	SealBlock struct {
		Room       room.Name
		Index      int
		Node       room.NodeID
		Generation room.Generation
	}
	// MoveBlock puts a block with whoever sits in it onto the node and the
	// generation that Block has, and opens it, if it is on the node From in the
	// generation If and has as many seats as Block.
	MoveBlock struct {
		Block fleet.Block
		From  room.NodeID
		If    room.Generation
	}
	// DropBlock removes a block of a dead life of a node, with whoever sits in it,
	// if it is on the node in that generation.
	DropBlock struct {
		Room       room.Name
		Index      int
		Node       room.NodeID
		Generation room.Generation
	}
	// TakeSeat sits a participant down if the block has the generation, is not
	// sealed, and has the participant already with a revision not above this one,
	// or a free seat. Repeating it changes nothing.
	TakeSeat struct {
		Room       room.Name
		Index      int
		Generation room.Generation
		Key        room.Key
		Revision   room.Revision
	}
	// ReleaseSeat frees a seat if the participant sits there with that revision.
	ReleaseSeat struct {
		Room     room.Name
		Index    int
		Key      room.Key
		Revision room.Revision
	}
	// ClaimLoad takes load from a node if it has the generation, takes seats, and
	// has that much available. A negative part of the load is given back.
	ClaimLoad struct {
		Node       room.NodeID
		Generation room.Generation
		Load       room.Load
		At         time.Time
	}
	// ReturnLoad gives load back to a node if it has the generation.
	ReturnLoad struct {
		Node       room.NodeID
		Generation room.Generation
		Load       room.Load
		At         time.Time
	}
	// PutNode stores a node if the stored generation is If (0: no node).
	PutNode struct {
		Node fleet.Node
		If   room.Generation
	}
	// SetConnection notes a node's socket if it has the generation.
	SetConnection struct {
		Node       room.NodeID
		Generation room.Generation
		Slot       int
		Connection string
	}
	// ClearConnection forgets a node's socket if it has the generation and the slot
	// still holds that connection.
	ClearConnection struct {
		Node       room.NodeID
		Generation room.Generation
		Slot       int
		Connection string
	}
	// SetInstance notes a node's instance if there is such a node.
	SetInstance struct {
		Node     room.NodeID
		Instance string
	}
	// SetState moves a node on if it has the generation and the state From, and,
	// with IfEmpty, if nothing is granted on it. One that is to drain does so since At,
	// with the deadline By, which may be zero.
	SetState struct {
		Node       room.NodeID
		Generation room.Generation
		From, To   fleet.State
		IfEmpty    bool
		At, By     time.Time
	}
	// Hasten brings a draining node's deadline forward to By if it has the
	// generation, drains, and has no deadline or a later one.
	Hasten struct {
		Node       room.NodeID
		Generation room.Generation
		By         time.Time
	}
	// SetCapacity changes what may be granted on a node, and what is available by
	// the difference, if it has the generation and the capacity From.
	SetCapacity struct {
		Node       room.NodeID
		Generation room.Generation
		From, To   room.Load
	}
	// DeleteNode removes a node and its heartbeat if it has the generation and
	// state.
	DeleteNode struct {
		Node       room.NodeID
		Generation room.Generation
		State      fleet.State
	}
	// PutBeat stores a heartbeat if the stored one is of an earlier generation, or
	// of the same and a lower sequence number.
	PutBeat struct {
		Node room.NodeID
		Beat fleet.Beat
	}
	// CheckBeat changes nothing; it lets a commit happen only if the stored
	// heartbeat is still this one (generation 0: there is none).
	CheckBeat struct {
		Node       room.NodeID
		Generation room.Generation
		Seq        int64
	}
	// PutWait stores a waiting participant if the stored session is If (empty: no
	// such participant waits).
	PutWait struct {
		Wait fleet.Wait
		If   string
	}
	// DeleteWait removes a waiting participant if the stored session is If.
	DeleteWait struct {
		Region string
		Room   room.Name
		Key    room.Key
		If     string
	}
	// PutDemand stores a region's demand if the stored revision is If (0: none).
	PutDemand struct {
		Demand fleet.Demand
		If     int64
	}
	// Ring notes that the fleet function is asked to look at who waits, if it has
	// not been asked within the last [RingEvery].
	Ring struct {
		Region string
		At     time.Time
	}
	// PutReservation stores a reservation if the stored revision is If (0: none).
	PutReservation struct {
		Reservation fleet.Reservation
		If          int64
	}
	// DeleteReservation removes a reservation if its revision is If.
	DeleteReservation struct {
		Region string
		Room   room.Name
		If     int64
	}
	// PutBoots stores the times that launches took if the stored revision is If
	// (0: none).
	PutBoots struct {
		Boots fleet.Boots
		If    int64
	}
	// PutLaunch stores a launch if the stored state is If (empty: no launch).
	PutLaunch struct {
		Launch fleet.Launch
		If     fleet.LaunchState
	}
	// DeleteLaunch removes a launch if the stored state is If.
	DeleteLaunch struct {
		Region string
		ID     room.NodeID
		If     fleet.LaunchState
	}
)

func (PutRoom) change()           {}
func (DeleteRoom) change()        {}
func (PutTree) change()           {}
func (DeleteTree) change()        {}
func (PutParticipant) change()    {}
func (DeleteParticipant) change() {}
func (PutBlock) change()          {}
func (DeleteBlock) change()       {}
func (ShrinkBlock) change()       {}
func (SealBlock) change()         {}
func (MoveBlock) change()         {}
func (DropBlock) change()         {}
func (TakeSeat) change()          {}
func (ReleaseSeat) change()       {}
func (ClaimLoad) change()         {}
func (ReturnLoad) change()        {}
func (PutNode) change()           {}
func (SetConnection) change()     {}
func (ClearConnection) change()   {}
func (SetInstance) change()       {}
func (SetState) change()          {}
func (Hasten) change()            {}
func (SetCapacity) change()       {}
func (DeleteNode) change()        {}
func (PutBeat) change()           {}
func (CheckBeat) change()         {}
func (PutWait) change()           {}
func (DeleteWait) change()        {}
func (PutDemand) change()         {}
func (Ring) change()              {}
func (PutReservation) change()    {}
func (DeleteReservation) change() {}
func (PutBoots) change()          {}
func (PutLaunch) change()         {}
func (DeleteLaunch) change()      {}
