package control

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Pressure is what launches are decided from. It is read consistently, the
// demand first.
type Pressure struct {
	Demand   fleet.Demand
	Launches []fleet.Launch
	// Waits are those whom no node has room for.
	Waits []fleet.Wait
	// Nodes is how many nodes exist.
	Nodes int
}

// Launch decides how many nodes to launch for those who wait, on top of the
// launches under way. The intents are committed together with the demand's
// revision, so two that decide at once cannot both launch for the same people.
func Launch(p Pressure, now time.Time, set Settings) Plan {
	var coming []room.Load
	for _, l := range p.Launches {
		if l.State != fleet.Landed {
			coming = append(coming, l.Capacity)
		}
	}
	missing := placement.Missing(needs(p.Waits), coming, set.NodeCapacity)
	allowed := max(set.MaxNodes-p.Nodes-len(coming), 0)
	inputs := map[string]any{"waiting": len(p.Waits), "coming": len(coming), "nodes": p.Nodes, "missing": missing, "allowed": allowed,
		"demandRevision": p.Demand.Revision}
	if missing == 0 {
		return Plan{}
	}
	if allowed == 0 {
		return exhausted(p, len(coming), inputs, set)
	}
	demand := p.Demand
	demand.Region = set.Region
	demand.Revision++
	changes := []Change{PutDemand{demand, p.Demand.Revision}}
	plan := Plan{}
	launches := append([]fleet.Launch(nil), p.Launches...)
	for i := range min(missing, allowed, 50) {
		l := fleet.Launch{ID: launchID(set.Region, demand.Revision, i, now), Region: set.Region, Type: set.InstanceType, Capacity: set.NodeCapacity,
			State: fleet.Asked, Attempt: 1, At: now, AskedAt: now, Why: fmt.Sprintf("%d wait, %d nodes are coming, %d more are needed", len(p.Waits), len(coming), missing)}
		changes = append(changes, PutLaunch{Launch: l})
		plan.Launches = append(plan.Launches, l)
		launches = append(launches, l)
	}
	plan.Commits = []Commit{{Changes: changes}}
	plan.Sends = Inform(p.Waits, launches, now, set).Sends
	plan.Decision = Decision{Choice: fmt.Sprintf("launch %d", len(plan.Launches)), Why: "who waits does not fit into what is coming", Inputs: inputs}
	return plan
}

// Inform tells those who wait how long it will take, given the launches under
// way.
func Inform(waits []fleet.Wait, launches []fleet.Launch, now time.Time, set Settings) Plan {
	var plan Plan
	for _, w := range waits {
		plan.Sends = append(plan.Sends, Send{To: []string{w.Connection}, Message: waiting(w, launches, now, set)})
	}
	return plan
}

// exhausted refuses those who wait when the deployment may launch no more and
// nothing is coming that could serve them.
func exhausted(p Pressure, coming int, inputs map[string]any, set Settings) Plan {
	if coming > 0 {
		return Plan{}
	}
	plan := Plan{Decision: Decision{Choice: "refuse", Why: "the limit of nodes is reached", Inputs: inputs}}
	for _, w := range p.Waits {
		plan.Commits = append(plan.Commits, Hint(DeleteWait{w.Region, w.Room, w.Key, w.Session}))
		plan.Sends = append(plan.Sends, Send{To: []string{w.Connection}, Message: events.Errorf(events.CodeBudgetExhausted,
			"all servers are full and this deployment may run at most %d", set.MaxNodes).For(w.RequestID)})
	}
	return plan
}

// needs groups those who wait by room, and rooms by size.
func needs(waits []fleet.Wait) []placement.Need {
	type group struct {
		room room.Name
		seat room.Load
	}
	seats := map[group]int{}
	for _, w := range waits {
		seats[group{w.Room, w.Load}]++
	}
	rooms := map[placement.Need]int{}
	for g, n := range seats {
		rooms[placement.Need{Seat: g.seat, Seats: n}]++
	}
	var out []placement.Need
	for need, n := range rooms {
		need.Rooms = n
		out = append(out, need)
	}
	slices.SortFunc(out, func(a, b placement.Need) int {
		return cmp.Or(cmp.Compare(b.Seat.Kbps, a.Seat.Kbps), cmp.Compare(b.Seat.PPS, a.Seat.PPS), cmp.Compare(b.Seats, a.Seats))
	})
	return out
}

// launchID names the i-th node of a decision. The demand's revision is never
// used twice, so neither is the id.
func launchID(region string, revision int64, i int, now time.Time) room.NodeID {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d/%d/%d", region, revision, i, now.UnixMilli()))
	return room.NodeID("n-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:5])))
}

// LaunchOutcome is what EC2 answered to a launch.
type LaunchOutcome struct {
	// Instance is set when there is one.
	Instance string
	// Refused is a definite refusal, after which another attempt with another
	// client token may be made. Without it and without an instance nothing is
	// known, and the same attempt is repeated.
	Refused string
}

// Launched notes what EC2 answered. The node may have said hello meanwhile, in
// which case only its instance is added.
func Launched(s Landing, o LaunchOutcome, now time.Time) Plan {
	if s.Launch == nil {
		if o.Instance == "" || s.Node != nil {
			return Plan{}
		}
		return Plan{Terminations: []Termination{{Instance: o.Instance, Why: "its launch was given up"}}}
	}
	l := *s.Launch
	was := l.State
	var plan Plan
	switch {
	case o.Instance != "":
		l.Instance = o.Instance
		if l.State == fleet.Asked {
			l.State = fleet.Started
		}
		plan.Commits = append(plan.Commits, One(PutLaunch{l, was}))
		if s.Node != nil {
			plan.Commits = append(plan.Commits, One(SetInstance{s.Node.ID, o.Instance}))
		}
	case o.Refused != "" && l.State == fleet.Asked:
		l.Attempt++
		l.AskedAt = now
		plan.Commits = append(plan.Commits, One(PutLaunch{l, was}))
	}
	plan.Decision = Decision{Choice: "note launch", Why: o.Refused, Inputs: map[string]any{
		"node": l.ID, "instance": o.Instance, "state": l.State, "attempt": l.Attempt}}
	return plan
}
