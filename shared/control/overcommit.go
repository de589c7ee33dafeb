package control

import (
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// Overcommit follows measured load: seats claim what their profile bounds, and
// mostly use less.
const (
	// targetPermille is the share of what a node carries that is aimed at when all
	// that may be granted is.
	targetPermille = 700
	// enoughPermille of a node must be granted for a heartbeat to say something
	// about seats, enoughSamples such heartbeats (a minute's) for a change.
	enoughPermille = 200
	enoughSamples  = 20
	// A change of less than stepPercent is not made, so that capacity does not
	// swing; it grows by mostPercent at most at a time, and shrinks at once.
	stepPercent = 20
	mostPercent = 25
)

// used smooths how much of what is granted on a node is used: an eighth of the
// new figure, or all of it where it is higher, because too little capacity
// costs a launch and too much costs pictures.
func used(v fleet.View, b fleet.Beat) (permille int64, samples int) {
	granted, real := v.Node.Granted(), v.Node.Carries()
	before := v.Beat
	if before.Generation != b.Generation {
		before = fleet.Beat{}
	}
	if granted.Kbps*1000 < real.Kbps*enoughPermille || granted.Kbps <= 0 || granted.PPS <= 0 {
		return before.UsedPermille, before.Samples
	}
	now := max(b.Load.Kbps*1000/granted.Kbps, b.Load.PPS*1000/granted.PPS, int64(b.CPUPercent)*10*real.Kbps/granted.Kbps)
	if before.Samples == 0 || now > before.UsedPermille {
		return now, min(before.Samples+1, enoughSamples)
	}
	return (before.UsedPermille*7 + now) / 8, min(before.Samples+1, enoughSamples)
}

// Overcommit returns what may be granted on a node, given what its heartbeats
// say and the least bound of the profiles on it, in percent. It is the present
// capacity where there is no reason for a change.
func Overcommit(v fleet.View, bound int) room.Load {
	n, real := v.Node, v.Node.Carries()
	if real.Kbps <= 0 {
		return n.Capacity
	}
	present := n.Capacity.Kbps * 100 / real.Kbps
	want := present
	switch {
	case n.Empty():
		want = 100
	case v.Beat.Generation == n.Generation && v.Beat.Samples >= enoughSamples:
		want = targetPermille * 100 / max(v.Beat.UsedPermille, 1)
	}
	want = max(min(want, int64(bound), present+mostPercent), 100)
	if within := want - present; within < stepPercent && within > -stepPercent && want != 100 && want != int64(bound) || within == 0 {
		return n.Capacity
	}
	return room.Load{Kbps: real.Kbps * want / 100, PPS: real.PPS * want / 100}
}

// overcommit changes what may be granted on the node. What is available changes
// by the difference; a rest below zero means that nothing is granted until
// people have left, and nobody is sent away for it.
func (s NodeSweep) overcommit(plan *Plan) {
	n := s.View.Node
	if !n.State.Takes() {
		return
	}
	bound := 0
	for _, r := range s.Rooms {
		if bound == 0 || r.Profile.MaxOvercommit < bound {
			bound = r.Profile.MaxOvercommit
		}
	}
	if len(s.Rooms) == 0 && !n.Empty() {
		return // the blocks have not been read
	}
	to := Overcommit(s.View, bound)
	if to == n.Capacity {
		return
	}
	plan.Commits = append(plan.Commits, Hint(SetCapacity{Node: n.ID, Generation: n.Generation, From: n.Capacity, To: to}))
	if plan.Decision.Choice == "" {
		plan.Decision = Decision{Choice: "change capacity", Why: "measured load", Inputs: map[string]any{"node": n.ID, "real": n.Carries(),
			"from": n.Capacity, "to": to, "available": n.Available, "usedPermille": s.View.Beat.UsedPermille, "boundPercent": bound}}
	}
}
