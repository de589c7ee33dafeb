package control_test

import (
	"testing"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
)

func TestNotable(t *testing.T) {
	said := control.Decision{Choice: "said"}
	for name, c := range map[string]struct {
		plan control.Plan
		want bool
	}{
		"a launch":             {control.Plan{Launches: []fleet.Launch{{}}}, true},
		"a termination":        {control.Plan{Terminations: []control.Termination{{}}}, true},
		"a state":              {control.Plan{Commits: []control.Commit{control.One(control.SetState{})}}, true},
		"a refusal":            {control.Plan{Decision: control.Decision{Choice: "refuse"}}, true},
		"a launch given up":    {control.Plan{Commits: []control.Commit{control.One(control.DeleteLaunch{})}, Decision: said}, true},
		"a landed one goes":    {control.Plan{Commits: []control.Commit{control.One(control.DeleteLaunch{})}}, false},
		"a seat":               {control.Plan{Commits: []control.Commit{control.One(control.PutParticipant{}), control.One(control.TakeSeat{})}, Decision: said}, false},
		"a block on a node":    {control.Plan{Commits: []control.Commit{control.One(control.ClaimLoad{}, control.PutRoom{}, control.PutBlock{})}, Decision: said}, false},
		"a heartbeat":          {control.Plan{Commits: []control.Commit{control.One(control.PutBeat{})}}, false},
		"nothing to be stored": {control.Plan{Decision: said}, false},
	} {
		if got := c.plan.Notable(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
