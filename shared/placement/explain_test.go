package placement_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/placement"
	"github.com/spillway-sfu/spillway/shared/room"
)

func TestExplainSaysWhyEachNodeWasPassedOver(t *testing.T) {
	q := placement.Ask(room.Load{Kbps: 100, PPS: 10}, 4, []fleet.View{
		view("full", 50), view("roomy", 900), view("best", 400),
		view("gone", 900, func(v *fleet.View) { v.Beat.LeaseUntil = now }),
		view("busy", 900, func(v *fleet.View) { v.Beat.CPUPercent = 90 }),
	}, now)
	line, err := json.Marshal(map[string]any{"step": "join", "choice": "seat", "why": "first block of the room",
		"inputs": map[string]any{placement.KeyQuestion: q, placement.KeyChoice: placement.Choose(q)}})
	if err != nil {
		t.Fatal(err)
	}
	why, err := placement.Explain(string(line))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"best, 400 kbps and 1000 packets/s free, takes 4 seats: chosen for 4 seats", "roomy, 900 kbps and 1000 packets/s free, takes 9 seats: as good in kind, but another is fuller",
		"passed over, not one seat fits", "passed over, its lease has ended", "by its own measure", "the decision is the same"} {
		if !strings.Contains(why, want) {
			t.Errorf("it does not say %q:\n%s", want, why)
		}
	}
}

func TestExplainRefusesWhatHoldsNoDecision(t *testing.T) {
	if _, err := placement.Explain(`{"msg":"decision","step":"left","inputs":{"room":"r"}}`); !errors.Is(err, placement.ErrNothingToExplain) {
		t.Error(err)
	}
	if _, err := placement.Explain("starting"); err == nil {
		t.Error("nonsense was explained")
	}
}

func FuzzExplain(f *testing.F) {
	f.Add(`{"inputs":{"question":{"seat":{"Kbps":1},"seats":3,"nodes":[{"id":"a","state":"ready","leaseMs":5}]},"choice":{}}}`)
	f.Add(`{"inputs":{"shortage":{"needs":[{"seat":{"Kbps":10},"seats":3,"rooms":2}],"offers":[{"type":"t","capacity":{"Kbps":20,"PPS":9},"hour":1}],"nodes":3,"money":9}}}`)
	f.Fuzz(func(t *testing.T, line string) {
		why, err := placement.Explain(line)
		if err == nil && why == "" {
			t.Error("neither an explanation nor an error")
		}
	})
}

func TestExplainANodeThatIsEmptied(t *testing.T) {
	why, err := placement.Explain(`{"step":"consolidate","choice":"empty a node","why":"its 3 people fit onto other nodes","inputs":{"node":"n-a","state":"ready",
		"leaseEndedMs":-6000,"blocks":2,"people":3,"onto":{"lounge":"n-b"},"others":{"n-c":"somebody has just come"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"consolidate: empty a node, because its 3 people fit onto other nodes.", "n-a is ready; its lease runs for 6000 ms more.", "2 blocks",
		"3 people are asked to go, and nobody is made to", "room lounge fits onto n-b", "n-c stays: somebody has just come"} {
		if !strings.Contains(why, want) {
			t.Errorf("it does not say %q:\n%s", want, why)
		}
	}
	if why, err = placement.Explain(`{"step":"drain","choice":"drain","why":"the deadline has passed","inputs":{"node":"n-a","state":"draining","leaseEndedMs":20,"blocks":0,"withinMs":0}}`); err != nil ||
		!strings.Contains(why, "its lease ended 20 ms before") || !strings.Contains(why, "made to after 0 ms") {
		t.Errorf("%v: %s", err, why)
	}
	if _, err := placement.Explain(`{"step":"join","choice":"seat","why":"a seat in the room's block","inputs":{"node":"n-a"}}`); !errors.Is(err, placement.ErrNothingToExplain) {
		t.Errorf("a seat is no decision about a node: %v", err)
	}
}
