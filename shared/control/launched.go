package control

import (
	"cmp"
	"slices"
	"time"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/placement"
)

// LaunchOutcome is what EC2 answered to a launch.
type LaunchOutcome struct {
	// Instance is set when there is one.
	Instance string
	// Refusal is definite: this request makes no instance. Without it and without
	// an instance nothing is known, and the same request is repeated.
	Refusal fleet.Refusal
	// Code is EC2's own word, for the log.
	Code string
}

// Launched notes what EC2 answered. The node may have said hello meanwhile, in
// which case only its instance is added.
//
// After a definite refusal the next pool is asked: another zone, then another
// type that costs no more. Its request, with the attempt's number in the client
// token, is stored before it is made. Where no pool is left the launch is given
// up. Throttling and silence repeat the same request, which the sweep does.
func Launched(s Landing, o LaunchOutcome, now time.Time, set Settings) Plan {
	if s.Launch == nil {
		if o.Instance == "" || s.Node != nil {
			return Plan{}
		}
		return Plan{Terminations: []Termination{{Instance: o.Instance, Why: "its launch was given up"}}}
	}
	l := *s.Launch
	plan := Plan{Decision: Decision{Choice: "note launch", Why: string(o.Refusal), Inputs: map[string]any{
		"node": l.ID, "instance": o.Instance, "state": l.State, "attempt": l.Attempt, "type": l.Type, "zone": l.Zone, "code": o.Code}}}
	was := l.State
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
	case o.Refusal == "" || o.Refusal == fleet.Throttled || l.State != fleet.Asked:
	default:
		next, ok := elsewhere(l, o.Refusal, set)
		if !ok {
			plan.Decision.Choice = "give the launch up"
			plan.Commits = []Commit{One(DeleteLaunch{l.Region, l.ID, l.State})}
			break
		}
		next.Attempt++
		next.AskedAt = now
		plan.Decision.Choice = "try elsewhere"
		plan.Decision.Inputs["nextType"], plan.Decision.Inputs["nextZone"] = next.Type, next.Zone
		plan.Commits = []Commit{One(PutLaunch{next, was})}
		plan.Launches = []fleet.Launch{next}
	}
	return plan
}

// elsewhere returns the launch in the next pool: the same type in another zone,
// then types that carry as much, the cheaper first, then smaller ones, the
// larger first. None costs more than the launch was decided for.
func elsewhere(l fleet.Launch, refusal fleet.Refusal, set Settings) (fleet.Launch, bool) {
	if refusal == fleet.Impossible {
		return l, false
	}
	l.Tried = append(slices.Clone(l.Tried), fleet.Tried{Pool: fleet.Pool{Type: l.Type, Zone: l.Zone}, Refusal: refusal})
	offers := slices.Clone(set.offers())
	slices.SortStableFunc(offers, func(a, b placement.Offer) int { return cmp.Compare(detour(l, a), detour(l, b)) })
	zones := set.Zones
	if len(zones) == 0 {
		zones = []string{""}
	}
	for _, o := range offers {
		if o.Hour > l.Hour {
			continue
		}
		for i := range zones {
			zone := zones[(slices.Index(zones, l.Zone)+1+i)%len(zones)]
			if !l.Refused(fleet.Pool{Type: o.Type, Zone: zone}) {
				l.Type, l.Zone, l.Capacity = o.Type, zone, o.Capacity
				return l, true
			}
		}
	}
	return l, false
}

// detour orders types by how far they are from what was decided: the same type,
// then those that carry as much by price, then the others by what they lack.
func detour(l fleet.Launch, o placement.Offer) int64 {
	switch {
	case o.Type == l.Type:
		return 0
	case l.Capacity.Fits(o.Capacity):
		return 1 + int64(o.Hour)
	}
	const far = 1 << 40
	return far + max(l.Capacity.Kbps-o.Capacity.Kbps, 0)
}
