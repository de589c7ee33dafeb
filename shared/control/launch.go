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
	"github.com/spillway-sfu/spillway/shared/price"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Pressure is what launches are decided from. It is read consistently, the
// demand first.
type Pressure struct {
	Demand   fleet.Demand
	Boots    fleet.Boots
	Launches []fleet.Launch
	// Waits are those whom no node has room for, the first in line first.
	Waits []fleet.Wait
	// Nodes are the nodes that exist. One that landed a moment ago may be missing:
	// its launch is still there.
	Nodes []fleet.View
}

// coming are the launches that have not landed.
func (p Pressure) coming() []fleet.Launch {
	return slices.DeleteFunc(slices.Clone(p.Launches), func(l fleet.Launch) bool { return l.State == fleet.Landed })
}

// runs counts what exists or is being launched, and what it costs an hour.
func (p Pressure) runs() (int, price.Micros) {
	types := map[room.NodeID]string{}
	for _, l := range p.Launches {
		types[l.ID] = l.Type
	}
	for _, v := range p.Nodes {
		types[v.Node.ID] = v.Node.Type
	}
	var sum price.Micros
	for _, typ := range types {
		sum += hour(typ)
	}
	return len(types), sum
}

// shortage is what is asked of [placement.Provide].
func (p Pressure) shortage(set Settings) placement.Shortage {
	nodes, spent := p.runs()
	s := placement.Shortage{Needs: set.needs(p.Waits), Offers: set.seatOffers(), Nodes: max(set.MaxNodes-nodes, 0), Money: placement.Unlimited}
	if set.MaxHour > 0 {
		s.Money = max(set.MaxHour-spent, 0)
	}
	for _, l := range p.coming() {
		s.Bins = append(s.Bins, set.forSeats(l.Capacity, l.Capacity))
	}
	return s
}

// silent is what is free on nodes whose sockets have ended while their leases run, if
// so many have that the gateway must be the reason: they are about to dial again, and
// nothing is to be launched in their place.
func (p Pressure) silent(now time.Time, set Settings) []room.Load {
	takes := 0
	var bins []room.Load
	for _, v := range p.Nodes {
		if v.Takes(now) {
			takes++
		}
		if v.Cut(now) {
			bins = append(bins, set.forSeats(v.Node.Available, v.Node.Capacity))
		}
	}
	if !together(len(bins), takes) {
		return nil
	}
	return bins
}

// together reports whether so many of some nodes have failed at once that the fault is more
// likely the control plane's: over 30 %, and at least two.
func together(failed, of int) bool { return failed >= 2 && failed*10 > of*3 }

// housed reports whether some node has room for what a place in line is held for on
// behalf of a room whose node may be dead: it is not served as long as it may not be.
func (p Pressure) housed(w fleet.Wait, now time.Time, set Settings) bool {
	fits := func(n fleet.Node) bool {
		return !slices.Contains(w.Avoid, n.ID) && w.Load.Fits(n.Available.Minus(set.reserve(room.Room{Profile: set.Profile}, n)))
	}
	if slices.ContainsFunc(p.Nodes, func(v fleet.View) bool { return v.Opens(now) && fits(v.Node) }) {
		return true
	}
	return slices.ContainsFunc(p.Launches, func(l fleet.Launch) bool { // the index may not show it yet
		shown := slices.ContainsFunc(p.Nodes, func(v fleet.View) bool { return v.Node.ID == l.ID })
		return l.State == fleet.Landed && !shown && fits(fleet.Node{ID: l.ID, Capacity: l.Capacity, Available: l.Capacity})
	})
}

// maxLaunches bounds the launches of one decision: they are committed in one
// transaction. The next decision sees the rest still waiting.
const maxLaunches = 50

// Launch decides which nodes to launch for those who wait, on top of the
// launches under way. The intents are committed together with the demand's
// revision, so two that decide at once cannot both launch for the same people.
// Who is beyond what the deployment may run is refused, the last in line first.
func Launch(p Pressure, now time.Time, set Settings) Plan {
	p.Waits = slices.DeleteFunc(slices.Clone(p.Waits), func(w fleet.Wait) bool { return w.Connection == "" && p.housed(w, now, set) })
	if len(p.Waits) == 0 {
		return Plan{}
	}
	question := p.shortage(set)
	question.Bins = append(question.Bins, p.silent(now, set)...)
	supply := placement.Provide(question)
	if len(supply.Launch) == 0 && supply.Unserved == 0 {
		return Plan{}
	}
	nodes, spent := p.runs()
	plan := Plan{Decision: Decision{Inputs: map[string]any{"waiting": len(p.Waits), "nodes": nodes, "hour": spent,
		"demandRevision": p.Demand.Revision, placement.KeyShortage: question, placement.KeySupply: supply}}}
	if len(supply.Launch) > 0 {
		p.launch(&plan, question, supply, fmt.Sprintf("%d wait, %d nodes are coming, %d more are needed", len(p.Waits), len(question.Bins), len(supply.Launch)), now, set)
	}
	stay := p.Waits
	if supply.Unserved > 0 {
		stay = p.refuse(&plan, question, supply, set)
	}
	if len(plan.Launches) > 0 {
		plan.Sends = append(plan.Sends, Inform(stay, slices.Concat(p.Launches, plan.Launches), now, set).Sends...)
	}
	return plan
}

func (p Pressure) launch(plan *Plan, q placement.Shortage, supply placement.Supply, why string, now time.Time, set Settings) {
	demand := p.Demand
	demand.Region = set.Region
	demand.Revision++
	changes := []Change{PutDemand{demand, p.Demand.Revision}}
	zone := p.zone(set)
	for i, offer := range supply.Launch {
		if i == maxLaunches {
			break
		}
		o := set.offers()[offer] // with what is kept for pipes
		l := fleet.Launch{ID: launchID(set.Region, demand.Revision, i, now), Region: set.Region, Version: set.Version, Zone: zone, Type: o.Type, Capacity: o.Capacity,
			Hour: o.Hour, BootMs: p.Boots.Estimate(o.Type, set.BootMs), State: fleet.Asked, Attempt: 1, At: now, AskedAt: now,
			Why: why}
		changes = append(changes, PutLaunch{Launch: l})
		plan.Launches = append(plan.Launches, l)
	}
	plan.Commits = []Commit{{Changes: changes}}
	plan.Decision.Choice = fmt.Sprintf("launch %d", len(plan.Launches))
	plan.Decision.Why = "who waits does not fit into what is coming"
}

// zone is where the next nodes go: all of one decision into one zone, because
// pipes within it are free; decisions into the zone with the fewest nodes, so
// that a zone's end is not everybody's.
func (p Pressure) zone(set Settings) string {
	if len(set.Zones) == 0 {
		return ""
	}
	count := map[string]int{}
	for _, v := range p.Nodes {
		count[v.Node.Zone]++
	}
	for _, l := range p.coming() {
		count[l.Zone]++
	}
	return slices.MinFunc(set.Zones, func(a, b string) int { return cmp.Compare(count[a], count[b]) })
}

// refuse turns away those for whom nothing is coming and nothing may be
// launched, and says which limit it is. It returns the others, who go on waiting.
func (p Pressure) refuse(plan *Plan, q placement.Shortage, supply placement.Supply, set Settings) (stay []fleet.Wait) {
	bins := slices.Clone(q.Bins)
	for _, i := range supply.Launch {
		bins = append(bins, q.Offers[i].Capacity)
	}
	err := limited(supply.Limit, set)
	for _, w := range p.Waits {
		if i := slices.IndexFunc(bins, w.Load.Fits); i >= 0 {
			bins[i] = bins[i].Minus(w.Load)
			stay = append(stay, w)
			continue
		}
		plan.turnAway(w, err)
	}
	if plan.Decision.Choice == "" {
		plan.Decision.Choice, plan.Decision.Why = "refuse", err.Text
	}
	return stay
}

// toWhoWaits tells somebody in line, if it is to hear of its place there.
func toWhoWaits(w fleet.Wait, m events.Message) []Send {
	if w.Connection == "" {
		return nil
	}
	return []Send{{To: []string{w.Connection}, Message: m}}
}

// turnAway takes somebody out of the line and says why.
func (p *Plan) turnAway(w fleet.Wait, err *events.Error) {
	p.Commits = append(p.Commits, Hint(DeleteWait{w.Region, w.Room, w.Key, w.Session}))
	p.Sends = append(p.Sends, toWhoWaits(w, err.For(w.RequestID))...)
}

func limited(by placement.Limit, set Settings) *events.Error {
	switch by {
	case placement.NodeLimit:
		return events.Errorf(events.CodeBudgetExhausted, "all servers are full and this deployment may run at most %d", set.MaxNodes)
	case placement.MoneyLimit:
		return events.Errorf(events.CodeBudgetExhausted, "all servers are full and this deployment may spend at most %v an hour", set.MaxHour)
	}
	return events.Errorf(events.CodeNoCapacity, "no type of server that this deployment may run carries a seat of this room")
}

// Inform tells those who wait how long it will take, given the launches under
// way, or, where EC2 has refused them all, that no server can be had now.
func Inform(waits []fleet.Wait, launches []fleet.Launch, now time.Time, set Settings) Plan {
	var plan Plan
	if len((Pressure{Launches: launches}).coming()) == 0 {
		err := events.Errorf(events.CodeNoCapacity, "no server can be had at the moment; trying again later")
		err.RetryAfterMs = 10_000
		for _, w := range waits {
			plan.turnAway(w, err)
		}
		plan.Decision = Decision{Choice: "refuse", Why: "EC2 refuses every launch", Inputs: map[string]any{"waiting": len(waits)}}
		return plan
	}
	for _, w := range waits {
		plan.Sends = append(plan.Sends, toWhoWaits(w, waiting(w, launches, now, set))...)
	}
	return plan
}

// forSeats is what seats may take of what is available on a node of a capacity: the
// rest is kept for pipes.
func (s Settings) forSeats(available, capacity room.Load) room.Load {
	return available.Minus(s.reserve(room.Room{Profile: s.Profile}, fleet.Node{Capacity: capacity}))
}

// seatOffers are the types that may be launched, with what seats may take of them.
func (s Settings) seatOffers() []placement.Offer {
	out := slices.Clone(s.offers())
	for i, o := range out {
		out[i].Capacity = s.forSeats(o.Capacity, o.Capacity)
	}
	return out
}

// apart is what a room keeps free for pipes on each of several nodes, on top of what
// every node keeps, if it were on nodes of the largest type.
func (s Settings) apart(p room.Profile) room.Load {
	if s.nodesPerRoom() == 1 {
		return room.Load{}
	}
	most := slices.MaxFunc(s.offers(), func(a, b placement.Offer) int { return cmp.Compare(a.Capacity.Kbps, b.Capacity.Kbps) }).Capacity
	r := room.Room{Profile: p, Nodes: []room.NodeRef{{Node: "a"}, {Node: "b", Feeder: "a"}}}
	all := s.reserve(r, fleet.Node{ID: "b", Capacity: most}).Plus(p.PipeLoad())
	more := all.Minus(most.Minus(s.forSeats(most, most)))
	return room.Load{Kbps: max(more.Kbps, 0), PPS: max(more.PPS, 0)}
}

// needs groups those who wait by room, and rooms by size. A room of both roles that
// a node can carry is one piece.
func (s Settings) needs(waits []fleet.Wait) []placement.Need {
	seats, all := map[room.Name]map[room.Load]int{}, map[room.Name]room.Load{}
	for _, w := range waits {
		if seats[w.Room] == nil {
			seats[w.Room] = map[room.Load]int{}
		}
		seats[w.Room][w.Load]++
		all[w.Room] = all[w.Room].Plus(w.Load)
	}
	offers, apart := s.seatOffers(), s.apart(s.Profile)
	rooms := map[placement.Need]int{}
	for name, of := range seats {
		if whole := slices.ContainsFunc(offers, func(o placement.Offer) bool { return all[name].Fits(o.Capacity) }); whole && len(of) > 1 {
			rooms[placement.Need{Seat: all[name], Seats: 1}]++
			continue
		}
		for seat, n := range of {
			rooms[placement.Need{Seat: seat, Seats: n, Apart: apart}]++
		}
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
