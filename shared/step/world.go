// Package step turns decisions into facts. It holds the one loop of the control
// plane (load, decide, commit, tell) and declares what it needs of the world:
// a store, a way to post to connections, instances, a bus and a sealer of
// tickets.
package step

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// What a world may answer. Everything else is a fault of the world and is
// passed on wrapped.
var (
	// ErrConflict says that a commit's condition does not hold (any more), or that
	// another transaction touches the same item. Nothing of the commit happened.
	// The way on is to load and decide again.
	ErrConflict = errors.New("conflict")
	// ErrGone says that a connection is closed.
	ErrGone = errors.New("connection is gone")
	// ErrBusy says that the store or gateway asks for less, or the receiver's
	// buffer is full. The way on is to try later.
	ErrBusy = errors.New("busy")
)

// Key names an item of the store.
type Key interface{ key() }

type (
	// RoomKey names a room, or one of its further sections.
	RoomKey struct {
		Room    room.Name
		Section int
	}
	// TreeKey names the tree of a room that is apart.
	TreeKey struct{ Room room.Name }
	// BlockKey names a block of a room.
	BlockKey struct {
		Room  room.Name
		Index int
	}
	// ParticipantKey names a participant of a room.
	ParticipantKey struct {
		Room room.Name
		Key  room.Key
	}
	// NodeKey names a node with its heartbeat.
	NodeKey struct{ Node room.NodeID }
	// WaitKey names a participant who waits in a region.
	WaitKey struct {
		Region string
		Room   room.Name
		Key    room.Key
	}
	// ReservationKey names a room's reservation in a region.
	ReservationKey struct {
		Region string
		Room   room.Name
	}
	// BootsKey names the times that a region's launches took.
	BootsKey struct{ Region string }
	// LaunchKey names a launch in a region.
	LaunchKey struct {
		Region string
		ID     room.NodeID
	}
)

func (RoomKey) key()        {}
func (TreeKey) key()        {}
func (BlockKey) key()       {}
func (ParticipantKey) key() {}
func (NodeKey) key()        {}
func (WaitKey) key()        {}
func (ReservationKey) key() {}
func (BootsKey) key()       {}
func (LaunchKey) key()      {}

// Query asks the store for items that it finds by an index or in one partition.
type Query interface{ query() }

type (
	// Candidates are ready nodes of a region with at least Need available, the
	// fullest first, Limit at most. The index behind it lags; the nodes themselves
	// are as they were a moment ago.
	Candidates struct {
		Region string
		Need   room.Load
		Limit  int
		// Emptiest asks for those with the most available instead.
		Emptiest bool
	}
	// AllNodes are all nodes of the deployment. Nodes that landed within the last
	// seconds may be missing.
	AllNodes struct{}
	// BlocksOf are the blocks on a node. Blocks granted within the last seconds may
	// be missing; those there are, are read consistently.
	BlocksOf struct{ Node room.NodeID }
	// NodeOf is one node with its heartbeat, each a moment old at most, read as one:
	// at half of what two items cost.
	NodeOf struct{ Node room.NodeID }
	// AllRooms are all rooms of the deployment, without their further sections; the newest may be missing.
	AllRooms struct{}
	// Waiting are all who wait in a region, consistently.
	Waiting struct{ Region string }
	// Reservations are a region's reservations, consistently.
	Reservations struct{ Region string }
	// Demand is a region's demand with its launches and the times that earlier
	// ones took, consistently.
	Demand struct{ Region string }
	// Records are the latest decisions about a region's fleet, the newest first,
	// Limit at most.
	Records struct {
		Region string
		Limit  int
	}
)

func (Candidates) query()   {}
func (AllNodes) query()     {}
func (BlocksOf) query()     {}
func (NodeOf) query()       {}
func (AllRooms) query()     {}
func (Waiting) query()      {}
func (Reservations) query() {}
func (Demand) query()       {}
func (Records) query()      {}

// Items are what a store returns; what does not exist is absent.
type Items struct {
	// Rooms are as stored: those that are apart without their trees.
	Rooms        []room.Room
	Trees        []room.Tree
	Blocks       []fleet.Block
	Participants []room.Participant
	Nodes        []fleet.View
	Waits        []fleet.Wait
	Launches     []fleet.Launch
	Demand       fleet.Demand
	Boots        fleet.Boots
	Reservations []fleet.Reservation
	Records      []control.Record
}

// InOrder puts nodes, the fullest first, into the order that a query asks for.
func (q Candidates) InOrder(nodes []fleet.View) []fleet.View {
	if q.Emptiest {
		slices.Reverse(nodes)
	}
	return nodes
}

// Store keeps rooms, blocks, participants, nodes, launches and who waits. It is
// safe for concurrent use. Any method may return [ErrBusy].
type Store interface {
	// Get reads items by key, each once however often it is named. Without consistent, each may be a moment old, and
	// they need not be of one moment in either case.
	Get(ctx context.Context, consistent bool, keys ...Key) (Items, error)
	// Find reads what a query names.
	Find(ctx context.Context, q Query) (Items, error)
	// Commit makes the changes together, each under its condition, or returns
	// [ErrConflict] and makes none. An error other than that leaves open whether
	// they were made.
	Commit(ctx context.Context, changes []control.Change) error
}

// Push posts to connections. Its errors are [ErrGone], [ErrBusy] or a fault.
type Push interface {
	Post(ctx context.Context, connection string, data []byte) error
	Close(ctx context.Context, connection string) error
}

// Instances starts and ends instances.
type Instances interface {
	// Launch asks for the instance of a launch. The same launch and attempt again
	// is the same request.
	Launch(ctx context.Context, l fleet.Launch) control.LaunchOutcome
	// Terminate ends an instance; one that is gone is no error.
	Terminate(ctx context.Context, t control.Termination) error
	// List returns all instances with the deployment's tag, those that ended a
	// while ago excepted.
	List(ctx context.Context) ([]control.Instance, error)
}

// Bus tells the fleet function to look at who waits.
type Bus interface {
	RequestCapacity(ctx context.Context, region, reason string) error
}

// Tickets seals what comes back with a node's answer.
type Tickets interface {
	SealTicket(v any) (string, error)
	OpenTicket(sealed string, into any) error
}

// Usage counts what a step asked of the store. It is safe for concurrent use.
type Usage struct {
	mu         sync.Mutex
	Requests   int
	ReadUnits  float64
	WriteUnits float64
}

// Add counts one request.
func (u *Usage) Add(read, write float64) {
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.Requests++
	u.ReadUnits += read
	u.WriteUnits += write
}

type usageKey struct{}

// WithUsage returns a context in which stores count what they are asked.
func WithUsage(ctx context.Context) (context.Context, *Usage) {
	u := &Usage{}
	return context.WithValue(ctx, usageKey{}, u), u
}

// UsageOf returns the counter of a context, or nil, which counts nothing.
func UsageOf(ctx context.Context) *Usage {
	u, _ := ctx.Value(usageKey{}).(*Usage)
	return u
}
