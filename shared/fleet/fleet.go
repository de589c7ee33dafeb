// Package fleet holds what the control plane knows of its nodes: their states
// and how one leads to another, their leases, the blocks of seats taken from
// them, and the launches that make new ones.
//
// The package is pure: no clock, no randomness, no input or output.
package fleet

import (
	"fmt"
	"time"

	"github.com/spillway-sfu/spillway/shared/room"
)

// State is where a node is in its life.
type State string

// The states of a node. A launch that has not said hello yet is a [Launch].
const (
	Filling     State = "filling"     // said hello; serves those who wait, not yet in the index
	Ready       State = "ready"       // takes anybody
	Draining    State = "draining"    // takes nobody new
	Terminating State = "terminating" // its instance is being ended
	Lost        State = "lost"        // its lease ended and it was given up
)

// Cause is what moves a node from one state to another.
type Cause string

// The causes.
const (
	Served       Cause = "served"        // whoever waited has been served
	DrainAsked   Cause = "drain asked"   // idle, or an operator's wish
	Emptied      Cause = "emptied"       // nothing is granted on it any more
	LeaseExpired Cause = "lease expired" // no heartbeat for too long
	GivenUp      Cause = "given up"      // a lost node's blocks are dropped
	Overdue      Cause = "overdue"       // told to go, and told off, people are still there
)

var next = map[State]map[Cause]State{
	Filling:  {Served: Ready, DrainAsked: Draining, LeaseExpired: Lost},
	Ready:    {DrainAsked: Draining, LeaseExpired: Lost},
	Draining: {Emptied: Terminating, Overdue: Terminating, LeaseExpired: Lost},
	Lost:     {GivenUp: Terminating},
}

// Next returns the state that cause leads to, or an error if that is
// impossible.
func (s State) Next(cause Cause) (State, error) {
	to, ok := next[s][cause]
	if !ok {
		return s, fmt.Errorf("a node that is %s cannot go on by %q", s, cause)
	}
	return to, nil
}

// Takes reports whether a node in this state may be given new seats.
func (s State) Takes() bool { return s == Filling || s == Ready }

// Living reports whether a node in this state may hold a lease.
func (s State) Living() bool { return s == Filling || s == Ready || s == Draining }

// Times that make up a lease. A node heartbeats every HeartbeatEvery; three
// missed ones end the lease.
const (
	HeartbeatEvery = 3 * time.Second
	LeaseLasts     = 3 * HeartbeatEvery
)

// Address is where a node takes media.
type Address struct {
	IP    string
	Port  int
	Scope string // public or private
}

// Node is one EC2 instance running sfu-node, from its first hello on.
type Node struct {
	ID         room.NodeID
	State      State
	Generation room.Generation
	// Boot is the id of the process that said hello in this generation.
	Boot string
	// Past are the boots of the lives before, the latest last: what one of them still
	// says must not end the present one.
	Past     []string `json:",omitempty"`
	Instance string
	Type     string
	Region   string
	Zone     string
	// Capacity is what may be granted on the node, Available what of it has not
	// been. Real is what it can carry: Capacity is more where measured load shows
	// that seats use less than was claimed for them. Available is stored, not computed, because a store's
	// condition can compare but not add.
	Capacity  room.Load
	Available room.Load
	Real      room.Load
	// Connections are the node's sockets by slot.
	Connections map[int]string
	Addresses   []Address
	// PipePort is where other nodes reach it; 0 is a node that takes part in no
	// room of several nodes.
	PipePort    int
	Fingerprint string
	Build       string
	// Version is what the node was launched as: template, image and program.
	Version string `json:",omitempty"`
	// HelloAt is when this generation began.
	HelloAt time.Time
	// TouchedAt is when a grant or a return last changed Available: an empty node
	// has been empty since then.
	TouchedAt time.Time
	// DrainAt is when the node began to drain, DrainBy when those who are still
	// there are made to go. Zero is never: they may outlive it.
	DrainAt time.Time `json:",omitzero"`
	DrainBy time.Time `json:",omitzero"`
}

// Presses reports whether the node drains and its deadline has passed.
func (n Node) Presses(now time.Time) bool {
	return n.State == Draining && !n.DrainBy.IsZero() && !now.Before(n.DrainBy)
}

// Carries is what the node can carry in truth, overcommitted or not.
func (n Node) Carries() room.Load {
	if n.Real == (room.Load{}) {
		return n.Capacity
	}
	return n.Real
}

// Granted is what has been granted on the node.
func (n Node) Granted() room.Load { return n.Capacity.Minus(n.Available) }

// Empty reports whether nothing is granted on the node.
func (n Node) Empty() bool { return n.Available == n.Capacity }

// Beat is a node's latest heartbeat.
type Beat struct {
	Generation room.Generation
	Seq        int64
	LeaseUntil time.Time
	// Load is measured, not claimed.
	Load       room.Load
	People     int
	Rooms      int
	CPUPercent int
	// Screens is how many people share their screen.
	Screens int `json:",omitempty"`
	// LossPermille, what receivers reported as lost in thousandths, and Pipes, the
	// busiest of the node's, are for those who watch: nothing is decided from them.
	LossPermille int
	Pipes        []Pipe
	// UsedPermille is how much of what is granted is used, smoothed over some
	// heartbeats, in whichever of kbps, packets and CPU it is most. Samples counts
	// the heartbeats behind it: those with enough granted to judge by.
	UsedPermille int64
	Samples      int
}

// Pipe is a pipe to another node, with what it carried either way.
type Pipe struct {
	Node        room.NodeID
	Up          bool
	SendKbps    int64
	ReceiveKbps int64
}

// View is a node with its latest heartbeat, as a decision sees them.
type View struct {
	Node Node
	Beat Beat
}

// LeaseEnds is when the node's lease ends. A node without a heartbeat of its
// present life has the lease that its hello gave it: a store may show a new node
// before its first heartbeat.
func (v View) LeaseEnds() time.Time {
	if v.Beat.Generation != v.Node.Generation {
		return v.Node.HelloAt.Add(LeaseLasts)
	}
	return v.Beat.LeaseUntil
}

// Alive reports whether the node's lease covers now.
func (v View) Alive(now time.Time) bool { return now.Before(v.LeaseEnds()) }

// Reached reports whether there is a socket to tell the node anything by. One whose
// sockets have all ended may be dead, or about to dial again: until it has, it is
// given nothing.
func (n Node) Reached() bool {
	for _, c := range n.Connections {
		if c != "" {
			return true
		}
	}
	return false
}

// Cut reports whether the node has a lease and cannot be reached.
func (v View) Cut(now time.Time) bool { return v.Takes(now) && !v.Node.Reached() }

// Opens reports whether the node may be given seats that nobody had there before.
func (v View) Opens(now time.Time) bool { return v.Takes(now) && v.Node.Reached() }

// Takes reports whether the node's state and lease let it have seats now.
func (v View) Takes(now time.Time) bool { return v.Node.State.Takes() && v.Alive(now) }

// HotPercent is the share of a node's cores, or of what it can carry, above
// which it takes nobody new whatever has been granted on it.
const HotPercent = 85

// Hot reports whether the node's latest heartbeat says that it is as busy as it
// may get.
func (v View) Hot() bool {
	b, n := v.Beat, v.Node
	if b.Generation != n.Generation {
		return false
	}
	over := func(measured, capacity int64) bool { return capacity > 0 && measured*100 >= capacity*HotPercent }
	real := n.Carries()
	return b.CPUPercent >= HotPercent || over(b.Load.Kbps, real.Kbps) || over(b.Load.PPS, real.PPS)
}

// Block is a number of seats of one room on one node, claimed together.
type Block struct {
	Room       room.Name
	Index      int
	Node       room.NodeID
	Generation room.Generation
	Seats      int
	// Role is what those who sit here may do; each seat is claimed at its load.
	Role room.Role
	// Load is what the whole block takes from its node.
	Load room.Load
	// Members are those who sit here, with the revision of their session.
	Members map[room.Key]room.Revision
	// Sealed blocks take nobody new.
	Sealed    bool
	CreatedAt time.Time
	// MovedAt is when the block was moved here from a node that died, if it was.
	// Whoever sat in it then has until [NoShowAfter] to come.
	MovedAt time.Time `json:",omitzero"`
}

// NoShowAfter is how long a seat is kept for somebody whose node died.
const NoShowAfter = 30 * time.Second

// MaxBlockSeats bounds a block, so that its item stays within one write unit.
const MaxBlockSeats = 24

// For reports whether the block's seats are for a role.
func (b Block) For(role room.Role) bool { return (b.Role == room.Viewer) == (role == room.Viewer) }

// Unused returns how many seats nobody sits on.
func (b Block) Unused() int { return max(b.Seats-len(b.Members), 0) }

// Free returns how many seats somebody may still sit down on.
func (b Block) Free() int {
	if b.Sealed {
		return 0
	}
	return b.Unused()
}

// Wait is a participant for whom no node has room yet.
type Wait struct {
	Region     string
	Room       room.Name
	Key        room.Key
	Identity   string
	Name       string
	Role       room.Role
	Session    string
	From       string // the session that this one continues
	Resumed    string `json:",omitempty"` // the session of the ticket that this one came with
	Connection string
	RequestID  string
	Load       room.Load
	// Wish is what its token says of a room that does not exist yet.
	Wish *room.Wish `json:",omitempty"`
	// Avoid are nodes that did not answer it: to be served there would not help.
	Avoid []room.NodeID
	Since time.Time
	// SeenAt is when the participant last asked; who is silent for WaitLasts has
	// given up.
	SeenAt time.Time
}

// WaitLasts is how long a participant stays in line without asking again. The
// SDK asks every 10 s.
const WaitLasts = 45 * time.Second

// Demand orders the decisions to launch in a region: each is committed on
// condition of the revision that it read.
type Demand struct {
	Region   string
	Revision int64
}

// Plain reports whether any seat will do that is free: whoever waits does not
// continue a session, which may have a seat already, and avoids no node.
func (w Wait) Plain() bool { return w.From == "" && len(w.Avoid) == 0 }
