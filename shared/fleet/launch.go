package fleet

import (
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/shared/price"
	"github.com/spillway-sfu/spillway/shared/room"
)

// LaunchState is how far a launch has come.
type LaunchState string

// The states of a launch. A launch ends by landing or by expiring; both remove
// it from Asked or Started on condition of that state, so only one of them can.
const (
	Asked   LaunchState = "asked"   // decided; EC2 may or may not have been called
	Started LaunchState = "started" // EC2 has made the instance
	Landed  LaunchState = "landed"  // the node said hello; kept for a while so that it counts
)

// Times of a launch.
const (
	// LaunchTimeout ends a launch that has not said hello.
	LaunchTimeout = 4 * time.Minute
	// LaunchRepeat is when a launch of which nothing was heard is asked for again.
	LaunchRepeat = 10 * time.Second
	// LandedKept is how long a landed launch is kept: longer than the index of
	// nodes takes to show the node.
	LandedKept = time.Minute
)

// Launch is a node that has been decided on but has not yet said hello. Its id
// becomes the node's.
type Launch struct {
	ID       room.NodeID
	Region   string
	Zone     string
	Type     string
	Capacity room.Load
	State    LaunchState
	// Attempt is 1 for the first request to EC2; id and attempt make the client
	// token.
	Attempt  int
	At       time.Time
	AskedAt  time.Time // of the latest request
	LandedAt time.Time
	Instance string
	// Hour is what the node costs an hour. A later attempt costs no more.
	Hour price.Micros
	// BootMs is how long it will likely take, in milliseconds; 0 is unknown.
	BootMs int64
	// Tried are the pools that EC2 has refused.
	Tried []Tried
	// Version is what nodes were launched as then.
	Version string `json:",omitempty"`
	// Why is the decision in a line.
	Why string
}

// Pool is where EC2 takes an instance from: each zone has so many of each type.
type Pool struct {
	Type string
	// Zone is empty where the launch template chooses.
	Zone string
}

// Tried is a pool that has been refused.
type Tried struct {
	Pool
	Refusal Refusal
}

// Refusal is why EC2 made no instance, by what can be done about it. The empty
// refusal is no refusal: nothing is known, and the same request is repeated.
type Refusal string

// The refusals.
const (
	PoolEmpty  Refusal = "no capacity" // in that zone for that type: another pool may have some
	Quota      Refusal = "quota"       // the account's limit for that type: another type may be within its own
	Throttled  Refusal = "throttled"   // too many requests: the same one later
	Impossible Refusal = "impossible"  // template, permission or parameters are wrong: nothing helps until an operator acts
)

// Refused reports whether a pool is not worth a further request.
func (l Launch) Refused(p Pool) bool {
	return slices.ContainsFunc(l.Tried, func(t Tried) bool {
		return t.Pool == p || t.Type == p.Type && t.Refusal == Quota
	})
}

// Reservation is capacity that a room wants by a time: it is there when the room
// begins, and let go when nobody comes.
type Reservation struct {
	Region string
	Room   room.Name
	// Seats are wanted with Seat each.
	Seats   int
	Seat    room.Load
	StartAt time.Time
	// Revision grows with each write.
	Revision int64
}

// ReservationKept is how long after its start a reservation holds capacity.
const ReservationKept = 10 * time.Minute

// Ended reports whether the reservation holds nothing any more.
func (r Reservation) Ended(now time.Time) bool { return now.Sub(r.StartAt) > ReservationKept }

// Boots are the times that the last launches of each type took from the decision
// to the first hello, in milliseconds, the latest last.
type Boots struct {
	Region   string
	Types    map[string][]int64
	Revision int64
}

// bootsKept is how many launches of a type are remembered.
const bootsKept = 8

// With returns the times with one more.
func (b Boots) With(typ string, took time.Duration) Boots {
	types := map[string][]int64{typ: nil}
	for name, ms := range b.Types {
		types[name] = slices.Clone(ms)
	}
	ms := append(types[typ], took.Milliseconds())
	types[typ] = ms[max(len(ms)-bootsKept, 0):]
	b.Types = types
	b.Revision++
	return b
}

// Estimate is how long the next launch of a type will likely take: three of four
// took no longer. Without any launch of that type it is fallback, in
// milliseconds.
func (b Boots) Estimate(typ string, fallback int64) int64 {
	ms := slices.Sorted(slices.Values(b.Types[typ]))
	if len(ms) == 0 {
		return fallback
	}
	return ms[len(ms)*3/4]
}
