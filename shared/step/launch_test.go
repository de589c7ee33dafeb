package step_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/price"
	"github.com/spillway-sfu/spillway/shared/step"
)

// withTypes lets a lab launch two types in two zones: the cheaper carries 10
// seats, the other 30.
func (l *lab) withTypes() {
	seat := l.Settings.NodeCapacity
	l.Settings.Zones = []string{"a", "b"}
	l.Settings.Offers = nil
	for name, seats := range map[string]int{"c7g.large": 1, "c7g.xlarge": 3} {
		t, err := price.Type(name)
		if err != nil {
			l.Fatal(err)
		}
		l.Settings.Offers = append(l.Settings.Offers, placement.Offer{Type: name, Capacity: seat.Times(seats), Hour: t.Hour})
	}
}

func (l *lab) launchesUnderWay() []fleet.Launch {
	l.Helper()
	items, err := l.World.Store.Find(l.Context(), step.Demand{Region: l.Settings.Region})
	if err != nil {
		l.Fatal(err)
	}
	return items.Launches
}

func TestARefusedPoolIsTriedElsewhere(t *testing.T) {
	pool := func(typ, zone string) fleet.Pool { return fleet.Pool{Type: typ, Zone: zone} }
	for _, c := range []struct {
		name  string
		empty []fleet.Pool
		want  fleet.Pool
		tries int
	}{
		{"the first has some", nil, pool("c7g.large", "a"), 1},
		{"another zone", []fleet.Pool{pool("c7g.large", "a")}, pool("c7g.large", "b"), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, 10)
			l.withTypes()
			l.EC2.Empty = map[fleet.Pool]bool{}
			for _, p := range c.empty {
				l.EC2.Empty[p] = true
			}
			l.joins(someone("ann", "r"))
			l.capacity()
			got := l.launchesUnderWay()
			if len(got) != 1 || got[0].State != fleet.Started || (fleet.Pool{Type: got[0].Type, Zone: got[0].Zone}) != c.want || got[0].Attempt != c.tries {
				t.Errorf("%+v", got)
			}
			if n := len(l.EC2.Living()); n != 1 {
				t.Errorf("%d instances", n)
			}
		})
	}
}

// TestARefusedTypeIsReplacedByOneThatCostsNoMore wants the larger type, for a
// room of 20.
func TestARefusedTypeIsReplacedByOneThatCostsNoMore(t *testing.T) {
	l := newLab(t, 10)
	l.withTypes()
	for i := range l.Settings.Offers { // then one large is cheaper than two small
		if l.Settings.Offers[i].Type == "c7g.xlarge" {
			l.Settings.Offers[i].Hour = 100_000
		}
	}
	l.EC2.Empty = map[fleet.Pool]bool{{Type: "c7g.xlarge", Zone: "a"}: true, {Type: "c7g.xlarge", Zone: "b"}: true}
	for i := range 20 {
		l.joins(someone(fmt.Sprintf("p%d", i), "r"))
	}
	l.capacity()
	got := l.launchesUnderWay()
	if len(got) != 2 { // the second look finds that one small node does not carry all
		t.Fatalf("%+v", got)
	}
	for _, g := range got {
		if g.Type != "c7g.large" || g.Attempt != 3 || g.Capacity != l.Settings.NodeCapacity {
			t.Errorf("%+v", g)
		}
	}
}

func TestWhereEC2RefusesEverythingWhoWaitsIsTold(t *testing.T) {
	for _, refusal := range []fleet.Refusal{fleet.PoolEmpty, fleet.Quota, fleet.Impossible} {
		t.Run(string(refusal), func(t *testing.T) {
			l := newLab(t, 10)
			l.withTypes()
			l.EC2.Refuse = refusal
			ann := someone("ann", "r")
			l.joins(ann)
			l.inbox(ann)
			l.capacity()
			if e := one[events.Error](l, l.inbox(ann)); e.Code != events.CodeNoCapacity || e.RetryAfterMs == 0 {
				t.Errorf("told %+v", e)
			}
			if n := l.World.Store.Len(); n != 0 {
				t.Errorf("%d items are left", n)
			}
			l.EC2.Refuse = ""
			l.settles(ann) // once there is capacity again
		})
	}
}

func TestAThrottledLaunchIsRepeatedAsItWas(t *testing.T) {
	l := newLab(t, 10)
	ann := someone("ann", "r")
	l.joins(ann)
	l.EC2.Refuse = fleet.Throttled
	l.capacity()
	if got := l.launchesUnderWay(); len(got) != 1 || got[0].Attempt != 1 {
		t.Fatalf("%+v", got)
	}
	l.EC2.Refuse = ""
	l.Pass(fleet.LaunchRepeat + 1e9)
	l.joins(ann)
	l.sweep()
	l.sweep()
	if n := len(l.EC2.Living()); n != 1 {
		t.Errorf("%d instances", n)
	}
}

// TestTheBudgetRefusesTheLastInLine lets 25 people wait where money is left for
// two nodes of 10 seats.
func TestTheBudgetRefusesTheLastInLine(t *testing.T) {
	l := newLab(t, 10)
	l.Settings.Offers = []placement.Offer{{Type: "c7g.large", Capacity: l.Settings.NodeCapacity, Hour: 72_500}}
	l.Settings.MaxHour = 150_000
	var people []person
	for i := range 25 {
		people = append(people, someone(fmt.Sprintf("p%02d", i), fmt.Sprintf("r%d", i)))
		l.joins(people[i])
		l.inbox(people[i])
		l.Pass(1e6)
	}
	l.capacity()
	if n := len(l.EC2.Living()); n != 2 {
		t.Errorf("%d instances", n)
	}
	for i, p := range people {
		refused := slices.ContainsFunc(l.inbox(p), func(m events.Message) bool {
			e, ok := m.(events.Error)
			return ok && e.Code == events.CodeBudgetExhausted
		})
		if refused != (i >= 20) {
			t.Errorf("number %d in line: refused is %v", i, refused)
		}
	}
}

func TestALaunchFollowsOnlyADefiniteRefusal(t *testing.T) {
	now := fleet.Launch{ID: "n", State: fleet.Asked, Attempt: 1, Type: "c7g.large"}
	plan := control.Launched(control.Landing{Launch: &now}, control.LaunchOutcome{}, now.At, control.Settings{InstanceType: "c7g.large", Zones: []string{"a", "b"}})
	if len(plan.Commits)+len(plan.Launches) != 0 {
		t.Errorf("silence led to %+v", plan)
	}
}
